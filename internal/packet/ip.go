package packet

import "net/netip"

// IP protocols that are opened (IANA).
const (
	protocolHopByHop    = 0
	protocolIPv4        = 4
	protocolIPv6        = 41
	protocolRouting     = 43
	protocolFragment    = 44
	protocolGRE         = 47
	protocolAH          = 51
	protocolDestination = 60
	protocolEtherIP     = 97
	protocolMobility    = 135
	protocolMPLS        = 137
	protocolHIP         = 139
	protocolShim6       = 140
	protocolEthernet    = 143
)

// ip decodes an IP header and its extensions, and reassembles. What an outer
// packet left in p stays until the header turns out to be one.
func (d *Decoder) ip(c *cursor, p *Packet) header {
	if len(c.data) == 0 {
		return headerBad
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
	if p.IPVersion != 0 {
		p.forgetTransport()
	}
	offset := be16(h[6:])

	p.IPVersion = 4
	p.TTL = h[8]
	p.IPID = be16(h[4:])
	p.DontFragment = offset&0x4000 != 0
	p.Fragment, p.Reassembled = false, false
	p.Src = netip.AddrFrom4([4]byte(h[12:]))
	p.Dst = netip.AddrFrom4([4]byte(h[16:]))
	p.Protocol = h[9]
	p.Tunnel = c.tunnel
	p.IPPayloadLength = max(0, c.wire-headerLength)
	c.kind = uint16(h[9])
	if !c.skip(headerLength) {
		return headerBad
	}
	if offset&0x3fff != 0 { // more fragments, or an offset
		return d.fragment(c, p, fragment{
			key:    fragmentKey{src: p.Src, dst: p.Dst, id: uint32(p.IPID), protocol: p.Protocol},
			offset: int(offset&0x1fff) * 8,
			more:   offset&0x2000 != 0,
		})
	}
	return headerTransport
}

// ipv6 decodes an IPv6 header (RFC 8200).
func (d *Decoder) ipv6(c *cursor, p *Packet) header {
	h := c.data
	if len(h) < 40 {
		return headerBad
	}
	if p.IPVersion != 0 {
		p.forgetTransport()
	}
	payload := int(be16(h[4:]))
	if n := c.wire - 40; payload == 0 && n > 0xffff {
		payload = n // a jumbogram (RFC 2675), or a segment that the card was to cut up
	}
	p.IPVersion = 6
	p.TTL = h[7]
	p.IPID = 0
	p.DontFragment = false
	p.Fragment, p.Reassembled = false, false
	p.Src = netip.AddrFrom16([16]byte(h[8:]))
	p.Dst = netip.AddrFrom16([16]byte(h[24:]))
	p.Tunnel = c.tunnel
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
		length := 8
		switch c.kind {
		case protocolHopByHop, protocolRouting, protocolDestination, protocolMobility, protocolHIP, protocolShim6:
			if len(c.data) < 2 {
				return headerBad
			}
			length += 8 * int(c.data[1])
		case protocolFragment:
			if len(c.data) < 8 {
				return headerBad
			}
			if offset := be16(c.data[2:]); offset&0xfff9 != 0 { // else it is the only one (RFC 6946)
				key := fragmentKey{src: p.Src, dst: p.Dst, id: be32(c.data[4:]), protocol: c.data[0]}
				c.kind = uint16(c.data[0])
				p.Protocol = c.data[0]
				p.IPPayloadLength -= 8
				c.skip(8)
				next := d.fragment(c, p, fragment{key: key, offset: int(offset &^ 7), more: offset&1 != 0})
				if next != headerTransport {
					return next
				}
				continue
			}
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
