package policy_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/alert"
	"github.com/pcapwarden/pcapwarden/internal/policy"
	"github.com/pcapwarden/pcapwarden/internal/resourceid"
)

var fired = time.Date(2026, 5, 4, 2, 0, 7, 0, time.UTC)

// payload is an alert that the tests' policy allows, before edits.
type payload struct {
	rule, severity, signal, condition, service, fired string
	targets                                           []string
	dimensions                                        [][2]string
	custom                                            map[string]any
}

func parse(t testing.TB, edit func(*payload)) alert.Alert {
	t.Helper()
	p := payload{
		rule: "Upload-Failures", severity: "Sev1", signal: "Metric", condition: "Fired", service: "Platform",
		fired: fired.Format(time.RFC3339), targets: []string{strings.ToLower(machine)},
	}
	if edit != nil {
		edit(&p)
	}
	dimensions := []any{}
	for _, d := range p.dimensions {
		dimensions = append(dimensions, map[string]any{"name": d[0], "value": d[1]})
	}
	text, err := json.Marshal(map[string]any{
		"schemaId": "azureMonitorCommonAlertSchema",
		"data": map[string]any{
			"essentials": map[string]any{
				"alertId": "/subscriptions/" + subscription + "/providers/Microsoft.AlertsManagement/alerts/a1", "alertRule": p.rule,
				"severity": p.severity, "signalType": p.signal, "monitorCondition": p.condition, "monitoringService": p.service,
				"alertTargetIDs": p.targets, "firedDateTime": p.fired,
			},
			"alertContext": map[string]any{
				"conditionType": "SingleResourceMultipleMetricCriteria",
				"condition":     map[string]any{"allOf": []any{map[string]any{"dimensions": dimensions}}},
			},
			"customProperties": p.custom,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	a, err := alert.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// brief lists what a decision allows and refuses.
func brief(d policy.Decision) []string {
	var out []string
	for _, p := range d.Allowed {
		line := fmt.Sprintf("%s %s %s%s", p.Role, p.TargetType, p.Target.Name(), p.Name)
		if p.TargetType == policy.AzureVMSS {
			line += fmt.Sprintf(" %d of %v", p.Instances, p.Only)
		}
		if p.Lookup != "" {
			line += " by " + string(p.Lookup)
		}
		out = append(out, line)
	}
	for _, r := range d.Refused {
		out = append(out, string(r.Reason)+" "+r.Target[strings.LastIndex(r.Target, "/")+1:])
	}
	return out
}

const (
	strangerSubscription = "/subscriptions/99999999-9d8e-4c7b-a6f5-e4d3c2b1a098/resourceGroups/shop-rg/providers/Microsoft.Compute/virtualMachines/shop-web-1"
	strangerGroup        = "/subscriptions/" + subscription + "/resourceGroups/shop-rg2/providers/Microsoft.Compute/virtualMachines/shop-web-1"
	storage              = group + "Microsoft.Storage/storageAccounts/files"
	nic                  = group + "Microsoft.Network/networkInterfaces/web-nic"
	monitor              = group + "Microsoft.Network/networkWatchers/w/connectionMonitors/c"
)

func TestDecide(t *testing.T) {
	compare := change(t, "compareWith: []", "compareWith: ["+healthy+", "+scaleSet+"]")
	required := change(t, "mode: standing", "mode: required")
	vmOnly := change(t, "targetType: [vm, vmss]", "targetType: [vm]")
	placeholder := change(t, filterLine, `{protocol: TCP, remoteIP: "{alert.DestinationAddress}", within: 10.0.0.0/8, remotePort: 443}`)
	tests := []struct {
		name   string
		policy string
		alert  func(*payload)
		now    time.Time
		want   []string
	}{
		{name: "vm", want: []string{"target AzureVM shop-web-1"}},
		{name: "two_vms", alert: func(p *payload) { p.targets = []string{machine, healthy} }, want: []string{"target AzureVM shop-web-1", "target AzureVM shop-healthy"}},
		{name: "scale_set", alert: func(p *payload) { p.targets = []string{scaleSet} }, want: []string{"target AzureVMSS shop-ss 3 of []"}},
		{name: "instance", alert: func(p *payload) { p.targets = []string{scaleSet + "/virtualMachines/4"} }, want: []string{"target AzureVMSS shop-ss 3 of [4]"}},
		{
			name:  "instance_by_dimension",
			alert: func(p *payload) { p.targets, p.dimensions = []string{scaleSet}, [][2]string{{"VMName", "shop-ss_7"}} },
			want:  []string{"target AzureVMSS shop-ss 3 of [shop-ss_7]"},
		},
		{name: "network_interface", alert: func(p *payload) { p.targets = []string{nic} }, want: []string{"target AzureVM web-nic by network-interface"}},
		{
			name: "connection_monitor",
			alert: func(p *payload) {
				p.targets, p.dimensions = []string{monitor}, [][2]string{{"SourceResourceId", machine}}
			},
			want: []string{"target AzureVM shop-web-1"},
		},

		{
			name: "test_action", policy: change(t, "[shop-rg, robots-rg]", "[shop-rg, test-rg]", "[upload-failures]", "[test-metricAlertRule]"),
			alert: func(p *payload) {
				p.rule, p.targets = "test-metricAlertRule", []string{strings.Replace(machine, "shop-rg", "test-RG", 1)}
			},
			want: []string{"test-action shop-web-1"},
		},
		{name: "resolved", alert: func(p *payload) { p.condition = "Resolved" }, want: []string{"resolved shop-web-1"}},
		{name: "resolved_before_all_else", alert: func(p *payload) { p.condition, p.targets = "Resolved", []string{machine + "//x"} }, want: []string{"resolved x"}},
		{name: "fired_in_1970", alert: func(p *payload) { p.fired = "1970-01-01T00:00:00Z" }, want: []string{"time-invalid shop-web-1"}},
		{name: "fired_in_4_minutes", now: fired.Add(-4 * time.Minute), want: []string{"target AzureVM shop-web-1"}},
		{name: "fired_in_6_minutes", now: fired.Add(-6 * time.Minute), want: []string{"fired-in-future shop-web-1"}},
		{name: "fired_15_minutes_ago", now: fired.Add(15 * time.Minute), want: []string{"target AzureVM shop-web-1"}},
		{name: "fired_16_minutes_ago", now: fired.Add(16 * time.Minute), want: []string{"stale shop-web-1"}},

		{name: "foreign_subscription", alert: func(p *payload) { p.targets = []string{strangerSubscription} }, want: []string{"out-of-scope shop-web-1"}},
		{name: "foreign_group_that_begins_alike", alert: func(p *payload) { p.targets = []string{strangerGroup} }, want: []string{"out-of-scope shop-web-1"}},
		{
			name:  "foreign_target_only",
			alert: func(p *payload) { p.targets = []string{strangerSubscription, machine} },
			want:  []string{"target AzureVM shop-web-1", "out-of-scope shop-web-1"},
		},
		{name: "foreign_network_interface", alert: func(p *payload) { p.targets = []string{strings.Replace(nic, "shop-rg", "x", 1)} }, want: []string{"out-of-scope web-nic"}},
		{
			name:  "malformed_target_taints_the_alert",
			alert: func(p *payload) { p.targets = []string{machine, machine + "/../x"} },
			want:  []string{"target-invalid shop-web-1", "target-invalid x"},
		},
		{name: "no_machine", alert: func(p *payload) { p.targets = []string{storage} }, want: []string{"no-target files"}},
		{name: "nothing_named", alert: func(p *payload) { p.targets = nil }, want: []string{"no-target "}},
		{name: "subscription", alert: func(p *payload) { p.targets = []string{"/subscriptions/" + subscription} }, want: []string{"no-target " + subscription}},
		{
			name: "no_machine_beside_one", alert: func(p *payload) { p.targets = []string{storage, machine} },
			want: []string{"target AzureVM shop-web-1", "not-a-machine files"},
		},

		{name: "another_rule", alert: func(p *payload) { p.rule = "upload-failures2" }, want: []string{"no-profile shop-web-1"}},
		{name: "another_severity", alert: func(p *payload) { p.severity = "Sev2" }, want: []string{"no-profile shop-web-1"}},
		{name: "severity_in_another_case", alert: func(p *payload) { p.severity = "sev0" }, want: []string{"target AzureVM shop-web-1"}},
		{name: "another_signal", alert: func(p *payload) { p.signal = "Activity Log" }, want: []string{"no-profile shop-web-1"}},
		{name: "kelvin_sign_is_no_k", policy: change(t, "[upload-failures]", "[kiosk]"), alert: func(p *payload) { p.rule = "\u212aiosk" }, want: []string{"no-profile shop-web-1"}},
		{name: "another_type", policy: vmOnly, alert: func(p *payload) { p.targets = []string{scaleSet} }, want: []string{"no-profile shop-ss"}},
		{
			name: "another_type_beside", policy: vmOnly, alert: func(p *payload) { p.targets = []string{scaleSet, machine} },
			want: []string{"target AzureVM shop-web-1", "target-type shop-ss"},
		},
		{
			name: "activity_log", policy: change(t, "signalType: [Metric, Log]", "signalType: [activitylog]"),
			alert: func(p *payload) { p.signal = "Activity Log" }, want: []string{"target AzureVM shop-web-1"},
		},

		{name: "pcap_profile", alert: func(p *payload) { p.custom = map[string]any{"pcapProfile": "partner-tls"} }, want: []string{"target AzureVM shop-web-1"}},
		{name: "pcap_profile_unknown", alert: func(p *payload) { p.custom = map[string]any{"pcapProfile": "other"} }, want: []string{"profile-unknown shop-web-1"}},
		{
			name:  "pcap_profile_not_matching",
			alert: func(p *payload) { p.custom, p.severity = map[string]any{"pcapProfile": "partner-tls"}, "Sev4" },
			want:  []string{"profile-not-matching shop-web-1"},
		},

		{name: "last_day_of_approval", policy: change(t, "2027-01-01", "2026-05-04"), want: []string{"target AzureVM shop-web-1"}},
		{name: "day_after", policy: change(t, "2027-01-01", "2026-05-03"), want: []string{"approval-expired shop-web-1"}},
		{name: "approval_required", policy: required, want: []string{"awaiting-approval shop-web-1"}},
		{name: "approval_required_out_of_scope", policy: required, alert: func(p *payload) { p.targets = []string{strangerGroup} }, want: []string{"out-of-scope shop-web-1"}},

		{name: "compare_with", policy: compare, want: []string{"target AzureVM shop-web-1", "compareWith AzureVM shop-healthy", "compareWith AzureVMSS shop-ss 3 of []"}},
		{
			name: "compare_with_itself", policy: compare, alert: func(p *payload) { p.targets = []string{healthy} },
			want: []string{"target AzureVM shop-healthy", "compareWith AzureVMSS shop-ss 3 of []"},
		},
		{name: "compare_with_nothing", policy: compare, alert: func(p *payload) { p.targets = []string{strangerGroup} }, want: []string{"out-of-scope shop-web-1"}},

		{name: "placeholder", policy: placeholder, alert: func(p *payload) { p.dimensions = [][2]string{{"destinationADDRESS", "10.9.8.7"}} }, want: []string{"target AzureVM shop-web-1"}},
		{name: "placeholder_missing", policy: placeholder, want: []string{"placeholder-missing shop-web-1"}},
		{name: "placeholder_outside", policy: placeholder, alert: func(p *payload) { p.dimensions = [][2]string{{"DestinationAddress", "11.0.0.1"}} }, want: []string{"placeholder-invalid shop-web-1"}},
		{
			name: "placeholder_one_outside", policy: placeholder,
			alert: func(p *payload) {
				p.dimensions = [][2]string{{"DestinationAddress", "10.0.0.1"}, {"DestinationAddress", "11.0.0.1"}}
			},
			want: []string{"placeholder-invalid shop-web-1"},
		},
		{name: "placeholder_range", policy: placeholder, alert: func(p *payload) { p.dimensions = [][2]string{{"DestinationAddress", "10.0.0.0-10.255.255.255"}} }, want: []string{"placeholder-invalid shop-web-1"}},
		{name: "placeholder_network", policy: placeholder, alert: func(p *payload) { p.dimensions = [][2]string{{"DestinationAddress", "10.0.0.0/8"}} }, want: []string{"placeholder-invalid shop-web-1"}},
		{name: "placeholder_ipv6", policy: placeholder, alert: func(p *payload) { p.dimensions = [][2]string{{"DestinationAddress", "::ffff:10.0.0.1"}} }, want: []string{"placeholder-invalid shop-web-1"}},
		{name: "placeholder_space", policy: placeholder, alert: func(p *payload) { p.dimensions = [][2]string{{"DestinationAddress", " 10.0.0.1"}} }, want: []string{"placeholder-invalid shop-web-1"}},
		{name: "placeholder_empty", policy: placeholder, alert: func(p *payload) { p.dimensions = [][2]string{{"DestinationAddress", ""}} }, want: []string{"placeholder-invalid shop-web-1"}},
		{
			name: "placeholder_101_times", policy: placeholder,
			alert: func(p *payload) {
				for i := range 101 {
					p.dimensions = append(p.dimensions, [2]string{"DestinationAddress", fmt.Sprintf("10.0.1.%d", i)})
				}
			},
			want: []string{"too-many-filters shop-web-1"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.policy == "" {
				tt.policy = valid
			}
			if tt.now.IsZero() {
				tt.now = fired.Add(time.Minute)
			}
			d := load(t, tt.policy).Decide(parse(t, tt.alert), tt.now)
			if diff := cmp.Diff(tt.want, brief(d)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for _, r := range d.Refused {
				if r.Message == "" || len(r.Message) > 500 {
					t.Errorf("message %q", r.Message)
				}
			}
			for _, p := range append(d.Allowed, d.Awaiting...) {
				if len(p.Filters) == 0 || p.TimeLimit <= 0 || p.TotalBytes <= 0 || p.Retention <= 0 || len(p.CheckedAtStart) == 0 {
					t.Errorf("unbounded plan %+v", p)
				}
			}
		})
	}
}

func TestDecideTakesNothingElseFromTheAlert(t *testing.T) {
	p := load(t, valid)
	plain := p.Decide(parse(t, nil), fired)
	asking := p.Decide(parse(t, func(a *payload) {
		a.custom = map[string]any{
			"timeLimit": "5h", "totalBytes": "4GiB", "filters": "Any", "capture.seconds": 18000, "instances": 1000,
			"storageAccountId": storage, "retention": "3650d", "approval": "standing", "scope": "*",
		}
		a.dimensions = [][2]string{{"timeLimit", "5h"}, {"remoteIP", "0.0.0.0/0"}}
	}), fired)
	if diff := cmp.Diff(plain, asking, cmp.Comparer(resourceid.ID.Equal)); diff != "" {
		t.Errorf("the alert changed the decision:\n%s", diff)
	}
}

func TestDecideFillsFilters(t *testing.T) {
	p := load(t, change(t, filterLine, `{protocol: TCP, localIP: 10.0.0.4, remoteIP: "{alert.DestinationAddress}", within: 10.0.0.0/8, remotePort: 443}
        - {protocol: UDP, remotePort: 53}`))
	d := p.Decide(parse(t, func(a *payload) {
		a.dimensions = [][2]string{{"DestinationAddress", "10.9.8.7"}, {"DestinationAddress", "10.9.8.6"}, {"destinationaddress", "10.9.8.7"}}
	}), fired)
	want := []policy.Filter{
		{Protocol: "TCP", LocalIP: "10.0.0.4", RemoteIP: "10.9.8.7", RemotePort: "443"},
		{Protocol: "TCP", LocalIP: "10.0.0.4", RemoteIP: "10.9.8.6", RemotePort: "443"},
		{Protocol: "UDP", RemotePort: "53"},
	}
	if diff := cmp.Diff(want, d.Allowed[0].Filters); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDecideNamesProfiles(t *testing.T) {
	second := `  - name: wide
    when: {severity: [Sev1]}
    capture: {timeLimit: 1m, totalBytes: 1MiB, filters: [{remotePort: 53}]}
    approval: {mode: standing, reason: r, owner: o, approver: a, expires: 2027-01-01}
    retention: 1d
`
	p := load(t, change(t, "expected:", strings.Replace(second, "wide", "other", 1)+second+"expected:", "name: partner-tls", "name: narrow"))
	for _, tt := range []struct {
		name     string
		alert    func(*payload)
		profile  string
		shadowed []string
	}{
		{"first", nil, "narrow", []string{"other", "wide"}},
		{"chosen", func(a *payload) { a.custom = map[string]any{"pcapProfile": "wide"} }, "wide", []string{"narrow", "other"}},
		{"second", func(a *payload) { a.rule = "x" }, "other", []string{"wide"}},
		{"none", func(a *payload) { a.severity = "Sev3" }, "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := p.Decide(parse(t, tt.alert), fired)
			if d.Profile != tt.profile || !slices.Equal(d.Shadowed, tt.shadowed) {
				t.Errorf("profile %q, shadowed %q", d.Profile, d.Shadowed)
			}
			if len(d.Matches) != 3 {
				t.Errorf("matches %v", d.Matches)
			}
		})
	}
}

func TestDryRun(t *testing.T) {
	p := load(t, change(t, "compareWith: []", "compareWith: ["+healthy+"]"))
	d := p.DryRun(parse(t, nil), fired.AddDate(0, 1, 0))
	if got := brief(d); len(d.Allowed) != 2 || len(d.Warnings) != 1 || !strings.Contains(d.Warnings[0], "15m") {
		t.Errorf("an old alert: %q, warnings %q", got, d.Warnings)
	}
	d = p.DryRun(parse(t, func(a *payload) { a.targets = []string{nic} }), fired)
	if got := brief(d); !slices.Equal(got, []string{"needs-lookup web-nic"}) || !strings.Contains(d.Refused[0].Message, "needs a lookup") {
		t.Errorf("a lookup: %q %v", got, d.Refused)
	}
}

func TestAwaitingKeepsThePlan(t *testing.T) {
	d := load(t, change(t, "mode: standing", "mode: required")).Decide(parse(t, nil), fired)
	if len(d.Allowed) != 0 || len(d.Awaiting) != 1 || d.Awaiting[0].Approval.Mode != policy.Required {
		t.Errorf("allowed %v, awaiting %v", d.Allowed, d.Awaiting)
	}
}

func TestCheckMachine(t *testing.T) {
	p := load(t, valid)
	tests := []struct {
		name   string
		tags   map[string]string
		region string
		want   policy.Reason
	}{
		{"tagged", map[string]string{"pcapwarden": "allowed"}, "westeurope", ""},
		{"tag_name_in_another_case", map[string]string{"PcapWarden": "allowed", "x": "y"}, "West Europe", ""},
		{"tag_value_in_another_case", map[string]string{"pcapwarden": "Allowed"}, "westeurope", policy.TagMissing},
		{"untagged", nil, "westeurope", policy.TagMissing},
		{"denied", map[string]string{"pcapwarden": "allowed", "CLASS": "secret"}, "westeurope", policy.TagDenied},
		{"not_denied", map[string]string{"pcapwarden": "allowed", "class": "public"}, "westeurope", ""},
		{"elsewhere", map[string]string{"pcapwarden": "allowed"}, "northeurope", policy.NoLanding},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			landing, refusal := p.CheckMachine(tt.tags, tt.region)
			var got policy.Reason
			if refusal != nil {
				got = refusal.Reason
			}
			if got != tt.want || (landing.Name() == "landingweu") != (tt.want == "") {
				t.Errorf("CheckMachine = %v, %+v; want %q", landing, refusal, tt.want)
			}
		})
	}
}

func TestCheckTarget(t *testing.T) {
	p := load(t, valid)
	for id, want := range map[string]policy.Reason{
		machine: "", strings.ToUpper(scaleSet): "", strangerGroup: policy.OutOfScope, strangerSubscription: policy.OutOfScope,
		storage: policy.NotAMachine, nic: policy.NotAMachine, scaleSet + "/virtualMachines/0": policy.NotAMachine,
		"/subscriptions/" + subscription + "/providers/Microsoft.Compute/virtualMachines/x": policy.OutOfScope,
	} {
		var got policy.Reason
		if r := p.CheckTarget(resourceid.MustParse(id)); r != nil {
			got = r.Reason
		}
		if got != want {
			t.Errorf("CheckTarget(%s) = %q, want %q", id, got, want)
		}
	}
}

// FuzzDecide lets an alert's words try to get out of the policy.
func FuzzDecide(f *testing.F) {
	f.Add("upload-failures", "Sev1", "Metric", machine, "DestinationAddress", "10.0.0.1", "partner-tls", int64(0))
	f.Add("upload-failures", "Sev0", "Log", scaleSet+"/virtualMachines/1", "VMName", "x", "", int64(-3600))
	f.Add("upload-failures", "Sev0", "Log", strangerGroup, "SourceResourceId", machine, "", int64(3600))
	p := load(f, change(f, filterLine, `{protocol: TCP, remoteIP: "{alert.DestinationAddress}", within: 10.0.0.0/8, remotePort: 443}`))
	f.Fuzz(func(t *testing.T, rule, severity, signal, target, dimension, value, profile string, age int64) {
		a := alert.Alert{
			ID: "a", Rule: rule, Severity: severity, SignalType: signal, Condition: alert.Fired, Profile: profile,
			Fired: fired, Dimensions: map[string][]string{strings.ToLower(dimension): {value}},
		}
		if id, err := resourceid.Parse(target); err == nil {
			a.Targets = []alert.Target{{Type: alert.VM, ID: id, Given: target, Source: "alertTargetIDs"}}
		} else {
			a.Targets = []alert.Target{{Type: alert.Malformed, Given: target, Source: "alertTargetIDs", Err: err}}
		}
		d := p.Decide(a, fired.Add(time.Duration(age%1_000_000)*time.Second))
		for _, plan := range d.Allowed {
			if plan.Target.ResourceGroup() == "" || !strings.EqualFold(plan.Target.Subscription(), subscription) ||
				plan.TimeLimit != 5*time.Minute || plan.TotalBytes != 100<<20 || !strings.HasPrefix(plan.Filters[0].RemoteIP, "10.") {
				t.Errorf("out of the policy: %+v", plan)
			}
		}
		if len(d.Allowed) == 0 && len(d.Refused) == 0 {
			t.Error("neither allowed nor refused")
		}
	})
}
