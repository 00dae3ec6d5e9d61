package incident

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/pcaptest/devset"
)

var now = time.Date(2026, 3, 17, 2, 10, 0, 0, time.UTC)

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	f, err := os.Open("message.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	doc, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(dataSchema, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(dataSchema)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(t *testing.T, s *jsonschema.Schema, m Message) map[string]any {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(m.Body))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(doc); err != nil {
		t.Error(err)
	}
	var v map[string]any
	if err := json.Unmarshal(m.Body, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func origin() Origin {
	return Origin{
		Source: "/subscriptions/s/providers/Microsoft.Web/sites/warden", Incident: "inc-1", Case: "pc-1",
		Target: "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/web01", Region: "westeurope",
		Report:      Reference{"file:reports/pc-1.html", strings.Repeat("ab", 32)},
		Analysis:    Reference{"file:reports/pc-1.json", strings.Repeat("cd", 32)},
		DeleteAfter: now.AddDate(0, 0, 7),
	}
}

func flow(n int) *finding.Flow {
	return &finding.Flow{
		Protocol: "tcp", SNI: "ingest.example",
		Client: finding.Endpoint{AddrPort: netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(n >> 8), byte(n)}), 40000)},
		Server: finding.Endpoint{AddrPort: netip.MustParseAddrPort("10.40.0.4:443")},
	}
}

func rejected() *analysis.Analysis {
	return &analysis.Analysis{
		Schema:  analysis.Schema,
		Capture: analysis.Capture{File: "x/packetcapture.cap", Readable: true, Bytes: 4096, SHA256: strings.Repeat("0f", 32), Packets: 60, FirstPacket: now, LastPacket: now.Add(time.Minute)},
		Findings: []finding.Finding{
			{Kind: "traffic.scan", Severity: finding.High, Confidence: .7, Summary: "a scan", Culprit: finding.Client, Count: 30, Flow: flow(1)},
			{Kind: "tls.handshake-reset", Severity: finding.High, Confidence: .95, Summary: "reset after the certificate", Culprit: finding.Client, Count: 3, Packets: []int64{41, 47}, Flow: flow(9)},
		},
		Verdict: analysis.Verdict{Cause: analysis.TLSRejected, Culprit: finding.Client, Summary: "The partner resets.", Confidence: .95, Findings: []int{1}},
	}
}

func TestAnalysed(t *testing.T) {
	s := schema(t)
	tests := []struct {
		name     string
		analysis *analysis.Analysis
		severity float64
		first    string // evidence after the capture's
	}{
		{"the verdict's finding comes first", rejected(), 4, "tls.handshake-reset"},
		{"nothing found", &analysis.Analysis{Schema: analysis.Schema, Verdict: analysis.Verdict{Cause: analysis.Healthy, Culprit: finding.None, Summary: "Nothing is wrong."}}, 1, ""},
		{"a file that can't be read", &analysis.Analysis{
			Schema: analysis.Schema, Capture: analysis.Capture{Error: "text, not packets"},
			Findings: []finding.Finding{{Kind: "capture.unreadable", Severity: finding.Medium, Confidence: 1, Culprit: finding.Capture, Count: 1}},
			Verdict:  analysis.Verdict{Cause: analysis.Inconclusive, Culprit: finding.Capture, Findings: []int{0}},
		}, 3, "capture.unreadable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := Analysed(origin(), tt.analysis, now)
			if err != nil {
				t.Fatal(err)
			}
			data := validate(t, s, m)["data"].(map[string]any)
			if got := data["severity_id"]; got != tt.severity {
				t.Errorf("severity_id = %v, want %v", got, tt.severity)
			}
			evidences := data["evidences"].([]any)
			if got := evidences[0].(map[string]any)["name"]; got != "capture" {
				t.Errorf("evidence 0 = %v, want the capture", got)
			}
			if tt.first == "" {
				if len(evidences) != 1 {
					t.Errorf("%d evidences, want the capture alone", len(evidences))
				}
			} else if got := evidences[1].(map[string]any)["name"]; got != tt.first {
				t.Errorf("evidence 1 = %v, want %v", got, tt.first)
			}
		})
	}
}

func TestAnalysedIsTheSameMessageAgain(t *testing.T) {
	a, err := Analysed(origin(), rejected(), now)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Analysed(origin(), rejected(), now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if a.ID != b.ID {
		t.Errorf("sent again an hour later, the ID is %s, was %s", b.ID, a.ID)
	}
	other := rejected()
	other.Capture.SHA256 = strings.Repeat("10", 32)
	c, err := Analysed(origin(), other, now)
	if err != nil {
		t.Fatal(err)
	}
	if a.ID == c.ID {
		t.Error("another file has the same ID")
	}
}

func TestAnalysedStaysSmall(t *testing.T) {
	a := rejected()
	long := strings.Repeat("<script>\u202e☃", 2000)
	for i := range 100_000 {
		a.Findings = append(a.Findings, finding.Finding{Kind: "tcp.reset", Severity: finding.Low, Summary: long, Culprit: finding.Server, NextStep: long, Flow: flow(i)})
	}
	a.Verdict.Summary = long
	m, err := Analysed(origin(), a, now)
	if err != nil {
		t.Fatal(err)
	}
	v := validate(t, schema(t), m)
	if len(m.Body) > MaxMessage {
		t.Errorf("%d bytes, want at most %d", len(m.Body), MaxMessage)
	}
	if v["dataref"] != "file:reports/pc-1.json" {
		t.Errorf("dataref = %v", v["dataref"])
	}
	data := v["data"].(map[string]any)
	listed := len(data["evidences"].([]any)) - 1
	omitted := int(data["unmapped"].(map[string]any)["findings_omitted"].(float64))
	if listed == 0 || listed+omitted != len(a.Findings) {
		t.Errorf("%d listed + %d omitted, want %d in all", listed, omitted, len(a.Findings))
	}
}

func TestNotice(t *testing.T) {
	m, err := Notice(origin(), TypeSecurity, "event of a foreign account", "the account is not a landing account of the policy", finding.High, now)
	if err != nil {
		t.Fatal(err)
	}
	validate(t, schema(t), m)
	again, err := Notice(origin(), TypeSecurity, "event of a foreign account", "the account is not a landing account of the policy", finding.High, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if m.ID != again.ID {
		t.Error("the same notice has another ID")
	}
}

// TestOCSF holds the attributes of a message against OCSF's own definition,
// where that is at hand.
func TestOCSF(t *testing.T) {
	dir := devset.Beside(t, "schemas")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("no OCSF definitions beside the repository")
	}
	known := map[string]bool{}
	required := []string{}
	for _, name := range []string{"base_event", "findings/finding", "findings/detection_finding"} {
		b, err := os.ReadFile(filepath.Join(dir, "ocsf/events", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var def struct {
			Attributes map[string]json.RawMessage `json:"attributes"`
		}
		if err := json.Unmarshal(b, &def); err != nil {
			t.Fatal(err)
		}
		for attribute, raw := range def.Attributes {
			known[attribute] = true
			var a struct {
				Requirement string `json:"requirement"`
			}
			if json.Unmarshal(raw, &a) == nil && a.Requirement == "required" {
				required = append(required, attribute)
			}
		}
	}
	known["cloud"] = true // of the cloud profile
	m, err := Analysed(origin(), rejected(), now)
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Data map[string]any `json:"data"`
	}
	if err := json.Unmarshal(m.Body, &v); err != nil {
		t.Fatal(err)
	}
	for attribute := range v.Data {
		if !known[attribute] {
			t.Errorf("%q is no attribute of class 2004", attribute)
		}
	}
	for _, attribute := range required {
		if _, ok := v.Data[attribute]; !ok {
			t.Errorf("%q is required by OCSF and missing", attribute)
		}
	}
}

func TestCloudEvents(t *testing.T) {
	f, err := os.Open(devset.Beside(t, "schemas/cloudevents/cloudevents.json"))
	if err != nil {
		t.Skip("no CloudEvents schema beside the repository")
	}
	defer f.Close()
	doc, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("cloudevents", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("cloudevents")
	if err != nil {
		t.Fatal(err)
	}
	m, err := Analysed(origin(), rejected(), now)
	if err != nil {
		t.Fatal(err)
	}
	validate(t, s, m)
}

// TestFindingsKeepTheirIDs analyses a file again, by a version that weighs and
// words its findings anew: they are the same findings.
func TestFindingsKeepTheirIDs(t *testing.T) {
	ids := func(a *analysis.Analysis) map[string]string {
		m, err := Analysed(origin(), a, now)
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]string{}
		for _, e := range validate(t, schema(t), m)["data"].(map[string]any)["evidences"].([]any)[1:] {
			e := e.(map[string]any)
			all[e["name"].(string)], _ = e["uid"].(string)
		}
		return all
	}
	before := ids(rejected())
	again := rejected()
	slices.Reverse(again.Findings)
	again.Verdict.Findings, again.Schema = []int{0}, "pcapwarden.analysis/v2"
	for i := range again.Findings {
		again.Findings[i].Severity, again.Findings[i].Confidence, again.Findings[i].Summary = finding.Low, .5, "in other words"
	}
	after := ids(again)
	if len(before) != 2 || before["traffic.scan"] == before["tls.handshake-reset"] || !maps.Equal(before, after) {
		t.Errorf("IDs were %v, are %v", before, after)
	}
	again.Capture.SHA256 = strings.Repeat("1e", 32)
	if maps.Equal(before, ids(again)) {
		t.Error("the findings of another file have the same IDs")
	}
}

func TestQuarantined(t *testing.T) {
	m, err := Quarantined(origin(), "inc-1/pc-1/0a/x.cap", "SHA-256 is another", now)
	if err != nil {
		t.Fatal(err)
	}
	data := validate(t, schema(t), m)["data"].(map[string]any)
	if data["severity_id"] != 5.0 || data["is_alert"] != true || len(data["evidences"].([]any)) != 0 {
		t.Errorf("severity %v, alert %v, evidences %v; want a critical alert that says nothing of the file", data["severity_id"], data["is_alert"], data["evidences"])
	}
}
