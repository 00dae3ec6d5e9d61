package flow

import (
	"encoding/binary"
	"net/netip"

	"github.com/pcapwarden/pcapwarden/internal/packet"
)

// A key names a conversation by its two endpoints, the lower one first, so
// that both directions have the same. It holds no pointers and no padding: a
// map of keys is hashed as plain memory, with Go's per-map seed, and is
// invisible to the garbage collector.
type key struct {
	high, low [2]uint64 // the addresses as IPv6
	ports     [2]uint16
	kind      uint32 // IP version and protocol
}

// keyOf returns the key of p and which of its endpoints sent p.
func keyOf(p *packet.Packet) (key, Direction) {
	src, dst := p.Src.As16(), p.Dst.As16()
	k := key{
		high: [2]uint64{binary.BigEndian.Uint64(src[:8]), binary.BigEndian.Uint64(dst[:8])},
		low:  [2]uint64{binary.BigEndian.Uint64(src[8:]), binary.BigEndian.Uint64(dst[8:])},
		kind: uint32(p.IPVersion)<<8 | uint32(p.Protocol),
	}
	if p.Protocol == packet.ProtocolTCP || p.Protocol == packet.ProtocolUDP {
		k.ports = [2]uint16{p.SrcPort, p.DstPort}
	}
	if k.sorted() {
		return k, 0
	}
	k.high[0], k.high[1] = k.high[1], k.high[0]
	k.low[0], k.low[1] = k.low[1], k.low[0]
	k.ports[0], k.ports[1] = k.ports[1], k.ports[0]
	return k, 1
}

func (k *key) sorted() bool {
	switch {
	case k.high[0] != k.high[1]:
		return k.high[0] < k.high[1]
	case k.low[0] != k.low[1]:
		return k.low[0] < k.low[1]
	}
	return k.ports[0] <= k.ports[1]
}

func (k *key) endpoint(d Direction) netip.AddrPort {
	d &= 1
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], k.high[d])
	binary.BigEndian.PutUint64(b[8:], k.low[d])
	addr := netip.AddrFrom16(b)
	if k.kind>>8 == 4 {
		addr = addr.Unmap()
	}
	return netip.AddrPortFrom(addr, k.ports[d])
}
