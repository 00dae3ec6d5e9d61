package controlplane

import (
	"slices"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/finding"
)

// An Outcome is what the packets show of a flow, as far as rules and routes
// can have to do with it.
type Outcome string

// The outcomes.
const (
	Unanswered Outcome = "unanswered" // whoever was called said nothing
	HalfOpen   Outcome = "half-open"  // it answered, and the caller did not go on
	Refused    Outcome = "refused"    // an answer came: no
	OneWay     Outcome = "one-way"    // one direction never passed
	Passed     Outcome = "passed"     // packets passed in both directions
)

// Seen is a flow that decides something, as the packets show it.
type Seen struct {
	Finding int // index; -1: none
	Kind    finding.Kind
	Culprit finding.Culprit
	Sure    float64 // confidence of the finding
	Flow    finding.Flow
	Outcome Outcome
	Last    time.Time
}

// outcomes say what a finding shows of its flow. Kinds that are not listed
// are about no single flow, or say nothing that a rule could explain.
var outcomes = map[finding.Kind]Outcome{
	"tcp.connect-timeout":            Unanswered,
	"tcp.half-open":                  HalfOpen,
	"tcp.connect-refused":            Refused,
	"tcp.one-way":                    OneWay,
	"tcp.reset":                      Passed,
	"tcp.retransmission":             Passed,
	"tcp.zero-window":                Passed,
	"tcp.slow-handshake":             Passed,
	"tcp.mtu-blackhole":              Passed,
	"tcp.churn":                      Passed,
	"icmp.unreachable":               Refused,
	"dns.resolver-unreachable":       Unanswered,
	"dns.timeout":                    Passed,
	"dns.fallback":                   Unanswered,
	"dns.failure":                    Passed,
	"dns.slow":                       Passed,
	"tls.alert":                      Passed,
	"tls.handshake-reset":            Passed,
	"tls.handshake-timeout":          Passed,
	"tls.certificate":                Passed,
	"tls.old-version":                Passed,
	"app.slow-response":              Passed,
	"app.slow-client":                Passed,
	"exposure.cleartext-credentials": Passed,
}

// Deciding are the flows worth asking about: those of the verdict's findings
// first, then of others of medium severity or more. Flows without two ends
// are left out.
func Deciding(findings []finding.Finding, verdict []int) []Seen {
	order := slices.Clone(verdict)
	for i, f := range findings {
		if f.Severity >= finding.Medium && !slices.Contains(order, i) {
			order = append(order, i)
		}
	}
	var all []Seen
	for _, i := range order {
		if i < 0 || i >= len(findings) {
			continue
		}
		f := findings[i]
		outcome, ok := outcomeOf(f)
		if !ok || f.Flow == nil || f.Flow.Client.IsZero() || f.Flow.Server.IsZero() {
			continue
		}
		same := func(s Seen) bool {
			return s.Flow.Protocol == f.Flow.Protocol && s.Flow.Client.Addr() == f.Flow.Client.Addr() && s.Flow.Server == f.Flow.Server
		}
		if !slices.ContainsFunc(all, same) {
			all = append(all, Seen{Finding: i, Kind: f.Kind, Culprit: f.Culprit, Sure: f.Confidence, Flow: *f.Flow, Outcome: outcome, Last: f.Last})
		}
	}
	return all
}

func outcomeOf(f finding.Finding) (Outcome, bool) {
	outcome, ok := outcomes[f.Kind]
	switch f.Kind {
	case "tcp.half-open":
		if f.Detail["flood"] == true {
			return "", false // of many, and likely from addresses that are nobody's
		}
	case "dns.fallback":
		if f.Detail["rcode"] != nil {
			return Passed, true // the first resolver answered, with an error
		}
	case "dns.resolver-unreachable":
		if f.Detail["icmp"] != nil {
			return Refused, true // somebody said so
		}
	case "dns.timeout":
		if n, ok := f.Detail["unanswered"].(int); ok && n > 0 && n == f.Detail["questions"] {
			return Unanswered, true
		}
	}
	return outcome, ok
}
