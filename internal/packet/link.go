package packet

import (
	"encoding/binary"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// EtherTypes (IEEE registry).
const (
	etherIPv4      = 0x0800
	etherTEB       = 0x6558 // transparent Ethernet bridging
	etherVLAN      = 0x8100 // 802.1Q
	etherIPv6      = 0x86dd
	etherPPP       = 0x880b
	etherMPLS      = 0x8847
	etherMPLSMulti = 0x8848
	etherPPPoE     = 0x8864 // session
	etherQinQ      = 0x88a8 // 802.1ad
	etherERSPAN2   = 0x88be
	etherERSPAN3   = 0x22eb
	etherQinQOld   = 0x9100
)

// linkHeader passes over the link-layer header, Ethernet's excepted.
func (c *cursor) linkHeader(link pcap.LinkType) header {
	switch link {
	case pcap.LinkTypeEthernet:
		return headerEthernet
	case pcap.LinkTypeRaw, pcap.LinkTypeRawBSD, pcap.LinkTypeRawOpenBSD, pcap.LinkTypeIPv4, pcap.LinkTypeIPv6:
		return headerIP
	case pcap.LinkTypeNull, pcap.LinkTypeLoop:
		return c.loopback()
	case pcap.LinkTypeLinuxSLL:
		return c.cooked(14, 16)
	case pcap.LinkTypeLinuxSLL2:
		return c.cooked(0, 20)
	}
	return headerBad
}

// ethernet reads an Ethernet header up to its type.
func (c *cursor) ethernet() header {
	if len(c.data) < 14 {
		return headerBad
	}
	c.kind = be16(c.data[12:])
	c.skip(14)
	return c.typeOrLength()
}

// typeOrLength tells an EtherType from the length of an 802.3 frame.
func (c *cursor) typeOrLength() header {
	if c.kind > 1500 {
		return headerEtherType
	}
	c.limit(int(c.kind))
	return headerLLC
}

// cooked reads a "Linux any" header of n bytes, with its protocol at offset.
func (c *cursor) cooked(offset, n int) header {
	if len(c.data) < n {
		return headerBad
	}
	c.kind = be16(c.data[offset:])
	c.skip(n)
	switch {
	case c.kind == 4:
		return headerLLC
	case c.kind <= 1500:
		return headerNone
	}
	return headerEtherType
}

// loopback reads the address family of a BSD loopback header, which is in
// the byte order of whoever wrote it.
func (c *cursor) loopback() header {
	if len(c.data) < 4 {
		return headerBad
	}
	family := binary.LittleEndian.Uint32(c.data)
	if family > 0xffff {
		family = be32(c.data)
	}
	c.skip(4)
	switch family {
	case 2, 10, 24, 28, 30: // AF_INET, and AF_INET6 of Linux, NetBSD, FreeBSD, Darwin
		return headerIP
	}
	return headerNone
}

// etherType looks at what follows an EtherType.
func (c *cursor) etherType(p *Packet) header {
	switch c.kind {
	case etherIPv4, etherIPv6:
		return headerIP
	case etherVLAN, etherQinQ, etherQinQOld:
		if len(c.data) < 4 {
			return headerBad
		}
		if p.VLAN == 0 {
			p.VLAN = be16(c.data) & 0x0fff
		}
		c.kind = be16(c.data[2:])
		c.skip(4)
		c.depth++
		return c.typeOrLength()
	case etherMPLS, etherMPLSMulti:
		return headerMPLS
	}
	return headerNone
}

// mpls passes over a label stack. Nothing in it says what follows; the first
// nibble does by convention (RFC 4928).
func (c *cursor) mpls(p *Packet) header {
	p.Tunnel |= TunnelMPLS
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
	c.depth++
	if len(c.data) == 0 {
		return headerNone
	}
	switch c.data[0] >> 4 {
	case 4, 6:
		return headerIP
	}
	return headerNone
}

func (c *cursor) other(*Packet, header) header { return headerNone }
