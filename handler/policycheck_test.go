package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	checkedSubscription = "0f3c2b1a-9d8e-4c7b-a6f5-e4d3c2b1a098"
	checkedMachine      = "/subscriptions/" + checkedSubscription + "/resourceGroups/shop-rg/providers/Microsoft.Compute/virtualMachines/shop-web-1"
	checkedNow          = "2026-05-04T02:01:00Z"

	checkedPolicy = `version: 1
limits: {timeLimit: 15m, totalBytes: 256MiB, activePerVM: 2, startsPerHour: 20}
scope: {subscriptions: [` + checkedSubscription + `], resourceGroups: [shop-rg], requireTag: {pcapwarden: allowed}}
landing: [{region: westeurope, storageAccountId: /subscriptions/` + checkedSubscription + `/resourceGroups/pcap-rg/providers/Microsoft.Storage/storageAccounts/landingweu}]
profiles:
  - name: partner-tls
    when: {alertRule: [upload-failures]}
    capture: {timeLimit: 5m, totalBytes: 100MiB, filters: [{protocol: TCP, remoteIP: 203.0.113.0/28, remotePort: "443"}]}
    approval: {mode: standing, reason: agreed, owner: noc, approver: soc, expires: 2027-01-01}
    retention: 7d
  - name: wide
    when: {severity: [Sev1]}
    capture: {timeLimit: 1m, totalBytes: 1MiB, filters: [{remotePort: 53}]}
    approval: {mode: required, reason: agreed, owner: noc, expires: 2027-01-01}
    retention: 1d
`
	checkedAlert = `{"schemaId":"azureMonitorCommonAlertSchema","data":{"essentials":{
"alertId":"/subscriptions/` + checkedSubscription + `/providers/Microsoft.AlertsManagement/alerts/a1","alertRule":"upload-failures",
"severity":"Sev1","signalType":"Metric","monitorCondition":"Fired","monitoringService":"Platform",
"alertTargetIDs":["` + checkedMachine + `"],"firedDateTime":"2026-05-04T02:00:00Z"},
"alertContext":{"conditionType":"SingleResourceMultipleMetricCriteria","condition":{"allOf":[]}}}}`
)

// runCheck runs the subcommand on files with these contents.
func runCheck(t *testing.T, policyText, alertText string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	dir := t.TempDir()
	policyFile, alertFile := filepath.Join(dir, "policy.yaml"), filepath.Join(dir, "alert.json")
	args = append([]string{"--policy", policyFile}, args...)
	if err := os.WriteFile(policyFile, []byte(policyText), 0o600); err != nil {
		t.Fatal(err)
	}
	if alertText != "" {
		args = append(args, "--alert", alertFile)
		if err := os.WriteFile(alertFile, []byte(alertText), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out, complaints bytes.Buffer
	code = policyCheck(args, strings.NewReader(""), &out, &complaints)
	return code, strings.ReplaceAll(out.String(), policyFile, "policy.yaml"), complaints.String()
}

func TestPolicyCheckCodes(t *testing.T) {
	edit := func(old, new string) string {
		t.Helper()
		if !strings.Contains(checkedAlert, old) {
			t.Fatalf("no %q in the alert", old)
		}
		return strings.Replace(checkedAlert, old, new, 1)
	}
	stranger := strings.Replace(checkedMachine, "shop-rg", "shop-rg2", 1)
	tests := []struct {
		name, policy, alert, now string
		code                     int
		reasons                  []string
		allowed                  int
	}{
		{name: "valid", policy: checkedPolicy},
		{name: "invalid", policy: strings.Replace(checkedPolicy, "5m", "5", 1), code: 1},
		{name: "invalid_with_an_alert", policy: strings.Replace(checkedPolicy, "5m", "5", 1), alert: checkedAlert, code: 1},
		{name: "allowed", policy: checkedPolicy, alert: checkedAlert, allowed: 1},
		{name: "old", policy: checkedPolicy, alert: checkedAlert, now: "2026-06-01T00:00:00Z", allowed: 1},
		{name: "future", policy: checkedPolicy, alert: checkedAlert, now: "2026-01-01T00:00:00Z", code: 3, reasons: []string{"fired-in-future"}},
		{name: "expired", policy: checkedPolicy, alert: checkedAlert, now: "2027-01-02T00:00:00Z", code: 3, reasons: []string{"approval-expired"}},
		{name: "last_second", policy: checkedPolicy, alert: checkedAlert, now: "2027-01-01T23:59:59Z", allowed: 1},
		{name: "awaiting", policy: checkedPolicy, alert: edit("upload-failures", "x"), code: 3, reasons: []string{"awaiting-approval"}},
		{name: "no_profile", policy: checkedPolicy, alert: strings.Replace(edit("upload-failures", "x"), "Sev1", "Sev2", 1), code: 3, reasons: []string{"no-profile"}},
		{name: "resolved", policy: checkedPolicy, alert: edit("Fired", "Resolved"), code: 3, reasons: []string{"resolved"}},
		{name: "out_of_scope", policy: checkedPolicy, alert: edit(checkedMachine, stranger), code: 3, reasons: []string{"out-of-scope"}},
		{name: "some_out_of_scope", policy: checkedPolicy, alert: edit(`["`, `["`+stranger+`","`), allowed: 1, reasons: []string{"out-of-scope"}},
		{name: "malformed_target", policy: checkedPolicy, alert: edit(checkedMachine, checkedMachine+"/"), code: 3, reasons: []string{"target-invalid"}},
		{name: "unreadable", policy: checkedPolicy, alert: "{", code: 3, reasons: []string{"json-invalid"}},
		{name: "unreadable_time", policy: checkedPolicy, alert: edit("2026-05-04T02:00:00Z", "noon"), code: 3, reasons: []string{"time-invalid"}},
		{name: "too_large", policy: checkedPolicy, alert: checkedAlert + strings.Repeat(" ", 400<<10), code: 3, reasons: []string{"too-large"}},
		{name: "incident_invalid", policy: checkedPolicy, alert: edit(`"alertContext"`, `"customProperties":{"incidentId":"../x"},"alertContext"`), code: 3, reasons: []string{"incident-invalid"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.now == "" {
				tt.now = checkedNow
			}
			code, stdout, stderr := runCheck(t, tt.policy, tt.alert, "--format", "json", "--now", tt.now)
			if code != tt.code || stderr != "" {
				t.Errorf("exit %d, want %d\n%s%s", code, tt.code, stdout, stderr)
			}
			var out checkJSON
			if err := json.Unmarshal([]byte(stdout), &out); err != nil {
				t.Fatal(err)
			}
			var reasons []string
			for _, r := range out.Refused {
				reasons = append(reasons, r.Reason)
			}
			if len(out.Allowed) != tt.allowed || !slices.Equal(reasons, tt.reasons) {
				t.Errorf("%d allowed, refused %q; want %d, %q", len(out.Allowed), reasons, tt.allowed, tt.reasons)
			}
			if strings.Contains(stdout, "null") {
				t.Errorf("a list is null:\n%s", stdout)
			}
			textCode, text, _ := runCheck(t, tt.policy, tt.alert, "--now", tt.now)
			if textCode != tt.code || text == "" {
				t.Errorf("as text: exit %d, %q", textCode, text)
			}
			for line := range strings.SplitSeq(text, "\n") {
				if len(line) > 80 && strings.Contains(strings.TrimSpace(line), " ") && !strings.Contains(line, "policy.yaml:") {
					t.Errorf("line of %d columns: %q", len(line), line)
				}
			}
		})
	}
}

func TestPolicyCheckJSON(t *testing.T) {
	_, stdout, _ := runCheck(t, checkedPolicy, checkedAlert, "--format=json", "--now="+checkedNow)
	want := `{
  "valid": true,
  "errors": [],
  "warnings": [],
  "profile": "partner-tls",
  "shadowed": [
    "wide"
  ],
  "allowed": [
    {
      "target": "` + checkedMachine + `",
      "filters": [
        {
          "protocol": "TCP",
          "remoteIP": "203.0.113.0-203.0.113.15",
          "remotePort": "443"
        }
      ],
      "timeLimit": "5m",
      "totalBytes": 104857600,
      "bytesPerPacket": 0,
      "retention": "7d",
      "checkedAtStart": [
        "tags: has pcapwarden=allowed",
        "region: the machine's has a Network Watcher",
        "landing: the machine is in westeurope, where captures can land",
        "power state: running",
        "agent: the Network Watcher extension is installed",
        "budgets: at most 2 captures on the machine at once, 20 starts an hour"
      ]
    }
  ],
  "refused": []
}
`
	if diff := cmp.Diff(want, stdout); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPolicyCheckText(t *testing.T) {
	_, stdout, _ := runCheck(t, checkedPolicy, checkedAlert, "--now", checkedNow)
	want := `policy.yaml is valid: 2 profiles.

alert     upload-failures, metric-static, Sev1, Metric, Fired
fired     2026-05-04T02:00:00Z, judged as of 2026-05-04T02:01:00Z
target    vm from alertTargetIDs
          ` + checkedMachine + `

profiles, in the order of the file:
  partner-tls  applies
  wide         matches too, shadowed by partner-tls

would start 1 capture:
  ` + checkedMachine + `
    role      target, from alertTargetIDs
    limits    5m, 100MiB, whole packets; kept for 7d
    filter    TCP, local any port any, remote 203.0.113.0-203.0.113.15 port 443
    approval  standing, by soc, owner noc, through 2027-01-01
    reason    agreed
    at start  tags: has pcapwarden=allowed
              region: the machine's has a Network Watcher
              landing: the machine is in westeurope, where captures can land
              power state: running
              agent: the Network Watcher extension is installed
              budgets: at most 2 captures on the machine at once, 20 starts an
              hour

Next: nothing was started. What is listed under "at start" is checked when the
      alert comes.
`
	if diff := cmp.Diff(want, stdout); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPolicyCheckListsMistakesWithLines(t *testing.T) {
	broken := strings.NewReplacer("timeLimit: 5m", "timeLimit: 5", "retention: 1d", "retention: 1w").Replace(checkedPolicy)
	_, stdout, _ := runCheck(t, broken, "")
	for _, want := range []string{"policy.yaml:8: profiles[0].capture.timeLimit: ", "policy.yaml:15: profiles[1].retention: ", "2 mistakes"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
}

func TestPolicyCheckWarns(t *testing.T) {
	code, stdout, _ := runCheck(t, checkedPolicy, "", "--now", "2028-01-01T00:00:00Z")
	if code != 0 || strings.Count(stdout, "expired on 2027-01-01") != 2 {
		t.Errorf("exit %d\n%s", code, stdout)
	}
}

func TestPolicyCheckShowsForeignTextHarmless(t *testing.T) {
	hostile := strings.NewReplacer(
		`"upload-failures"`, `"x\u001b[2J\u202e\r\nrefused: <b>${jndi:ldap://x}%s\u0435"`,
		checkedMachine, checkedMachine+`\u001b]0;x\u0007\u200d`,
	).Replace(checkedAlert)
	for _, format := range []string{"text", "json"} {
		code, stdout, _ := runCheck(t, checkedPolicy, hostile, "--format", format, "--now", checkedNow)
		if code != 3 {
			t.Errorf("exit %d", code)
		}
		for _, r := range stdout {
			if r != '\n' && (r < ' ' || r > '~') {
				t.Errorf("%s: %U is printed:\n%s", format, r, stdout)
				break
			}
		}
	}
}

func TestPolicyCheckUsage(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(file, []byte(checkedPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		args []string
		says string
	}{
		{"nothing", nil, "--policy FILE is missing"},
		{"unknown_flag", []string{"--polciy", file}, "polciy"},
		{"argument", []string{"--policy", file, "alert.json"}, "alert.json"},
		{"missing_policy", []string{"--policy", file + "x"}, "no such file"},
		{"missing_alert", []string{"--policy", file, "--alert", file + "x"}, "no such file"},
		{"folder", []string{"--policy", dir}, "is a directory"},
		{"format", []string{"--policy", file, "--format", "html"}, "text or json"},
		{"now", []string{"--policy", file, "--now", "yesterday"}, "--now"},
		{"stdin_twice", []string{"--policy", "-", "--alert", "-"}, "only one"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := policyCheck(tt.args, strings.NewReader(""), &stdout, &stderr)
			if code != 2 || stdout.Len() > 0 || !strings.Contains(stderr.String(), tt.says) {
				t.Errorf("exit %d, stdout %q, stderr %q; want 2 and %q", code, stdout.String(), stderr.String(), tt.says)
			}
		})
	}
	if code := policyCheck([]string{"--help"}, nil, &bytes.Buffer{}, &bytes.Buffer{}); code != 0 {
		t.Errorf("--help exits %d", code)
	}
}

func TestPolicyCheckReadsStandardInput(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := policyCheck([]string{"--policy", "-"}, strings.NewReader("version: 3"), &stdout, &stderr)
	if code != 1 || !strings.Contains(stdout.String(), "<stdin>:1: version: ") {
		t.Errorf("exit %d, %q", code, stdout.String())
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("pipe is closed") }

func TestPolicyCheckSaysThatItCannotWrite(t *testing.T) {
	var stderr bytes.Buffer
	code := policyCheck([]string{"--policy", "-"}, strings.NewReader(checkedPolicy), brokenPipe{}, &stderr)
	if code == 0 || !strings.Contains(stderr.String(), "pipe is closed") {
		t.Errorf("exit %d, %q", code, stderr.String())
	}
}
