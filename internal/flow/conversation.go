package flow

import (
	"net/netip"

	"github.com/pcapwarden/pcapwarden/internal/packet"
)

// A Conversation is what two endpoints exchanged over UDP, or two hosts over
// ICMP. It belongs to its [Table] as a [Conn] does.
type Conversation struct {
	Protocol    uint8 // packet.ProtocolUDP, ProtocolICMP or ProtocolICMPv6
	Initiator   Direction
	Tunnel      packet.Tunnel // what the first packet was in
	First, Last Moment
	Packets     [2]uint32
	Bytes       [2]uint64 // of payload

	// Attached is the caller's own state; the table only clears it, after the end.
	Attached any

	key  *key
	slot uint32
}

// Endpoint returns the address and port of d; the port is 0 for ICMP.
func (c *Conversation) Endpoint(d Direction) netip.AddrPort { return c.key.endpoint(d) }

// State returns Zeek's conn_state: "SF" if both sides sent, else "S0".
func (c *Conversation) State() string {
	if c.Packets[c.Initiator.Other()] > 0 {
		return "SF"
	}
	return "S0"
}

func (t *Table) addDatagram(p *packet.Packet, out *Segment) {
	k := &t.key
	from := k.of(p)
	at := Moment{p.Time, p.Number}
	c := t.datagrams.find(k)
	isNew := c == nil
	if isNew {
		if t.datagrams.full() {
			t.evictConversation()
		}
		var slot uint32
		c, slot = t.datagrams.add(k)
		*c = Conversation{Protocol: p.Protocol, Initiator: from, Tunnel: p.Tunnel, First: at, key: t.datagrams.keyAt(slot), slot: slot}
	}
	c.Last = at
	c.Packets[from]++
	c.Bytes[from] += uint64(len(p.Payload))
	out.Conversation, out.From, out.New = c, from, isNew
}

// evictConversation ends the longest silent of a few that are next in line.
func (t *Table) evictConversation() {
	n := t.datagrams.limit
	victim := t.datagrams.at(t.oldest % n)
	for i := range min(looks, n) {
		if c := t.datagrams.at((t.oldest + i) % n); c.Last.Frame < victim.Last.Frame {
			victim = c
		}
	}
	t.oldest = (t.oldest + 1) % n
	t.drops.Conversations++
	t.endConversation(victim, Evicted)
}

func (t *Table) endConversation(c *Conversation, why Reason) {
	if t.EndConversation != nil {
		t.EndConversation(c, why)
	}
	t.datagrams.remove(c.slot)
	c.Attached = nil
}
