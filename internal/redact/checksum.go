package redact

import (
	"encoding/binary"
	"math/bits"
)

// A checksum is one that has to be made when it is known what is kept.
//
// Bytes that are cut off count as zeros, which add nothing: the checksum is
// right for the packet filled up with zeros, it says nothing about what was
// there, and where nothing was cut it is right as it stands. One that was
// wrong stays wrong, where enough was captured to tell: a damaged packet, or
// one whose checksum was left to the network card, is seen as such.
type checksum struct {
	at     int // where it lies
	from   int // where the bytes that it covers begin
	length int // how many they were
	header int // how many they are; 0: all to the end
	pseudo pseudo
	udp    bool // zero would mean none
}

// A pseudo header is what TCP, UDP and ICMPv6 cover, too (RFC 9293, 3.1; RFC
// 8200, 8.1). Without addresses there is none.
type pseudo struct {
	from, to int // where the addresses lie, source and destination together
	protocol uint8
	length   int
}

func (p *pseudo) sum(frame []byte) uint64 {
	if p.to == 0 {
		return 0
	}
	return sum(frame[p.from:p.to]) + uint64(p.protocol) + uint64(p.length>>16) + uint64(p.length&0xffff)
}

// sum adds the 16-bit words of b, not more than 256 KiB: the result has room
// for more to be added.
func sum(b []byte) uint64 {
	var s, carry uint64
	for ; len(b) >= 8; b = b[8:] {
		s, carry = bits.Add64(s, binary.BigEndian.Uint64(b), carry)
	}
	s, carry = bits.Add64(s, 0, carry)
	s = s>>32 + s&0xffffffff + carry // a carry out of 64 bits is worth one
	for ; len(b) >= 2; b = b[2:] {
		s += uint64(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		s += uint64(b[0]) << 8
	}
	return s
}

// internet folds a sum into the checksum of RFC 1071.
func internet(s uint64) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}

// wrong makes a checksum that is not right.
func wrong(right, was uint16) uint16 {
	if was == 0 && right != 0 && right != 0xffff {
		return 0 // left to the network card, and known by it
	}
	if right == 0x5555 {
		return 0xaaaa
	}
	return right ^ 0x5555
}

// promise notes a checksum that seal is to make.
func (f *frame) promise(c checksum) {
	if c.from+c.length > len(f.b) {
		c.length = -1 // nobody can tell whether it was right
	}
	f.sums = append(f.sums, c)
}

// seal makes the checksums that f promised, the innermost first: an outer one
// covers it.
func (f *frame) seal() {
	kept := f.b[:f.at]
	for i := len(f.sums) - 1; i >= 0; i-- {
		c := &f.sums[i]
		if c.at+2 > len(kept) {
			continue // not captured
		}
		field := kept[c.at : c.at+2]
		was := be16(field)
		clear(field)
		covered := kept[c.from:]
		if c.header > 0 {
			covered = covered[:c.header]
		}
		v := internet(c.pseudo.sum(kept) + sum(covered))
		if v == 0 && c.udp {
			v = 0xffff
		}
		if c.length >= 0 && internet(c.pseudo.sum(f.source)+sum(f.source[c.from:c.from+c.length])) != 0 {
			v = wrong(v, was)
			f.wrong = true
		}
		binary.BigEndian.PutUint16(field, v)
	}
}
