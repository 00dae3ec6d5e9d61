package alert_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/alert"
)

const (
	sub = "/subscriptions/0f3c2b1a-9d8e-4c7b-a6f5-e4d3c2b1a098"
	vm  = sub + "/resourcegroups/shop-rg/providers/microsoft.compute/virtualmachines/shop-web-1"
	set = sub + "/resourcegroups/shop-rg/providers/microsoft.compute/virtualmachinescalesets/shop-ss"
)

// brief is what the table of kinds says of an alert's targets.
func brief(a alert.Alert) []string {
	var out []string
	for _, t := range a.Targets {
		what := t.ID.String() + t.Name
		if what == "" {
			what = t.Given
		}
		if len(t.Instances) > 0 {
			what += " " + strings.Join(t.Instances, "+")
		}
		out = append(out, fmt.Sprintf("%s %s from %s", t.Type, what, t.Source))
	}
	return out
}

func TestParseKinds(t *testing.T) {
	tests := []struct {
		file     string
		kind     alert.Kind
		targets  []string
		noTarget string // part of the reason
	}{
		{file: "metric_static_vm", kind: alert.MetricStatic, targets: []string{"vm " + vm + " from alertTargetIDs"}},
		{
			file: "metric_dynamic_storage", kind: alert.MetricDynamic,
			targets:  []string{"other " + sub + "/resourcegroups/shop-rg/providers/microsoft.storage/storageaccounts/shopfiles from alertTargetIDs"},
			noTarget: "split by a dimension",
		},
		{file: "metric_multi_resource", kind: alert.MetricMultiResource, targets: []string{"vm " + vm + " from alertTargetIDs"}},
		{file: "metric_vmss_vmname", kind: alert.MetricStatic, targets: []string{"vmss " + set + " shop-ss_7 from alertTargetIDs"}},
		{file: "metric_vmss_instance", kind: alert.MetricStatic, targets: []string{"vmss " + set + " 4+9 from alertTargetIDs"}},
		{
			file: "metric_network_interface", kind: alert.MetricStatic,
			targets: []string{"network-interface " + sub + "/resourcegroups/shop-rg/providers/microsoft.network/networkinterfaces/shop-web-1-nic from alertTargetIDs"},
		},
		{
			file: "availability_test", kind: alert.AvailabilityTest, noTarget: "never about a machine",
			targets: []string{"other " + sub + "/resourcegroups/shop-rg/providers/microsoft.insights/components/shop from alertTargetIDs"},
		},
		{file: "connection_monitor", kind: alert.ConnectionMonitor, targets: []string{"vm " + vm + " from dimension SourceResourceId"}},
		{file: "prometheus", kind: alert.Prometheus, targets: []string{"vm " + vm + " from dimension microsoft.resourceid"}},
		{file: "log_v1_computer", kind: alert.LogV1, targets: []string{"computer-name shop-web-1 from configurationItems"}},
		{file: "log_v2_computer", kind: alert.LogV2, targets: []string{"computer-name shop-web-1 from dimension Computer"}},
		{file: "log_v2_resource_id", kind: alert.LogV2, targets: []string{"vm " + vm + " from dimension _ResourceId"}},
		{file: "activity_administrative", kind: alert.ActivityAdministrative, targets: []string{"vm " + vm + " from alertTargetIDs"}},
		{file: "activity_security", kind: alert.ActivitySecurity, targets: []string{"computer-name shop-web-1 from properties.compromisedEntity"}},
		{file: "activity_autoscale", kind: alert.ActivityAutoscale, targets: []string{"vmss " + set + " from properties.resourceName"}},
		{file: "resource_health", kind: alert.ResourceHealth, targets: []string{"vm " + vm + " from alertTargetIDs"}},
		{file: "service_health", kind: alert.ServiceHealth, targets: []string{"scope " + sub + " from alertTargetIDs"}, noTarget: "never about a machine"},
		{
			file: "smart_detection", kind: alert.SmartDetection, noTarget: "never about a machine",
			targets: []string{"other " + sub + "/resourcegroups/shop-rg/providers/microsoft.insights/components/shop from alertTargetIDs"},
		},
		{file: "budget", kind: alert.Budget, noTarget: "never about a machine"},
		{file: "unlisted_service", kind: alert.Unlisted, targets: []string{"vm " + vm + " from alertTargetIDs"}},
	}
	tested := make(map[alert.Kind]bool)
	for _, tt := range tests {
		tested[tt.kind] = true
		t.Run(tt.file, func(t *testing.T) {
			a, err := alert.Parse(read(t, filepath.Join("testdata", tt.file+".json")))
			if err != nil {
				t.Fatal(err)
			}
			if a.Kind != tt.kind {
				t.Errorf("kind %q, want %q", a.Kind, tt.kind)
			}
			if diff := cmp.Diff(tt.targets, brief(a)); diff != "" {
				t.Errorf("targets (-want +got):\n%s", diff)
			}
			if (tt.noTarget == "") != (a.NoTarget == "") || !strings.Contains(a.NoTarget, tt.noTarget) {
				t.Errorf("NoTarget %q, want %q in it", a.NoTarget, tt.noTarget)
			}
			if a.TestAction {
				t.Error("taken for the test button")
			}
			for _, target := range a.Targets {
				if target.Given == "" {
					t.Errorf("target %+v does not say what was given", target)
				}
			}
		})
	}
	for _, k := range alert.Kinds() {
		if !tested[k] && k != alert.ActivityPolicy { // same shape as administrative
			t.Errorf("no payload of kind %q in testdata", k)
		}
	}
}

func TestParseFields(t *testing.T) {
	a, err := alert.Parse(read(t, "testdata/metric_static_vm.json"))
	if err != nil {
		t.Fatal(err)
	}
	type fields struct {
		Rule, Severity, Signal, Profile, Incident string
		Condition                                 alert.Condition
		Fired, Start, End                         time.Time
		ResourceID                                []string
	}
	got := fields{
		a.Rule, a.Severity, a.SignalType, a.Profile, a.IncidentID,
		a.Condition, a.Fired, a.WindowStart, a.WindowEnd, a.Values("RESOURCEID"),
	}
	want := fields{
		"cpu-high", "Sev1", "Metric", "partner-tls", "INC-20417",
		alert.Fired, time.Date(2026, 5, 4, 2, 0, 7, 123456700, time.UTC),
		time.Date(2026, 5, 4, 1, 55, 0, 0, time.UTC), time.Date(2026, 5, 4, 2, 0, 0, 0, time.UTC),
		[]string{"3c1b6a52-0f5d-4f2c-9c57-c1c65f3f2a11"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCustomPropertiesOfTheRuleOnly(t *testing.T) {
	for file, want := range map[string]string{
		"log_v2_computer":         "from-rule", // alertContext.properties are the rule's
		"activity_administrative": "",          // ... and here the event's
	} {
		a, err := alert.Parse(read(t, "testdata/"+file+".json"))
		if err != nil {
			t.Fatal(err)
		}
		if a.Profile != want {
			t.Errorf("%s: Profile = %q, want %q", file, a.Profile, want)
		}
	}
}

// edit returns metric_static_vm with replacements, each of which must apply.
func edit(t *testing.T, oldnew ...string) []byte {
	t.Helper()
	s := string(read(t, "testdata/metric_static_vm.json"))
	for pair := range slices.Chunk(oldnew, 2) {
		if !strings.Contains(s, pair[0]) {
			t.Fatalf("no %q to replace", pair[0])
		}
		s = strings.Replace(s, pair[0], pair[1], 1)
	}
	return []byte(s)
}

func TestParseRefuses(t *testing.T) {
	nested := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	ids := strings.Repeat(`"`+vm+`",`, alert.MaxTargets)
	const custom, fired = `"seconds": 9999`, `"2026-05-04T02:00:07.1234567Z"`
	tests := []struct {
		name string
		data []byte
		want alert.Reason
	}{
		{"empty", nil, alert.NotJSON},
		{"null", []byte("null"), alert.SchemaUnknown},
		{"array", []byte("[]"), alert.SchemaUnknown},
		{"not_the_common_schema", []byte(`{"schemaId":"AzureMonitorMetricAlert","data":{}}`), alert.SchemaUnknown},
		{"no_schema", []byte(`{"data":{"essentials":{}}}`), alert.SchemaUnknown},
		{"no_essentials", []byte(`{"schemaId":"azureMonitorCommonAlertSchema","data":null}`), alert.FieldInvalid},
		{"byte_order_mark", append([]byte("\xef\xbb\xbf"), edit(t)...), alert.NotJSON},
		{"trailing_data", append(edit(t), '{'), alert.NotJSON},
		{"second_document", append(edit(t), "{}"...), alert.NotJSON},
		{"cut_short", edit(t)[:500], alert.NotJSON},
		{"invalid_utf8", edit(t, "cpu-high", "cpu-\xff"), alert.NotJSON},
		{"nan", edit(t, "31.5", "NaN"), alert.NotJSON},
		{"huge_number", edit(t, "31.5", "1e999"), alert.NotJSON},
		{"long_number", edit(t, "31.5", strings.Repeat("1", 300)), alert.NotJSON},
		{"too_large", edit(t, "cpu-high", strings.Repeat("x", alert.MaxBytes)), alert.TooLarge},
		{"deep", edit(t, "31.5", nested), alert.TooDeep},
		{"deep_but_broken", []byte(nested[:1000]), alert.TooDeep},
		{"depth_65", edit(t, "31.5", strings.Repeat("[", 59)+strings.Repeat("]", 59)), alert.TooDeep},
		{"duplicate_key", edit(t, custom, custom+`, "incidentId": "INC-2"`), alert.DuplicateKey},
		{"duplicate_key_by_case", edit(t, custom, custom+`, "INCIDENTID": "INC-2"`), alert.DuplicateKey},
		{"duplicate_key_by_escape", edit(t, custom, custom+`, "incident\u0049d": "INC-2"`), alert.DuplicateKey},
		{"duplicate_key_by_kelvin_sign", edit(t, custom, `"k": 1, "\u212a": 2`), alert.DuplicateKey},
		{"duplicate_key_by_long_s", edit(t, `"data":`, `"s": 1, "\u017f": 2, "data":`), alert.DuplicateKey},
		{"duplicate_deep", edit(t, `"webTestName": null`, `"webTestName": null, "webtestname": "x"`), alert.DuplicateKey},
		{"condition_odd", edit(t, `"Fired"`, `"Smouldering"`), alert.ConditionUnknown},
		{"condition_missing", edit(t, `"monitorCondition": "Fired",`, ""), alert.FieldInvalid},
		{"condition_null", edit(t, `"Fired"`, "null"), alert.FieldInvalid},
		{"condition_number", edit(t, `"Fired"`, "1"), alert.FieldInvalid},
		{"rule_is_an_object", edit(t, `"cpu-high"`, "{}"), alert.FieldInvalid},
		{"rule_too_long", edit(t, "cpu-high", strings.Repeat("x", alert.MaxText+1)), alert.FieldInvalid},
		{"fired_missing", edit(t, fired, "null"), alert.TimeInvalid},
		{"fired_number", edit(t, fired, "1714788007"), alert.TimeInvalid},
		{"fired_odd", edit(t, fired, `"yesterday"`), alert.TimeInvalid},
		{"resolved_odd", edit(t, `"description"`, `"resolvedDateTime": "x", "description"`), alert.TimeInvalid},
		{"targets_a_string", edit(t, "[\n    \""+vm+"\"\n   ]", `"x"`), alert.FieldInvalid},
		{"targets_an_object", edit(t, `"alertTargetIDs": [`, `"alertTargetIDs": {}, "x": [`), alert.FieldInvalid},
		{"target_a_number", edit(t, `"alertTargetIDs": [`, `"alertTargetIDs": [5,`), alert.FieldInvalid},
		{"301_targets", edit(t, `"alertTargetIDs": [`, `"alertTargetIDs": [`+ids), alert.TooManyTargets},
		{"profile_prototype", edit(t, `"partner-tls"`, `"__proto__"`), alert.ProfileInvalid},
		{"profile_long", edit(t, "partner-tls", strings.Repeat("x", 100_000)), alert.ProfileInvalid},
		{"profile_a_list", edit(t, `"partner-tls"`, `["partner-tls"]`), alert.ProfileInvalid},
		{"profile_differs", edit(t, `"properties": null`, `"properties": {"pcapProfile": "other"}`), alert.ProfileInvalid},
		{"incident_path", edit(t, "INC-20417", "../../x"), alert.IncidentInvalid},
		{"incident_backslash", edit(t, "INC-20417", `..\\x`), alert.IncidentInvalid},
		{"incident_absolute", edit(t, "INC-20417", "/etc/passwd"), alert.IncidentInvalid},
		{"incident_nul", edit(t, "INC-20417", `INC\u0000`), alert.IncidentInvalid},
		{"incident_newline", edit(t, "INC-20417", `INC-1\n`), alert.IncidentInvalid},
		{"incident_percent", edit(t, "INC-20417", "INC%00"), alert.IncidentInvalid},
		{"incident_leading_dot", edit(t, "INC-20417", ".INC"), alert.IncidentInvalid},
		{"incident_65", edit(t, "INC-20417", strings.Repeat("1", 65)), alert.IncidentInvalid},
		{"incident_fullwidth", edit(t, "INC-20417", "ＩＮＣ-1"), alert.IncidentInvalid},
		{"incident_empty", edit(t, "INC-20417", ""), alert.IncidentInvalid},
		{"incident_number", edit(t, `"INC-20417"`, "20417"), alert.IncidentInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := alert.Parse(tt.data)
			refused, ok := errors.AsType[*alert.Error](err)
			if !ok {
				t.Fatalf("error %v, want a refusal", err)
			}
			if refused.Reason != tt.want {
				t.Errorf("reason %q (%v), want %q", refused.Reason, err, tt.want)
			}
			if len(err.Error()) > 700 {
				t.Errorf("error of %d bytes", len(err.Error()))
			}
		})
	}
}

func TestParseAccepts(t *testing.T) {
	tests := []struct {
		name string
		data []byte
		want string // of brief, joined
	}{
		{"300_targets", edit(t, `"alertTargetIDs": [`, `"alertTargetIDs": [`+strings.Repeat(`"`+vm+`",`, 299)), "vm " + vm + " from alertTargetIDs"},
		{"depth_64", edit(t, "31.5", strings.Repeat("[", 58)+strings.Repeat("]", 58)), "vm " + vm + " from alertTargetIDs"},
		{"brackets_in_a_string", edit(t, "cpu-high", `\"`+strings.Repeat("[", 100)), "vm " + vm + " from alertTargetIDs"},
		{"same_machine_in_two_cases", edit(t, `"alertTargetIDs": [`, `"alertTargetIDs": ["`+strings.ToUpper(vm)+`",`), "vm " + strings.ToUpper(vm) + " from alertTargetIDs"},
		{"two_machines", edit(t, `"alertTargetIDs": [`, `"alertTargetIDs": ["`+vm+`0",`), "vm " + vm + "0 from alertTargetIDs; vm " + vm + " from alertTargetIDs"},
		{"foreign_text_as_target", edit(t, `"alertTargetIDs": [`, `"alertTargetIDs": ["`+vm+`/../x",`), "malformed " + vm + "/../x from alertTargetIDs; vm " + vm + " from alertTargetIDs"},
		{"wildcard_target", edit(t, vm, "*"), "malformed * from alertTargetIDs"},
		{"empty_target", edit(t, vm, ""), "malformed  from alertTargetIDs"},
		{"resource_group_target", edit(t, vm, sub+"/resourceGroups/shop-rg"), "scope " + sub + "/resourceGroups/shop-rg from alertTargetIDs"},
		{"extension_of_a_machine", edit(t, vm, vm+"/extensions/x"), "other " + vm + "/extensions/x from alertTargetIDs"},
		{"null_targets_and_no_dimension", edit(t, "[\n    \""+vm+"\"\n   ]", "null"), ""},
		{"nulls", edit(t, `"Sev1"`, "null", `"Metric"`, "null", `"cpu-high"`, "null"), "vm " + vm + " from alertTargetIDs"},
		{"keys_in_another_case", edit(t, `"alertTargetIDs"`, `"AlertTargetIds"`), "vm " + vm + " from alertTargetIDs"},
		{"long_s_is_no_s", edit(t, `"alertTargetIDs"`, `"alertTargetIDſ"`), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := alert.Parse(tt.data)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(brief(a), "; "); got != tt.want {
				t.Errorf("targets %q, want %q", got, tt.want)
			}
		})
	}
}

func TestDimensionsThatAreNotWhatTheySeem(t *testing.T) {
	monitor := string(read(t, "testdata/connection_monitor.json"))
	logs := string(read(t, "testdata/log_v2_computer.json"))
	names := string(read(t, "testdata/metric_vmss_vmname.json"))
	v1 := string(read(t, "testdata/log_v1_computer.json"))
	tests := []struct{ name, data, old, new, want string }{
		{"source_is_no_machine", monitor, vm, sub + "/resourceGroups/r/providers/Microsoft.Network/virtualNetworks/v", "vm " + strings.Replace(vm, "web-1", "db-1", 1) + " from dimension DestinationResourceId"},
		{"source_is_malformed", monitor, vm, vm + "//", "malformed " + vm + "// from dimension SourceResourceId; vm " + strings.Replace(vm, "web-1", "db-1", 1) + " from dimension DestinationResourceId"},
		{"computer_is_a_path", logs, `"value": "shop-web-1"`, `"value": "../x"`, "malformed ../x from dimension Computer; computer-name shop-web-1 from configurationItems"},
		{"v1_dimension_before_configuration_items", v1, `"AlertType"`, `"Dimensions": [{"name": "Computer", "value": "shop-db-1"}], "AlertType"`, "computer-name shop-db-1 from dimension Computer"},
		{"instance_is_markup", names, "shop-ss_7", "<b>", "malformed <b> from dimension VMName"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := alert.Parse([]byte(strings.Replace(tt.data, tt.old, tt.new, 1)))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(brief(a), "; "); got != tt.want {
				t.Errorf("targets %q, want %q", got, tt.want)
			}
		})
	}
}

func TestTestAction(t *testing.T) {
	const invented = "/subscriptions/0f3c2b1a-9d8e-4c7b-a6f5-e4d3c2b1a098/resourcegroups/test-RG/providers/microsoft.compute/virtualmachines/test-VM"
	budget := string(read(t, "testdata/budget.json"))
	tests := []struct {
		name string
		data []byte
		want bool
	}{
		{"button", edit(t, "cpu-high", "test-metricAlertRule", vm, invented), true},
		{"button_for_health_of_a_subscription", edit(t, "cpu-high", "test-ServiceHealthAlertRule", vm, sub), true},
		{"own_rule_of_that_name", edit(t, "cpu-high", "test-metricAlertRule"), false},
		{"own_rule_in_that_group", edit(t, vm, invented), false},
		{"budget", []byte(budget), false},
		{"button_for_a_budget", []byte(strings.Replace(budget, "Monthly", "Delivery Confirmation: This is a sample budget alert.", 1)), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := alert.Parse(tt.data)
			if err != nil {
				t.Fatal(err)
			}
			if a.TestAction != tt.want {
				t.Errorf("TestAction = %v, want %v", a.TestAction, tt.want)
			}
		})
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, file := range files {
		f.Add(read(f, file))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := alert.Parse(data)
		if err != nil {
			if _, ok := errors.AsType[*alert.Error](err); !ok {
				t.Errorf("error %T is no refusal", err)
			}
			if len(err.Error()) > 2000 {
				t.Errorf("error of %d bytes", len(err.Error()))
			}
			return
		}
		if a.ID == "" || a.Fired.IsZero() && !strings.Contains(string(data), "0001-") || len(a.Targets) > alert.MaxTargets {
			t.Errorf("incomplete: %+v", a)
		}
		machine := false
		for _, target := range a.Targets {
			machine = machine || target.Machine()
			named := target.Type == alert.VM || target.Type == alert.ScaleSet || target.Type == alert.NetworkInterface
			if named && target.ID.IsZero() {
				t.Errorf("target %+v has no ID", target)
			}
			if len(target.Given) > alert.MaxText {
				t.Errorf("target of %d bytes", len(target.Given))
			}
		}
		if machine == (a.NoTarget != "") {
			t.Errorf("NoTarget %q with %+v", a.NoTarget, a.Targets)
		}
	})
}
