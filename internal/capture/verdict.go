package capture

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// How long things may take before a sweep does something about them.
const (
	startWindow      = 10 * time.Minute // from the alert, or its approval, to a capture that runs
	approvalPatience = 24 * time.Hour   // of a capture that waits for a person
	stopGrace        = 2 * time.Minute  // past the time limit, which Azure itself keeps
	stopPatience     = 5 * time.Minute  // of a stop that shows no effect, or that Azure refuses
	oddPatience      = 5 * time.Minute  // of a state that says nothing
	fileGrace        = 15 * time.Minute // from the end of a session to its file
	maxSearches      = 4                // for files, each a fileGrace after the one before
)

// An Observation is what Azure shows of a case at the moment of a sweep.
type Observation struct {
	Found   bool // the session exists
	Session Session
	Unasked bool   // its status was not asked for this time
	Status  Status // of a case that is Capturing, or whose end nobody has seen
}

// An Action is what a sweep does about a case.
type Action string

// The actions.
const (
	Wait    Action = "wait"
	Begin   Action = "begin"   // start what was asked for
	Adopt   Action = "adopt"   // record a start that was not recorded
	Watch   Action = "watch"   // remember since when Azure's state says nothing
	Halt    Action = "stop"    // ask Azure to stop
	Settle  Action = "settle"  // record that the session has ended
	Search  Action = "search"  // look for a file whose event did not come
	Accept  Action = "accept"  // no more files will come than did
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
	case Awaiting:
		return await(c, o, now)
	case Capturing:
		return watch(c, o, now)
	case Ended:
		return search(c, now)
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
	since := c.Asked
	if d := c.Approval.Decision; d != nil {
		since = d.At
	}
	switch {
	case o.Found && !strings.EqualFold(o.Session.Target, c.Target):
		return Fail, fmt.Sprintf("a session of its name captures on another machine, %q", o.Session.Target)
	case o.Found:
		return Adopt, "it was started, but not recorded"
	case !c.Resolved.IsZero():
		return Decline, cmp.Or(c.StopReason, "the alert was resolved before the capture could start")
	case !c.Approval.validAt(now):
		return Decline, "the approval of its profile expired before the capture could start"
	case now.Sub(since) > startWindow:
		return Fail, fmt.Sprintf("it could not be started within %v: %s", startWindow, orUnknown(c.Reason))
	case now.Before(c.NotBefore):
		return Wait, "Azure asked to wait until " + c.NotBefore.UTC().Format(time.RFC3339)
	}
	return Begin, "it was asked for and not started"
}

func await(c Case, o Observation, now time.Time) (Action, string) {
	switch {
	case o.Found:
		return Fail, "a session of its name runs, and nobody has approved it"
	case !c.Resolved.IsZero():
		return Decline, cmp.Or(c.StopReason, "the alert was resolved before anybody approved the capture")
	case !c.Approval.validAt(now):
		return Decline, "the approval of its profile expired before anybody approved the capture"
	case now.Sub(c.Asked) > approvalPatience:
		return Decline, fmt.Sprintf("nobody approved it within %v", approvalPatience)
	}
	return Wait, "it waits for an approval"
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
	// Running, and whatever Azure says that nobody has documented: the limits
	// hold for all of them.
	if action, reason := overdue(c, now); action != "" {
		return action, reason
	}
	known := o.Status.State == Running || o.Status.State == NotStarted
	switch {
	case o.Unasked:
	case known && !c.OddSince.IsZero():
		return Watch, "Azure knows its state again: " + string(o.Status.State)
	case !known && c.OddSince.IsZero():
		return Watch, "Azure does not know its state: " + orUnknown(cmp.Or(strings.Join(o.Status.Errors, "; "), string(o.Status.State)))
	case !known && now.Sub(c.OddSince) > oddPatience:
		return Halt, fmt.Sprintf("Azure has not known its state for %v", oddPatience)
	}
	return Wait, "it captures until " + c.Started.Add(c.TimeLimit).UTC().Format(time.RFC3339)
}

// overdue says what to do about a capture that should not run any more; ""
// for one that may.
func overdue(c Case, now time.Time) (Action, string) {
	asked := !c.StopAsked.IsZero()
	switch {
	case asked && now.Sub(c.StopAsked) > stopPatience && c.StopError != "":
		return Discard, "Azure can't stop it: " + c.StopError
	case asked && now.Sub(c.StopAsked) > stopPatience:
		return Discard, fmt.Sprintf("it does not stop, %v after it was asked to", now.Sub(c.StopAsked).Round(time.Second))
	case asked && c.StopError != "":
		return Halt, "it was to stop, and Azure answered: " + c.StopError
	case asked:
		return Wait, "it was asked to stop"
	case !c.Resolved.IsZero():
		return Halt, "the alert is resolved"
	case now.After(c.Started.Add(c.TimeLimit + stopGrace)):
		return Halt, fmt.Sprintf("it is over its time limit of %v", c.TimeLimit)
	case !c.Approval.validAt(now):
		return Halt, "its approval has expired"
	}
	return "", ""
}

func search(c Case, now time.Time) (Action, string) {
	switch wanted := max(1, len(c.Instances)); {
	case now.Sub(c.Stopped) <= fileGrace:
		return Wait, "its file is awaited"
	case c.Searches >= maxSearches && len(c.Files) > 0:
		return Accept, fmt.Sprintf("%d of %d files came", len(c.Files), wanted)
	case c.Searches >= maxSearches:
		return Fail, fmt.Sprintf("its file was found %d times and never analysed: look among the dead letters of the queue", c.Searches)
	}
	return Search, fmt.Sprintf("no file has come for %v", fileGrace)
}

func orUnknown(s string) string {
	if s == "" {
		return "no reason given"
	}
	return s
}
