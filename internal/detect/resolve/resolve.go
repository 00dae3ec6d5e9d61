// Package resolve detects name resolution that fails, is late, or asks a
// resolver that is not there.
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

// Detector reports what DNS lookups show.
var Detector = &detect.Detector{
	Name: "resolve",
	Reports: []detect.Reported{
		{
			Kind:      "dns.resolver-unreachable",
			Means:     "A resolver answered none of the questions that it was asked.",
			Threshold: "at least 3 questions and no answer, or an ICMP error that quotes one",
			Next:      "Check the DNS settings of the virtual network and of the network interface, then what the machine got by DHCP: an old lease may name a resolver that is gone. Then the NSG and the route to it, port 53.",
		},
		{
			Kind:      "dns.timeout",
			Means:     "Questions stayed without an answer, although the resolver answers others.",
			Threshold: "one question without an answer for 5 s (tshark's retransmission timer)",
			Next:      "Look at the resolver's load and at loss on the way to it.",
		},
		{
			Kind:      "dns.fallback",
			Means:     "The first resolver failed and another one answered: every such lookup costs the wait for the first.",
			Threshold: "one lookup; same client, name and type within 15 s",
			Next:      "Remove or mend the first resolver in the machine's DNS settings.",
		},
		{
			Kind:      "dns.failure",
			Means:     "A resolver answered with an error, or the same name keeps not existing.",
			Threshold: "one SERVFAIL or REFUSED without a good answer elsewhere; NXDOMAIN for the same name 3 times, search suffixes left out",
			Next:      "Ask the resolver's log for the name; for a private zone check its link to the virtual network.",
		},
		{
			Kind:      "dns.slow",
			Means:     "Answers came, late.",
			Threshold: "more than 1 s, or more than ten times the resolver's median",
			Next:      "Look at the resolver's forwarders: a dead one in front costs its time-out.",
		},
	},
	Start: start,
}

type failing struct {
	detect.Tally
	rcode  dns.RCode
	name   string
	client netip.Addr
}

type fallback struct {
	detect.Tally
	client netip.Addr
	good   netip.AddrPort
	delays []time.Duration
}

type state struct {
	pass      *detect.Pass
	silent    detect.Groups[netip.Addr, failing] // questions that a server left unanswered
	fallbacks detect.Groups[netip.Addr, fallback]
	errors    detect.Groups[errorKey, failing]
	missing   detect.Groups[missingKey, failing]
	slow      detect.Groups[netip.Addr, slowness]
}

type errorKey struct {
	server netip.Addr
	rcode  dns.RCode
}

type missingKey struct {
	client netip.Addr
	name   string
	typ    dns.Type
}

type slowness struct {
	detect.Tally
	worst time.Duration
	name  string
}

func start(p *detect.Pass) detect.Hooks {
	s := &state{pass: p}
	return detect.Hooks{Transaction: s.transaction, Lookup: s.lookup, End: s.end}
}

func (s *state) transaction(t *dns.Transaction) {
	server := t.Server.Addr()
	if !t.Answered && !t.Undecided {
		if f := s.silent.At(server); f != nil {
			f.Add(t.First, t.QueryFrames...)
			f.client, f.name = t.Client.Addr(), t.Name
		}
	}
	if t.Answered && t.Latency() > dns.Slow {
		if f := s.slow.At(server); f != nil {
			f.Add(t.First, t.QueryFrames[0], t.AnswerFrame)
			if t.Latency() > f.worst {
				f.worst, f.name = t.Latency(), t.Name
			}
		}
	}
}

func (s *state) lookup(l *dns.Lookup) {
	if failed, good, ok := l.Fallback(); ok {
		if f := s.fallbacks.At(failed.Server.Addr()); f != nil {
			f.Add(failed.Asked, failed.Frame, good.Frame, good.Reply)
			f.client, f.good = l.Client, good.Server
			if len(f.delays) < 1024 {
				f.delays = append(f.delays, good.Answer.Sub(failed.Asked))
			}
		}
		return
	}
	for i := range l.Tries {
		t := &l.Tries[i]
		switch {
		case t.Answered && t.Failed():
			if f := s.errors.At(errorKey{t.Server.Addr(), t.RCode}); f != nil {
				f.Add(t.Asked, t.Frame, t.Reply)
				f.name, f.client, f.rcode = l.Name, l.Client, t.RCode
			}
		case t.Answered && t.RCode == dns.NameError && !l.SearchSuffix:
			if f := s.missing.At(missingKey{l.Client, l.Name, l.Type}); f != nil {
				f.Add(t.Asked, t.Frame, t.Reply)
			}
		}
	}
}

func (s *state) end(sum *detect.Summary) {
	dead := map[netip.Addr]dns.Resolver{}
	for _, r := range sum.Resolvers {
		if r.Dead() {
			dead[r.Server] = r
		}
	}
	for server, f := range s.silent.All {
		flow := &finding.Flow{Protocol: "udp", Client: host(f.client), Server: finding.Endpoint{AddrPort: netip.AddrPortFrom(server, 53)}}
		r, gone := dead[server]
		if !gone {
			s.pass.Report(f.Into(finding.Finding{
				Kind: "dns.timeout", Severity: finding.Medium, Confidence: 0.8, Culprit: finding.Resolver, Flow: flow,
				Summary: fmt.Sprintf("The resolver %s left %d of the questions of %s unanswered, the last one for %s; it answers others.", server, f.Count, f.client, f.name),
				Detail:  map[string]any{"resolver": server.String(), "unanswered": f.Count, "name": f.name},
			}))
			continue
		}
		summary := fmt.Sprintf("The resolver %s answered none of the %d questions that it was asked.", server, r.Asked)
		if r.Unreachable > 0 {
			summary = fmt.Sprintf("The resolver %s cannot be reached: ICMP errors quote the questions to it, and none of %d was answered.", server, r.Asked)
		}
		detail := map[string]any{"resolver": server.String(), "asked": r.Asked, "unanswered": r.Unanswered, "clients": r.Clients}
		if b := s.fallbacks.At(server); b != nil && b.Count > 0 {
			middle := median(b.delays)
			summary += fmt.Sprintf(" Each lookup then falls back to %s, which answers; that costs %v.", b.good.Addr(), middle.Round(10*time.Millisecond))
			detail["fallbackTo"], detail["delaySeconds"] = b.good.Addr().String(), seconds(middle)
		}
		s.pass.Report(f.Into(finding.Finding{
			Kind: "dns.resolver-unreachable", Severity: finding.High, Confidence: 0.95, Culprit: finding.Resolver, Flow: flow,
			Summary: summary, Detail: detail,
		}))
	}
	for server, f := range s.fallbacks.All {
		if f.Count == 0 {
			continue
		}
		middle, worst := median(f.delays), slices.Max(f.delays)
		s.pass.Report(f.Into(finding.Finding{
			Kind: "dns.fallback", Severity: finding.Medium, Confidence: 0.9, Culprit: finding.Resolver,
			Flow: &finding.Flow{Protocol: "udp", Client: host(f.client), Server: finding.Endpoint{AddrPort: netip.AddrPortFrom(server, 53)}},
			Summary: fmt.Sprintf("%s asked %s first and fell back to %s, %d times; a name took %v then, %v at worst.",
				f.client, server, f.good.Addr(), f.Count, middle.Round(10*time.Millisecond), worst.Round(10*time.Millisecond)),
			Detail: map[string]any{"resolver": server.String(), "answeredBy": f.good.Addr().String(), "delaySeconds": seconds(middle), "worstSeconds": seconds(worst)},
		}))
	}
	for k, f := range s.errors.All {
		s.pass.Report(f.Into(finding.Finding{
			Kind: "dns.failure", Severity: finding.High, Confidence: 0.9, Culprit: finding.Resolver,
			Flow:    &finding.Flow{Protocol: "udp", Client: host(f.client), Server: finding.Endpoint{AddrPort: netip.AddrPortFrom(k.server, 53)}},
			Summary: fmt.Sprintf("The resolver %s answered %d questions with %s, such as the one for %s.", k.server, f.Count, k.rcode, f.name),
			Detail:  map[string]any{"resolver": k.server.String(), "rcode": k.rcode.String(), "name": f.name},
		}))
	}
	for k, f := range s.missing.All {
		if f.Count < 3 {
			continue
		}
		s.pass.Report(f.Into(finding.Finding{
			Kind: "dns.failure", Severity: finding.Medium, Confidence: 0.8, Culprit: finding.Client,
			Flow:    &finding.Flow{Protocol: "udp", Client: host(k.client)},
			Summary: fmt.Sprintf("%s keeps asking for %s (%s), which does not exist: %d times.", k.client, k.name, k.typ, f.Count),
			Detail:  map[string]any{"rcode": "NXDOMAIN", "name": k.name},
		}))
	}
	for server, f := range s.slow.All {
		s.pass.Report(f.Into(finding.Finding{
			Kind: "dns.slow", Severity: finding.Medium, Confidence: 0.85, Culprit: finding.Resolver,
			Flow:    &finding.Flow{Protocol: "udp", Server: finding.Endpoint{AddrPort: netip.AddrPortFrom(server, 53)}},
			Summary: fmt.Sprintf("The resolver %s was late %d times, %v at worst for %s.", server, f.Count, f.worst.Round(10*time.Millisecond), f.name),
			Detail:  map[string]any{"resolver": server.String(), "worstSeconds": seconds(f.worst), "name": f.name},
		}))
	}
}

func host(a netip.Addr) finding.Endpoint {
	return finding.Endpoint{AddrPort: netip.AddrPortFrom(a, 0)}
}

func seconds(d time.Duration) float64 { return float64(d.Round(time.Millisecond)) / 1e9 }

func median(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(all))
	return s[len(s)/2]
}
