package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/local/scenario"
)

// alertOf is the scenario's alert with something changed, as an alert of its
// own.
func alertOf(t *testing.T, s scenario.Scenario, change func(essentials, data map[string]any)) []byte {
	t.Helper()
	var root map[string]any
	if err := json.Unmarshal(s.Alert(time.Now().UTC(), time.Time{}), &root); err != nil {
		t.Fatal(err)
	}
	data := root["data"].(map[string]any)
	essentials := data["essentials"].(map[string]any)
	essentials["alertId"] = fmt.Sprintf("/subscriptions/%s/providers/Microsoft.AlertsManagement/alerts/%d", s.Subscription, time.Now().UnixNano())
	change(essentials, data)
	body, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// An attack is an alert that must not start anything. H numbers are rows of
// the matrix of hostile inputs.
type attack struct {
	name   string
	body   []byte
	header http.Header
	status int
	says   string // part of the answer
}

func TestHostileAlerts(t *testing.T) {
	o := localOptions(t, "partner-tls")
	stand := startStand(t, o)
	for _, a := range slices.Concat(targetAttacks(t, o.Scenario), fieldAttacks(t, o.Scenario), bodyAttacks(t, o.Scenario)) {
		t.Run(a.name, func(t *testing.T) {
			status, answer := stand.post(t, bytes.NewReader(a.body), a.header)
			if status != a.status || !strings.Contains(string(answer), a.says) {
				t.Errorf("answered %d %.300s\nwant %d and a word about %q", status, answer, a.status, a.says)
			}
			checkInert(t, "the answer", answer)
			if len(answer) > 64<<10 {
				t.Errorf("the answer has %d bytes", len(answer))
			}
		})
	}
	t.Run("H17 endless chunked body", func(t *testing.T) {
		// The host loses chunked bodies, whatever is in them.
		status, answer := stand.post(t, io.MultiReader(bytes.NewReader(o.Scenario.Alert(time.Now().UTC(), time.Time{})), strings.NewReader(strings.Repeat(" ", 1<<20))), nil)
		if status != http.StatusBadRequest {
			t.Errorf("answered %d %s, want 400", status, answer)
		}
	})
	stand.checkNothing(t)
}

// targetAttacks are about the machines that an alert names.
func targetAttacks(t *testing.T, s scenario.Scenario) []attack {
	own := s.Machines[0].ID
	foreign := strings.Replace(own, s.Subscription, "00000000-1111-2222-3333-444444444444", 1)
	group := "/subscriptions/" + s.Subscription + "/resourceGroups/" + s.ResourceGroup
	many := func(n int) (ids []string) {
		for i := range n {
			ids = append(ids, fmt.Sprintf("%s-%d", own, i))
		}
		return ids
	}
	const badRequest, forbidden, tooLarge = http.StatusBadRequest, http.StatusForbidden, http.StatusRequestEntityTooLarge
	var all []attack
	for _, a := range []struct {
		name    string
		targets []string
		status  int
		says    string
	}{
		{"H6 foreign subscription", []string{foreign}, forbidden, "out-of-scope"},
		{"H6 foreign resource group", []string{strings.Replace(own, s.ResourceGroup, s.ResourceGroup+"2", 1)}, forbidden, "out-of-scope"},
		{"H7 none", []string{}, badRequest, "no-target"},
		{"H7 empty", []string{""}, badRequest, "target-invalid"},
		{"H7 star", []string{"*"}, badRequest, "target-invalid"},
		{"H7 subscription", []string{"/subscriptions/" + s.Subscription}, badRequest, "no-target"},
		{"H7 resource group", []string{group}, badRequest, "no-target"},
		{"H7 any machine", []string{group + "/providers/Microsoft.Compute/virtualMachines/*"}, badRequest, "target-invalid"},
		{"H7 any subscription", []string{strings.Replace(own, s.Subscription, "*", 1)}, badRequest, "target-invalid"},
		{"H8 double slash", []string{strings.Replace(own, "/providers/", "//providers/", 1)}, badRequest, "target-invalid"},
		{"H8 dots", []string{foreign + "/../../../../../../.." + own}, badRequest, "target-invalid"},
		{"H8 dots as a name", []string{group + "/providers/Microsoft.Compute/virtualMachines/.."}, badRequest, "target-invalid"},
		{"H8 escaped slash", []string{strings.Replace(own, "/virtualMachines/", "%2fvirtualMachines%2f", 1)}, badRequest, "target-invalid"},
		{"H8 trailing slash", []string{own + "/"}, badRequest, "target-invalid"},
		{"H8 query", []string{own + "?api-version=2024-01-01"}, badRequest, "target-invalid"},
		{"H8 fragment", []string{own + "#x"}, badRequest, "target-invalid"},
		{"H8 second provider", []string{own + "/providers/Microsoft.Network/networkInterfaces/x"}, badRequest, "target-invalid"},
		{"H8 second provider of a foreign machine", []string{own + foreign}, badRequest, "target-invalid"},
		{"H8 a sound one beside it", []string{own, own + "/"}, badRequest, "target-invalid"},
		{"H8 blanks around", []string{" " + own + " "}, badRequest, "target-invalid"},
		{"H9 Cyrillic letter", []string{strings.Replace(own, "re", "rе", 1)}, badRequest, "target-invalid"},
		{"H9 full-width digits", []string{strings.Replace(own, "01", "０１", 1)}, badRequest, "target-invalid"},
		{"H9 joiner", []string{own + "\u200d"}, badRequest, "target-invalid"},
		{"H9 reversed", []string{own + "\u202e10"}, badRequest, "target-invalid"},
		{"H9 Kelvin sign", []string{strings.Replace(own, "uplink", "uplin\u212a", 1)}, badRequest, "target-invalid"},
		{"H10 workspace", []string{group + "/providers/Microsoft.OperationalInsights/workspaces/w"}, badRequest, "no-target"},
		{"H10 storage account", []string{s.Landing.ID}, badRequest, "no-target"},
		{"H10 classic machine", []string{group + "/providers/Microsoft.ClassicCompute/virtualMachines/uplink-01"}, badRequest, "no-target"},
		{"H10 extension of a machine", []string{own + "/extensions/x"}, badRequest, "no-target"},
		{"H10 network watcher", []string{group + "/providers/Microsoft.Network/networkWatchers/NetworkWatcher_westeurope"}, badRequest, "no-target"},
		{"H11 301 targets", many(301), tooLarge, "at most 300"},
		{"H11 10,000 targets", many(10_000), tooLarge, "larger"},
		{"H22 tricks in a target", []string{tricks}, badRequest, "target-invalid"},
		{"H22 tricks in a long target", []string{own + strings.Repeat(tricks, 200)}, badRequest, "target-invalid"},
		{"long", []string{own + strings.Repeat("x", 100_000)}, badRequest, "target-invalid"},
	} {
		all = append(all, attack{name: a.name, status: a.status, says: a.says, body: alertOf(t, s, func(e, _ map[string]any) { e["alertTargetIDs"] = a.targets })})
	}
	return all
}

// fieldAttacks are about everything else that an alert says.
func fieldAttacks(t *testing.T, s scenario.Scenario) []attack {
	const badRequest, forbidden = http.StatusBadRequest, http.StatusForbidden
	now := time.Now().UTC()
	var all []attack
	add := func(name string, status int, says string, change func(essentials, data map[string]any)) {
		all = append(all, attack{name: name, status: status, says: says, body: alertOf(t, s, change)})
	}
	set := func(key string, value any) func(e, _ map[string]any) {
		return func(e, _ map[string]any) { e[key] = value }
	}
	custom := func(key string, value any) func(_, data map[string]any) {
		return func(_, data map[string]any) { data["customProperties"] = map[string]any{key: value} }
	}

	add("H5 replay of an old alert", forbidden, "stale", set("firedDateTime", now.Add(-20*time.Minute)))
	for _, profile := range []any{"no-such-profile", "__proto__", "constructor", "../policy", strings.Repeat("a", 100_000), "", 7, map[string]any{"a": 1}, tricks} {
		add(fmt.Sprintf("H14 profile %.20q", profile), badRequest, "rofile", custom("pcapProfile", profile))
	}
	for _, id := range []any{
		"../../x", `..\x`, "/etc/passwd", `C:\x`, "a\x00b", "a\r\nb", "a%00b", ".hidden", strings.Repeat("a", 65), "", "a b", "a/b",
		"ＩＮＣ", "INC\u2011" + "1", "ﬁle", "INC-4711\u200b", "INC-４７１１", tricks, 4711, nothing{},
	} {
		add(fmt.Sprintf("H15 H16 incident %.20q", id), badRequest, "incidentId", custom("incidentId", id))
	}
	add("H19 test button", badRequest, "test-action", func(e, _ map[string]any) {
		e["alertRule"] = "test-metricAlertRule"
		e["alertTargetIDs"] = []string{strings.Replace(s.Machines[0].ID, s.ResourceGroup, "test-RG", 1)}
	})
	add("H20 no condition", badRequest, "monitorCondition", func(e, _ map[string]any) { delete(e, "monitorCondition") })
	for _, condition := range []any{"", "Firing", "fired ", "Acknowledged", nil, true, []string{"Fired"}, tricks} {
		add(fmt.Sprintf("H20 condition %.20q", condition), badRequest, "monitorCondition", set("monitorCondition", condition))
	}
	add("H20 resolved", http.StatusOK, `"captures":[]`, set("monitorCondition", "Resolved"))
	for _, fired := range []any{"", "yesterday", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "2026-13-45T99:99:99Z", "9999999999999-01-01T00:00:00Z", 1234567890, nil, "20261123T020000Z", tricks} {
		add(fmt.Sprintf("H21 fired %.20q", fired), badRequest, "", set("firedDateTime", fired))
	}
	add("H21 fired tomorrow", forbidden, "fired-in-future", set("firedDateTime", now.Add(24*time.Hour)))
	add("H21 fired in 9999", forbidden, "fired-in-future", set("firedDateTime", "9999-12-31T23:59:59Z"))
	add("H22 tricks in a rule", forbidden, "no-profile", func(e, d map[string]any) {
		e["alertRule"], d["customProperties"] = tricks, nil
		delete(d["alertContext"].(map[string]any), "properties")
	})
	add("H22 tricks everywhere", forbidden, "", func(e, d map[string]any) {
		for key, v := range e {
			if _, ok := v.(string); ok && key != "monitorCondition" && key != "firedDateTime" {
				e[key] = tricks
			}
		}
		e[tricks], d[tricks] = tricks, map[string]any{tricks: tricks}
		d["customProperties"] = map[string]any{tricks: tricks}
		d["alertContext"] = map[string]any{
			"conditionType": "SingleResourceMultipleMetricCriteria",
			"condition": map[string]any{"allOf": []any{map[string]any{
				"metricName": tricks, "dimensions": []any{map[string]any{"name": tricks, "value": tricks}},
			}}},
		}
	})
	add("no alertId", badRequest, "alertId", set("alertId", nil))
	add("long alertId", badRequest, "alertId", set("alertId", strings.Repeat("x", 10_000)))
	return all
}

// nothing is written as an object that holds nothing.
type nothing struct{}

// bodyAttacks are about the request and its JSON.
func bodyAttacks(t *testing.T, s scenario.Scenario) []attack {
	const badRequest, tooLarge, unsupported = http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType
	genuine := alertOf(t, s, func(_, _ map[string]any) {})
	inside := string(genuine[1 : len(genuine)-1])
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write(genuine)
	z.Close()
	bytesAsTheyAre := http.Header{"Content-Type": {"application/octet-stream"}} // of other bodies the host makes valid UTF-8
	return []attack{
		{name: "H17 400 KB", body: []byte(`{` + inside + `,"x":"` + strings.Repeat("x", 400_000) + `"}`), status: tooLarge},
		{name: "H17 400 KB of blanks", body: append(slices.Clip(genuine), bytes.Repeat([]byte(" "), 400_000)...), status: tooLarge},
		{name: "H17 8 MB", body: []byte(`{` + inside + `,"x":"` + strings.Repeat("x", 8<<20) + `"}`), status: tooLarge},
		{name: "H17 60 MB", body: bytes.Repeat([]byte("x"), 60<<20), status: tooLarge},
		{name: "H17 60 MB of bytes", body: make([]byte, 60<<20), header: bytesAsTheyAre, status: tooLarge},
		{name: "H17 101 MB", body: make([]byte, 101<<20), status: tooLarge},
		{name: "H17 gzip", body: zipped.Bytes(), header: http.Header{"Content-Encoding": {"gzip"}}, status: unsupported, says: "Content-Encoding"},
		{name: "H17 gzip that does not say so", body: zipped.Bytes(), status: badRequest},
		{name: "H17 encoding nobody knows", body: genuine, header: http.Header{"Content-Encoding": {tricks[:20]}}, status: unsupported},
		{name: "H18 100,000 levels", body: []byte(`{` + inside + `,"x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`), status: badRequest, says: "deep"},
		{name: "H18 65 levels", body: []byte(`{` + inside + `,"x":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`), status: badRequest, says: "deep"},
		{name: "H18 same key twice", body: []byte(`{` + inside + `,"schemaId":"azureMonitorCommonAlertSchema"}`), status: badRequest, says: "twice"},
		{name: "H18 same key in another case", body: []byte(`{` + inside + `,"Data":{}}`), status: badRequest, says: "twice"},
		{name: "H18 tricks as a key, twice", body: []byte(`{` + inside + `,` + jsonText(tricks) + `:1,` + jsonText(tricks) + `:2}`), status: badRequest, says: "twice"},
		{name: "H18 NaN", body: []byte(`{` + inside + `,"x":NaN}`), status: badRequest, says: "JSON"},
		{name: "H18 huge number", body: []byte(`{` + inside + `,"x":1e999}`), status: badRequest, says: "range"},
		{name: "H18 long number", body: []byte(`{` + inside + `,"x":` + strings.Repeat("9", 1000) + `}`), status: badRequest, says: "range"},
		{name: "H18 trailing data", body: append(slices.Clip(genuine), "{}"...), status: badRequest, says: "JSON"},
		{name: "H18 byte order mark", body: append([]byte("\xef\xbb\xbf"), genuine...), header: bytesAsTheyAre, status: badRequest, says: "byte order mark"},
		{name: "H18 invalid UTF-8", body: []byte(`{` + inside + ",\"x\":\"\xff\xfe\"}"), header: bytesAsTheyAre, status: badRequest, says: "UTF-8"},
		{name: "H18 UTF-16", body: utf16(genuine), status: badRequest},
		{name: "H18 NUL", body: append(slices.Clip(genuine), 0), status: badRequest, says: "NUL"},
		{name: "H18 nothing", status: badRequest, says: "JSON"},
		{name: "H18 null", body: []byte("null"), status: badRequest, says: "common alert schema"},
		{name: "H18 form", body: []byte("alert=" + tricks), header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, status: badRequest},
		{name: "H18 multipart", body: genuine[:100], header: http.Header{"Content-Type": {"multipart/form-data; boundary=x"}}, status: badRequest},
		{name: "H19 other schema", body: []byte(`{"schemaId":"AzureMonitorMetricAlert","data":{"essentials":{}}}`), status: badRequest, says: "common alert schema"},
		{name: "H19 tricks as the schema", body: []byte(`{"schemaId":` + jsonText(tricks) + `}`), status: badRequest, says: "common alert schema"},
		{name: "H19 schema of Slack", body: []byte(`{"text":"hello","channel":"#alerts"}`), status: badRequest, says: "common alert schema"},
		{name: "H25 Event Grid's handshake", body: []byte(`[{"id":"1","eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","data":{"validationCode":"x","validationUrl":"http://169.254.169.254/"}}]`), status: badRequest},
		{name: "H18 long name of a field", body: []byte(`{"` + strings.Repeat("n", 5000) + `":"x","schemaId":"x"}`), status: badRequest, says: "common alert schema"},
		{name: "H18 fields that the host copies", body: []byte(`{"MessageId":"\ud800","DeliveryCount":"` + strings.Repeat("9", 400) + `","sys":1,"Data":{},"Metadata":{},"schemaId":"x"}`), status: badRequest, says: "common alert schema"},
		{name: "H22 tricks in headers", body: []byte("x"), header: http.Header{"User-Agent": {"${jndi:ldap://x}<script>"}, "X-Forwarded-For": {"<script>"}, "Traceparent": {"00-<script>"}, "X-Azure-Functions-Invocationid": {"<script>"}}, status: badRequest},
	}
}

func jsonText(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string can always be written
	}
	return string(text)
}

func utf16(s []byte) []byte {
	out := []byte("\xff\xfe")
	for _, b := range s { // ASCII
		out = append(out, b, 0)
	}
	return out
}

// TestAlertsThatWantMore fires alerts that start captures, and ask for more
// than the policy gives.
func TestAlertsThatWantMore(t *testing.T) {
	o := localOptions(t, "partner-tls")
	stand := startStand(t, o)
	own := o.Scenario.Machines[0].ID
	foreign := strings.Replace(own, o.Scenario.Subscription, "00000000-1111-2222-3333-444444444444", 1)
	body := alertOf(t, o.Scenario, func(e, d map[string]any) {
		// H6: only the target that is foreign is refused. H8: one machine,
		// however it is written.
		e["alertTargetIDs"] = []string{own, foreign, strings.ToUpper(own[:20]) + own[20:], strings.ToLower(own), strings.Replace(own, "virtualMachines", "VIRTUALMACHINES", 1)}
		// H13
		d["customProperties"] = map[string]any{
			"pcapProfile": "partner-tls", "incidentId": "INC-4711", "timeLimit": "5h", "totalBytes": "4GiB", "retention": "365d",
			"filters": []any{map[string]any{"protocol": "Any"}}, "storageAccountId": foreign, "storageId": foreign,
			"approval": "standing", "instances": 1000, "bytesPerPacket": 0, "compareWith": []string{foreign},
		}
	})
	status, answer := stand.post(t, bytes.NewReader(body), nil)
	if status != http.StatusAccepted {
		t.Fatalf("answered %d %s", status, answer)
	}
	var a struct {
		Incident string
		Captures []struct{ Target, State string }
		Refused  []struct{ Target, Reason string }
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		t.Fatal(err)
	}
	if len(a.Captures) != 1 || len(a.Refused) != 1 || a.Refused[0].Target != foreign || a.Refused[0].Reason != "out-of-scope" {
		t.Errorf("answered %s; want one capture, and the foreign machine refused", answer)
	}
	for c, err := range stand.Ledger.OpenCases(t.Context(), a.Incident) {
		if err != nil {
			t.Fatal(err)
		}
		if c.TimeLimit != 5*time.Minute || c.TotalBytes != 100<<20 || c.Retention != 7*24*time.Hour || len(c.Filters) != 1 ||
			c.Filters[0].RemoteIP == "" || !strings.EqualFold(c.StorageID, o.Scenario.Landing.ID) || !strings.EqualFold(c.Target, own) {
			t.Errorf("the case is not what the policy says: %+v", c)
		}
	}
	if n := stand.puts.Load(); n != 1 {
		t.Errorf("%d captures were asked for, want 1", n)
	}

	// F2: a capture that runs serves the next alert, too.
	status, answer = stand.post(t, bytes.NewReader(alertOf(t, o.Scenario, func(e, _ map[string]any) { e["alertTargetIDs"] = []string{strings.ToUpper(own)} })), nil)
	if n := stand.puts.Load(); status != http.StatusAccepted || n != 1 {
		t.Errorf("answered %d %s, and %d captures were asked for, want 1", status, answer, n)
	}
	stand.checkLog(t)
}

// TestUntaggedMachine fires an alert about a machine that nobody released for
// captures.
func TestUntaggedMachine(t *testing.T) {
	o := localOptions(t, "partner-tls")
	o.Scenario.Machines = slices.Clone(o.Scenario.Machines)
	o.Scenario.Machines[0].Tags = map[string]string{"owner": tricks}
	stand := startStand(t, o)
	status, answer := stand.post(t, bytes.NewReader(o.Scenario.Alert(time.Now().UTC(), time.Time{})), nil)
	if status >= 500 || !strings.Contains(string(answer), "requireTag") {
		t.Errorf("H12: answered %d %s; want a word about the tag that is missing", status, answer)
	}
	checkInert(t, "the answer", answer)
	stand.checkNothing(t)
}
