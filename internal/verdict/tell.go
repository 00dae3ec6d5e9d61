package verdict

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/service"
)

// most is how many sentences a verdict has.
const most = 5

// tell makes the paragraph: what, what goes with it, what still works, what
// this place can't show, and the packets that prove it. What was seen comes in
// the detector's own words. Where there is too much to say, what still works is
// left out first, then the detector's later sentences.
func (c *court) tell(v Verdict) string {
	f := c.findings[c.leader]
	said := slices.DeleteFunc(sentences(f.Summary), func(s string) bool {
		return strings.HasPrefix(s, "The first at ") // the proof says when
	})
	companion, contrast, view, proof := c.companion(v), c.contrast(f), c.view(f), c.proof(f)
	rest := nonEmpty(companion, contrast, view, proof)
	if len(rest)+min(len(said), 2) > most {
		rest = nonEmpty(companion, view, proof)
	}
	said = said[:min(len(said), max(1, most-len(rest)))]
	return strings.Join(append(said, rest...), " ")
}

func nonEmpty(all ...string) []string {
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

// companion tells what makes the picture rounder: a consequence, or something
// else that is wrong.
func (c *court) companion(v Verdict) string {
	telling := []finding.Kind{
		"traffic.beacon", "dns.fallback", "tls.certificate", "tls.old-version", "tcp.port-reuse", "tcp.mtu-blackhole",
		"icmp.fragmentation-needed", "tcp.churn", "app.slow-response", "tcp.retransmission",
	}
	for _, kind := range telling {
		for _, i := range v.Findings[1:] {
			f := c.findings[i]
			if f.Kind == kind && !(kind == "dns.fallback" && c.findings[c.leader].Detail["fallbackTo"] != nil) {
				return sentences(f.Summary)[0]
			}
		}
	}
	if f := c.findings[c.leader]; f.Kind == "tcp.reset" && v.Cause == TLSRejected {
		return "It came while the TLS handshake was under way, before the server had said anything: a filter on the name that the client asks for, or on the client, does that."
	}
	others := 0
	for _, i := range c.candidates[1:] {
		if f := c.findings[i]; f.Kind != c.findings[c.leader].Kind || f.Severity >= finding.High {
			others++
		}
	}
	if others == 0 {
		return ""
	}
	next := c.findings[c.candidates[1]]
	if next.Kind == c.findings[c.leader].Kind {
		return "Likewise: " + sentences(next.Summary)[0]
	}
	if others > 1 {
		return fmt.Sprintf("There are %d other findings of weight; the first: %s", others, sentences(next.Summary)[0])
	}
	return "Apart from that: " + sentences(next.Summary)[0]
}

// contrast tells what works at the same time, which narrows the fault down.
func (c *court) contrast(f finding.Finding) string {
	for _, key := range []string{"worked", "othersAnswered"} {
		if n, _ := number(f, key); n > 0 {
			return "" // the finding itself says so
		}
	}
	if f.Flow == nil || f.Flow.Server.IsZero() && f.Flow.Client.IsZero() {
		return c.works()
	}
	if strings.HasPrefix(string(f.Kind), "dns.") {
		return c.resolversThatWork(f.Flow.Server.Addr())
	}
	var here, elsewhere sum
	for i := range c.facts.Services {
		s := &c.facts.Services[i]
		switch {
		case s.Protocol != service.TCP:
		case s.Server.AddrPort == f.Flow.Server.AddrPort:
			here.add(s)
		case c.accused(s):
		default:
			elsewhere.add(s)
		}
	}
	working := here.good
	tlsStory := strings.HasPrefix(string(f.Kind), "tls.")
	switch {
	case here.all > 0 && working > 0 && working < here.all && !tlsStory && telltale(f):
		return fmt.Sprintf("%s to %s worked.", capital(part(working, here.all, "connection")), f.Flow.Server)
	case tlsStory && here.all > 0 && working > 0 && working < here.all:
		return fmt.Sprintf("%s to %s went well, so the server can serve TLS.", capital(part(working, here.all, "connection")), f.Flow.Server)
	case (tlsStory || telltale(f)) && elsewhere.good > 0:
		if elsewhere.all == 1 {
			return "The one connection to another service worked."
		}
		return fmt.Sprintf("%s to other services worked.", capital(part(elsewhere.good, elsewhere.all, "connection")))
	}
	return ""
}

// telltale: the count of a finding is one of connections.
func telltale(f finding.Finding) bool {
	return slices.Contains(kinds("tcp.connect-refused", "tcp.connect-timeout", "tcp.half-open", "tcp.reset", "icmp.unreachable"), f.Kind)
}

// accused reports whether a finding of weight is about the service.
func (c *court) accused(s *service.Service) bool {
	return slices.ContainsFunc(c.findings, func(f finding.Finding) bool {
		return f.Severity >= finding.Medium && f.Flow != nil && !f.Flow.Server.IsZero() && alikeServer(f.Flow.Server, s.Server)
	})
}

// A sum is of connections.
type sum struct{ all, good int }

func (s *sum) add(o *service.Service) {
	s.all += o.Connections
	s.good += o.Worked()
}

// resolversThatWork names who answers instead.
func (c *court) resolversThatWork(not netip.Addr) string {
	var good []string
	asked, answered := 0, 0
	for i := range c.facts.Services {
		s := &c.facts.Services[i]
		if s.Resolver == nil || s.Server.Addr() == not || s.Resolver.Answered == 0 {
			continue
		}
		good = append(good, s.Server.Addr().String())
		asked += s.Resolver.Asked
		answered += s.Resolver.Answered
	}
	switch len(good) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("The resolver %s answered %s.", good[0], part(answered, asked, "question"))
	}
	return fmt.Sprintf("%d other resolvers answered %s.", len(good), part(answered, asked, "question"))
}

// works tells what went well in the whole capture.
func (c *court) works() string {
	n := c.facts.Connections
	if n.Established > 0 && n.Begun > 0 {
		return fmt.Sprintf("%s came about.", capital(part(int(n.Established), int(n.Begun), "connection")))
	}
	return ""
}

// view tells what the place of the capture adds or leaves open.
func (c *court) view(f finding.Finding) string {
	v := &c.facts.Vantage
	var out []string
	switch {
	case v.Inferred && c.culprit(f) != f.Culprit:
		out = append(out, fmt.Sprintf("The SYNs reached %s, where this seems to have been captured (%s), and it did not answer.", v.Machine(), v.Because))
	case v.Known() && v.Opened == 0 && v.Accepted > 0 && c.asksWho(f):
		out = append(out, fmt.Sprintf("The captured machine %s opened no connection of its own%s.", v.Machine(), c.filtered()))
	case v.Known() && v.Opened > 0 && c.asksWho(f) && f.Flow != nil && !v.Is(f.Flow.Client.Addr()):
		out = append(out, fmt.Sprintf("The captured machine %s opened %s of its own%s.", v.Machine(), plural(v.Opened, "connection"), c.filtered()))
	case c.facts.Filtered && (f.Kind == "tcp.connect-timeout" || f.Kind == "tcp.half-open"):
		out = append(out, "The capture was filtered, so an answer by ICMP would not be in it.")
	case v.Inferred && placed(f):
		out = append(out, fmt.Sprintf("This seems to have been captured on %s: %s.", v.Machine(), v.Because))
	case !v.Known() && placed(f):
		out = append(out, "Where this was captured is not known, so which half of the way is at fault is open.")
	}
	if c.because != "" {
		out = append(out, fmt.Sprintf("Be careful: %s.", c.because))
	}
	return strings.Join(out, " ")
}

// asksWho: somebody will ask whether the captured machine started it.
func (c *court) asksWho(f finding.Finding) bool {
	if strings.HasPrefix(string(f.Kind), "traffic.") {
		return true
	}
	return f.Kind == "tcp.connect-refused" && slices.ContainsFunc(c.findings, func(o finding.Finding) bool {
		return strings.HasPrefix(string(o.Kind), "traffic.") && sameClient(f, o)
	})
}

// placed: what such a finding means depends on where it was captured.
func placed(f finding.Finding) bool {
	return slices.Contains(kinds("tcp.connect-timeout", "tcp.half-open", "tcp.one-way", "tcp.retransmission", "tcp.slow-handshake", "app.slow-response"), f.Kind)
}

func (c *court) filtered() string {
	if c.facts.Filtered {
		return " that the capture's filters let through"
	}
	return ""
}

// proof tells when, and which packets show it.
func (c *court) proof(f finding.Finding) string {
	when := c.when(f)
	switch n := len(f.Packets); {
	case n == 0 && when == "":
		return ""
	case n == 0:
		return "It was seen " + when + "."
	case when == "":
		return fmt.Sprintf("See %s.", packets(f.Packets[:min(n, 4)]))
	case f.Count > 1 && n > 2:
		return fmt.Sprintf("It was seen %s; %s are the first that show it.", when, packets(f.Packets[:2]))
	default:
		return fmt.Sprintf("It was seen %s, in %s.", when, packets(f.Packets[:min(n, 4)]))
	}
}

func (c *court) when(f finding.Finding) string {
	if f.First.IsZero() || strings.Contains(f.Summary, " UTC") && !strings.Contains(f.Summary, " The first at ") {
		return "" // unknown, or said
	}
	const clock = "15:04:05"
	from, to := f.First.UTC(), f.Last.UTC()
	switch {
	case !f.Last.After(f.First) || from.Format(clock) == to.Format(clock):
		return "at " + from.Format(clock) + " UTC"
	case to.Sub(from) >= 24*time.Hour:
		return fmt.Sprintf("from %s to %s UTC", from.Format("2 January 15:04"), to.Format("2 January 15:04"))
	}
	return fmt.Sprintf("from %s to %s UTC", from.Format(clock), to.Format(clock))
}

func packets(all []int64) string {
	var names []string
	for _, n := range all {
		names = append(names, fmt.Sprint(n))
	}
	switch len(names) {
	case 1:
		return "packet " + names[0]
	}
	return "packets " + strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// part says "all 4 connections", "3 of 40 connections".
func part(n, all int, what string) string { return of(int64(n), int64(all), what) }

// sentences splits text of ours after full stops that a capital letter or a
// digit follows. There is at least one.
func sentences(text string) []string {
	var all []string
	start := 0
	for i := 0; i+2 < len(text); i++ {
		if (text[i] != '.' && text[i] != '?') || text[i+1] != ' ' {
			continue
		}
		if next := text[i+2]; next >= 'A' && next <= 'Z' || next >= '0' && next <= '9' {
			all = append(all, text[start:i+1])
			start = i + 2
		}
	}
	return append(all, text[start:])
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
