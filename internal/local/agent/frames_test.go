package agent

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strings"
)

// frame builds an Ethernet frame around an IP packet of either version.
func frame(protocol uint8, src, dst string, payload []byte) []byte {
	s, d := netip.MustParseAddr(src), netip.MustParseAddr(dst)
	ethernet := make([]byte, 14)
	if s.Is6() {
		binary.BigEndian.PutUint16(ethernet[12:], etherIPv6)
		ip := make([]byte, 40)
		ip[0], ip[6], ip[7] = 0x60, protocol, 64
		binary.BigEndian.PutUint16(ip[4:], uint16(len(payload)))
		copy(ip[8:], s.AsSlice())
		copy(ip[24:], d.AsSlice())
		return append(append(ethernet, ip...), payload...)
	}
	binary.BigEndian.PutUint16(ethernet[12:], etherIPv4)
	ip := make([]byte, 20)
	ip[0], ip[8], ip[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(ip[2:], uint16(20+len(payload)))
	copy(ip[12:], s.AsSlice())
	copy(ip[16:], d.AsSlice())
	return append(append(ethernet, ip...), payload...)
}

func tcp(src, dst string) []byte {
	s, d := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	h := make([]byte, 20)
	binary.BigEndian.PutUint16(h, s.Port())
	binary.BigEndian.PutUint16(h[2:], d.Port())
	h[12], h[13] = 5<<4, 0x02
	return frame(protocolTCP, s.Addr().String(), d.Addr().String(), h)
}

func udp(src, dst string) []byte {
	s, d := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	h := make([]byte, 12)
	binary.BigEndian.PutUint16(h, s.Port())
	binary.BigEndian.PutUint16(h[2:], d.Port())
	h[5] = 12
	return frame(protocolUDP, s.Addr().String(), d.Addr().String(), h)
}

func icmp(src, dst string) []byte {
	return frame(1, src, dst, []byte{8, 0, 0, 0, 0, 1, 0, 1})
}

// later turns an IPv4 frame into a later fragment.
func later(f []byte) []byte {
	binary.BigEndian.PutUint16(f[14+6:], 185)
	return f
}

// options gives an IPv4 frame four bytes of header options.
func options(f []byte) []byte {
	f[14] = 0x46
	binary.BigEndian.PutUint16(f[14+2:], binary.BigEndian.Uint16(f[14+2:])+4)
	return append(f[:34:34], append([]byte{1, 1, 1, 1}, f[34:]...)...)
}

// extended puts a hop-by-hop header into an IPv6 frame.
func extended(f []byte) []byte {
	header := []byte{f[14+6], 0, 1, 4, 0, 0, 0, 0}
	f[14+6] = 0
	f[14+5] += 8
	return append(f[:54:54], append(header, f[54:]...)...)
}

func arp() []byte {
	f, err := hex.DecodeString(strings.ReplaceAll(
		"ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 0a280104 000000000000 0a280105", " ", ""))
	if err != nil {
		panic(err)
	}
	return f
}
