package analysis

import (
	"fmt"
	"math"
	"net/netip"
	"slices"

	"github.com/pcapwarden/pcapwarden/internal/controlplane"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

// healthyFlows is how many of the busiest conversations stand for a capture in
// which nothing is wrong.
const healthyFlows = 2

// Deciding are the flows whose rules are worth asking for: those of the
// findings, or the busiest conversations if nothing was found.
func (a *Analysis) Deciding() []controlplane.Seen {
	all := controlplane.Deciding(a.Findings, a.Verdict.Findings)
	if len(all) > 0 {
		return all
	}
	for _, c := range a.Conversations {
		if len(all) < healthyFlows && c.Protocol != "icmp" && c.Packets[0] > 0 && c.Packets[1] > 0 {
			all = append(all, controlplane.Seen{
				Finding: -1, Culprit: finding.None, Outcome: controlplane.Passed, Last: c.Last,
				Flow: finding.Flow{Protocol: c.Protocol, Client: c.Client, Server: c.Server},
			})
		}
	}
	return all
}

// Addresses are those of the conversations, the busiest first, each once.
func (a *Analysis) Addresses() []netip.Addr {
	var all []netip.Addr
	for _, c := range a.Conversations {
		for _, e := range []finding.Endpoint{c.Client, c.Server} {
			if !e.IsZero() && !slices.Contains(all, e.Addr()) {
				all = append(all, e.Addr())
			}
		}
	}
	return all
}

// disagreed is the kind of finding that Explain adds.
const disagreed finding.Kind = "network.rules-disagree"

// Explain takes what the control plane says: it changes how sure the findings
// and the verdict are, gives the verdict one more sentence and a concrete next
// step, and reports where packets and rules disagree. It does so once.
func (a *Analysis) Explain(c *controlplane.Context) {
	if a.Context != nil || c == nil {
		return
	}
	a.Context = c
	leading := -1
	if len(a.Verdict.Findings) > 0 {
		leading = a.Verdict.Findings[0]
	}
	told := false
	for i := range c.Flows {
		f := &c.Flows[i]
		if f.Finding >= 0 && f.Finding < len(a.Findings) {
			a.reconsider(f, leading)
		}
		if !told && f.Sentence != "" && (leading < 0 || slices.Contains(a.Verdict.Findings, f.Finding)) {
			told = true
			a.Verdict.Summary += " " + f.Sentence
			if f.NextStep != "" {
				a.Verdict.NextStep = f.NextStep
			}
		}
	}
	for i := range c.Flows {
		if c.Flows[i].Agreement == controlplane.Disagree {
			a.insert(a.disagreement(&c.Flows[i]))
		}
	}
}

// reconsider changes a finding by what the rules say of its flow, and the
// verdict with it if it leads.
func (a *Analysis) reconsider(f *controlplane.Flow, leading int) {
	about := &a.Findings[f.Finding]
	if f.Culprit != "" {
		about.Culprit = f.Culprit
	}
	if f.Confidence != nil {
		about.Confidence = f.Confidence.After
	}
	if f.NextStep != "" {
		about.NextStep = f.NextStep
	}
	if f.Finding != leading {
		return
	}
	if f.Culprit != "" {
		a.Verdict.Culprit = f.Culprit
	}
	if f.Confidence != nil && f.Confidence.Before > 0 {
		sure := a.Verdict.Confidence * f.Confidence.After / f.Confidence.Before
		a.Verdict.Confidence = math.Round(100*min(max(sure, 0.05), max(0.97, a.Verdict.Confidence))) / 100
	}
}

// disagreement is the finding that a flow did what its rules forbid.
func (a *Analysis) disagreement(f *controlplane.Flow) finding.Finding {
	found := finding.Finding{
		Kind: disagreed, Severity: finding.Medium, Confidence: 0.8, Culprit: finding.Unknown, Count: 1, Packets: []int64{},
		Summary: f.Sentence, NextStep: f.NextStep, Flow: &finding.Flow{Protocol: f.Protocol, Client: f.Local, Server: f.Remote},
		Detail: map[string]any{"direction": string(f.Direction), "packets": string(f.Packets)},
	}
	if f.Direction == controlplane.Inbound {
		found.Flow.Client, found.Flow.Server = f.Remote, f.Local
	}
	if f.Access != nil {
		found.Detail["rule"], found.Detail["allowed"] = f.Access.Rule, f.Access.Allowed
	}
	if f.NextHop != nil {
		found.Detail["nextHop"] = f.NextHop.Type
	}
	found.First, found.Last = a.Capture.FirstPacket, a.Capture.LastPacket
	if f.Finding >= 0 && f.Finding < len(a.Findings) {
		of := a.Findings[f.Finding]
		found.Packets, found.First, found.Last = slices.Clone(of.Packets), of.First, of.Last
		found.Summary += fmt.Sprintf(" It is the flow of the finding %s.", of.Kind)
	}
	return found
}

// insert puts a finding where its severity belongs, and keeps what points at
// the others pointing at them.
func (a *Analysis) insert(f finding.Finding) {
	at, _ := slices.BinarySearchFunc(a.Findings, f, func(x, y finding.Finding) int {
		if x.Severity < y.Severity {
			return 1
		}
		return -1 // after its equals
	})
	a.Findings = slices.Insert(a.Findings, at, f)
	moved := func(i *int) {
		if *i >= at {
			*i++
		}
	}
	for i := range a.Verdict.Findings {
		moved(&a.Verdict.Findings[i])
	}
	for i := range a.Ladders {
		moved(&a.Ladders[i].Finding)
	}
	for i := range a.Context.Flows {
		moved(&a.Context.Flows[i].Finding)
	}
}
