package dissect

import (
	"net/netip"

	"github.com/pcapwarden/pcapwarden/internal/dissect/dhcp"
	"github.com/pcapwarden/pcapwarden/internal/dissect/quic"
	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/packet"
)

// UDP ports that are read. mDNS (5353) and LLMNR (5355) are not DNS here: they
// ask everybody, and mostly nobody answers.
const (
	bootps      = 67
	bootpc      = 68
	ssdp        = 1900
	udpOverhead = 8
)

// udp reads a datagram.
func (d *Dissector) udp(p *packet.Packet, seg *flow.Segment) {
	if len(p.Payload) == 0 {
		return
	}
	low, high := min(p.SrcPort, p.DstPort), max(p.SrcPort, p.DstPort)
	switch {
	case low == domain || high == domain:
		whole := len(p.Payload) >= p.IPPayloadLength-udpOverhead
		d.dns.Message(source(p), destination(p), false, p.Time, p.Number, p.Payload, whole)
	case low == bootps || low == bootpc:
		if d.events.Lease != nil {
			if l, ok := dhcp.Parse(p.Src, p.Time, p.Number, p.Payload); ok {
				d.events.Lease(l)
			}
		}
	case low == ssdp || high == ssdp:
		d.http.Datagram(p.Number, p.Payload)
	case seg.Conversation != nil:
		d.quic(p, seg.Conversation)
	}
}

func source(p *packet.Packet) netip.AddrPort      { return netip.AddrPortFrom(p.Src, p.SrcPort) }
func destination(p *packet.Packet) netip.AddrPort { return netip.AddrPortFrom(p.Dst, p.DstPort) }

// quic reads a datagram that may belong to a QUIC connection.
func (d *Dissector) quic(p *packet.Packet, c *flow.Conversation) {
	r, ok := c.Attached.(*quic.Reader)
	if !ok {
		if c.Attached != nil || !quic.LooksLikeInitial(p.Payload) {
			return
		}
		if d.hellos >= maxHellos {
			d.dropped++
			return
		}
		d.hellos++
		r = quic.NewReader(source(p), destination(p))
		c.Attached = r
	}
	if r.Done() {
		return
	}
	r.Datagram(source(p), p.Time, p.Number, p.Payload)
	for _, t := range r.Messages() {
		d.tls.CountQUIC(t)
	}
	if r.Done() {
		d.hellos--
	}
}

// EndConversation says that a conversation is over. The table's
// EndConversation calls it.
func (d *Dissector) EndConversation(c *flow.Conversation) {
	r, ok := c.Attached.(*quic.Reader)
	if !ok {
		return
	}
	if !r.Done() {
		d.hellos--
		r.Release()
	}
	if d.events.QUIC != nil {
		d.events.QUIC(r.Connection())
	}
}
