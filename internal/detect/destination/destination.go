// Package destination detects that the captured machine talks to somebody the
// policy does not expect. It needs to know both: the machine's addresses and
// what is expected of it.
//
// Details: destination (address), port, protocol, name (SNI, else the DNS
// answer or HTTP host that led there; foreign text), connections, established,
// bytesOut, bytesIn (payload), resolver (true: the machine asked a resolver
// that the policy does not list).
package destination

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/dissect/dns"
	"github.com/pcapwarden/pcapwarden/internal/dissect/quic"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/packet"
)

// Detector reports destinations that are not in the policy.
var Detector = &detect.Detector{
	Name: "destination",
	Reports: []detect.Reported{{
		Kind:      "traffic.unexpected-destination",
		Means:     "The captured machine opened connections to an address, or asked a resolver, that the policy does not expect.",
		Threshold: "one connection or UDP conversation that the machine began, to an address outside expected.outbound, or one question to a resolver outside expected.resolvers; Azure's own 168.63.129.16 and 169.254.169.254 are always expected, but for DNS where resolvers are listed. Without a policy or without the machine's addresses nothing is reported.",
		Next:      "Ask the owner of the machine what talks to this destination (ss -tp, netstat -b); add it to expected.outbound in the policy if it is meant to be, else treat the machine as suspect and keep the capture.",
	}},
	Start: start,
}

const (
	maxNames = 8192
	domain   = 53
	// ephemeral is the first port that clients take for themselves
	// (RFC 6335, 6 and Linux' default); servers seldom do.
	ephemeral = 32768
)

// key is a destination. What goes to one name by TLS is one, however many
// addresses serve it.
type key struct {
	protocol string
	addr     netip.Addr
	name     string
	port     uint16
	resolver bool
}

type talk struct {
	detect.Tally
	client      netip.AddrPort
	server      netip.AddrPort
	established int
	out, in     uint64
}

type state struct {
	pass  *detect.Pass
	talks detect.Groups[key, talk]
	names map[netip.Addr]string // by which an address was asked for
	hosts map[netip.AddrPort]string
	hello map[netip.AddrPort]string // SNI by the client's endpoint, of QUIC
}

func start(p *detect.Pass) detect.Hooks {
	if len(p.Vantage) == 0 || len(p.ExpectedOutbound)+len(p.ExpectedResolvers) == 0 {
		return detect.Hooks{}
	}
	s := &state{pass: p, names: map[netip.Addr]string{}, hosts: map[netip.AddrPort]string{}, hello: map[netip.AddrPort]string{}}
	p.Bound(&s.talks)
	h := detect.Hooks{Transaction: s.transaction, End: func(*detect.Summary) { s.end() }}
	if len(p.ExpectedOutbound) > 0 {
		h.Connection, h.Conversation, h.Exchange, h.QUIC = s.connection, s.conversation, s.exchange, s.quic
	}
	return h
}

// expected reports whether the policy knows of a destination.
func (s *state) expected(a netip.Addr) bool {
	a = a.Unmap()
	return detect.Platform(a) || s.pass.IsVantage(a) || slices.Contains(s.pass.ExpectedResolvers, a) ||
		a.IsMulticast() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) ||
		slices.ContainsFunc(s.pass.ExpectedOutbound, func(p netip.Prefix) bool { return p.Contains(a) })
}

func (s *state) connection(c *detect.Connection) {
	// Without a SYN nobody knows who opened it.
	if !c.FirstSYN.Seen() || !s.pass.IsVantage(c.ClientAddr().Addr()) || s.expected(c.ServerAddr().Addr()) {
		return
	}
	k := key{protocol: "tcp", addr: c.ServerAddr().Addr(), port: c.ServerAddr().Port()}
	if c.TLS != nil && c.TLS.Hello != nil && c.TLS.Hello.SNI != "" {
		k.addr, k.name = netip.Addr{}, strings.ToLower(c.TLS.Hello.SNI)
	}
	t := s.talks.At(k)
	if t == nil {
		return
	}
	t.Add(c.FirstSYN.Time, c.FirstSYN.Frame)
	t.Last = max(t.Last, c.Last.Time)
	t.client, t.server = c.ClientAddr(), c.ServerAddr()
	if c.Established() {
		t.established++
	}
	t.out += c.Client().Bytes
	t.in += c.Server().Bytes
}

func (s *state) conversation(c *flow.Conversation) {
	from, to := c.Endpoint(c.Initiator), c.Endpoint(c.Initiator.Other())
	switch {
	case c.Protocol != packet.ProtocolUDP || !s.pass.IsVantage(from.Addr()) || s.expected(to.Addr()):
		return
	case from.Port() < ephemeral && to.Port() >= ephemeral:
		return // an answer whose question came before the capture
	case to.Port() == domain && len(s.pass.ExpectedResolvers) > 0:
		return // judged as a resolver
	case s.broadcast(to.Addr()):
		return
	}
	k := key{protocol: "udp", addr: to.Addr(), port: to.Port()}
	if name := s.hello[from]; name != "" {
		k.addr, k.name = netip.Addr{}, name
	}
	t := s.talks.At(k)
	if t == nil {
		return
	}
	t.Add(c.First.Time, c.First.Frame)
	t.Last = max(t.Last, c.Last.Time)
	t.client, t.server = from, to
	if c.Packets[c.Initiator.Other()] > 0 {
		t.established++
	}
	t.out += c.Bytes[c.Initiator]
	t.in += c.Bytes[c.Initiator.Other()]
}

// broadcast guesses: networks smaller than /24 are rare where broadcasts are
// used, and nobody is called .255.
func (s *state) broadcast(a netip.Addr) bool { return a.Is4() && a.As4()[3] == 255 }

func (s *state) transaction(t *dns.Transaction) {
	for _, a := range t.Addresses {
		if len(s.names) < maxNames {
			s.names[a.Unmap()] = t.Name
		}
	}
	server := t.Server.Addr()
	if len(s.pass.ExpectedResolvers) == 0 || !s.pass.IsVantage(t.Client.Addr()) || slices.Contains(s.pass.ExpectedResolvers, server) || s.pass.IsVantage(server) {
		return
	}
	g := s.talks.At(key{protocol: "udp", addr: server, port: t.Server.Port(), resolver: true})
	if g == nil {
		return
	}
	g.Add(t.First, t.QueryFrames[0])
	g.client, g.server = t.Client, t.Server
	if t.Answered {
		g.established++
	}
}

func (s *state) exchange(e *detect.Exchange) {
	if e.Host != "" && len(s.hosts) < maxNames {
		s.hosts[e.Server] = e.Host
	}
}

func (s *state) quic(c *quic.Connection) {
	if c.Hello != nil && len(s.hello) < maxNames {
		s.hello[c.Client] = strings.ToLower(c.Hello.SNI)
	}
}

func (s *state) end() {
	for k, t := range s.talks.All {
		if k.resolver {
			s.pass.Report(t.Into(s.resolver(k, t)))
		} else {
			s.pass.Report(t.Into(s.destination(k, t)))
		}
	}
}

func (s *state) destination(k key, t *talk) finding.Finding {
	name := cmp.Or(k.name, s.hosts[t.server], s.names[t.server.Addr()])
	f := finding.Finding{
		Kind: "traffic.unexpected-destination", Severity: finding.Medium, Confidence: 0.9, Culprit: finding.Client,
		Flow: &finding.Flow{Protocol: k.protocol, Client: finding.Endpoint{AddrPort: netip.AddrPortFrom(t.client.Addr(), 0)}, Server: finding.Endpoint{AddrPort: t.server}, SNI: k.name},
		Detail: map[string]any{
			"destination": t.server.Addr().String(), "port": int(k.port), "protocol": k.protocol, "name": name,
			"connections": t.Count, "established": t.established, "bytesOut": t.out, "bytesIn": t.in,
		},
	}
	where := t.server.String()
	if name != "" {
		where += " (" + name + ")"
	}
	what := "connection"
	if k.protocol == "udp" {
		what = "UDP conversation"
	}
	f.Summary = fmt.Sprintf("The captured machine %s opened %s to %s, which the policy does not expect: %s out, %s in.",
		t.client.Addr(), detect.Count(t.Count, what), where, bytes(t.out), bytes(t.in))
	if t.established == 0 {
		f.Severity = finding.Low
		f.Summary = fmt.Sprintf("The captured machine %s tried %s to %s, which the policy does not expect. Nothing came of it.",
			t.client.Addr(), detect.Count(t.Count, what), where)
	}
	return f
}

func (s *state) resolver(k key, t *talk) finding.Finding {
	var listed []string
	for _, a := range s.pass.ExpectedResolvers[:min(len(s.pass.ExpectedResolvers), 4)] {
		listed = append(listed, a.String())
	}
	f := finding.Finding{
		Kind: "traffic.unexpected-destination", Severity: finding.Low, Confidence: 0.9, Culprit: finding.Client,
		Flow: &finding.Flow{Protocol: "udp", Client: finding.Endpoint{AddrPort: netip.AddrPortFrom(t.client.Addr(), 0)}, Server: finding.Endpoint{AddrPort: t.server}},
		Summary: fmt.Sprintf("The captured machine %s asked the resolver %s %s; the policy expects %s.",
			t.client.Addr(), k.addr, detect.Count(t.Count, "question"), strings.Join(listed, ", ")),
		Detail: map[string]any{
			"destination": k.addr.String(), "port": int(k.port), "protocol": "udp", "resolver": true, "connections": t.Count, "established": t.established,
		},
	}
	if !s.expected(k.addr) && len(s.pass.ExpectedOutbound) > 0 {
		f.Severity = finding.Medium // and outside of where the machine may talk to
	}
	return f
}

// bytes says how much, in what a person reads aloud.
func bytes(n uint64) string {
	const kilo = 1000
	switch {
	case n < kilo:
		return fmt.Sprintf("%d bytes", n)
	case n < kilo*kilo:
		return fmt.Sprintf("%.1f kB", float64(n)/kilo)
	case n < kilo*kilo*kilo:
		return fmt.Sprintf("%.1f MB", float64(n)/kilo/kilo)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/kilo/kilo/kilo)
}
