package redact

import "encoding/binary"

// A checksum is one that has to be made when it is known what is kept.
//
// Bytes that are cut off count as zeros, which add nothing: the checksum is
// right for the packet filled up with zeros, it says nothing about what was
// there, and where nothing was cut it is right as it stands.
type checksum struct {
	at     int    // where it lies
	from   int    // where the bytes that it covers begin
	pseudo uint64 // sum of the pseudo header
	udp    bool   // zero would mean none
}

// pseudoHeader sums up the addresses (src and dst together), the length and
// the protocol that TCP, UDP and ICMPv6 cover (RFC 9293, 3.1; RFC 8200, 8.1).
func pseudoHeader(addresses []byte, protocol uint8, length int) uint64 {
	return sum(addresses) + uint64(protocol) + uint64(length>>16) + uint64(length&0xffff)
}

// sum adds the 16-bit words of b.
func sum(b []byte) uint64 {
	var s uint64
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

// seal makes the checksums that f promised, the innermost first: an outer one
// covers it.
func (f *frame) seal() {
	kept := f.b[:f.at]
	for i := len(f.sums) - 1; i >= 0; i-- {
		c := f.sums[i]
		if c.at+2 > len(kept) {
			continue // not captured
		}
		field := kept[c.at : c.at+2]
		clear(field)
		v := internet(c.pseudo + sum(kept[c.from:]))
		if v == 0 && c.udp {
			v = 0xffff
		}
		binary.BigEndian.PutUint16(field, v)
	}
}
