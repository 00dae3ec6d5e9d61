package analysis

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/finding"
)

// causes says which cause a kind of finding stands for, and which of two that
// are equally severe decides: what happens earlier on the way of a request
// explains what comes later, never the other way round.
var causes = map[finding.Kind]struct {
	cause Cause
	rank  int
}{
	"dns.resolver-unreachable": {DNSUnreachable, 1},
	"dns.failure":              {DNSFailure, 2},
	"dns.timeout":              {DNSUnreachable, 3},
	"dns.fallback":             {DNSUnreachable, 4},
	"dns.slow":                 {SlowDNS, 5},
	"tcp.connect-refused":      {ConnectRefused, 10},
	"tcp.connect-timeout":      {ConnectBlocked, 11},
	"tls.handshake-reset":      {TLSRejected, 20},
	"tls.alert":                {TLSRejected, 21},
	"tls.handshake-timeout":    {TLSRejected, 22},
	"traffic.beacon":           {Suspicious, 50},
}

// judge makes one verdict of the findings.
func judge(a *Analysis, e *engine) Verdict {
	if a.Capture.Packets == 0 {
		return Verdict{
			Cause: NoTraffic, Culprit: finding.Unknown, Confidence: 0.9, Findings: []int{},
			Summary:  "The capture is empty: nothing that its filters ask for passed this machine while it ran.",
			NextStep: "Check that the filters name the right addresses and ports and that the capture ran while it happened; then capture at the other end.",
		}
	}
	best := -1
	for i, f := range a.Findings {
		if f.Severity < finding.Medium || causes[f.Kind].cause == "" {
			continue
		}
		if best < 0 || cmp.Or(cmp.Compare(f.Severity, a.Findings[best].Severity), cmp.Compare(causes[a.Findings[best].Kind].rank, causes[f.Kind].rank)) > 0 {
			best = i
		}
	}
	if best < 0 {
		return Verdict{
			Cause: Healthy, Culprit: finding.None, Confidence: 0.8, Findings: []int{},
			Summary:  "Nothing is wrong in this capture. " + e.protocols.wellbeing(),
			NextStep: "If users still see a fault, it is not on this path or not at this time: capture at the other end, or while it happens.",
		}
	}
	f := a.Findings[best]
	v := Verdict{
		Cause: causes[f.Kind].cause, Culprit: f.Culprit, Confidence: f.Confidence, Findings: []int{best},
		Summary: f.Summary, NextStep: f.NextStep,
	}
	for i, other := range a.Findings {
		if i != best && related(f, other) {
			v.Findings = append(v.Findings, i)
			if other.Kind == "traffic.beacon" || other.Kind == "dns.fallback" {
				v.Summary += " " + other.Summary
			}
		}
	}
	if s := e.protocols.vantage(e.options.Vantage); s != "" {
		v.Summary += " " + s
	}
	return v
}

// related findings are about the same two parties.
func related(a, b finding.Finding) bool {
	if a.Flow == nil || b.Flow == nil {
		return false
	}
	return a.Flow.Server == b.Flow.Server && (a.Flow.Client.Addr() == b.Flow.Client.Addr() || b.Flow.Client.IsZero())
}

// vantage says what the captured machine itself did.
func (p *protocols) vantage(addresses []netip.Addr) string {
	if len(addresses) == 0 || p.connections == 0 {
		return ""
	}
	opened := 0
	for k := range p.talks.byKey {
		if k.protocol == 6 && slices.Contains(addresses, k.client) {
			opened++
		}
	}
	if opened > 0 {
		return ""
	}
	var names []string
	for _, a := range addresses {
		names = append(names, a.String())
	}
	return fmt.Sprintf("The captured machine %s opened no connection of its own.", strings.Join(names, ", "))
}

// wellbeing says in numbers why a verdict is healthy.
func (p *protocols) wellbeing() string {
	var parts []string
	if p.established > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d TCP connections were established", p.established, p.connections))
	}
	if p.handshakes > 0 {
		parts = append(parts, fmt.Sprintf("%d TLS handshakes came to their end", p.handshakes))
	}
	if p.answered > 0 {
		parts = append(parts, fmt.Sprintf("%d DNS questions were answered", p.answered))
	}
	if len(parts) == 0 {
		return "There were packets, and no conversation among them that failed."
	}
	return strings.Join(parts, ", ") + "."
}
