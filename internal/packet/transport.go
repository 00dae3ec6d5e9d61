package packet

import "net/netip"

// transport decodes what an IP packet holds.
func (c *cursor) transport(p *Packet) header {
	switch c.kind {
	case ProtocolTCP:
		return c.tcp(p)
	case ProtocolUDP:
		return c.udp(p)
	case ProtocolICMP, ProtocolICMPv6:
		return c.icmp(p)
	case protocolGRE:
		return c.gre()
	case protocolIPv4, protocolIPv6:
		c.tunnel |= TunnelIPIP
		return headerIP
	case protocolAH:
		return c.authentication(p)
	case protocolEtherIP:
		return c.etherIP()
	case protocolMPLS:
		return headerMPLS
	case protocolEthernet:
		return c.opened(0, TunnelEtherIP, headerEthernet)
	}
	return headerNone
}

// authentication passes over an IPsec header that hides nothing (RFC 4302).
func (c *cursor) authentication(p *Packet) header {
	if len(c.data) < 2 {
		return headerBad
	}
	length := 8 + 4*int(c.data[1])
	c.kind = uint16(c.data[0])
	p.Protocol = c.data[0]
	p.IPPayloadLength = max(0, p.IPPayloadLength-length)
	return c.after(length, headerTransport)
}

// tcp decodes a TCP header (RFC 9293). As in tshark the checksum and what
// follows it may be missing.
func (c *cursor) tcp(p *Packet) header {
	h := c.data
	if len(h) < 16 {
		return headerBad
	}
	p.Transport = true
	p.SrcPort, p.DstPort = be16(h), be16(h[2:])
	p.Seq, p.Ack = be32(h[4:]), be32(h[8:])
	p.Flags = TCPFlags(be16(h[12:]) & 0x0fff)
	p.Window = be16(h[14:])
	length := int(h[12]>>4) * 4
	p.SegmentLength = max(0, c.wire-length)
	if length < 20 || length > c.wire {
		p.PartialHeader = true
		return headerBad
	}
	p.PartialHeader = len(h) < 20
	if len(h) > 20 {
		p.tcpOptions(h[20:min(length, len(h))])
		p.Payload = h[min(length, len(h)):]
	} else {
		c.skip(len(h))
	}
	return headerNone
}

// tcpOptions reads the options that the analysis asks for, up to the first
// that contradicts itself.
func (p *Packet) tcpOptions(b []byte) {
	for len(b) > 0 {
		kind := b[0]
		if kind == 0 {
			return
		}
		if kind == 1 {
			b = b[1:]
			continue
		}
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
			return
		}
		value := b[2:b[1]]
		switch {
		case kind == 2 && len(value) == 2:
			p.MSS = be16(value)
		case kind == 3 && len(value) == 1:
			p.WindowScale = int8(min(value[0], 14)) // RFC 7323, 2.3
		case kind == 4 && len(value) == 0:
			p.SACKPermitted = true
		case kind == 5 && len(value) >= 8:
			p.SACK = true
		}
		b = b[b[1]:]
	}
}

// udp decodes a UDP header (RFC 768).
func (c *cursor) udp(p *Packet) header {
	h := c.data
	if len(h) < 8 {
		return headerBad
	}
	p.Transport = true
	p.SrcPort, p.DstPort = be16(h), be16(h[2:])
	switch length := int(be16(h[4:])); {
	case length >= 8:
		c.limit(length)
	case length > 0: // 0 is allowed in jumbograms (RFC 2675), and ends up here in offloaded segments
		return headerBad
	}
	c.skip(8)
	p.Payload = c.data
	return c.udpTunnel(p.SrcPort, p.DstPort)
}

// icmp decodes an ICMP or ICMPv6 header (RFC 792, RFC 4443), and the headers
// that an error quotes.
func (c *cursor) icmp(p *Packet) header {
	h := c.data
	if len(h) < 4 {
		return headerBad
	}
	m := &p.ICMP
	m.Type, m.Code = h[0], h[1]
	p.Transport = true
	if len(h) < 8 {
		c.skip(len(h))
		return headerNone
	}
	p.Payload = h[8:]
	var isError bool
	if c.kind == ProtocolICMP {
		if m.Type == 3 && m.Code == 4 {
			m.MTU = int(be16(h[6:]))
		}
		switch m.Type {
		case 3, 4, 5, 11, 12:
			isError = true
		}
	} else {
		if m.Type == 2 {
			m.MTU = int(be32(h[4:]))
		}
		isError = m.Type >= 1 && m.Type <= 4
	}
	if isError {
		m.quote(h[8:])
	}
	return headerNone
}

// quote reads as much as there is of a quoted packet: often no more than its
// IP header and 8 bytes.
func (m *ICMP) quote(b []byte) {
	if len(b) == 0 {
		return
	}
	var fragment bool
	switch b[0] >> 4 {
	case 4:
		length := int(b[0]&0x0f) * 4
		if len(b) < 20 || length < 20 {
			return
		}
		m.QuotedProtocol = b[9]
		m.QuotedSrc = netip.AddrFrom4([4]byte(b[12:]))
		m.QuotedDst = netip.AddrFrom4([4]byte(b[16:]))
		fragment = be16(b[6:])&0x1fff != 0
		b = b[min(length, len(b)):]
	case 6:
		if len(b) < 40 {
			return
		}
		m.QuotedSrc = netip.AddrFrom16([16]byte(b[8:]))
		m.QuotedDst = netip.AddrFrom16([16]byte(b[24:]))
		m.QuotedProtocol, fragment, b = quotedExtensions(b[6], b[40:])
	default:
		return
	}
	m.Quoted = true
	if fragment || len(b) < 4 || m.QuotedProtocol != ProtocolTCP && m.QuotedProtocol != ProtocolUDP {
		return
	}
	m.QuotedSrcPort, m.QuotedDstPort = be16(b), be16(b[2:])
	if len(b) >= 8 && m.QuotedProtocol == ProtocolTCP {
		m.QuotedSeq = be32(b[4:])
	}
}

// quotedExtensions passes over the extension headers of a quoted packet.
func quotedExtensions(protocol uint8, b []byte) (transport uint8, fragment bool, rest []byte) {
	for len(b) >= 8 {
		length := 8
		switch protocol {
		case protocolHopByHop, protocolRouting, protocolDestination:
			length = 8 + 8*int(b[1])
		case protocolFragment:
			fragment = fragment || be16(b[2:])&0xfff8 != 0
		default:
			return protocol, fragment, b
		}
		protocol = b[0]
		b = b[min(length, len(b)):]
	}
	return protocol, fragment, b
}
