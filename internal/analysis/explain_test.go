package analysis_test

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/controlplane"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

func flowTo(server string) *finding.Flow {
	at := func(s string) finding.Endpoint { return finding.Endpoint{AddrPort: netip.MustParseAddrPort(s)} }
	return &finding.Flow{Protocol: "tcp", Client: at("10.0.0.4:40000"), Server: at(server)}
}

// judged is an analysis of three findings: the second leads, and has a ladder.
func judged() *analysis.Analysis {
	return &analysis.Analysis{
		Schema: analysis.Schema,
		Findings: []finding.Finding{
			{Kind: "tcp.reset", Severity: finding.High, Confidence: 0.6, Culprit: finding.Server, Flow: flowTo("10.0.1.1:1"), Packets: []int64{3}},
			{Kind: "tcp.connect-timeout", Severity: finding.High, Confidence: 0.7, Culprit: finding.Server, Flow: flowTo("10.0.1.2:2"), Packets: []int64{7, 9}, NextStep: "Look."},
			{Kind: "tcp.churn", Severity: finding.Low, Confidence: 0.5, Packets: []int64{1}},
		},
		Verdict: analysis.Verdict{Cause: analysis.ConnectBlocked, Culprit: finding.Server, Summary: "Nobody answered.", Confidence: 0.7, Findings: []int{1, 2}, NextStep: "Look."},
		Ladders: []analysis.Ladder{{Finding: 1}, {Finding: 2}},
	}
}

func told(finding int, agreement controlplane.Agreement, sentence string) controlplane.Flow {
	return controlplane.Flow{
		Finding: finding, Protocol: "tcp", Direction: controlplane.Outbound, Agreement: agreement, Sentence: sentence, NextStep: "NSG rule no-web denies it.",
		Local: flowTo("10.0.1.2:2").Client, Remote: flowTo("10.0.1.2:2").Server, Packets: controlplane.Passed,
	}
}

func TestExplain(t *testing.T) {
	a := judged()
	if seen := a.Deciding(); len(seen) != 2 || seen[0].Finding != 1 || seen[1].Finding != 0 {
		t.Fatalf("deciding flows %+v", seen)
	}
	leading := told(1, controlplane.Agree, "The NSG denies it.")
	leading.Culprit, leading.Confidence = finding.Firewall, &controlplane.Change{Before: 0.7, After: 0.85}
	other := told(0, controlplane.Agree, "The NSG allows it.")
	a.Explain(&controlplane.Context{Flows: []controlplane.Flow{leading, other}})

	v := a.Verdict
	if v.Summary != "Nobody answered. The NSG denies it." || v.NextStep != "NSG rule no-web denies it." || v.Culprit != finding.Firewall || v.Confidence != 0.85 {
		t.Errorf("verdict %+v", v)
	}
	f := a.Findings[1]
	if f.Culprit != finding.Firewall || f.Confidence != 0.85 || f.NextStep != "NSG rule no-web denies it." {
		t.Errorf("finding %+v", f)
	}
	if len(a.Findings) != 3 || a.Findings[0].Confidence != 0.6 {
		t.Errorf("findings %+v", a.Findings)
	}

	before, _ := json.Marshal(a)
	a.Explain(&controlplane.Context{Flows: []controlplane.Flow{leading}})
	a.Explain(nil)
	if after, _ := json.Marshal(a); string(after) != string(before) {
		t.Error("it is explained twice")
	}
}

// TestDisagreement: a finding is added where its severity belongs, and what
// points at the others still does.
func TestDisagreement(t *testing.T) {
	a := judged()
	wrong := told(1, controlplane.Disagree, "The NSG denies it, and packets passed.")
	wrong.Access = &controlplane.Access{Rule: "no-web"}
	wrong.Direction, wrong.Local, wrong.Remote = controlplane.Inbound, wrong.Remote, wrong.Local
	a.Explain(&controlplane.Context{Flows: []controlplane.Flow{wrong, told(2, controlplane.Agree, "All is well.")}})
	var kinds []string
	for _, f := range a.Findings {
		kinds = append(kinds, string(f.Kind))
	}
	if diff := cmp.Diff([]string{"tcp.reset", "tcp.connect-timeout", "network.rules-disagree", "tcp.churn"}, kinds); diff != "" {
		t.Fatalf("findings (-want +got):\n%s", diff)
	}
	f := a.Findings[2]
	if f.Severity != finding.Medium || *f.Flow != *flowTo("10.0.1.2:2") || !slices.Equal(f.Packets, []int64{7, 9}) || f.Detail["rule"] != "no-web" || f.NextStep == "" ||
		!strings.HasPrefix(f.Summary, "The NSG denies it, and packets passed.") {
		t.Errorf("finding %+v", f)
	}
	if !slices.Equal(a.Verdict.Findings, []int{1, 3}) || a.Ladders[0].Finding != 1 || a.Ladders[1].Finding != 3 || a.Context.Flows[0].Finding != 1 || a.Context.Flows[1].Finding != 3 {
		t.Errorf("verdict %v, ladders %+v, flows %d and %d", a.Verdict.Findings, a.Ladders, a.Context.Flows[0].Finding, a.Context.Flows[1].Finding)
	}
}

// TestExplainHealth: where nothing is wrong, the busiest conversations stand
// for all.
func TestExplainHealth(t *testing.T) {
	a := &analysis.Analysis{Verdict: analysis.Verdict{Summary: "Nothing is wrong.", NextStep: "None."}}
	for _, c := range []struct {
		protocol, server string
		back             int64
	}{{"tcp", "10.0.1.1:1", 0}, {"icmp", "10.0.1.2:2", 5}, {"tcp", "10.0.1.3:3", 5}, {"udp", "10.0.1.4:4", 5}, {"tcp", "10.0.1.5:5", 5}} {
		f := flowTo(c.server)
		a.Conversations = append(a.Conversations, analysis.Conversation{Protocol: c.protocol, Client: f.Client, Server: f.Server, Packets: [2]int64{5, c.back}})
	}
	seen := a.Deciding()
	if len(seen) != 2 || seen[0].Flow.Server != flowTo("10.0.1.3:3").Server || seen[1].Flow.Server != flowTo("10.0.1.4:4").Server || seen[0].Finding != -1 {
		t.Fatalf("deciding flows %+v", seen)
	}
	if got := len(a.Addresses()); got != 6 {
		t.Errorf("%d addresses, want the client's and five servers'", got)
	}
	good := told(-1, controlplane.Agree, "The NSG allows it.")
	good.NextStep = ""
	a.Explain(&controlplane.Context{Flows: []controlplane.Flow{good, good}})
	if a.Verdict.Summary != "Nothing is wrong. The NSG allows it." || a.Verdict.NextStep != "None." || len(a.Findings) != 0 {
		t.Errorf("verdict %+v", a.Verdict)
	}
	bad := &analysis.Analysis{Verdict: analysis.Verdict{Summary: "Nothing is wrong."}}
	bad.Explain(&controlplane.Context{Flows: []controlplane.Flow{told(-1, controlplane.Disagree, "The NSG denies it, and packets passed.")}})
	if len(bad.Findings) != 1 || bad.Findings[0].Packets == nil {
		t.Errorf("findings %+v: health does not hide a disagreement", bad.Findings)
	}
}
