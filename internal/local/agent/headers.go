package agent

import (
	"encoding/binary"
	"net/netip"
)

// headers is what a filter asks about: of the outermost IP packet, since
// that is what Network Watcher's filters are about.
type headers struct {
	protocol         uint8
	src, dst         netip.Addr
	ports            bool // TCP or UDP, and not a later fragment
	srcPort, dstPort uint16
}

const (
	protocolTCP = 6
	protocolUDP = 17

	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd
)

// readHeaders reads an Ethernet frame; !ok means that it is not IP, or that
// its IP header is cut.
func readHeaders(frame []byte) (h headers, ok bool) {
	if len(frame) < 14 {
		return h, false
	}
	ip := frame[14:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case etherIPv4:
		return readIPv4(ip)
	case etherIPv6:
		return readIPv6(ip)
	}
	return h, false
}

func readIPv4(ip []byte) (h headers, ok bool) {
	if len(ip) < 20 || ip[0]>>4 != 4 {
		return h, false
	}
	h.protocol = ip[9]
	h.src, _ = netip.AddrFromSlice(ip[12:16])
	h.dst, _ = netip.AddrFromSlice(ip[16:20])
	size := int(ip[0]&0x0f) * 4
	if first := binary.BigEndian.Uint16(ip[6:])&0x1fff == 0; first && size >= 20 && size <= len(ip) {
		h.readPorts(ip[size:])
	}
	return h, true
}

// readIPv6 skips the extension headers of RFC 8200 on the way to the
// transport.
func readIPv6(ip []byte) (h headers, ok bool) {
	if len(ip) < 40 || ip[0]>>4 != 6 {
		return h, false
	}
	h.protocol = ip[6]
	h.src, _ = netip.AddrFromSlice(ip[8:24])
	h.dst, _ = netip.AddrFromSlice(ip[24:40])
	rest := ip[40:]
	for {
		const hopByHop, routing, fragment, destination = 0, 43, 44, 60
		size := 8
		switch h.protocol {
		case hopByHop, routing, destination:
			if len(rest) >= 2 {
				size += int(rest[1]) * 8
			}
		case fragment:
			if len(rest) >= 4 && binary.BigEndian.Uint16(rest[2:])&0xfff8 != 0 {
				h.protocol = rest[0]
				return h, true // a later fragment carries no ports
			}
		default:
			h.readPorts(rest)
			return h, true
		}
		if len(rest) < size {
			return h, true
		}
		h.protocol, rest = rest[0], rest[size:]
	}
}

func (h *headers) readPorts(transport []byte) {
	if h.protocol != protocolTCP && h.protocol != protocolUDP || len(transport) < 4 {
		return
	}
	h.ports = true
	h.srcPort = binary.BigEndian.Uint16(transport)
	h.dstPort = binary.BigEndian.Uint16(transport[2:])
}
