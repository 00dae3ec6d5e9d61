package scenario

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/alert"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/policy"
)

var now = time.Date(2026, 6, 3, 2, 0, 7, 123_456_700, time.UTC)

// decide is what the product makes of the story's alert.
func decide(t *testing.T, s Scenario, now time.Time) policy.Decision {
	t.Helper()
	p, err := policy.Load(s.Policy(now))
	if err != nil {
		t.Fatalf("the policy is invalid: %v", err)
	}
	a, err := alert.Parse(s.Alert(now, time.Time{}))
	if err != nil {
		t.Fatalf("the alert is invalid: %v", err)
	}
	return p.Decide(a, now)
}

// filters are what the product asks Network Watcher for on a machine.
func filters(t *testing.T, s Scenario, machine string) (filters []capture.Filter) {
	t.Helper()
	for _, plan := range decide(t, s, now).Allowed {
		if strings.EqualFold(plan.Target.String(), machine) {
			for _, f := range plan.Filters {
				filters = append(filters, capture.Filter(f))
			}
		}
	}
	if len(filters) == 0 {
		t.Fatalf("no capture of %s", machine)
	}
	return filters
}

func TestPolicyAllowsTheCaptures(t *testing.T) {
	for _, s := range All() {
		t.Run(s.Name, func(t *testing.T) {
			d := decide(t, s, now)
			if d.Profile != s.Name || len(d.Refused) > 0 || len(d.Warnings) > 0 {
				t.Errorf("profile %q, refused %+v, warnings %q", d.Profile, d.Refused, d.Warnings)
			}
			var want, got []string
			for _, m := range s.Machines {
				want = append(want, strings.ToLower(m.ID))
			}
			for _, plan := range d.Allowed {
				got = append(got, strings.ToLower(plan.Target.String()))
				if end := 30 * time.Second; plan.TimeLimit > end && s.ResolveAfter == 0 {
					t.Errorf("the capture takes %v, and nothing ends it within %v", plan.TimeLimit, end)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("targets (-want +got):\n%s", diff)
			}
			if at := now.AddDate(1, 0, 0); len(decide(t, s, at).Allowed) == 0 {
				t.Error("the policy ages")
			}
		})
	}
}

func TestResolvedIsTheSameAlert(t *testing.T) {
	for _, s := range All() {
		t.Run(s.Name, func(t *testing.T) {
			fired, err := alert.Parse(s.Alert(now, time.Time{}))
			if err != nil {
				t.Fatal(err)
			}
			resolved, err := alert.Parse(s.Alert(now, now.Add(time.Minute)))
			if err != nil {
				t.Fatal(err)
			}
			if fired.ID == "" || fired.ID != resolved.ID {
				t.Errorf("IDs %q and %q", fired.ID, resolved.ID)
			}
			again, err := alert.Parse(s.Alert(now.Add(time.Minute), time.Time{}))
			if err != nil {
				t.Fatal(err)
			}
			if fired.ID == again.ID {
				t.Errorf("the next alert has the same ID %q", again.ID)
			}
		})
	}
}

// A golden reading of one alert, against what Azure's documentation shows.
func TestAlertLooksLikeAzures(t *testing.T) {
	s, ok := Find("partner-tls")
	if !ok {
		t.Fatal("no partner-tls")
	}
	var got map[string]any
	if err := json.Unmarshal(s.Alert(now, now.Add(5*time.Minute)), &got); err != nil {
		t.Fatal(err)
	}
	subscription := "/subscriptions/5b2f7c1e-8d43-4a96-b0e7-3c51d9a2f604"
	properties := map[string]any{"incidentId": "INC-4711", "pcapProfile": "partner-tls"}
	want := map[string]any{
		"schemaId": "azureMonitorCommonAlertSchema",
		"data": map[string]any{
			"essentials": map[string]any{
				"alertId":             subscription + "/providers/Microsoft.AlertsManagement/alerts/" + guid("partner-tls", "alert", now.String()),
				"alertRule":           "upload-failures",
				"alertRuleId":         subscription + "/resourceGroups/orbital-relay/providers/microsoft.insights/metricAlerts/upload-failures",
				"severity":            "Sev1",
				"signalType":          "Metric",
				"monitorCondition":    "Resolved",
				"monitoringService":   "Platform",
				"alertTargetIDs":      []any{subscription + "/resourcegroups/orbital-relay/providers/microsoft.compute/virtualmachines/uplink-01"},
				"configurationItems":  []any{"uplink-01"},
				"originAlertId":       guid("partner-tls", "origin") + "_orbital-relay_microsoft.insights_metricAlerts_upload-failures_-117781227",
				"firedDateTime":       "2026-06-03T02:00:07.1234567Z",
				"resolvedDateTime":    "2026-06-03T02:05:07.1234567Z",
				"description":         "Uploads of a ground-station partner fail",
				"essentialsVersion":   "1.0",
				"alertContextVersion": "1.0",
				"targetResourceType":  "microsoft.compute/virtualmachines",
				"targetResourceGroup": "orbital-relay",
			},
			"alertContext": map[string]any{
				"properties":    properties,
				"conditionType": "SingleResourceMultipleMetricCriteria",
				"condition": map[string]any{
					"windowSize": "PT5M",
					"allOf": []any{map[string]any{
						"metricName": "Failed Uploads", "metricNamespace": "Orbital/Uploads", "operator": "GreaterThan", "threshold": "3",
						"timeAggregation": "Total", "metricValue": 0.0, "webTestName": nil,
						"dimensions": []any{map[string]any{"name": "ResourceId", "value": "0d9c4be2-61f7-4e3a-9a58-b7f2c4d1e603"}},
					}},
					"windowStartTime": "2026-06-03T02:00:00.0000000Z",
					"windowEndTime":   "2026-06-03T02:05:00.0000000Z",
				},
			},
			"customProperties": properties,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("alert (-want +got):\n%s", diff)
	}
}

func TestWorldIsWhole(t *testing.T) {
	seen := map[string]bool{}
	unique := func(t *testing.T, what string) {
		t.Helper()
		if what == "" || seen[what] {
			t.Errorf("%q is empty, or not unique", what)
		}
		seen[what] = true
	}
	for _, s := range All() {
		t.Run(s.Name, func(t *testing.T) {
			unique(t, s.Name)
			unique(t, s.Subscription)
			unique(t, s.Landing.ID)
			if s.Landing.Region != s.Region {
				t.Error("files cannot land in another region")
			}
			var expected []string
			for _, e := range s.Expect {
				expected = append(expected, e.Machine)
			}
			for i, m := range s.Machines {
				unique(t, strings.ToLower(m.ID))
				unique(t, m.VMID)
				if m.Region != s.Region || m.Tags["pcapwarden"] != "allowed" {
					t.Errorf("%s may not be captured", m.Name)
				}
				if len(m.Addresses) == 0 || !slices.Contains(s.cast, m.Addresses[0]) {
					t.Errorf("%s has no part in it", m.Name)
				}
				if i >= len(expected) || expected[i] != m.ID {
					t.Errorf("nothing is expected of %s", m.Name)
				}
			}
			for _, a := range s.cast {
				if a.Is4() && a.As4()[1] == 0 && a.As4()[2] == 0 || a == (netip.Addr{}) {
					t.Errorf("%v cannot be played on the loopback", a)
				}
			}
		})
	}
	if _, ok := Find("nothing"); ok {
		t.Error("Find finds what is not there")
	}
}
