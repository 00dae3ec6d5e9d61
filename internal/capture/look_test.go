package capture_test

import (
	"context"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/alert"
	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/resourceid"
)

// one returns the case of a result, as it is recorded now.
func (r *rig) one(a *app, result capture.Result) capture.Case {
	r.Helper()
	if len(result.Cases) != 1 {
		r.Fatalf("%d cases, want 1; refused %v", len(result.Cases), result.Refused)
	}
	return r.now(a, result.Cases[0])
}

func (r *rig) now(a *app, c capture.Case) capture.Case {
	r.Helper()
	c, err := a.Ledger.Case(context.Background(), c.Incident, c.ID)
	if err != nil {
		r.Fatal(err)
	}
	return c
}

// want checks a case's state, and a word of its reason.
func (r *rig) want(c capture.Case, state capture.State, says string) {
	r.Helper()
	if c.State != state || !strings.Contains(c.Reason, says) {
		r.Errorf("case is %s, %q; want %s, ...%s...\n%v", c.State, c.Reason, state, says, c.History)
	}
}

// noticed counts the notices of a kind that say something.
func (r *rig) noticed(kind capture.NoticeKind, says string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, notice := range r.notices {
		if notice.Kind == kind && strings.Contains(notice.Title+": "+notice.Reason, says) {
			n++
		}
	}
	return n
}

// puts counts the sessions that were asked for.
func (r *rig) puts() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.asked)
}

// verified checks that the audit log is whole and returns its entries.
func (r *rig) verified() []audit.Entry {
	r.Helper()
	report, err := audit.Verify(context.Background(), r.store, "")
	if err != nil {
		r.Fatal(err)
	}
	if !report.Intact() {
		r.Errorf("the audit log is broken: %q", report.Problems)
	}
	var all []audit.Entry
	for e, err := range audit.New(r.store).All(context.Background()) {
		if err != nil {
			r.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// fired is an alert of a rule on machines, which may be IDs or names.
func (r *rig) fired(id, rule string, targets ...string) alert.Alert {
	a := alert.Alert{ID: id, Rule: rule, Severity: "Sev1", SignalType: "Metric", Condition: alert.Fired, Fired: r.clock.Now()}
	for _, given := range targets {
		t := alert.Target{Type: alert.ComputerName, Name: given, Given: given, Source: "test"}
		if parsed, err := resourceid.Parse(given); err == nil {
			t.ID, t.Name = parsed, ""
			switch {
			case parsed.Is(resourceid.TypeVM):
				t.Type = alert.VM
			case parsed.Is(resourceid.TypeScaleSet):
				t.Type = alert.ScaleSet
			case parsed.Is(resourceid.TypeNetworkInterface):
				t.Type = alert.NetworkInterface
			}
		}
		a.Targets = append(a.Targets, t)
	}
	return a
}

func resolved(a alert.Alert) alert.Alert {
	a.Condition = alert.Resolved
	return a
}
