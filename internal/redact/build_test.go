package redact

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
)

// What must never come out of a frame that was built here.
var (
	clientMAC = []byte{0x00, 0x0d, 0x3a, 0xc1, 0xc2, 0xc3}
	serverMAC = []byte{0x00, 0x0d, 0x3a, 0x51, 0x52, 0x53}
	client4   = netip.MustParseAddr("10.71.72.73")
	server4   = netip.MustParseAddr("198.51.100.93")
	third4    = netip.MustParseAddr("203.0.113.77")
	client6   = netip.MustParseAddr("2001:db8:71:72::73")
	server6   = netip.MustParseAddr("2001:db8:51:52:20d:3aff:fe51:5253")
	originals = [][]byte{
		clientMAC, clientMAC[3:], serverMAC, serverMAC[3:], client4.AsSlice(), server4.AsSlice(), third4.AsSlice(),
		client6.AsSlice(), client6.AsSlice()[:8], server6.AsSlice(), server6.AsSlice()[8:], server6.AsSlice()[13:], []byte(secret), []byte(secret[:4]),
	}
)

const secret = "GET /secret-of-contoso"

// A wrap puts a header before what it holds.
type wrap func(inner []byte) []byte

// frameOf builds a frame from the outside in.
func frameOf(payload string, headers ...wrap) []byte {
	b := []byte(payload)
	for _, w := range slices.Backward(headers) {
		b = w(b)
	}
	return b
}

func raw(digits string) wrap {
	h, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if err != nil {
		panic(err)
	}
	return func(inner []byte) []byte { return slices.Concat(h, inner) }
}

func bytesOf(b ...[]byte) wrap {
	h := slices.Concat(b...)
	return func(inner []byte) []byte { return slices.Concat(h, inner) }
}

func u16(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }

func eth(kind int) wrap { return bytesOf(serverMAC, clientMAC, u16(kind)) }

func ip4(protocol int, options ...byte) wrap {
	return func(inner []byte) []byte {
		n := 20 + len(options)
		return slices.Concat([]byte{byte(0x40 + n/4), 0}, u16(n+len(inner)), []byte{0x12, 0x34, 0x40, 0, 64, byte(protocol), 0xbe, 0xef},
			client4.AsSlice(), server4.AsSlice(), options, inner)
	}
}

// fragment4 sets the fragment field of the IPv4 header that it wraps.
func fragment4(field int) wrap {
	return func(inner []byte) []byte {
		b := slices.Clone(inner)
		copy(b[6:], u16(field))
		return b
	}
}

func ip6(next int) wrap {
	return func(inner []byte) []byte {
		return slices.Concat([]byte{0x60, 0, 0, 0}, u16(len(inner)), []byte{byte(next), 64}, client6.AsSlice(), server6.AsSlice(), inner)
	}
}

func tcp(options ...byte) wrap {
	n := 20 + len(options)
	return bytesOf(u16(40000), u16(443), []byte{0, 0, 0, 9, 0, 0, 0, 8}, u16(n/4<<12|0x18), u16(512), []byte{0xbe, 0xef, 0, 0}, options)
}

func udp(src, dst int) wrap {
	return func(inner []byte) []byte {
		return slices.Concat(u16(src), u16(dst), u16(8+len(inner)), []byte{0xbe, 0xef}, inner)
	}
}

// optionWith is an IPv6 header of options that holds an address.
func optionWith(next int) wrap {
	return bytesOf([]byte{byte(next), 2, 0xc9, 16}, server6.AsSlice(), []byte{1, 2, 0, 0})
}
