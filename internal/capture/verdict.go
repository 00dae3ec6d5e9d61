package capture

import (
	"fmt"
	"strings"
	"time"
)

// How long things may take before a sweep does something about them.
const (
	startWindow  = 10 * time.Minute // from the alert to a capture that runs
	stopGrace    = 2 * time.Minute  // past the time limit, which Azure itself keeps
	stopPatience = 5 * time.Minute  // of a stop that Azure took but that shows no effect
	fileGrace    = 15 * time.Minute // from the end of a session to its file
)

// An Observation is what Azure shows of a case at the moment of a sweep.
type Observation struct {
	Found   bool // a session of that name is listed
	Session Session
	Status  Status // only of a case that is Capturing
}

// An Action is what a sweep does about a case.
type Action string

// The actions.
const (
	Wait    Action = "wait"
	Begin   Action = "begin"   // start what was asked for
	Adopt   Action = "adopt"   // record a start that was not recorded
	Halt    Action = "stop"    // ask Azure to stop
	Settle  Action = "settle"  // record that the session has ended
	Search  Action = "search"  // look for a file whose event did not come
	Discard Action = "discard" // delete the session, its file being safe or beyond hope
	Close   Action = "close"   // nothing is left to do
	Fail    Action = "fail"    // give up, and tell somebody
	Decline Action = "decline" // it is not wanted any more
)

// Verdict says what to do about a case, and why. It is the whole life of a
// capture in one place, and a function of its arguments alone.
func Verdict(c Case, o Observation, now time.Time) (Action, string) {
	switch c.State {
	case Asked:
		return begin(c, o, now)
	case Capturing:
		return watch(c, o, now)
	case Ended:
		if now.Sub(c.Stopped) > fileGrace {
			return Search, fmt.Sprintf("no file has come for %v", fileGrace)
		}
		return Wait, "its file is awaited"
	case Analysed:
		if o.Found {
			return Discard, "its findings are sent"
		}
		return Close, "its findings are sent and its session is deleted"
	default: // Done: the process died while the record was moved
		if o.Found {
			return Discard, "the case is " + string(c.State)
		}
		return Close, "the case is " + string(c.State)
	}
}

func begin(c Case, o Observation, now time.Time) (Action, string) {
	switch {
	case o.Found && !strings.EqualFold(o.Session.Target, c.Target):
		return Fail, fmt.Sprintf("a session of its name captures on another machine, %q", o.Session.Target)
	case o.Found:
		return Adopt, "it was started, but not recorded"
	case !c.Resolved.IsZero():
		return Decline, "the alert was resolved before the capture could start"
	case now.Sub(c.Asked) > startWindow:
		return Fail, fmt.Sprintf("it could not be started within %v: %s", startWindow, orUnknown(c.Reason))
	case now.Before(c.NotBefore):
		return Wait, "Azure asked to wait until " + c.NotBefore.UTC().Format(time.RFC3339)
	}
	return Begin, "it was asked for and not started"
}

func watch(c Case, o Observation, now time.Time) (Action, string) {
	if !o.Found {
		return Settle, "its session is gone: somebody else deleted it"
	}
	if o.Session.ProvisioningState == "Failed" {
		return Fail, "Azure could not start it: " + orUnknown(strings.Join(o.Status.Errors, "; "))
	}
	switch o.Status.State {
	case Stopped:
		return Settle, "Azure says it stopped: " + orUnknown(o.Status.StopReason)
	case Failed:
		return Settle, "its agent reports: " + orUnknown(strings.Join(o.Status.Errors, "; "))
	}
	// Running, and whatever Azure says that nobody has documented: the limit
	// holds for all of them.
	deadline := c.Started.Add(c.TimeLimit + stopGrace)
	asked := !c.StopAsked.IsZero()
	switch {
	case asked && now.Sub(c.StopAsked) > stopPatience:
		return Discard, fmt.Sprintf("it does not stop, %v after it was asked to", now.Sub(c.StopAsked).Round(time.Second))
	case asked:
		return Wait, "it was asked to stop"
	case !c.Resolved.IsZero():
		return Halt, "the alert is resolved"
	case now.After(deadline):
		return Halt, fmt.Sprintf("it is over its time limit of %v", c.TimeLimit)
	}
	return Wait, "it captures until " + c.Started.Add(c.TimeLimit).UTC().Format(time.RFC3339)
}

func orUnknown(s string) string {
	if s == "" {
		return "no reason given"
	}
	return s
}
