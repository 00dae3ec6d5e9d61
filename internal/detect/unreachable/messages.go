package unreachable

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/packet"
)

// maxRouters bounds how many senders of messages are told apart.
const maxRouters = 32

// messages are those of one sort about what the same parties send.
type messages struct {
	detect.Case
	kind     [2]uint8 // type and code of the last one
	routers  []netip.Addr
	byServer int // the host that was not reached says so itself
	late     int // answers that nobody waited for
	attempts int // to connect over TCP, without an answer
	worked   int // connections, or UDP conversations that were answered
}

func (g *messages) keep(p *packet.Packet, late bool) {
	m := &p.ICMP
	g.kind = [2]uint8{m.Type, m.Code}
	if !slices.Contains(g.routers, p.Src) && len(g.routers) < maxRouters {
		g.routers = append(g.routers, p.Src)
	}
	if p.Src == m.QuotedDst {
		g.byServer++
	}
	if late {
		g.late++
	}
	g.Over(names[m.QuotedProtocol])
}

var names = map[uint8]string{packet.ProtocolTCP: "tcp", packet.ProtocolUDP: "udp", packet.ProtocolICMP: "icmp", packet.ProtocolICMPv6: "icmp"}

// Join takes over another pair's messages.
func (g *messages) Join(o *messages) {
	g.Merge(&o.Case)
	for _, r := range o.routers {
		if !slices.Contains(g.routers, r) && len(g.routers) < maxRouters {
			g.routers = append(g.routers, r)
		}
	}
	g.byServer += o.byServer
	g.late += o.late
	g.attempts += o.attempts
	g.worked += o.worked
}

func (g *messages) router() string {
	if len(g.routers) > 1 {
		return detect.Count(len(g.routers), "router")
	}
	return g.routers[0].String()
}

func (g *messages) unreachable(what sort) finding.Finding {
	flow := g.Flow()
	f := finding.Finding{
		Kind: "icmp.unreachable", Severity: finding.Low, Confidence: 0.9, Culprit: finding.Network, Flow: flow,
		Detail: map[string]any{
			"class": string(what.class), "type": int(g.kind[0]), "code": int(g.kind[1]), "protocol": flow.Protocol, "router": g.routers[0].String(),
			"messages": g.Count, "answersSYN": what.protocol == packet.ProtocolTCP && g.attempts > 0 && g.worked == 0, "worked": g.worked,
		},
	}
	who := g.router()
	switch what.class {
	case prohibited:
		f.Culprit = finding.Firewall
		f.Summary = fmt.Sprintf("%s forbids what %s sends: %s (administratively prohibited)", who, g.Parties(), detect.Count(g.Count, "ICMP message"))
		f.NextStep = "Find the rule in the firewall, NVA or NSG at the address that says so."
	case port:
		f.Culprit = finding.Server
		f.NextStep = "Start the service, or correct who asks for it there."
		f.Summary = fmt.Sprintf("%s says that nothing listens there: %s (port unreachable) for %s", who, detect.Count(g.Count, "ICMP message"), g.Parties())
		if what.protocol == packet.ProtocolTCP {
			f.Summary = fmt.Sprintf("%s rejects what %s sends: %s (port unreachable); a host without such a service answers with a RST, so a firewall says so", who, g.Parties(), detect.Count(g.Count, "ICMP message"))
			if 2*g.byServer <= g.Count {
				f.Culprit = finding.Firewall
				f.NextStep = "Find the rule in the firewall that rejects this, at the address that says so."
			} else {
				f.Summary += " on the host itself"
			}
		}
	case host:
		f.NextStep = "Check that the host is up, that the address is right, and that the router that says so finds it (ARP entry, route)."
		f.Summary = fmt.Sprintf("%s cannot reach the host: %s (host unreachable) for %s", who, detect.Count(g.Count, "ICMP message"), g.Parties())
	case network:
		f.NextStep = "Check the routes (effective routes, UDRs) of the router that says so."
		f.Summary = fmt.Sprintf("%s has no route: %s (network unreachable) for %s", who, detect.Count(g.Count, "ICMP message"), g.Parties())
	case protocol:
		f.Culprit = finding.Server
		f.Summary = fmt.Sprintf("%s does not speak the protocol: %s (protocol unreachable) for %s", who, detect.Count(g.Count, "ICMP message"), g.Parties())
	}
	f.Summary += fmt.Sprintf(", since %s.", detect.Clock(g.First))
	switch what.protocol {
	case packet.ProtocolTCP:
		f.Severity = g.overTCP()
		if g.worked > 0 {
			f.Summary += fmt.Sprintf(" %s of the same parties came about.", detect.Count(g.worked, "connection"))
		} else if g.attempts > 0 {
			f.Summary += fmt.Sprintf(" No connection came about in %s.", detect.Count(g.attempts, "attempt"))
		}
	case packet.ProtocolUDP:
		g.overUDP(&f)
	}
	if flow.Server.Addr().IsMulticast() {
		f.Severity = finding.Info
	}
	return f
}

func (g *messages) overTCP() finding.Severity {
	switch {
	case g.worked == 0 && (g.attempts > 1 || g.Count > 1):
		return finding.High
	case 10*max(g.attempts, 1) >= g.worked:
		return finding.Medium
	}
	return finding.Low
}

func (g *messages) overUDP(f *finding.Finding) {
	switch {
	case 2*g.late > g.Count:
		f.Severity, f.Culprit = finding.Info, finding.Client
		f.Detail["lateAnswer"] = true
		f.Summary = fmt.Sprintf("%s from %s came when the client did not wait for it any more, and was told so by ICMP.", detect.Count(g.Count, "answer"), g.Server())
	case f.Flow.Server.Port() == dns:
		f.Summary += " See what dns.* says."
	case g.Count >= 3 && g.worked == 0:
		f.Severity = finding.Medium
	}
}

func (g *messages) exceeded(what sort) finding.Finding {
	flow := g.Flow()
	f := finding.Finding{
		Kind: "icmp.ttl-exceeded", Severity: finding.Low, Confidence: 0.8, Culprit: finding.Network, Flow: flow,
		Detail: map[string]any{
			"class": string(what.class), "routers": len(g.routers), "messages": g.Count, "protocol": flow.Protocol, "worked": g.worked,
		},
	}
	traced := what.protocol == packet.ProtocolUDP && flow.Server.Port() >= firstTraced && flow.Server.Port() <= lastTraced || flow.Server.Port() == 0 && what.protocol == packet.ProtocolUDP
	switch {
	case what.class == reassembly:
		f.Summary = fmt.Sprintf("%s waited in vain for the rest of a fragmented packet, %s, of %s, since %s: fragments are lost or dropped on the way.",
			g.router(), times(g.Count), g.Parties(), detect.Clock(g.First))
		f.NextStep = "Avoid fragments: lower the datagram size or the MTU. Many firewalls and load balancers drop them."
	case len(g.routers) >= 3 || traced:
		f.Severity, f.Culprit, f.Detail["class"] = finding.Info, finding.None, string(traceroute)
		f.Summary = fmt.Sprintf("Somebody traced the route from %s: %s said that packets ran out of hops.", g.Parties(), detect.Count(len(g.routers), "router"))
		return f
	default:
		f.Summary = fmt.Sprintf("Packets from %s ran out of hops at %s, %s since %s: a routing loop.", g.Parties(), g.router(), times(g.Count), detect.Clock(g.First))
		if what.protocol == packet.ProtocolTCP && g.worked == 0 && g.attempts > 0 {
			f.Severity, f.Confidence = finding.High, 0.9
			f.Summary += " No connection came about."
			return f
		}
	}
	if g.Count >= 3 {
		f.Severity = finding.Medium
	}
	return f
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return detect.Count(n, "time")
}
