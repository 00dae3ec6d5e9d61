package packet

import "net/netip"

const (
	protocolHopByHop    = 0
	protocolIPv4        = 4
	protocolIPv6        = 41
	protocolRouting     = 43
	protocolFragment    = 44
	protocolGRE         = 47
	protocolAH          = 51
	protocolNone        = 59
	protocolDestination = 60
	protocolMobility    = 135
	protocolHIP         = 139
	protocolShim6       = 140
)

// ip decodes an IP header and its extensions, and reassembles.
func (d *Decoder) ip(c *cursor, p *Packet) header {
	if len(c.data) == 0 {
		return headerBad
	}
	if c.depth > 0 {
		p.forgetTransport()
	}
	c.depth++
	switch c.data[0] >> 4 {
	case 4:
		return d.ipv4(c, p)
	case 6:
		return d.ipv6(c, p)
	}
	return headerBad
}

// ipv4 decodes an IPv4 header (RFC 791).
func (d *Decoder) ipv4(c *cursor, p *Packet) header {
	h := c.data
	if len(h) < 20 {
		return headerBad
	}
	headerLength := int(h[0]&0x0f) * 4
	total := int(be16(h[2:]))
	if total == 0 {
		total = c.wire // the network card was to segment it (TSO), and fills this in
	}
	if headerLength < 20 || total < headerLength {
		return headerBad
	}
	c.limit(total)
	fragment := be16(h[6:])

	p.IPVersion = 4
	p.TTL = h[8]
	p.IPID = be16(h[4:])
	p.DontFragment = fragment&0x4000 != 0
	p.Fragment = false
	p.Src = netip.AddrFrom4([4]byte(h[12:]))
	p.Dst = netip.AddrFrom4([4]byte(h[16:]))
	p.Protocol = h[9]
	p.IPPayloadLength = max(0, c.wire-headerLength)
	c.kind = uint16(h[9])
	if !c.skip(headerLength) {
		return headerBad
	}
	if fragment&0x3fff != 0 { // more to come, or an offset
		p.Fragment = true
		d.counters.Fragments++
		return headerNone
	}
	return headerTransport
}

// ipv6 decodes an IPv6 header (RFC 8200).
func (d *Decoder) ipv6(c *cursor, p *Packet) header {
	h := c.data
	if len(h) < 40 {
		return headerBad
	}
	payload := int(be16(h[4:]))
	if payload == 0 {
		payload = c.wire - 40 // segmentation offload, or a jumbogram
	}
	p.IPVersion = 6
	p.TTL = h[7]
	p.IPID = 0
	p.DontFragment = false
	p.Fragment = false
	p.Src = netip.AddrFrom16([16]byte(h[8:]))
	p.Dst = netip.AddrFrom16([16]byte(h[24:]))
	c.kind = uint16(h[6])
	c.skip(40)
	c.limit(payload)
	p.IPPayloadLength = c.wire
	return d.extensions(c, p)
}

// extensions passes over IPv6 extension headers. Each takes 8 bytes at least,
// so that the length of the packet bounds the chain.
func (d *Decoder) extensions(c *cursor, p *Packet) header {
	for {
		p.Protocol = uint8(c.kind)
		length := 0
		switch c.kind {
		case protocolHopByHop, protocolRouting, protocolDestination, protocolMobility, protocolHIP, protocolShim6:
			if len(c.data) < 2 {
				return headerBad
			}
			length = 8 + 8*int(c.data[1])
		case protocolAH:
			if len(c.data) < 2 {
				return headerBad
			}
			length = 8 + 4*int(c.data[1])
		case protocolFragment:
			if len(c.data) < 8 {
				return headerBad
			}
			offset := be16(c.data[2:])
			if offset&0xfff9 != 0 {
				p.Protocol = c.data[0]
				p.Fragment = true
				d.counters.Fragments++
				return headerNone
			}
			length = 8
		default:
			return headerTransport
		}
		c.kind = uint16(c.data[0])
		if !c.skip(length) {
			return headerBad
		}
		p.IPPayloadLength -= length
	}
}

type fragmentTable struct{ byKey map[int]int }
