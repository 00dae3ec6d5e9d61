package excerpt

import (
	"net/netip"
	"slices"

	"github.com/pcapwarden/pcapwarden/internal/packet"
)

type endpoint = netip.AddrPort

// A pair names a TCP connection by its endpoints, the lower first.
type pair struct{ low, high endpoint }

func pairOf(a, b endpoint) pair {
	if a.Compare(b) > 0 {
		a, b = b, a
	}
	return pair{a, b}
}

// connection says which TCP connection p belongs to, or is an ICMP error
// about.
func connection(p *packet.Packet) (pair, bool) {
	switch {
	case p.ICMP.Quoted && p.ICMP.QuotedProtocol == packet.ProtocolTCP && p.ICMP.QuotedDstPort != 0:
		return pairOf(netip.AddrPortFrom(p.ICMP.QuotedSrc, p.ICMP.QuotedSrcPort), netip.AddrPortFrom(p.ICMP.QuotedDst, p.ICMP.QuotedDstPort)), true
	case !p.Transport || p.Protocol != packet.ProtocolTCP:
		return pair{}, false
	}
	return pairOf(netip.AddrPortFrom(p.Src, p.SrcPort), netip.AddrPortFrom(p.Dst, p.DstPort)), true
}

// A handshake follows how one connection is set up, and how the next one
// between the same ports is.
type handshake struct {
	packets []*kept
	wanted  []int // selections that name a packet of this connection
	pinned  bool  // a selection named the connection before it was seen
	seen    int

	begun, answered, done bool
	seq                   uint32 // of the SYN
	client                endpoint
}

// maxHandshake is how many packets a handshake may have: each side may repeat
// itself, and a connection that is not answered does.
const maxHandshake = 8

// want notes that a selection wants the handshake, and whether that is news.
func (h *handshake) want(selection int) bool {
	if slices.Contains(h.wanted, selection) {
		return false
	}
	h.wanted = append(h.wanted, selection)
	return true
}

// awaited reports whether more of a handshake that is wanted may come.
func (h *handshake) awaited() bool {
	return len(h.wanted) > 0 && h.begun && !h.done && h.seen < maxHandshake
}

// part reports whether p belongs to the handshake.
func (h *handshake) part(p *packet.Packet) bool {
	const both = packet.SYN | packet.ACK
	src := netip.AddrPortFrom(p.Src, p.SrcPort)
	switch {
	case p.Flags&both == packet.SYN:
		if !h.begun || p.Seq != h.seq || src != h.client {
			*h = handshake{pinned: h.pinned, begun: true, seq: p.Seq, client: src}
		}
	case p.Flags&both == both:
		if !h.begun {
			h.client = netip.AddrPortFrom(p.Dst, p.DstPort)
		}
		h.begun, h.answered = true, true
	case p.Flags&packet.RST != 0:
		h.done = true
		return false
	case h.answered && !h.done && src == h.client && p.Flags&packet.ACK != 0:
		h.done = true
	default:
		return false
	}
	h.seen++
	return h.seen <= maxHandshake
}
