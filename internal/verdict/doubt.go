package verdict

import (
	"slices"

	"github.com/pcapwarden/pcapwarden/internal/finding"
)

// A doubt is how a flaw of the capture undermines what was found in it.
type doubt struct {
	flaw    finding.Kind
	about   []finding.Kind // nil: everything
	factor  float64        // of the confidence; 0 silences
	because string         // the end of "take it with a grain of salt: ..."
}

var doubts = []doubt{
	{"capture.duplicated", kinds("tcp.retransmission", "tcp.port-reuse", "tcp.churn"), 0,
		"the capture holds packets twice, which looks like retransmission"},
	{"capture.loss", kinds("tcp.retransmission", "tcp.one-way"), 0,
		"the capture itself missed packets that did arrive, so what is missing in it proves nothing"},
	{"capture.loss", kinds("tcp.connect-timeout", "tcp.half-open", "tls.handshake-timeout", "tcp.mtu-blackhole", "dns.timeout", "dns.resolver-unreachable", "dns.fallback", "app.slow-response"), 0.7,
		"the capture itself missed packets"},
	{"capture.truncated", kinds("tls.alert", "tls.handshake-reset", "tls.handshake-timeout", "tls.certificate", "tls.old-version", "dns.failure", "exposure.cleartext-credentials"), 0.9,
		"packets were cut when they were captured"},
	{"capture.limit-reached", kinds("tcp.connect-timeout", "tcp.half-open", "tls.handshake-timeout", "dns.timeout", "tcp.one-way"), 0.9,
		"the capture ended at its limit, and what came later is not in it"},
	{"capture.cut-short", kinds("tcp.connect-timeout", "tcp.half-open", "tls.handshake-timeout", "dns.timeout"), 0.9,
		"the file ends in the middle of a packet"},
}

// trust says how much of a finding's confidence is left, and why.
func (c *court) trust(f finding.Finding) (factor float64, because string) {
	factor = 1
	for _, d := range doubts {
		if d.about != nil && !slices.Contains(d.about, f.Kind) || !c.has(d.flaw) {
			continue
		}
		if d.factor < factor {
			because = d.because
		}
		factor *= d.factor
	}
	// What a filter leaves out looks like a missing direction.
	if f.Kind == "tcp.one-way" && c.facts.Filtered {
		return 0, "the capture has filters, which may leave out one direction"
	}
	return factor, because
}

// has reports whether there is a finding of the kind, however small.
func (c *court) has(kind finding.Kind) bool {
	return slices.ContainsFunc(c.findings, func(f finding.Finding) bool { return f.Kind == kind })
}

// first returns the index of the most severe finding of a kind.
func (c *court) first(kind finding.Kind) int {
	return slices.IndexFunc(c.findings, func(f finding.Finding) bool { return f.Kind == kind })
}
