package analysis_test

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/analysis/analysistest"
	"github.com/pcapwarden/pcapwarden/internal/controlplane"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

// strict is a network in which every flow is let pass, or none is.
type strict struct {
	own   []netip.Addr
	allow bool
}

func (s strict) Interfaces(context.Context, controlplane.Subject) ([]controlplane.Interface, error) {
	return []controlplane.Interface{{ID: "nic", Addresses: s.own}}, nil
}
func (s strict) Access(_ context.Context, q controlplane.Question) (controlplane.Access, error) {
	return controlplane.Access{Allowed: s.allow, Rule: "rule"}, nil
}
func (s strict) NextHop(context.Context, controlplane.Question) (controlplane.Hop, error) {
	return controlplane.Hop{Type: controlplane.HopNetwork, RouteTable: "System Route"}, nil
}
func (s strict) Rules(context.Context, controlplane.Subject, string) ([]controlplane.Rule, error) {
	return nil, nil
}
func (s strict) Names(context.Context, controlplane.Subject, []controlplane.Interface) ([]controlplane.Name, error) {
	return nil, nil
}
func (s strict) Tags(context.Context, controlplane.Subject, []netip.Addr) ([]controlplane.Name, error) {
	return nil, nil
}

// TestExplainLab holds the lab's recordings against rules that allow
// everything, which never disagree with packets, and against rules that allow
// nothing, which disagree with all but what was dropped on its way out.
func TestExplainLab(t *testing.T) {
	asked := 0
	recordings, err := analysistest.Load(lab)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range recordings {
		for _, allow := range []bool{true, false} {
			a := analyze(t, &c)
			cause, n := a.Verdict.Cause, len(a.Findings)
			a.Explain(controlplane.Ask(t.Context(), strict{a.Vantage.Addresses, allow}, controlplane.Inquiry{
				Subject: controlplane.Subject{ID: "vm"}, Seen: a.Deciding(), Addresses: a.Addresses(), Within: time.Minute,
			}))
			disagreed := 0
			for _, f := range a.Context.Flows {
				asked++
				if f.Agreement == controlplane.Disagree {
					disagreed++
				}
				dropped := f.Direction == controlplane.Outbound && f.Packets == controlplane.Unanswered
				if want := f.Access != nil && !allow && !dropped; want != (f.Agreement == controlplane.Disagree) {
					t.Errorf("%s, allowed %v: %s\n%+v", c.Name, allow, f.Agreement, f)
				}
				if f.Access != nil && f.Sentence == "" {
					t.Errorf("%s: nothing is said of %+v", c.Name, f)
				}
			}
			if a.Verdict.Cause != cause || len(a.Findings) != n+disagreed {
				t.Errorf("%s, allowed %v: %s with %d findings became %s with %d", c.Name, allow, cause, n, a.Verdict.Cause, len(a.Findings))
			}
			if !slices.IsSortedFunc(a.Findings, func(x, y finding.Finding) int { return int(y.Severity) - int(x.Severity) }) {
				t.Errorf("%s: the findings are out of order", c.Name)
			}
			for _, i := range a.Verdict.Findings {
				if a.Findings[i].Kind == "network.rules-disagree" {
					t.Errorf("%s: the verdict's findings moved", c.Name)
				}
			}
		}
	}
	if asked < 60 {
		t.Errorf("only %d flows were asked about", asked)
	}
}
