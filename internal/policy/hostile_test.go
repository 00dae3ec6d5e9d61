package policy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/alert"
	"github.com/pcapwarden/pcapwarden/internal/alert/alerttest"
	"github.com/pcapwarden/pcapwarden/internal/policy"
)

// TestNoAlertWidensThePolicy decides about every sound alert with anything in
// it changed: whatever it says, a plan is what the file says, inside the
// scope, and every target is planned or refused with a reason.
func TestNoAlertWidensThePolicy(t *testing.T) {
	p := load(t, change(t,
		"{alertRule: [upload-failures], severity: [Sev0, Sev1], signalType: [Metric, Log], targetType: [vm, vmss]}",
		"{targetType: [vm, vmss]}"))
	wanted := p.Profiles[0]
	files, err := filepath.Glob("../alert/testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no alerts: %v", err)
	}
	planned := 0
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for what, body := range alerttest.Variants(body) {
				a, err := alert.Parse(body)
				if err != nil {
					continue // alert's to test
				}
				d := p.Decide(a, a.Fired.Add(time.Minute))
				if len(d.Allowed)+len(d.Refused) == 0 {
					t.Errorf("%s: neither a plan nor a refusal", what)
				}
				for _, r := range d.Refused {
					if r.Reason == "" || r.Message == "" || len(r.Message) > 1000 {
						t.Errorf("%s: refused without a short reason: %+v", what, r)
					}
				}
				planned += len(d.Allowed)
				for _, plan := range d.Allowed {
					checkPlan(t, what, plan, wanted)
				}
				checkEveryTarget(t, what, a, d)
				if a.Condition != alert.Fired && len(d.Allowed) > 0 {
					t.Errorf("%s: an alert that is %q starts captures", what, a.Condition)
				}
			}
		})
	}
	if planned == 0 {
		t.Error("nothing is planned for any alert: nothing was tested")
	}
}

// checkPlan holds a plan against the policy file.
func checkPlan(t *testing.T, what string, plan policy.Plan, wanted policy.Profile) {
	t.Helper()
	if plan.Lookup != policy.ByName {
		if got := plan.Target.String(); !strings.HasPrefix(strings.ToLower(got), strings.ToLower(group)) {
			t.Errorf("%s: plans a capture on %q, which is out of scope", what, got)
		}
	}
	filters := []policy.Filter{wanted.Capture.Filters[0].Filter}
	if diff := cmp.Diff(filters, plan.Filters); diff != "" {
		t.Errorf("%s: filters (-file +plan):\n%s", what, diff)
	}
	if plan.TimeLimit != wanted.Capture.TimeLimit || plan.TotalBytes != wanted.Capture.TotalBytes ||
		plan.BytesPerPacket != wanted.Capture.BytesPerPacket || plan.Retention != wanted.Retention || plan.Instances > wanted.Capture.Instances {
		t.Errorf("%s: the plan %+v is not what the file says", what, plan)
	}
}

// checkEveryTarget looks for targets that are passed over in silence.
func checkEveryTarget(t *testing.T, what string, a alert.Alert, d policy.Decision) {
	t.Helper()
	judged := map[string]bool{}
	for _, plan := range d.Allowed {
		judged[plan.Given] = true
	}
	for _, r := range d.Refused {
		judged[r.Target] = true
	}
	for _, target := range a.Targets {
		if !judged[target.Given] {
			t.Errorf("%s: nothing is said about target %q", what, target.Given)
		}
	}
}
