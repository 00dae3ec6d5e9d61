package resolve

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/dissect/dns"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

const (
	// persistent is how often a client has to ask for a name that does not exist.
	persistent = 3
	// storm is how many different names, none of which exists, are too many.
	storm = 20

	maxOfOne  = 256 // names, of one client or error
	maxExists = 8192
)

type errorKey struct {
	server netip.Addr
	rcode  dns.RCode
}

// failures are lookups that ended with an error.
type failures struct {
	detect.Tally
	client    netip.Addr
	clients   int // 2: several
	name      string
	typ       dns.Type
	names     map[string]struct{}
	forward   bool // not only reverse lookups, which seldom matter
	recovered int
	worst     time.Duration
}

// missing is what one client asked for that does not exist.
type missing struct {
	names  map[string]*absence
	asked  int // lookups of the client, of any outcome
	absent int
}

type absence struct {
	detect.Tally
	typ    dns.Type
	server netip.Addr
}

// answers takes what the answers to a lookup say.
func (s *state) answers(l *dns.Lookup, good *dns.Try) {
	if good != nil && good.RCode == dns.NoError && len(s.exists) < maxExists {
		if server := good.Server.Addr(); s.exists[l.Name] != server {
			s.exists[l.Name] = server
		}
	}
	m := s.missing.At(l.Client)
	if m != nil && !reverse(l.Name) && !probing(l.Name) {
		m.asked++
		if good != nil && good.RCode == dns.NameError && !l.SearchSuffix {
			m.absent++
			s.absent(m, l, good)
		}
	}
	for i := range l.Tries {
		t := &l.Tries[i]
		if !t.Answered || usable(t) {
			continue
		}
		f := s.errors.At(errorKey{t.Server.Addr(), t.RCode})
		switch {
		case f == nil:
		case good == nil:
			s.fails(f, l, t)
		case good.Server.Addr() == t.Server.Addr():
			f.recovered++
		}
	}
	s.cut(l)
}

// reverse reports whether the name stands for an address: log files and
// dynamic updates ask for those, and seldom wait for the answer.
func reverse(name string) bool {
	return strings.HasSuffix(name, ".in-addr.arpa") || strings.HasSuffix(name, ".ip6.arpa")
}

// probing reports whether hosts ask for the name to find out whether it
// exists: proxies by WPAD and tunnels by ISATAP, in whatever domain they are.
func probing(name string) bool {
	host, _, _ := strings.Cut(name, ".")
	return host == "wpad" || host == "isatap"
}

func (s *state) absent(m *missing, l *dns.Lookup, good *dns.Try) {
	a := m.names[l.Name]
	if a == nil {
		if len(m.names) >= maxOfOne || s.names >= maxNames {
			return
		}
		s.names++
		if m.names == nil {
			m.names = map[string]*absence{}
		}
		a = &absence{typ: l.Type, server: good.Server.Addr()}
		m.names[l.Name] = a
	}
	if l.Type != a.typ { // most clients ask for A and AAAA: that is one question
		a.Packets = append(a.Packets, good.Frame, good.Reply)[:min(len(a.Packets)+2, finding.MaxPackets)]
		return
	}
	a.Add(good.Asked, good.Frame, good.Reply)
}

func (s *state) fails(f *failures, l *dns.Lookup, t *dns.Try) {
	if f.Count == 0 {
		f.client, f.clients, f.name, f.typ = l.Client, 1, l.Name, l.Type
		f.names = map[string]struct{}{}
	}
	if l.Client != f.client {
		f.clients = 2
	}
	if _, known := f.names[l.Name]; !known && len(f.names) < maxOfOne && s.names < maxNames {
		s.names++
		f.names[l.Name] = struct{}{}
	}
	f.forward = f.forward || !reverse(l.Name)
	f.Add(t.Asked, t.Frame, t.Reply)
	f.Last = max(f.Last, t.Answer)
	f.worst = max(f.worst, t.Answer.Sub(t.Asked))
}

func (s *state) reportErrors() {
	var chosen []errorKey
	for k, e := range s.errors.All {
		if e.Count > 0 && s.resolver(k.server) != nil {
			chosen = append(chosen, k)
		}
	}
	slices.SortStableFunc(chosen, func(a, b errorKey) int { return cmp.Compare(s.errors.At(b).Count, s.errors.At(a).Count) })
	for _, k := range chosen[:min(len(chosen), maxReported)] {
		e, r := s.errors.At(k), s.resolver(k.server)
		f := finding.Finding{
			Kind: "dns.failure", Severity: finding.Medium, Confidence: 0.9, Culprit: finding.Resolver, Flow: r.about(k.server),
			Detail: map[string]any{
				"resolver": k.server.String(), "rcode": k.rcode.String(), "name": e.name, "type": e.typ.String(), "names": len(e.names),
				"lookups": r.lookups, "recovered": e.recovered, "worstSeconds": detect.Seconds(e.worst),
			},
		}
		if e.clients == 1 {
			f.Flow.Client = finding.Endpoint{AddrPort: netip.AddrPortFrom(e.client, 0)}
		}
		what := fmt.Sprintf("for %s (%s)", e.name, e.typ)
		if len(e.names) > 1 {
			what = fmt.Sprintf("for %d names, such as %s (%s)", len(e.names), e.name, e.typ)
		}
		f.Summary = fmt.Sprintf("The resolver %s answered %s with %s, %s, and nobody else gave an answer.",
			k.server, detect.OutOf(e.Count, r.lookups, "lookup"), k.rcode, what)
		if e.worst > dns.Slow {
			f.Summary += fmt.Sprintf(" That took it up to %s.", detect.Span(e.worst))
		}
		switch {
		case !e.forward:
			f.Severity = finding.Low
			f.Summary += " They are reverse lookups, which few programs depend on."
		case 2*e.Count >= r.lookups:
			f.Severity = finding.High
		}
		switch k.rcode {
		case dns.Refused:
			f.Summary += " It refuses this client, or does not resolve names of other zones."
		case dns.ServerFailure:
			f.Summary += " It could not get the answer itself: its forwarder or the zone's servers failed."
		}
		s.origin(k.server, r, &f)
		others(&f, len(chosen)-maxReported)
		s.pass.Report(e.Into(f))
	}
}

func (s *state) reportMissing() {
	reported := 0
	for client, m := range s.missing.All {
		if reported == maxReported {
			return
		}
		var all detect.Tally
		var worst *absence
		var name string
		names := 0
		for n, a := range m.names {
			if a.Count < persistent {
				continue
			}
			names++
			if worst == nil || a.Count > worst.Count || a.Count == worst.Count && n < name {
				worst, name = a, n
			}
			all.First = first(all.First, a.First)
			all.Last = max(all.Last, a.Last)
			all.Count += a.Count
		}
		f := finding.Finding{
			Kind: "dns.failure", Severity: finding.Medium, Confidence: 0.8, Culprit: finding.Client,
			Flow: &finding.Flow{Protocol: "udp", Client: finding.Endpoint{AddrPort: netip.AddrPortFrom(client, 0)}},
		}
		switch {
		case worst != nil:
			all.Packets = worst.Packets
			f.Flow.Server = finding.Endpoint{AddrPort: netip.AddrPortFrom(worst.server, 53)}
			f.Summary = fmt.Sprintf("%s keeps asking for %s (%s), which does not exist: %d times.", client, name, worst.typ, worst.Count)
			if names > 1 {
				f.Summary = fmt.Sprintf("%s keeps asking for %d names that do not exist, such as %s (%s, %d times).", client, names, name, worst.typ, worst.Count)
			}
			f.Detail = map[string]any{"resolver": worst.server.String(), "rcode": "NXDOMAIN", "name": name, "type": worst.typ.String(), "names": names}
			if other, ok := s.exists[name]; ok && other != worst.server {
				f.Culprit = finding.Resolver
				f.Summary += fmt.Sprintf(" The resolver %s knows the name, %s does not: it lacks the zone.", other, worst.server)
			}
		case len(m.names) >= storm && 2*m.absent >= m.asked:
			for _, a := range m.names {
				all.First, all.Last = first(all.First, a.First), max(all.Last, a.Last)
				all.Count += a.Count
				if len(all.Packets) < finding.MaxPackets {
					all.Packets = append(all.Packets, a.Packets[0])
				}
			}
			f.Confidence = 0.7
			f.Summary = fmt.Sprintf("%s asked for %d different names that do not exist, in %d of its %s: a wrong search list, a scan, or names made up by malware.",
				client, len(m.names), m.absent, detect.Count(m.asked, "lookup"))
			f.Detail = map[string]any{"rcode": "NXDOMAIN", "names": len(m.names), "lookups": m.asked}
		default:
			continue
		}
		reported++
		s.pass.Report(all.Into(f))
	}
}

func first(a, b pcap.Timestamp) pcap.Timestamp {
	if a == 0 {
		return b
	}
	return min(a, b)
}
