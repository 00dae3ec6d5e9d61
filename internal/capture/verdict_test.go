package capture

import (
	"strings"
	"testing"
	"time"
)

var t0 = time.Date(2026, 3, 17, 2, 10, 0, 0, time.UTC)

const machine = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/web01"

func TestVerdict(t *testing.T) {
	asked := func(change func(*Case)) Case {
		c := Case{State: Asked, Asked: t0, Target: machine, TimeLimit: 5 * time.Minute}
		if change != nil {
			change(&c)
		}
		return c
	}
	capturing := func(change func(*Case)) Case {
		return asked(func(c *Case) {
			c.State, c.Started, c.SessionID = Capturing, t0, "session"
			if change != nil {
				change(c)
			}
		})
	}
	session := func(state PcStatus, more ...string) Observation {
		o := Observation{Found: true, Session: Session{ID: "session", Target: strings.ToUpper(machine), ProvisioningState: "Succeeded"}}
		o.Status.State = state
		if len(more) > 0 {
			o.Status.StopReason = more[0]
		}
		return o
	}
	tests := []struct {
		name   string
		c      Case
		o      Observation
		after  time.Duration
		action Action
		reason string // part of it
	}{
		{"never started", asked(nil), Observation{}, time.Minute, Begin, "not started"},
		{"started by one who died", asked(nil), session(Running), time.Minute, Adopt, "not recorded"},
		{"throttled", asked(func(c *Case) { c.NotBefore = t0.Add(2 * time.Minute) }), Observation{}, time.Minute, Wait, "asked to wait"},
		{"no longer throttled", asked(func(c *Case) { c.NotBefore = t0.Add(2 * time.Minute) }), Observation{}, 2 * time.Minute, Begin, ""},
		{"resolved before it started", asked(func(c *Case) { c.Resolved = t0 }), Observation{}, time.Minute, Decline, "resolved"},
		{"started, then resolved, never recorded", asked(func(c *Case) { c.Resolved = t0 }), session(Running), time.Minute, Adopt, ""},
		{"too late", asked(func(c *Case) { c.Reason = "503" }), Observation{}, startWindow + time.Second, Fail, "503"},
		{"name taken on another machine", asked(nil), Observation{Found: true, Session: Session{Target: "/other"}}, 0, Fail, "another machine"},

		{"runs", capturing(nil), session(Running), time.Minute, Wait, "captures until"},
		{"runs in a state nobody knows", capturing(nil), session("Pausing"), time.Minute, Watch, "Pausing"},
		{"nobody asked for its state", capturing(nil), Observation{Found: true, Unasked: true, Session: session(Running).Session}, time.Minute, Wait, "captures until"},
		{"still in that state", capturing(func(c *Case) { c.OddSince = t0 }), session(Undefined), time.Minute, Wait, "captures until"},
		{"too long in that state", capturing(func(c *Case) { c.OddSince, c.TimeLimit = t0, time.Hour }), session(Undefined), oddPatience + time.Second, Halt, "not known its state"},
		{"in a known state again", capturing(func(c *Case) { c.OddSince = t0 }), session(Running), time.Minute, Watch, "again"},
		{"resolved", capturing(func(c *Case) { c.Resolved = t0 }), session(Running), time.Minute, Halt, "resolved"},
		{"at its limit, Azure may still stop it", capturing(nil), session(Running), 5 * time.Minute, Wait, ""},
		{"over its limit", capturing(nil), session(Running), 5*time.Minute + stopGrace + time.Second, Halt, "over its time limit"},
		{"over its limit in an unknown state", capturing(nil), session(Undefined), 5*time.Minute + stopGrace + time.Second, Halt, ""},
		{"never begins", capturing(nil), session(NotStarted), 5*time.Minute + stopGrace + time.Second, Halt, ""},
		{"asked to stop", capturing(func(c *Case) { c.StopAsked = t0 }), session(Running), time.Minute, Wait, "asked to stop"},
		{"does not stop", capturing(func(c *Case) { c.StopAsked = t0 }), session(Running), stopPatience + time.Second, Discard, "does not stop"},
		{"Azure refused to stop it", capturing(func(c *Case) { c.StopAsked, c.StopError = t0, "500" }), session(Running), time.Minute, Halt, "500"},
		{"Azure refuses for good", capturing(func(c *Case) { c.StopAsked, c.StopError = t0, "500" }), session(Running), stopPatience + time.Second, Discard, "500"},
		{"runs past its approval", capturing(func(c *Case) { c.Approval.Expires = t0.AddDate(0, 0, -1).Truncate(24 * time.Hour) }), session(Running), time.Minute, Halt, "approval"},
		{"stopped", capturing(nil), session(Stopped, "TimeExceeded"), 5 * time.Minute, Settle, "TimeExceeded"},
		{"stopped without a word", capturing(nil), session(Stopped), 5 * time.Minute, Settle, "no reason given"},
		{"agent failed", capturing(nil), session(Failed), time.Minute, Settle, "agent reports"},
		{"deleted by somebody", capturing(nil), Observation{}, time.Minute, Settle, "gone"},
		{"Azure could not start it", capturing(nil), Observation{Found: true, Session: Session{Target: machine, ProvisioningState: "Failed"}, Status: Status{Errors: []string{"no agent"}}}, time.Minute, Fail, "no agent"},

		{"approval expired before the start", asked(func(c *Case) { c.Approval.Expires = t0.AddDate(0, 0, -1).Truncate(24 * time.Hour) }), Observation{}, 0, Decline, "approval"},
		{"approved late", asked(func(c *Case) { c.Approval.Decision = &Decision{At: t0.Add(time.Hour)} }), Observation{}, time.Hour + time.Minute, Begin, ""},
		{"awaits approval", asked(func(c *Case) { c.State = Awaiting }), Observation{}, time.Hour, Wait, "approval"},
		{"nobody approved", asked(func(c *Case) { c.State = Awaiting }), Observation{}, approvalPatience + time.Second, Decline, "nobody"},
		{"resolved before anybody approved", asked(func(c *Case) { c.State, c.Resolved = Awaiting, t0 }), Observation{}, time.Hour, Decline, "resolved"},
		{"runs without an approval", asked(func(c *Case) { c.State = Awaiting }), session(Running), time.Hour, Fail, "nobody has approved"},

		{"file awaited", asked(func(c *Case) { c.State, c.Stopped = Ended, t0 }), session(Stopped), fileGrace, Wait, "awaited"},
		{"file overdue", asked(func(c *Case) { c.State, c.Stopped = Ended, t0 }), session(Stopped), fileGrace + time.Second, Search, "no file"},
		{"found again and again, never analysed", asked(func(c *Case) { c.State, c.Stopped, c.Searches = Ended, t0, maxSearches }), session(Stopped), fileGrace + time.Second, Fail, "dead letters"},
		{"some instances' files came", asked(func(c *Case) {
			c.State, c.Stopped, c.Searches, c.Files, c.Instances = Ended, t0, maxSearches, []File{{}}, []string{"0", "1"}
		}), session(Stopped), fileGrace + time.Second, Accept, "1 of 2"},
		{"findings sent", asked(func(c *Case) { c.State = Analysed }), session(Stopped), 0, Discard, ""},
		{"findings sent, session gone", asked(func(c *Case) { c.State = Analysed }), Observation{}, 0, Close, ""},
		{"died while archiving", asked(func(c *Case) { c.State = Closed }), Observation{}, 0, Close, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			action, reason := Verdict(tt.c, tt.o, t0.Add(tt.after))
			if action != tt.action || !strings.Contains(reason, tt.reason) {
				t.Errorf("Verdict = %s, %q; want %s, ...%s...", action, reason, tt.action, tt.reason)
			}
			if reason == "" {
				t.Error("no reason is given")
			}
		})
	}
}

func TestName(t *testing.T) {
	name := Name("inc-1", machine, "partner-tls")
	if name != Name("inc-1", strings.ToUpper(machine), "partner-tls") {
		t.Error("the name depends on how Azure spells the target")
	}
	for _, other := range []string{Name("inc-2", machine, "partner-tls"), Name("inc-1", machine+"2", "partner-tls"), Name("inc-1", machine, "other")} {
		if other == name {
			t.Error("another capture has the same name")
		}
	}
	if len(name) != 35 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz234567-") != "" {
		t.Errorf("name %q: want 35 letters of [a-z2-7-]", name)
	}
}
