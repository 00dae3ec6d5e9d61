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

// keyOf returns the key of p and which of its endpoints sent p.
func keyOf(p *packet.Packet) (key, Direction) {
	k := key{kind: uint32(p.Protocol)}
	if p.Src.Is4() && p.Dst.Is4() {
		k.kind |= ipv4
		src, dst := p.Src.As4(), p.Dst.As4()
		k.low[0] = uint64(binary.BigEndian.Uint32(src[:]))
		k.low[1] = uint64(binary.BigEndian.Uint32(dst[:]))
	} else {
		src, dst := p.Src.As16(), p.Dst.As16()
		k.high[0], k.low[0] = binary.BigEndian.Uint64(src[:8]), binary.BigEndian.Uint64(src[8:])
		k.high[1], k.low[1] = binary.BigEndian.Uint64(dst[:8]), binary.BigEndian.Uint64(dst[8:])
	}
	if p.Protocol == packet.ProtocolTCP || p.Protocol == packet.ProtocolUDP {
		k.ports = uint32(p.SrcPort)<<16 | uint32(p.DstPort)
	}
	if k.sorted() {
		return k, 0
	}
	k.high[0], k.high[1] = k.high[1], k.high[0]
	k.low[0], k.low[1] = k.low[1], k.low[0]
	k.ports = k.ports<<16 | k.ports>>16
	return k, 1
}

func (k *key) sorted() bool {
	switch {
	case k.high[0] != k.high[1]:
		return k.high[0] < k.high[1]
	case k.low[0] != k.low[1]:
		return k.low[0] < k.low[1]
	}
	return k.ports>>16 <= k.ports&0xffff
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
