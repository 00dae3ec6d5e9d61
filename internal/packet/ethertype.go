package packet

// EtherTypes (IEEE registry) that are opened.
const (
	etherIPv4    = 0x0800
	etherERSPAN3 = 0x22eb
	etherBridged = 0x6558 // transparent Ethernet bridging
	etherVLAN    = 0x8100 // 802.1Q
	etherIPv6    = 0x86dd
	etherPPP     = 0x880b
	etherWCCP    = 0x883e
	etherMPLS    = 0x8847
	etherMPLSUp  = 0x8848 // upstream-assigned label
	etherPPPoE   = 0x8864 // session
	etherQinQ    = 0x88a8 // 802.1ad
	etherERSPAN  = 0x88be
	etherPBB     = 0x88e7 // 802.1ah, MAC in MAC
	etherCMD     = 0x8909 // Cisco metadata
	etherVNTag   = 0x8926
	etherHSR     = 0x892f
	etherETag    = 0x893f // 802.1BR
	etherNSH     = 0x894f
	etherQinQOld = 0x9100
	etherRTag    = 0xf1c1 // 802.1CB
)

// etherType looks at what follows an EtherType.
func (c *cursor) etherType(p *Packet) header {
	switch c.kind {
	case etherIPv4, etherIPv6:
		return headerIP
	case etherVLAN, etherQinQ, etherQinQOld:
		if p.VLAN == 0 && len(c.data) >= 2 {
			p.VLAN = be16(c.data) & 0x0fff
		}
		return c.tag(2)
	case etherVNTag:
		return c.tag(4)
	case etherETag, etherCMD:
		return c.tag(6)
	case etherHSR, etherRTag:
		return c.tag(4)
	case etherPBB:
		return c.tag(16)
	case etherMPLS, etherMPLSUp:
		return headerMPLS
	case etherPPPoE:
		return c.pppoe()
	case etherBridged:
		return headerEthernet
	case etherNSH:
		return headerNSH
	}
	return headerNone
}

// tag passes over a tag of n bytes, and reads the EtherType after it.
func (c *cursor) tag(n int) header {
	if len(c.data) < n+2 {
		return headerBad
	}
	c.kind = be16(c.data[n:])
	c.skip(n + 2)
	c.depth++
	return c.typeOrLength()
}

// pppoe reads a PPPoE session header (RFC 2516).
func (c *cursor) pppoe() header {
	if len(c.data) < 6 {
		return headerBad
	}
	length := int(be16(c.data[4:]))
	c.skip(6)
	c.limit(length)
	c.tunnel |= TunnelPPPoE
	c.depth++
	return headerPPP
}

// mpls passes over a label stack. Nothing in it says what follows; the first
// nibble does by convention (RFC 4928): 4 and 6 are IP, 0 is the control word
// of a pseudowire, and what else looks like Ethernet is Ethernet.
func (c *cursor) mpls() header {
	for {
		if len(c.data) < 4 {
			return headerBad
		}
		last := c.data[2]&1 == 1
		c.skip(4)
		if last {
			break
		}
	}
	c.tunnel |= TunnelMPLS
	c.depth++
	if len(c.data) == 0 {
		return headerNone
	}
	switch c.data[0] >> 4 {
	case 4, 6:
		return headerIP
	case 1: // associated channel: not traffic
		return headerNone
	case 0:
		if !c.looksLikeEthernet(0) && c.looksLikeEthernet(4) {
			return c.after(4, headerEthernet)
		}
	}
	if c.looksLikeEthernet(0) {
		return headerEthernet
	}
	return headerNone
}

// looksLikeEthernet reports whether an Ethernet header at offset ends in a
// type that is opened, or in a length that fits.
func (c *cursor) looksLikeEthernet(offset int) bool {
	if len(c.data) < offset+14 {
		return false
	}
	kind := be16(c.data[offset+12:])
	switch kind {
	case etherIPv4, etherIPv6, etherVLAN, etherQinQ, etherMPLS, etherPPPoE, 0x0806:
		return true
	}
	return kind <= 1500 && kind >= 3 && int(kind) <= c.wire-offset-14
}

// nsh passes over a network service header (RFC 8300).
func (c *cursor) nsh() header {
	if len(c.data) < 8 {
		return headerBad
	}
	length, next := int(be16(c.data)&0x3f)*4, c.data[3]
	if length < 8 || !c.skip(length) {
		return headerBad
	}
	c.depth++
	switch next {
	case 1, 2:
		return headerIP
	case 3:
		return headerEthernet
	case 5:
		return headerMPLS
	}
	return headerNone
}
