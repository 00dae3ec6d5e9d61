package policy_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pcapwarden/pcapwarden/internal/policy"
	"github.com/pcapwarden/pcapwarden/internal/resourceid"
)

func TestLoad(t *testing.T) {
	got := load(t, valid)
	want := &policy.Policy{
		Limits: policy.Limits{TimeLimit: 15 * time.Minute, TotalBytes: 256 << 20, ActivePerVM: 2, StartsPerHour: 20},
		Scope: policy.Scope{
			Subscriptions: []string{subscription}, ResourceGroups: []string{"shop-rg", "robots-rg"},
			RequireTag: map[string]string{"pcapwarden": "allowed"}, DenyTag: map[string]string{"class": "secret"},
		},
		Landing: map[string]resourceid.ID{"westeurope": resourceid.MustParse(group + "Microsoft.Storage/storageAccounts/landingweu")},
		Profiles: []policy.Profile{{
			Name: "partner-tls", Line: 12,
			When: policy.When{
				AlertRules: []string{"upload-failures"}, Severities: []string{"Sev0", "Sev1"},
				SignalTypes: []string{"Metric", "Log"}, TargetTypes: []string{"vm", "vmss"},
			},
			Capture: policy.Capture{
				TimeLimit: 5 * time.Minute, TotalBytes: 100 << 20, Instances: 3,
				Filters: []policy.FilterRule{{Filter: policy.Filter{Protocol: "TCP", RemoteIP: "203.0.113.0-203.0.113.15", RemotePort: "443"}}},
			},
			Approval: policy.Approval{
				Mode: policy.Standing, Reason: "agreed", Owner: "noc", Approver: "soc",
				Expires: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
			},
			Retention: 7 * 24 * time.Hour,
		}},
		Expected: policy.Expected{
			Outbound:  []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
			Resolvers: []netip.Addr{netip.MustParseAddr("10.0.0.4")},
		},
		Records: policy.Records{Retention: policy.DefaultRetention},
	}
	opts := []cmp.Option{
		cmpopts.IgnoreUnexported(policy.Policy{}, policy.Profile{}), cmpopts.IgnoreFields(policy.Policy{}, "Hash"),
		cmp.Comparer(resourceid.ID.Equal), cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{}),
	}
	if diff := cmp.Diff(want, got, opts...); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(got.Hash) != 64 || got.Hash == load(t, valid+"# comment\n").Hash {
		t.Errorf("Hash %q is not of the file", got.Hash)
	}
	if w := got.Warnings(time.Date(2027, 1, 1, 23, 59, 59, 0, time.UTC)); len(w) != 0 {
		t.Errorf("warnings %v", w)
	}
}

func TestSamplePolicy(t *testing.T) {
	text, err := os.ReadFile("../../policy.sample.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if p := load(t, string(text)); len(p.Profiles) < 3 {
		t.Errorf("%d profiles", len(p.Profiles))
	}
}

// mistakes returns "line path" of what is wrong, and the messages.
func mistakes(t testing.TB, text string) (places []string, messages string) {
	t.Helper()
	p, err := policy.Load([]byte(text))
	if err == nil {
		return nil, ""
	}
	invalid, ok := errors.AsType[*policy.InvalidError](err)
	if !ok || p != nil {
		t.Fatalf("Load = %v, %v", p, err)
	}
	for _, m := range invalid.Mistakes {
		places = append(places, fmt.Sprintf("%d %s", m.Line, m.Path))
		messages += m.Message + "\n"
		if len(m.Message) > 700 {
			t.Errorf("message of %d bytes", len(m.Message))
		}
	}
	return places, messages
}

func TestLoadAlertsAndRecords(t *testing.T) {
	p := load(t, change(t, "version: 1", "version: 1\nalerts: {reread: required}\nrecords: {retention: 90d}"))
	if !p.Alerts.Reread || p.Records.Retention != 90*24*time.Hour {
		t.Errorf("%+v, %+v", p.Alerts, p.Records)
	}
	if p := load(t, change(t, "version: 1", "version: 1\nalerts: {reread: never}")); p.Alerts.Reread {
		t.Error("never is taken for required")
	}
}

func TestLoadRefuses(t *testing.T) {
	const c, w = "profiles[0].capture", "profiles[0].when"
	tests := []struct {
		name  string
		old   string
		new   string
		place string // "line path" of the one mistake
		says  string // part of its message
	}{
		{"version_2", "version: 1", "version: 2", "1 version", "version 1"},
		{"version_missing", "version: 1\n", "", "1 version", "is missing"},
		{"unknown_key", "version: 1", "version: 1\nversoin: 1", "2 versoin", "did you mean version?"},
		{"unknown_key_in_a_profile", "    retention: 7d", "    retention: 7d\n    Retention: 8d", "24 profiles[0].Retention", "did you mean retention?"},
		{"unknown_key_in_a_filter", `remotePort: "443"`, `remotePort: "443", port: 1`, "19 " + c + ".filters[0].port", "unknown key"},

		{"limits_time", "timeLimit: 15m", "timeLimit: 6h", "2 limits.timeLimit", "5h"},
		{"limits_size", "256MiB", "4GiB", "2 limits.totalBytes", "4294967295"},
		{"limits_no_starts", "startsPerHour: 20", "startsPerHour: 0", "2 limits.startsPerHour", "whole number"},

		{"scope_missing_subscriptions", "  subscriptions: [" + subscription + "]\n", "", "4 scope.subscriptions", "is missing"},
		{"scope_missing_groups", "  resourceGroups: [shop-rg, robots-rg]\n", "", "4 scope.resourceGroups", "is missing"},
		{"scope_empty_groups", "[shop-rg, robots-rg]", "[]", "5 scope.resourceGroups", "empty"},
		{"scope_any_subscription", "[" + subscription + "]", "['*']", "4 scope.subscriptions[0]", "GUID"},
		{"scope_named_subscription", "[" + subscription + "]", "[production]", "4 scope.subscriptions[0]", "GUID"},
		{"scope_glob", "robots-rg", "robots-*", "5 scope.resourceGroups[1]", "no pattern"},
		{"scope_path", "robots-rg", "/subscriptions/x/resourceGroups/y", "5 scope.resourceGroups[1]", "bare"},
		{"scope_cyrillic", "robots-rg", "rоbots-rg", "5 scope.resourceGroups[1]", "ASCII"},
		{"scope_tag_null", "{class: secret}", "{class: }", "7 scope.denyTag.class", "is empty"},
		{"scope_tag_contradiction", "{class: secret}", "{PcapWarden: allowed}", "7 scope.denyTag", "no machine could pass"},
		{"scope_tags_a_list", "{class: secret}", "[class]", "7 scope.denyTag", "expected tags"},

		{"landing_twice", "profiles:\n", "  - {region: westeurope, storageAccountId: " + group + "Microsoft.Storage/storageAccounts/other}\nprofiles:\n", "11 landing[1].region", "twice"},
		{"landing_no_account", group + "Microsoft.Storage/storageAccounts/landingweu", machine, "10 landing[0].storageAccountId", "not a Microsoft.Storage/storageAccounts"},
		{"landing_no_id", group + "Microsoft.Storage/storageAccounts/landingweu", "landingweu", "10 landing[0].storageAccountId", "does not begin with /"},

		{"name_upper", "name: partner-tls", "name: Partner", "12 profiles[0].name", "a-z"},
		{"name_long", "name: partner-tls", "name: " + strings.Repeat("x", 41), "12 profiles[0].name", "1 to 40"},
		{"no_name", "  - name: partner-tls\n    when", "  - when", "12 profiles[0].name", "is missing"},

		{"when_empty", "{alertRule: [upload-failures], severity: [Sev0, Sev1], signalType: [Metric, Log], targetType: [vm, vmss]}", "{}", "13 " + w, "every alert"},
		{"when_null", "{alertRule: [upload-failures], severity: [Sev0, Sev1], signalType: [Metric, Log], targetType: [vm, vmss]}", "", "12 profiles[0].when", "is missing"},
		{"when_no_rule", "[upload-failures]", "[]", "13 " + w + ".alertRule", "empty"},
		{"when_scalar", "[upload-failures]", "upload-failures", "13 " + w + ".alertRule", "expected a list"},
		{"when_severity", "Sev0, Sev1", "Sev0, Sev5", "13 " + w + ".severity[1]", "Sev4"},
		{"when_signal", "Metric, Log]", "Metric, Logs]", "13 " + w + ".signalType[1]", "ActivityLog"},
		{"when_target", "vm, vmss", "vm, aks", "13 " + w + ".targetType[1]", "vmss"},

		{"no_time_limit", "      timeLimit: 5m\n", "", "15 " + c + ".timeLimit", "is missing"},
		{"no_byte_limit", "      totalBytes: 100MiB\n", "", "15 " + c + ".totalBytes", "is missing"},
		{"no_filters", "      filters:\n        - " + filterLine + "\n", "", "15 " + c + ".filters", "is missing"},
		{"empty_filters", "      filters:\n        - " + filterLine + "\n", "      filters: []\n", "18 " + c + ".filters", "empty"},
		{"no_approval", "    approval: {mode: standing, reason: agreed, owner: noc, approver: soc, expires: 2027-01-01}\n", "", "12 profiles[0].approval", "is missing"},
		{"no_retention", "    retention: 7d\n", "", "12 profiles[0].retention", "is missing"},

		{"time_above_ceiling", "timeLimit: 5m", "timeLimit: 16m", "15 " + c + ".timeLimit", "above limits.timeLimit, 15m"},
		{"bytes_above_ceiling", "100MiB", "257MiB", "16 " + c + ".totalBytes", "above limits.totalBytes, 256MiB"},
		{"time_without_unit", "timeLimit: 5m", "timeLimit: 300", "15 " + c + ".timeLimit", "90s"},
		{"time_in_days", "timeLimit: 5m", "timeLimit: 1d", "15 " + c + ".timeLimit", "no duration"},
		{"time_negative", "timeLimit: 5m", "timeLimit: -5m", "15 " + c + ".timeLimit", "no duration"},
		{"time_zero", "timeLimit: 5m", "timeLimit: 0s", "15 " + c + ".timeLimit", "more than zero"},
		{"time_half_second", "timeLimit: 5m", "timeLimit: 0.5s", "15 " + c + ".timeLimit", "whole seconds"},
		{"time_milliseconds", "timeLimit: 5m", "timeLimit: 5000ms", "15 " + c + ".timeLimit", "no duration"},
		{"time_a_list", "timeLimit: 5m", "timeLimit: [5m]", "15 " + c + ".timeLimit", "one value"},
		{"size_decimal_unit", "100MiB", "100MB", "16 " + c + ".totalBytes", "MiB"},
		{"size_without_unit", "100MiB", "104857600", "16 " + c + ".totalBytes", "MiB"},
		{"size_zero", "100MiB", "0MiB", "16 " + c + ".totalBytes", "more than zero"},
		{"size_overflow", "100MiB", "999999999999999GiB", "16 " + c + ".totalBytes", "4294967295"},
		{"packet_negative", "bytesPerPacket: 0", "bytesPerPacket: -1", "17 " + c + ".bytesPerPacket", "whole number"},
		{"instances_zero", "instances: 3", "instances: 0", "20 " + c + ".instances", "from 1"},
		{"instances_octal", "instances: 3", "instances: 0o3", "20 " + c + ".instances", "whole number"},
		{"retention_weeks", "retention: 7d", "retention: 1w", "23 profiles[0].retention", "7d"},

		{"compare_foreign", "compareWith: []", "compareWith: [" + strings.Replace(machine, "shop-rg", "other", 1) + "]", "21 " + c + ".compareWith[0]", "not in scope.resourceGroups"},
		{"compare_no_machine", "compareWith: []", "compareWith: [" + group + "Microsoft.Storage/storageAccounts/x]", "21 " + c + ".compareWith[0]", "virtualMachines"},
		{"compare_malformed", "compareWith: []", "compareWith: [" + machine + "/]", "21 " + c + ".compareWith[0]", "trailing /"},
		{"compare_scalar", "compareWith: []", "compareWith: " + machine, "21 " + c + ".compareWith", "expected a list"},

		{"approval_mode", "mode: standing", "mode: maybe", "22 profiles[0].approval.mode", "standing, required"},
		{"approval_no_approver", "approver: soc, ", "", "22 profiles[0].approval.approver", "is missing"},
		{"approval_no_owner", "owner: noc, ", "", "22 profiles[0].approval.owner", "is missing"},
		{"approval_blank_reason", "reason: agreed", "reason: '  '", "22 profiles[0].approval.reason", "is empty"},
		{"approval_no_expiry", ", expires: 2027-01-01", "", "22 profiles[0].approval.expires", "is missing"},
		{"approval_no_date", "2027-01-01", "2027-02-30", "22 profiles[0].approval.expires", "no date"},
		{"approval_time", "2027-01-01", "2027-01-01T00:00:00Z", "22 profiles[0].approval.expires", "no date"},
		{"approval_control", "reason: agreed", `reason: "a\x1b[2J"`, "22 profiles[0].approval.reason", "printable"},
		{"approval_override", "reason: agreed", `reason: "a\u202eb"`, "22 profiles[0].approval.reason", "printable"},

		{"outbound_host_bits", "[10.0.0.0/8]", "[10.1.0.0/8]", "24 expected.outbound[0]", "10.0.0.0/8"},
		{"resolver_name", "[10.0.0.4]", "[dns.example]", "24 expected.resolvers[0]", "no address"},

		{"anchor", "reason: agreed", "reason: &a agreed", "22 profiles[0].approval.reason", "anchors"},
		{"tag", "reason: agreed", "reason: !!str agreed", "22 profiles[0].approval.reason", "tags"},
		{"merge_key", "reason: agreed", "<<: {reason: x}, reason: agreed", "22 profiles[0].approval.<<", "merge"},
		{"duplicate_key", "reason: agreed", "reason: agreed, reason: again", "22 profiles[0].approval.reason", "twice, first in line 22"},
		{"alerts_reread", "version: 1", "version: 1\nalerts: {reread: sometimes}", "2 alerts.reread", "required has Azure Monitor asked"},
		{"alerts_empty", "version: 1", "version: 1\nalerts: {}", "2 alerts.reread", "required or never"},
		{"records_short", "version: 1", "version: 1\nrecords: {retention: 1h}", "2 records.retention", "too short"},
		{"records_long", "version: 1", "version: 1\nrecords: {retention: 99999d}", "2 records.retention", "the longest there is"},
		{"records_unit", "version: 1", "version: 1\nrecords: {retention: 1y}", "2 records.retention", "no duration"},
		{"list_for_keys", "{mode: standing, reason: agreed, owner: noc, approver: soc, expires: 2027-01-01}", "[a]", "22 profiles[0].approval", "expected keys"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			places, messages := mistakes(t, change(t, tt.old, tt.new))
			// An unknown "<<" is two mistakes in one place.
			if got := slices.Compact(places); !slices.Equal(got, []string{tt.place}) {
				t.Errorf("mistakes at %q, want %q\n%s", got, tt.place, messages)
			}
			if !strings.Contains(messages, tt.says) {
				t.Errorf("message %q does not say %q", messages, tt.says)
			}
		})
	}
}

func TestLoadRefusesFiles(t *testing.T) {
	tests := []struct{ name, text, says string }{
		{"empty", "", "empty"},
		{"comment", "# nothing\n", "empty"},
		{"null", "---\n", "expected keys"},
		{"scalar", "hello", "expected keys"},
		{"list", "[]", "expected keys"},
		{"not_yaml", "version: [1\nscope: }", "not YAML"},
		{"tab", "version: 1\nscope:\n\tx: 1\n", "not YAML"},
		{"two_documents", valid + "---\n" + valid, "second document"},
		{"broken_second_document", valid + "---\n[", "not YAML"},
		{"too_large", valid + "#" + strings.Repeat("x", policy.MaxBytes), "256 KiB"},
		{"not_utf8", valid + "# \xff", "UTF-8"},
		{"alias", change(t, "owner: noc", "owner: &o noc", "approver: soc", "approver: *o"), "aliases"},
		{"billion_laughs", "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n", "aliases"},
		{"key_is_a_list", "[a, b]: c\n", "plain word"},
		{"deep", strings.Repeat("[", 20_000), "not YAML"},
		{"landing_missing", strings.Replace(valid, "landing:", "expected:", 1), "is missing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			places, messages := mistakes(t, tt.text)
			if len(places) == 0 || !strings.Contains(messages, tt.says) {
				t.Errorf("messages %q do not say %q", messages, tt.says)
			}
		})
	}
}

func TestLoadListsEveryMistake(t *testing.T) {
	places, _ := mistakes(t, change(t,
		"version: 1", "version: 3",
		"timeLimit: 15m", "timeLimit: 1hour",
		"timeLimit: 5m", "timeLimit: 20m", // not above a ceiling that is a mistake itself
		"100MiB", "1TiB",
		"robots-rg", "robots-*",
		"compareWith: []", "compareWith: ["+strings.Replace(machine, "shop-rg", "robots-x", 1)+"]",
		"retention: 7d", "keep: 7d",
	))
	want := []string{
		"1 version", "2 limits.timeLimit", "5 scope.resourceGroups[1]",
		"12 profiles[0].retention", "16 profiles[0].capture.totalBytes", "23 profiles[0].keep",
	}
	if diff := cmp.Diff(want, places); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoadAccepts(t *testing.T) {
	tests := []struct{ name, old, new string }{
		{"limits_left_out", "limits: {timeLimit: 15m, totalBytes: 256MiB, activePerVM: 2, startsPerHour: 20}\n", ""},
		{"expected_left_out", "expected: {outbound: [10.0.0.0/8], resolvers: [10.0.0.4]}\n", ""},
		{"expected_ipv6", "[10.0.0.4]", "['2001:db8::53']"},
		{"hours_minutes", "timeLimit: 5m", "timeLimit: 0h5m30s"},
		{"minutes_and_a_half", "timeLimit: 5m", "timeLimit: 1.5m"},
		{"bytes", "100MiB", "104857600B"},
		{"limit_of_the_service", "256MiB", "4294967295B"},
		{"approval_required", "mode: standing, reason: agreed, owner: noc, approver: soc", "mode: required, reason: agreed, owner: noc"},
		{"expires_quoted", "2027-01-01", "'2027-01-01'"},
		{"activity_log", "signalType: [Metric, Log]", "signalType: [Activity Log, activitylog]"},
		{"compare_scale_set", "compareWith: []", "compareWith: [" + strings.ToUpper(scaleSet) + "]"},
		{"group_in_another_case", "[shop-rg, robots-rg]", "[Shop-RG]"},
		{"tag_true", "{class: secret}", "{class: true}"},
		{"json", "expected: {outbound: [10.0.0.0/8], resolvers: [10.0.0.4]}", `expected: {"outbound": ["10.0.0.0/8"], "resolvers": ["10.0.0.4"]}`},
		{"document_markers", "version: 1", "---\nversion: 1"},
		{"compare_left_out", "      compareWith: []\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { load(t, change(t, tt.old, tt.new)) })
	}
}

func TestWarnings(t *testing.T) {
	p := load(t, change(t, "bytesPerPacket: 0", "bytesPerPacket: 34"))
	var got []string
	for _, m := range p.Warnings(time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC)) {
		got = append(got, fmt.Sprintf("%d %s", m.Line, m.Path))
	}
	want := []string{"17 profiles[0].capture.bytesPerPacket", "22 profiles[0].approval.expires"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFormat(t *testing.T) {
	for d, want := range map[time.Duration]string{
		5 * time.Minute: "5m", 90 * time.Second: "1m30s", time.Hour: "1h", 90 * time.Minute: "1h30m",
		10 * time.Second: "10s", 7 * 24 * time.Hour: "7d", 25 * time.Hour: "25h", time.Hour + time.Second: "1h0m1s",
	} {
		if got := policy.FormatDuration(d); got != want {
			t.Errorf("FormatDuration(%v) = %q, want %q", d, got, want)
		}
	}
	for b, want := range map[int64]string{1: "1B", 1024: "1KiB", 1 << 20: "1MiB", 100 << 20: "100MiB", 1<<20 + 1: "1048577B", 1 << 30: "1GiB"} {
		if got := policy.FormatSize(b); got != want {
			t.Errorf("FormatSize(%d) = %q, want %q", b, got, want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(valid))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("? [a]\n: b\n"))
	f.Add([]byte("profiles: [{capture: {filters: [{remoteIP: 10.0.0.0-10.0.0.9}]}}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := policy.Load(data)
		if err == nil {
			for _, profile := range p.Profiles {
				c := profile.Capture
				if c.TimeLimit <= 0 || c.TimeLimit > p.Limits.TimeLimit || c.TotalBytes <= 0 || c.TotalBytes > p.Limits.TotalBytes ||
					len(c.Filters) == 0 || profile.Retention <= 0 || profile.Approval.Expires.IsZero() && !strings.Contains(string(data), "0001-01-01") {
					t.Errorf("unbounded profile %+v", profile)
				}
			}
			return
		}
		invalid, ok := errors.AsType[*policy.InvalidError](err)
		if !ok || len(invalid.Mistakes) == 0 {
			t.Fatalf("error %v lists no mistake", err)
		}
		for _, m := range invalid.Mistakes {
			if m.Line < 1 || m.Message == "" {
				t.Errorf("mistake %+v", m)
			}
		}
	})
}
