package flow

import (
	"encoding/binary"
	"net/netip"

	"github.com/pcapwarden/pcapwarden/internal/packet"
)

// A key names a conversation by its two endpoints, the lower one first, so
// that both directions have the same. It holds no pointers and no padding, so
// that it is hashed as plain memory and invisible to the garbage collector.
type key struct {
	high, low [2]uint64 // the addresses: IPv4 in low alone
	ports     uint32    // of the first endpoint in the upper half
	kind      uint32    // protocol, and the bit ipv4
}

const ipv4 = 1 << 8

// of makes k the key of p and returns which of its endpoints sent p. It fills
// k in place: a copy of what was just written waits for the writes, and this
// runs for every packet.
func (k *key) of(p *packet.Packet) Direction {
	var srcHigh, srcLow, dstHigh, dstLow uint64
	kind := uint32(p.Protocol)
	if p.Src.Is4() && p.Dst.Is4() {
		kind |= ipv4
		src, dst := p.Src.As4(), p.Dst.As4()
		srcLow, dstLow = uint64(binary.BigEndian.Uint32(src[:])), uint64(binary.BigEndian.Uint32(dst[:]))
	} else {
		src, dst := p.Src.As16(), p.Dst.As16()
		srcHigh, srcLow = binary.BigEndian.Uint64(src[:8]), binary.BigEndian.Uint64(src[8:])
		dstHigh, dstLow = binary.BigEndian.Uint64(dst[:8]), binary.BigEndian.Uint64(dst[8:])
	}
	var srcPort, dstPort uint32
	if p.Protocol == packet.ProtocolTCP || p.Protocol == packet.ProtocolUDP {
		srcPort, dstPort = uint32(p.SrcPort), uint32(p.DstPort)
	}
	var from Direction
	if srcHigh > dstHigh || srcHigh == dstHigh && (srcLow > dstLow || srcLow == dstLow && srcPort > dstPort) {
		from = 1
		srcHigh, dstHigh = dstHigh, srcHigh
		srcLow, dstLow = dstLow, srcLow
		srcPort, dstPort = dstPort, srcPort
	}
	k.high[0], k.high[1] = srcHigh, dstHigh
	k.low[0], k.low[1] = srcLow, dstLow
	k.ports, k.kind = srcPort<<16|dstPort, kind
	return from
}

// equal is == without a call.
func (k *key) equal(o *key) bool {
	return (k.low[0]^o.low[0])|(k.low[1]^o.low[1])|(k.high[0]^o.high[0])|(k.high[1]^o.high[1])|
		uint64(k.ports^o.ports)|uint64(k.kind^o.kind) == 0
}

func (k *key) endpoint(d Direction) netip.AddrPort {
	d &= 1
	port := uint16(k.ports >> (16 * (1 - d)))
	if k.kind&ipv4 != 0 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(k.low[d]))
		return netip.AddrPortFrom(netip.AddrFrom4(b), port)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], k.high[d])
	binary.BigEndian.PutUint64(b[8:], k.low[d])
	return netip.AddrPortFrom(netip.AddrFrom16(b), port)
}
