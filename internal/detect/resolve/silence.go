package resolve

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/dissect/dns"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

const (
	// enough is how many queries without any answer make a resolver unreachable.
	enough = 3
	// parallel is how far apart queries to several resolvers may be to count as
	// asked at once: some stub resolvers ask all they know.
	parallel = 200 * time.Millisecond
)

// fallbacks are the lookups that another resolver answered in the end.
type fallbacks struct {
	detect.Tally
	silent bool // it did not answer in time; else it answered with an error
	rcode  dns.RCode
	client netip.Addr
	to     netip.Addr
	delays []time.Duration
}

// gaveUp reports whether the client asked another resolver after t, and good
// is its answer.
func gaveUp(t, good *dns.Try) bool {
	return good != nil && good.Server.Addr() != t.Server.Addr() && t.Asked < good.Answer && good.Asked.Sub(t.Asked) >= parallel
}

// fellBack takes a lookup that good answered although others were asked
// before.
func (s *state) fellBack(l *dns.Lookup, good *dns.Try) {
	if good == nil || reverse(l.Name) {
		return
	}
	for i := range l.Tries {
		t := &l.Tries[i]
		if t.Server.Addr() == good.Server.Addr() || t.Asked > good.Asked {
			continue
		}
		refused := t.Answered && !usable(t) && t.Answer <= good.Answer
		if !refused && !gaveUp(t, good) && t.Unreachable == 0 {
			continue
		}
		r := s.resolver(t.Server.Addr())
		if r == nil {
			return
		}
		f := &r.fallbacks
		f.Add(t.Asked, t.Frame, t.Unreachable, t.Reply, good.Frame, good.Reply)
		f.Last = max(f.Last, good.Answer)
		f.silent, f.rcode = !refused, t.RCode
		f.client, f.to = l.Client, good.Server.Addr()
		if len(f.delays) == 0 || len(f.delays) < maxDelays && s.times < maxTimes {
			s.times++
			f.delays = append(f.delays, good.Answer.Sub(t.Asked))
		}
		return
	}
}

// dead reports whether r answers nobody.
func (r *resolver) dead() bool {
	return r.answered == 0 && r.silence.Count > 0 && (r.queries+r.open >= enough || r.unreached > 0)
}

func (s *state) reportDead(server netip.Addr, r *resolver, more int) {
	f := finding.Finding{
		Kind: "dns.resolver-unreachable", Severity: finding.High, Confidence: 0.95, Culprit: finding.Resolver, Flow: r.about(server),
		Detail: map[string]any{
			"resolver": server.String(), "clients": len(r.clients), "questions": r.questions, "unanswered": r.silence.Count,
			"queries": r.queries + r.open, "name": r.name, "type": r.typ.String(), "lost": r.lost, "lookups": r.lookups,
		},
		Summary: fmt.Sprintf("The resolver %s answers nothing: %s for %s, and no reply.", server, detect.Count(r.queries+r.open, "query"), detect.Count(r.silence.Count, "question")),
	}
	if r.unreached > 0 {
		f.Detail["icmp"], f.Detail["icmpFrom"] = fmt.Sprintf("%d/%d", r.icmp.typ, r.icmp.code), r.icmp.from.String()
		switch {
		case r.icmp.prohibited():
			f.Culprit = finding.Firewall
			f.Summary += fmt.Sprintf(" %s says by ICMP that a filter forbids the questions.", r.icmp.from)
		case r.icmp.closed() && r.icmp.from == server:
			f.Summary += " The host says by ICMP that nothing listens on port 53."
		default:
			f.Summary += fmt.Sprintf(" %s says by ICMP that it cannot be reached.", r.icmp.from)
		}
	}
	if s.pass.IsVantage(server) {
		f.Summary += " They arrived at the machine that was captured on, which sent no answer."
	}
	if b := &r.fallbacks; b.Count > 0 {
		middle := median(b.delays)
		f.Summary += fmt.Sprintf(" Lookups fall back to %s, which answers; that takes %s each time.", b.to, detect.Span(middle))
		f.Detail["fallbackTo"], f.Detail["delaySeconds"] = b.to.String(), detect.Seconds(middle)
		if middle < time.Second && r.lost == 0 {
			f.Severity = finding.Medium
		}
	} else if s.nobodyAnswers() && s.resolvers.Len() > 1 {
		f.Summary += " No other resolver answers either: something on the way may drop port 53."
		f.Confidence = 0.85
	}
	if 20*r.silence.Count < s.questions {
		f.Severity = finding.Medium // few programs ask it
	}
	s.compare(server, r, &f)
	s.origin(server, r, &f)
	others(&f, more)
	f = r.silence.Into(f)
	if b := &r.fallbacks; b.Count > 0 {
		// The answer that came from elsewhere belongs to the proof.
		f.Packets = slices.Concat(f.Packets, b.Packets)
	}
	s.pass.Report(f)
}

// compare says how clients fare that ask another resolver.
func (s *state) compare(server netip.Addr, r *resolver, f *finding.Finding) {
	var others []netip.Addr
	var better netip.Addr
	looks := 0
	for addr, o := range s.resolvers.All {
		if addr == server || o.answered == 0 {
			continue
		}
		if looks++; looks > 32 {
			break // enough to make the point
		}
		for _, c := range o.clients[:min(len(o.clients), 16)] {
			if !r.asks(c) && !slices.Contains(others, c) && len(others) < maxClients {
				others = append(others, c)
				better = addr
			}
		}
	}
	switch len(others) {
	case 0:
		return
	case 1:
		f.Summary += fmt.Sprintf(" %s asks %s at once and gets its answers.", others[0], better)
	default:
		f.Summary += fmt.Sprintf(" %d other clients ask another one, such as %s, and get their answers.", len(others), better)
	}
	f.Detail["othersAnswered"] = len(others)
}

func (s *state) nobodyAnswers() bool {
	for _, r := range s.resolvers.All {
		if r.answered > 0 {
			return false
		}
	}
	return true
}

// reportTimeouts is about a resolver that answers, but not always, or that was
// hardly asked.
func (s *state) reportTimeouts(server netip.Addr, r *resolver, more int) {
	n, retried := r.silence.Count, r.onRetry.Count
	typical := median(r.latencies)
	f := finding.Finding{
		Kind: "dns.timeout", Severity: finding.Medium, Confidence: 0.8, Culprit: finding.Resolver, Flow: r.about(server),
		Detail: map[string]any{
			"resolver": server.String(), "clients": len(r.clients), "questions": r.questions, "unanswered": n, "queries": r.queries + r.open,
			"onRetry": retried, "lost": r.lost, "lookups": r.lookups, "medianSeconds": detect.Seconds(typical),
		},
	}
	if n > 0 {
		f.Detail["name"], f.Detail["type"] = r.name, r.typ.String()
	}
	switch {
	case r.answered == 0:
		f.Confidence = 0.6
		f.Summary = fmt.Sprintf("The resolver %s did not answer %s (%s); it was asked nothing else.", server, detect.Count(n, "question"), detect.Count(r.queries+r.open, "query"))
	case n == 0:
		f.Summary = fmt.Sprintf("The resolver %s answered %s only when asked again: packets are lost, or it drops some.",
			server, detect.OutOf(retried, r.questions, "question"))
	default:
		f.Summary = fmt.Sprintf("The resolver %s left %s unanswered", server, detect.OutOf(n, r.questions, "question"))
		if retried > 0 {
			f.Summary += fmt.Sprintf(", and answered %d more only when asked again", retried)
		}
		f.Summary += "."
		if len(r.latencies) > 0 && typical < notable && !slices.ContainsFunc(r.late, func(l late) bool { return l.took > dns.Slow }) {
			f.Summary += fmt.Sprintf(" What it answers it answers fast (%s, median): questions are lost or dropped rather than late.", detect.Span(typical))
		}
	}
	if n > 1 && r.sameName {
		f.Summary += fmt.Sprintf(" All of them ask for %s.", r.name)
	}
	share := float64(n+retried) / float64(max(r.questions, 1))
	switch {
	case r.lost == 0 && n+retried < 3 && share < 0.5:
		f.Severity = finding.Low
	case r.lost > 0 && n >= 3 && share >= 0.3:
		f.Severity = finding.High
	}
	s.origin(server, r, &f)
	others(&f, more)
	t := r.silence
	if t.Count == 0 {
		t = r.onRetry
	} else if retried > 0 {
		t.First, t.Last = min(t.First, r.onRetry.First), max(t.Last, r.onRetry.Last)
	}
	t.Count = n + retried
	s.pass.Report(t.Into(f))
}

func (s *state) reportFallback(server netip.Addr, r *resolver, more int) {
	b := &r.fallbacks
	middle, worst := median(b.delays), slices.Max(b.delays)
	f := finding.Finding{
		Kind: "dns.fallback", Severity: finding.Medium, Confidence: 0.9, Culprit: finding.Resolver, Flow: r.about(server),
		Detail: map[string]any{
			"resolver": server.String(), "fallbackTo": b.to.String(), "delaySeconds": detect.Seconds(middle), "worstSeconds": detect.Seconds(worst), "clients": len(r.clients),
		},
	}
	f.Flow.Client = finding.Endpoint{AddrPort: netip.AddrPortFrom(b.client, 0)}
	why := "which did not answer in time"
	if !b.silent {
		why = "which answered " + b.rcode.String()
		f.Detail["rcode"] = b.rcode.String()
	}
	f.Summary = fmt.Sprintf("%s asked %s first, %s, and fell back to %s: %s took %s",
		b.client, server, why, b.to, detect.Count(b.Count, "lookup"), detect.Span(middle))
	if detect.Span(worst) != detect.Span(middle) {
		f.Summary += fmt.Sprintf(", %s at worst", detect.Span(worst))
	}
	f.Summary += "."
	if middle < time.Second {
		f.Severity = finding.Low
	}
	s.expectation(server, &f)
	others(&f, more)
	s.pass.Report(b.Into(f))
}
