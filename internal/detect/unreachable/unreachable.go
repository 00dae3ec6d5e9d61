// Package unreachable knows what routers, hosts and firewalls say about
// packets that did not arrive.
//
// Details:
//
//	icmp.unreachable   class (prohibited, port, host, network, protocol), type and code, protocol (of the packets that did not
//	                   arrive: tcp, udp, icmp), router (who says so), messages, answersSYN (all of them answer attempts to
//	                   connect), worked (connections of the same parties that came about), lateAnswer (an answer came
//	                   when nobody waited any more)
//	icmp.ttl-exceeded  class (traceroute, loop, reassembly), routers, messages, protocol, worked
package unreachable

import (
	"net/netip"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/packet"
)

// Detector reports ICMP errors, attached to the conversation that they quote.
var Detector = &detect.Detector{
	Name: "unreachable",
	Reports: []detect.Reported{
		{
			Kind: "icmp.unreachable",
			Means: "Somebody said that packets cannot be delivered, and why: a firewall forbids it, nothing listens on the port, the host does not answer, or there is no route. " +
				"It is attached to the conversation whose packet it quotes.",
			Threshold: "one message. For TCP: high if no connection of the same parties came about, else medium from 10 % of them and low below; a single attempt is medium. For UDP: medium from 3 messages if nothing was answered, else low; " +
				"for DNS low, as dns.* says more. Info for multicast and for answers that come when nobody waits any more. NTP is left out",
			Next: "Prohibited: find the rule in the firewall, NVA or NSG at the address that says so. Port: start the service or correct the client. Host or network: check that the host is up, its ARP entry, and the route of the router that says so.",
		},
		{
			Kind:      "icmp.ttl-exceeded",
			Means:     "Packets ran out of hops: a routing loop, or somebody traces a route. Or a host waited in vain for the rest of a fragmented packet.",
			Threshold: "one message: low; medium from 3, high if they answer attempts to connect of which none came about. A traceroute (several routers for the same destination, or its ports) is info",
			Next:      "Trace the route from both ends and look for the two routers that send packets back and forth: a static route or a UDR against a learned one.",
		},
	},
	Start: start,
}

// A class is what the message means.
type class string

const (
	prohibited  class = "prohibited"
	port        class = "port"
	host        class = "host"
	network     class = "network"
	protocol    class = "protocol"
	hops        class = "loop"
	reassembly  class = "reassembly"
	traceroute  class = "traceroute"
	uninvolved  class = ""
	ntp               = 123
	dns               = 53
	firstTraced       = 33434 // port where traceroute begins
	lastTraced        = 33534
)

// classify reads type and code (RFC 792, RFC 1812 5.2.7.1, RFC 4443 3).
func classify(p *packet.Packet) class {
	m := &p.ICMP
	if !m.Quoted {
		return uninvolved
	}
	if p.Protocol == packet.ProtocolICMP {
		switch {
		case m.Type == 11 && m.Code == 1:
			return reassembly
		case m.Type == 11:
			return hops
		case m.Type != 3:
			return uninvolved
		}
		switch m.Code {
		case 0, 5, 6, 11:
			return network
		case 1, 7, 8, 12:
			return host
		case 2:
			return protocol
		case 3:
			return port
		case 9, 10, 13, 14, 15:
			return prohibited
		}
		return uninvolved // 4 is path MTU discovery
	}
	switch {
	case m.Type == 3 && m.Code == 1:
		return reassembly
	case m.Type == 3:
		return hops
	case m.Type != 1:
		return uninvolved
	}
	switch m.Code {
	case 0, 2:
		return network
	case 1, 5, 6:
		return prohibited
	case 3:
		return host
	case 4:
		return port
	}
	return uninvolved
}

// sort is what messages are told apart by.
type sort struct {
	class    class
	protocol uint8
}

type state struct {
	pass  *detect.Pass
	told  detect.Groups[sort, detect.Groups[detect.Pair, messages]]
	quote map[detect.Pair][]*messages // by the pair that sends, to be told of its connections
	udp   map[detect.Pair]int         // UDP conversations that were answered
}

const maxPairs = 16384

func start(p *detect.Pass) detect.Hooks {
	s := &state{pass: p, quote: map[detect.Pair][]*messages{}, udp: map[detect.Pair]int{}}
	return detect.Hooks{ICMP: s.icmp, Connection: s.connection, Conversation: s.conversation, End: s.end}
}

func (s *state) icmp(p *packet.Packet) {
	m, c := &p.ICMP, classify(p)
	if c == uninvolved || m.QuotedProtocol == packet.ProtocolUDP && (m.QuotedDstPort == ntp || m.QuotedSrcPort == ntp) {
		return
	}
	from, to := netip.AddrPortFrom(m.QuotedSrc, m.QuotedSrcPort), netip.AddrPortFrom(m.QuotedDst, m.QuotedDstPort)
	late := m.QuotedProtocol == packet.ProtocolUDP && c == port && answers(from.Port(), to.Port())
	client, server := from, to
	if late || m.QuotedProtocol == packet.ProtocolTCP && answers(from.Port(), to.Port()) {
		client, server = to, from
	}
	k := detect.Pair{Client: client.Addr(), Server: server}
	if m.QuotedProtocol == packet.ProtocolUDP && server.Port() >= firstTraced && server.Port() <= lastTraced {
		k.Server = netip.AddrPortFrom(server.Addr(), firstTraced) // one more with each hop
	}
	pairs := s.told.At(sort{c, m.QuotedProtocol})
	if pairs == nil {
		return
	}
	g := pairs.At(k)
	if g == nil {
		s.pass.Leave(1)
		return
	}
	if g.Count == 0 {
		s.quote[k] = append(s.quote[k], g)
	}
	g.NoteBetween(client, server, p.Time, p.Number)
	g.keep(p, late)
}

// answers reports whether what goes from one port to the other is an answer: from a well-known
// port to an ephemeral one.
func answers(from, to uint16) bool { return from != 0 && from < 1024 && to >= 1024 }

// connection tells the messages what became of the connections of the parties.
func (s *state) connection(c *detect.Connection) {
	k := c.Pair()
	for _, g := range s.quote[k] {
		switch {
		case c.FirstSYN.Seen() && !c.SYNACK.Seen() && c.OneWay():
			g.attempts++
			g.Prove(c.FirstSYN.Frame)
		case c.Established() || !c.OneWay():
			g.worked++
		}
	}
}

func (s *state) conversation(c *flow.Conversation) {
	if c.Protocol != packet.ProtocolUDP || c.Packets[c.Initiator.Other()] == 0 {
		return
	}
	k := detect.Pair{Client: c.Endpoint(c.Initiator).Addr(), Server: c.Endpoint(c.Initiator.Other())}
	if _, known := s.udp[k]; known || len(s.udp) < maxPairs {
		s.udp[k]++
	}
}

func (s *state) end(*detect.Summary) {
	for what, pairs := range s.told.All {
		for k, g := range pairs.All {
			if what.protocol == packet.ProtocolUDP {
				g.worked = s.udp[k]
			}
		}
		for _, g := range detect.Gather(pairs) {
			if what.class == hops || what.class == reassembly {
				s.pass.Report(g.Into(g.exceeded(what)))
			} else {
				s.pass.Report(g.Into(g.unreachable(what)))
			}
		}
	}
}
