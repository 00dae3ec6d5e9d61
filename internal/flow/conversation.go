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
	First, Last Moment
	Packets     [2]uint32
	Bytes       [2]uint64 // of payload

	// Attached is the caller's own state; the table only clears it, after the end.
	Attached any

	key  key
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

func (t *Table) addDatagram(p *packet.Packet) Segment {
	k, from := keyOf(p)
	at := Moment{p.Time, p.Number}
	slot, ok := t.talkAt[k]
	if !ok {
		slot = t.openConversation()
		t.talkAt[k] = slot
		*t.talks.at(slot) = Conversation{Protocol: p.Protocol, Initiator: from, First: at, key: k, slot: slot}
	}
	c := t.talks.at(slot)
	c.Last = at
	c.Packets[from]++
	c.Bytes[from] += uint64(len(p.Payload))
	return Segment{Conversation: c, From: from, New: !ok}
}

// openConversation returns a free slot. At the limit the victims are the ones
// that are next in line and were silent since the line came by the last time,
// as far as a few looks can tell.
func (t *Table) openConversation() uint32 {
	if slot, ok := t.talks.take(); ok {
		return slot
	}
	victim := t.talks.at(t.oldest % t.talks.limit)
	for i := range min(looks, t.talks.limit) {
		if c := t.talks.at((t.oldest + i) % t.talks.limit); c.Last.Frame < victim.Last.Frame {
			victim = c
		}
	}
	t.oldest = (t.oldest + 1) % t.talks.limit
	t.drops.Conversations++
	t.endConversation(victim, Evicted)
	slot, _ := t.talks.take()
	return slot
}

func (t *Table) endConversation(c *Conversation, why Reason) {
	if t.EndConversation != nil {
		t.EndConversation(c, why)
	}
	delete(t.talkAt, c.key)
	t.talks.give(c.slot)
	c.Attached = nil
}
