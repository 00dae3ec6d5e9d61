package packet

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
)

// A wrap puts a header before what it holds.
type wrap func(inner []byte) []byte

// frame builds a frame from the outside in; the last thing is the payload.
func frame(payload string, headers ...wrap) []byte {
	b := []byte(payload)
	for _, wrap := range slices.Backward(headers) {
		b = wrap(b)
	}
	return b
}

// raw is a header given in hexadecimal; spaces are for the reader.
func raw(digits string) wrap {
	h, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if err != nil {
		panic(err)
	}
	return func(inner []byte) []byte { return append(slices.Clone(h), inner...) }
}

func u16(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }
func u32(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

func eth(kind int) wrap {
	return func(inner []byte) []byte {
		return slices.Concat([]byte{0, 0x0d, 0x3a, 1, 1, 1, 0, 0x0d, 0x3a, 2, 2, 2}, u16(kind), inner)
	}
}

// length is Ethernet with a length in place of a type.
func length() wrap {
	return func(inner []byte) []byte { return eth(len(inner))(inner) }
}

func trailer(n int) wrap {
	return func(inner []byte) []byte { return append(slices.Clone(inner), make([]byte, n)...) }
}

// ip4 is an IPv4 header between the two addresses.
func ip4(protocol int, src, dst string) wrap { return ip4With(protocol, src, dst, 0x4000, 0, -1) }

// ip4With has options (zeros) and a total length of choice, -1 for the true one.
func ip4With(protocol int, src, dst string, fragment, options, total int) wrap {
	return func(inner []byte) []byte {
		n := 20 + options
		if total < 0 {
			total := n + len(inner)
			return ip4With(protocol, src, dst, fragment, options, total)(inner)
		}
		s, d := netip.MustParseAddr(src).As4(), netip.MustParseAddr(dst).As4()
		return slices.Concat([]byte{byte(0x40 + n/4), 0}, u16(total), u16(0x1234), u16(fragment), []byte{64, byte(protocol)}, u16(0), s[:], d[:], make([]byte, options), inner)
	}
}

func ip6(next int, src, dst string) wrap {
	return func(inner []byte) []byte {
		s, d := netip.MustParseAddr(src).As16(), netip.MustParseAddr(dst).As16()
		return slices.Concat([]byte{0x60, 0, 0, 0}, u16(len(inner)), []byte{byte(next), 64}, s[:], d[:], inner)
	}
}

// ext is an IPv6 extension header of n*8+8 bytes.
func ext(next, n int) wrap {
	return func(inner []byte) []byte {
		pad := make([]byte, 8+8*n)
		pad[0], pad[1], pad[2], pad[3] = byte(next), byte(n), 1, byte(4+8*n) // PadN
		return append(pad, inner...)
	}
}

func frag6(next, offset int, more bool, id int) wrap {
	return func(inner []byte) []byte {
		if more {
			offset |= 1
		}
		return slices.Concat([]byte{byte(next), 0}, u16(offset), u32(id), inner)
	}
}

func tcp(src, dst int, flags TCPFlags, options ...byte) wrap {
	return func(inner []byte) []byte {
		n := 20 + len(options)
		return slices.Concat(u16(src), u16(dst), u32(1000), u32(2000), u16(n/4<<12|int(flags)), u16(512), u16(0), u16(0), options, inner)
	}
}

func udp(src, dst int) wrap {
	return func(inner []byte) []byte {
		return slices.Concat(u16(src), u16(dst), u16(8+len(inner)), u16(0), inner)
	}
}
