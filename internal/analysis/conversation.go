package analysis

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// maxTalks bounds the conversations that are summed up; a scan has millions.
const maxTalks = 16384

type talkKey struct {
	protocol uint8
	client   netip.Addr
	server   netip.AddrPort
}

// A sum is a Conversation that is still growing.
type sum struct {
	Conversation
	first, last pcap.Timestamp
}

// talks sums up connections by client and service.
type talks struct {
	byKey map[talkKey]*sum
	left  int64 // connections that found no place
}

func (t *talks) at(k talkKey) *sum {
	c := t.byKey[k]
	if c == nil {
		if len(t.byKey) >= maxTalks {
			t.left++
			return nil
		}
		if t.byKey == nil {
			t.byKey = map[talkKey]*sum{}
		}
		c = &sum{Conversation: Conversation{Server: finding.Endpoint{AddrPort: k.server}}}
		t.byKey[k] = c
	}
	return c
}

func (t *talks) connection(conn *detect.Connection) {
	c := t.at(talkKey{packet.ProtocolTCP, conn.ClientAddr().Addr(), conn.ServerAddr()})
	if c == nil {
		return
	}
	c.Protocol = "tcp"
	c.join(conn.ClientAddr(), conn.First.Time, conn.Last.Time)
	for i, s := range []*flow.Side{conn.Client(), conn.Server()} {
		c.Packets[i] += int64(s.Packets)
		c.Bytes[i] += int64(s.Bytes)
		c.Retransmits += int64(s.Retransmissions())
	}
	c.State, c.History = conn.State(), conn.History()
	c.Tunnel = tunnel(conn.Tunnel, c.Tunnel)
	if conn.IRTT > 0 {
		c.RTT = conn.IRTT
	}
	if conn.TLS != nil && conn.TLS.Hello != nil {
		c.Service, c.SNI = "tls", conn.TLS.Hello.SNI
	}
	if conn.Service != "" {
		c.Service = conn.Service
	}
}

func (t *talks) datagrams(conv *flow.Conversation) {
	from := conv.Initiator
	client, server := conv.Endpoint(from), conv.Endpoint(from.Other())
	c := t.at(talkKey{conv.Protocol, client.Addr(), server})
	if c == nil {
		return
	}
	c.Protocol = "icmp"
	if conv.Protocol == packet.ProtocolUDP {
		c.Protocol = "udp"
		if server.Port() == 53 {
			c.Service = "dns"
		}
	}
	c.join(client, conv.First.Time, conv.Last.Time)
	for i, d := range []flow.Direction{from, from.Other()} {
		c.Packets[i] += int64(conv.Packets[d])
		c.Bytes[i] += int64(conv.Bytes[d])
	}
	c.State = conv.State()
	c.Tunnel = tunnel(conv.Tunnel, c.Tunnel)
}

// tunnel names t, if it is one; most traffic is in none.
func tunnel(t packet.Tunnel, otherwise string) string {
	if t == 0 {
		return otherwise
	}
	return t.String()
}

// join counts one more connection. Two ports of the client make it none.
func (c *sum) join(client netip.AddrPort, first, last pcap.Timestamp) {
	if c.Connections++; c.Connections == 1 {
		c.Client = finding.Endpoint{AddrPort: client}
		c.first = first
	} else if c.Client.Port() != client.Port() {
		c.Client = finding.Endpoint{AddrPort: netip.AddrPortFrom(client.Addr(), 0)}
	}
	c.first, c.last = min(c.first, first), max(c.last, last)
}

// busiest returns the conversations with the most packets.
func (t *talks) busiest() []Conversation {
	all := slices.Collect(maps.Values(t.byKey))
	slices.SortFunc(all, func(a, b *sum) int {
		if busier := cmp.Compare(b.Packets[0]+b.Packets[1], a.Packets[0]+a.Packets[1]); busier != 0 {
			return busier
		}
		return cmp.Or(cmp.Compare(a.first, b.first), a.Client.AddrPort.Compare(b.Client.AddrPort), a.Server.AddrPort.Compare(b.Server.AddrPort))
	})
	list := make([]Conversation, 0, min(len(all), MaxConversations))
	for _, c := range all[:cap(list)] {
		c.First, c.Last = c.first.Time(), c.last.Time()
		list = append(list, c.Conversation)
	}
	return list
}
