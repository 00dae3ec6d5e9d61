// Package message knows what names somebody in messages of DNS, DHCP, TLS and
// HTTP, and replaces it in place: names, addresses, and all that is free text
// or random. Lengths stay, so that the packets do.
//
// What is kept is a list of fields, of numbers and words that the protocols
// define. A message that is not whole, or not what its protocol says to the
// last byte, is refused.
package message

import "encoding/binary"

// A Mapper replaces what names somebody.
type Mapper interface {
	IP4(b []byte)
	IP6(b []byte)
	MAC(b []byte)
	// Label replaces the first label of a name. dst has the label's length;
	// name is the whole name in lower case, each label after its length in a
	// byte, and valid during the call.
	Label(dst, name []byte)
}

// A Rewriter replaces what messages hold. It keeps space between calls, and is
// for one goroutine.
type Rewriter struct {
	m      Mapper
	labels []int // offsets of labels in the message at hand
	space  [maxName]byte
}

// New returns a rewriter.
func New(m Mapper) *Rewriter { return &Rewriter{m: m} }

// Datagram replaces what the payload of a UDP datagram holds. b is changed in
// place; was is the same payload as it was, which stays. It returns how many
// bytes can be kept; the rest, and all of what it does not know, is as it was,
// or half of it is.
func (r *Rewriter) Datagram(srcPort, dstPort uint16, b, was []byte) int {
	for _, port := range [...]uint16{srcPort, dstPort} {
		switch port {
		case 53, 5353, 5355: // DNS, multicast DNS, LLMNR
			return r.dns(b, was)
		case 67, 68:
			return r.dhcp(b, was)
		}
	}
	return 0
}

// Segment does the same with the payload of a TCP segment. A message that
// begins in one and ends in another is refused.
func (r *Rewriter) Segment(srcPort, dstPort uint16, b, was []byte) int {
	switch {
	case len(was) == 0:
		return 0
	case srcPort == 53 || dstPort == 53:
		return r.dnsStream(b, was)
	case looksLikeTLS(was):
		return r.tls(b, was)
	}
	return r.http(b, was)
}

func be16(b []byte) int { return int(binary.BigEndian.Uint16(b)) }

// fill overwrites free text.
func fill(b []byte) {
	for i := range b {
		b[i] = 'x'
	}
}
