package redact

import (
	"crypto/aes"
	"crypto/cipher"
	"net/netip"
)

// maxCached bounds what is remembered of the addresses that were mapped: a
// scan has millions. Beyond, it starts anew; the result is the same.
const maxCached = 1 << 16

// The addresses that every Azure VM talks to: the platform's resolver, probe
// and agent endpoint, and the metadata service. They say nothing about whose
// capture it is.
var platform = [...][4]byte{{168, 63, 129, 16}, {169, 254, 169, 254}}

// A mapper replaces addresses. The same address always becomes the same.
type mapper struct {
	pan     *pan
	random  cipher.Block // a keyed random function of what is not an IP address
	options Options
	four    map[[4]byte][4]byte
	six     map[[16]byte][16]byte
	hard    map[[6]byte][6]byte
}

func newMapper(o Options) *mapper {
	block, err := aes.NewCipher(o.Key.derive("link-layer"))
	if err != nil {
		panic(err) // 16 bytes are a key
	}
	return &mapper{
		pan: newPAN(o.Key), random: block, options: o,
		four: map[[4]byte][4]byte{}, six: map[[16]byte][16]byte{}, hard: map[[6]byte][6]byte{},
	}
}

func cached[A comparable](cache map[A]A, a A, compute func(A) A) A {
	if mapped, ok := cache[a]; ok {
		return mapped
	}
	if len(cache) >= maxCached {
		clear(cache)
	}
	mapped := compute(a)
	cache[a] = mapped
	return mapped
}

// ip4 replaces the IPv4 address b.
func (m *mapper) ip4(b []byte) {
	a := cached(m.four, [4]byte(b), func(a [4]byte) [4]byte {
		keep := 0
		switch {
		case a == [4]byte{}, a == [4]byte{255, 255, 255, 255}, a[0] == 127:
			return a
		case a[0] == 224 && a[1] == 0 && a[2] == 0: // local control (RFC 5771): protocols, not hosts
			return a
		case a[0]>>4 == 14: // another group stays a group
			keep = 4
		case !m.options.HidePlatform && (a == platform[0] || a == platform[1]):
			return a
		}
		m.pan.anonymize(a[:], keep)
		return a
	})
	copy(b, a[:])
}

// ip6 replaces the IPv6 address b.
func (m *mapper) ip6(b []byte) {
	a := cached(m.six, [16]byte(b), func(a [16]byte) [16]byte {
		addr := netip.AddrFrom16(a)
		switch {
		case addr.IsUnspecified(), addr.IsLoopback():
			return a
		case addr.IsMulticast():
			m.group6(&a)
			return a
		}
		m.pan.anonymize(a[:], 0)
		return a
	})
	copy(b, a[:])
}

// group6 replaces an IPv6 group. Its flags and scope stay, and all of it where
// it is one of the well-known that IANA numbers from 1. A solicited-node group
// (RFC 4291, 2.7.1) has the last 24 bits of an address in it, and is replaced
// as its Ethernet address is.
func (m *mapper) group6(a *[16]byte) {
	zeros := true
	for _, c := range a[2:11] {
		zeros = zeros && c == 0
	}
	switch {
	case zeros && a[11] == 1 && a[12] == 0xff:
		m.scramble("node", a[13:], a[13:])
	case zeros && a[11] == 0 && a[12] == 0 && a[13] <= 1 && (a[13] == 0 || a[14] == 0):
	default:
		m.pan.anonymize(a[:], 16)
	}
}

// mac replaces the Ethernet address b.
func (m *mapper) mac(b []byte) {
	a := cached(m.hard, [6]byte(b), func(a [6]byte) [6]byte {
		const group, local = 1, 2
		switch {
		case a == [6]byte{}, a == [6]byte{255, 255, 255, 255, 255, 255}:
		case a[0] == 0x01 && a[1] == 0x80 && a[2] == 0xc2: // bridges' own (IEEE 802.1Q, table 8-1)
		case a[0] == 0x01 && a[1] == 0x00 && a[2] == 0x5e: // an IPv4 group
			if a[3] != 0 || a[4] != 0 {
				m.scramble("group", a[3:], a[3:])
				a[3] &= 0x7f
			}
		case a[0] == 0x33 && a[1] == 0x33 && a[2] == 0xff: // a solicited-node group
			m.scramble("node", a[3:], a[3:])
		case a[0] == 0x33 && a[1] == 0x33: // an IPv6 group
			if a[2] != 0 || a[3] > 1 || a[3] == 1 && a[4] != 0 || a[3] == 0 && a[4] != 0 {
				m.scramble("group", a[2:], a[2:])
			}
		case m.options.KeepOUI && a[0]&group == 0:
			m.scramble("device", a[3:], a[:])
		default:
			first := a[0]
			m.scramble("device", a[:], a[:])
			a[0] = a[0]&^(group|local) | first&group | local
		}
		return a
	})
	copy(b, a[:])
}

// scramble writes bytes to dst that depend on the key, the kind and from.
func (m *mapper) scramble(kind string, dst, from []byte) {
	var block [aes.BlockSize]byte
	copy(block[:8], kind)
	copy(block[8:], from)
	m.random.Encrypt(block[:], block[:])
	copy(dst, block[:])
}

// addr replaces an address that was decoded.
func (m *mapper) addr(a netip.Addr) netip.Addr {
	switch {
	case a.Is4():
		b := a.As4()
		m.ip4(b[:])
		return netip.AddrFrom4(b)
	case a.Is6():
		b := a.As16()
		m.ip6(b[:])
		return netip.AddrFrom16(b)
	}
	return a
}
