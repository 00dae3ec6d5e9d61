package excerpt

import (
	"net/netip"

	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

type endpoint = netip.AddrPort

// connection says which TCP connection p belongs to, or is an ICMP error
// about.
func connection(p *packet.Packet) (pair, bool) {
	a, b := netip.AddrPortFrom(p.Src, p.SrcPort), netip.AddrPortFrom(p.Dst, p.DstPort)
	switch {
	case p.ICMP.Quoted && p.ICMP.QuotedProtocol == packet.ProtocolTCP && p.ICMP.QuotedDstPort != 0:
		a, b = netip.AddrPortFrom(p.ICMP.QuotedSrc, p.ICMP.QuotedSrcPort), netip.AddrPortFrom(p.ICMP.QuotedDst, p.ICMP.QuotedDstPort)
	case !p.Transport || p.Protocol != packet.ProtocolTCP:
		return pair{}, false
	}
	if a.Compare(b) > 0 {
		a, b = b, a
	}
	return pair{a, b}, true
}

// handshake follows how one connection is set up, and how the next one
// between the same ports is.
type handshake struct {
	wanted  bool          // a packet of this connection was named
	packets []pcap.Record // that belong to it and are not chosen yet
	seen    int

	begun, answered, done bool
	seq                   uint32 // of the SYN
	client                endpoint
}

// part reports whether p belongs to the handshake.
func (h *handshake) part(p *packet.Packet) bool {
	const both = packet.SYN | packet.ACK
	src := netip.AddrPortFrom(p.Src, p.SrcPort)
	switch {
	case p.Flags&both == packet.SYN:
		if !h.begun || p.Seq != h.seq || src != h.client {
			*h = handshake{packets: h.packets[:0], begun: true, seq: p.Seq, client: src}
		}
	case p.Flags&both == both:
		if !h.begun {
			h.client = netip.AddrPortFrom(p.Dst, p.DstPort)
		}
		h.begun, h.answered = true, true
	case p.Flags&packet.RST != 0:
		return false
	case h.answered && !h.done && src == h.client && p.Flags&packet.ACK != 0:
		h.done = true
	default:
		return false
	}
	h.seen++
	return h.seen <= maxHandshake
}
