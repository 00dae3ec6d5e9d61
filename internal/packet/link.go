package packet

import (
	"encoding/binary"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// linkHeader passes over the link-layer header of a frame, or says which
// header that is. It runs once a frame; all that can nest is a header of its
// own.
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
	case pcap.LinkTypePPP, pcap.LinkTypePPPHDLC, pcap.LinkTypeCiscoHDLC:
		return headerHDLC
	case pcap.LinkTypePPPWithDirection:
		return c.after(1, headerHDLC)
	case pcap.LinkTypePPPoE:
		return c.pppoe()
	case pcap.LinkTypeFrameRelay:
		return c.frameRelay()
	case pcap.LinkTypeFDDI:
		return c.after(13, headerLLC)
	case pcap.LinkTypeIPOverFireWire:
		if len(c.data) < 18 {
			return headerBad
		}
		c.kind = be16(c.data[16:])
		return c.after(18, headerEtherType)
	case pcap.LinkTypeEnc:
		return c.after(12, headerIP)
	case pcap.LinkTypePFLog:
		if len(c.data) < 1 {
			return headerBad
		}
		return c.after((int(c.data[0])+3)&^3, headerIP)
	case pcap.LinkTypeNFLog:
		return c.netfilterLog()
	case pcap.LinkTypeWLAN:
		return c.wlan(false)
	case pcap.LinkTypeRadiotap:
		return c.radiotap()
	case pcap.LinkTypeNone:
		return headerNone
	}
	return headerBad
}

// after passes over n bytes to the next header.
func (c *cursor) after(n int, next header) header {
	if !c.skip(n) {
		return headerBad
	}
	return next
}

// ethernet reads an Ethernet header up to its type.
func (c *cursor) ethernet() header {
	if len(c.data) < 14 {
		return headerBad
	}
	c.depth++
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
	case c.kind == 3: // Ethernet after all
		return headerEthernet
	case c.kind == 4: // 802.2
		return headerLLC
	case c.kind == 7:
		return headerHDLC
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

// llc reads an 802.2 header, and SNAP after it (RFC 1042).
func (c *cursor) llc() header {
	if len(c.data) < 3 {
		return headerNone
	}
	switch dsap, control := c.data[0]&^1, c.data[2]; {
	case dsap == 0x06 && control == 3: // IP has a number of its own
		return c.after(3, headerIP)
	case dsap == 0xaa && control == 3:
		if len(c.data) < 8 {
			return headerBad
		}
		organization := be32(c.data[2:]) & 0xffffff
		c.kind = be16(c.data[6:])
		c.skip(8)
		if organization == 0 || organization == 0x0000f8 {
			return headerEtherType
		}
	}
	return headerNone
}

// hdlc tells PPP from Cisco's framing, which share link types.
func (c *cursor) hdlc() header {
	if len(c.data) < 4 {
		return headerBad
	}
	switch c.data[0] {
	case 0x0f, 0x8f: // Cisco: unicast, multicast
		c.kind = be16(c.data[2:])
		return c.after(4, headerEtherType)
	}
	return headerPPP
}

// ppp reads the protocol of a PPP frame (RFC 1661), with or without address
// and control, with a protocol of one or two bytes.
func (c *cursor) ppp() header {
	if len(c.data) >= 2 && c.data[0] == 0xff && c.data[1] == 3 {
		c.skip(2)
	}
	if len(c.data) < 2 {
		return headerBad
	}
	protocol, n := be16(c.data), 2
	if c.data[0]&1 == 1 {
		protocol, n = uint16(c.data[0]), 1
	}
	c.skip(n)
	switch protocol {
	case 0x0021, 0x0057, etherIPv4, etherIPv6:
		return headerIP
	case 0x0281, 0x0283:
		return headerMPLS
	}
	return headerNone
}

// frameRelay reads a Q.922 address and the multiprotocol header of RFC 2427,
// or Cisco's EtherType in its place.
func (c *cursor) frameRelay() header {
	for range 4 { // an address has at most 4 bytes, the last is marked
		if len(c.data) < 1 {
			return headerBad
		}
		last := c.data[0]&1 == 1
		c.skip(1)
		if last {
			break
		}
	}
	if len(c.data) < 2 {
		return headerBad
	}
	if c.data[0] != 3 {
		c.kind = be16(c.data)
		return c.after(2, headerEtherType)
	}
	c.skip(1)
	if c.data[0] == 0 { // padding
		c.skip(1)
	}
	if len(c.data) < 1 {
		return headerBad
	}
	protocol := c.data[0]
	c.skip(1)
	switch protocol {
	case 0xcc, 0x8e:
		return headerIP
	case 0xcf:
		return headerPPP
	case 0x80: // SNAP
		if len(c.data) < 5 {
			return headerBad
		}
		organization := be32(c.data) >> 8
		c.kind = be16(c.data[3:])
		c.skip(5)
		if organization == 0 {
			return headerEtherType
		}
	}
	return headerNone
}

// netfilterLog looks for the packet among the attributes of a Linux NFLOG
// message. Their numbers are in the byte order of the machine that wrote
// them, which today is always little-endian.
func (c *cursor) netfilterLog() header {
	const attributePayload = 9
	if !c.skip(4) {
		return headerBad
	}
	for len(c.data) >= 4 {
		length := int(binary.LittleEndian.Uint16(c.data))
		kind := binary.LittleEndian.Uint16(c.data[2:]) & 0x7fff
		if length < 4 {
			return headerBad
		}
		if kind == attributePayload {
			c.limit(length)
			return c.after(4, headerIP)
		}
		if !c.skip((length + 3) &^ 3) {
			return headerBad
		}
	}
	return headerBad
}
