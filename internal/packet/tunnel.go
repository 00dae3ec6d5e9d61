package packet

// UDP ports of tunnels, as tshark 4.0.17 opens them by default.
const (
	portL2TP     = 1701
	portGTPUser  = 2152
	portTeredo   = 3544
	portLISP     = 4341
	portVXLAN    = 4789
	portVXLANGPE = 4790
	portAYIYA    = 5072
	portGeneve   = 6081
	portMPLS     = 6635
)

// udpTunnel opens what a UDP packet holds, if one of its ports is a tunnel's.
// As in tshark the lower port is asked first, so that a client that happens
// to ask a DNS server from port 4789 has no tunnel.
func (c *cursor) udpTunnel(src, dst uint16) header {
	low, high := min(src, dst), max(src, dst)
	if next := c.udpTunnelOn(low); next != headerNone || low < 1024 {
		return next
	}
	return c.udpTunnelOn(high)
}

func (c *cursor) udpTunnelOn(port uint16) header {
	if port < portL2TP || port > portMPLS {
		return headerNone
	}
	switch port {
	case portVXLAN:
		return c.opened(8, TunnelVXLAN, headerEthernet)
	case portVXLANGPE:
		return c.vxlanGPE()
	case portGeneve:
		return c.geneve()
	case portTeredo:
		return c.teredo()
	case portGTPUser:
		return c.gtp()
	case portL2TP:
		return c.l2tp()
	case portLISP:
		return c.opened(8, TunnelLISP, headerIP)
	case portAYIYA:
		return c.ayiya()
	case portMPLS:
		return headerMPLS
	}
	return headerNone
}

// opened passes over n bytes of a tunnel's header. A tunnel too short for its
// header is not one: the outer packet stays.
func (c *cursor) opened(n int, tunnel Tunnel, next header) header {
	if !c.skip(n) {
		return headerNone
	}
	c.tunnel |= tunnel
	return next
}

// vxlanGPE opens draft-ietf-nvo3-vxlan-gpe.
func (c *cursor) vxlanGPE() header {
	if len(c.data) < 8 {
		return headerNone
	}
	next := [...]header{1: headerIP, 2: headerIP, 3: headerEthernet, 4: headerNSH, 5: headerMPLS}
	kind := c.data[3]
	if int(kind) >= len(next) {
		return headerNone
	}
	return c.opened(8, TunnelVXLAN, next[kind])
}

// geneve opens RFC 8926.
func (c *cursor) geneve() header {
	if len(c.data) < 8 || c.data[0]>>6 != 0 {
		return headerNone
	}
	c.kind = be16(c.data[2:])
	return c.opened(8+int(c.data[0]&0x3f)*4, TunnelGeneve, headerEtherType)
}

// teredo opens RFC 4380: an optional authentication, an optional origin, and
// an IPv6 packet.
func (c *cursor) teredo() header {
	if len(c.data) >= 4 && be16(c.data) == 1 && !c.skip(4+int(c.data[2])+int(c.data[3])+8+1) {
		return headerNone
	}
	if len(c.data) >= 2 && be16(c.data) == 0 && !c.skip(8) {
		return headerNone
	}
	if len(c.data) == 0 || c.data[0]>>4 != 6 {
		return headerNone
	}
	c.tunnel |= TunnelTeredo
	return headerIP
}

// gtp opens the user plane of GTPv1 (3GPP TS 29.281).
func (c *cursor) gtp() header {
	const userPacket = 0xff
	b := c.data
	if len(b) < 8 || b[0]>>5 != 1 || b[0]&0x10 == 0 || b[1] != userPacket {
		return headerNone
	}
	length := 8
	if b[0]&7 != 0 {
		length += 4
		if b[0]&4 != 0 {
			for length <= len(b) && b[length-1] != 0 { // extension headers, each of which names the next
				if length >= len(b) || b[length] == 0 {
					return headerNone
				}
				length += int(b[length]) * 4
			}
		}
	}
	if len(b) <= length || b[length]>>4 != 4 && b[length]>>4 != 6 {
		return headerNone
	}
	return c.opened(length, TunnelGTP, headerIP)
}

// l2tp opens data messages of L2TPv2 (RFC 2661).
func (c *cursor) l2tp() header {
	const control, hasLength, hasSequence, hasOffset = 0x8000, 0x4000, 0x0800, 0x0200
	if len(c.data) < 6 {
		return headerNone
	}
	flags := be16(c.data)
	if flags&0x0f != 2 || flags&control != 0 {
		return headerNone
	}
	length := 6
	if flags&hasLength != 0 {
		c.limit(int(be16(c.data[2:])))
		length += 2
	}
	if flags&hasSequence != 0 {
		length += 4
	}
	if flags&hasOffset != 0 {
		if len(c.data) < length+2 {
			return headerNone
		}
		length += 2 + int(be16(c.data[length:]))
	}
	return c.opened(length, TunnelL2TP, headerPPP)
}

// ayiya opens draft-massar-v6ops-ayiya, once SixXS' way to IPv6.
func (c *cursor) ayiya() header {
	const forward = 1
	if len(c.data) < 8 || c.data[2]&0x0f != forward {
		return headerNone
	}
	length := 8 + 1<<(c.data[0]>>4) + int(c.data[1]>>4)*4
	c.kind = uint16(c.data[3])
	if c.kind != protocolIPv6 && c.kind != protocolIPv4 {
		return headerNone
	}
	return c.opened(length, TunnelAYIYA, headerIP)
}

// gre opens RFC 2784, RFC 2890, PPTP's version 1 (RFC 2637), NVGRE (RFC 7637)
// and ERSPAN (draft-foschiano-erspan).
func (c *cursor) gre() header {
	const hasChecksum, hasRouting, hasKey, hasSequence, hasAck = 0x8000, 0x4000, 0x2000, 0x1000, 0x0080
	if len(c.data) < 4 {
		return headerBad
	}
	flags := be16(c.data)
	c.kind = be16(c.data[2:])
	length := 4
	if flags&(hasChecksum|hasRouting) != 0 {
		length += 4
	}
	if flags&hasKey != 0 {
		length += 4
	}
	if flags&hasSequence != 0 {
		length += 4
	}
	if flags&7 == 1 && flags&hasAck != 0 {
		length += 4
	}
	if !c.skip(length) {
		return headerBad
	}
	if flags&hasRouting != 0 && !c.sourceRoutes() {
		return headerBad
	}
	c.tunnel |= TunnelGRE
	switch c.kind {
	case etherPPP:
		return headerPPP
	case 0x8881, 0x88d2: // 3GPP2 A10
		return headerHDLC
	case etherERSPAN:
		if flags&hasSequence == 0 { // type I has no header of its own
			return c.opened(0, TunnelERSPAN, headerEthernet)
		}
		return c.erspan()
	case etherERSPAN3:
		return c.erspan()
	case etherWCCP:
		// Version 2 of the redirection puts 4 bytes in front.
		if len(c.data) > 4 && c.data[0]>>4 != 4 {
			c.skip(4)
		}
		return headerIP
	case 0x6400:
		return headerEthernet
	}
	return headerEtherType
}

// sourceRoutes passes over the routing entries of RFC 1701.
func (c *cursor) sourceRoutes() bool {
	for len(c.data) >= 4 {
		family, length := be16(c.data), int(c.data[3])
		if !c.skip(4 + length) {
			return false
		}
		if family == 0 && length == 0 {
			return true
		}
	}
	return false
}

// erspan opens a mirrored frame of type II or III.
func (c *cursor) erspan() header {
	if len(c.data) < 12 {
		return headerBad
	}
	switch c.data[0] >> 4 {
	case 1:
		return c.opened(8, TunnelERSPAN, headerEthernet)
	case 2:
		length := 12
		if c.data[11]&1 == 1 { // platform-specific part
			length += 8
		}
		return c.opened(length, TunnelERSPAN, headerEthernet)
	}
	return headerNone
}

// etherIP opens RFC 3378.
func (c *cursor) etherIP() header {
	if len(c.data) < 2 || c.data[0]>>4 != 3 {
		return headerNone
	}
	return c.opened(2, TunnelEtherIP, headerEthernet)
}
