package redact

import (
	"encoding/binary"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
	"github.com/pcapwarden/pcapwarden/internal/redact/message"
)

// A Reason says why a packet was dropped.
type Reason string

// The reasons.
const (
	LinkType   Reason = "link type that is not rewritten, or another than the first packet's"
	Truncated  Reason = "captured too short for its headers"
	Malformed  Reason = "headers that contradict themselves"
	Unknown    Reason = "neither IP nor ARP"
	TooDeep    Reason = "nested too deeply"
	Extension  Reason = "IPv6 extension header that is not rewritten"
	Different  Reason = "reads differently after it was rewritten"
	TimeRange  Reason = "time that a pcap file cannot hold"
	kept       Reason = ""
	maxNesting        = 16
)

// EtherTypes that are rewritten.
const (
	etherIPv4    = 0x0800
	etherARP     = 0x0806
	etherERSPAN3 = 0x22eb
	etherBridged = 0x6558
	etherVLAN    = 0x8100
	etherIPv6    = 0x86dd
	etherMPLS    = 0x8847
	etherMPLSUp  = 0x8848
	etherPPPoE   = 0x8864
	etherQinQ    = 0x88a8
	etherERSPAN  = 0x88be
	etherQinQOld = 0x9100
)

// A frame is rewritten in place, from the outside in. What lies before at was
// understood, has nothing of the original in it that must go, and is kept;
// what lies behind is not. So a byte that nobody thought of stays behind.
type frame struct {
	m      *mapper
	source []byte // what was captured
	b      []byte // a copy of it, to the end of the current packet
	at     int
	wire   int // where the current packet ended on the wire; never before len(b)
	depth  int
	sums   []checksum
	wrong  bool // a checksum was, and is

	messages *message.Rewriter // nil: payload is cut
}

// rewrite fills f with a copy of rec and rewrites it.
func (f *frame) rewrite(rec *pcap.Record) Reason {
	f.source = rec.Data[:min(len(rec.Data), rec.Length)]
	f.b = append(f.b[:0], f.source...)
	f.at, f.wire, f.depth, f.sums, f.wrong = 0, rec.Length, 0, f.sums[:0], false
	if reason := f.link(rec.LinkType); reason != kept {
		return reason
	}
	f.seal()
	return kept
}

// rest is what was captured and not looked at yet.
func (f *frame) rest() []byte { return f.b[f.at:] }

// limit ends the current packet n bytes from here.
func (f *frame) limit(n int) {
	f.wire = min(f.wire, f.at+n)
	f.b = f.b[:min(len(f.b), f.wire)]
}

func be16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }

// keep passes over n bytes that are kept as they are, or were rewritten.
func (f *frame) keep(n int, next func() Reason) Reason {
	if len(f.rest()) < n {
		return Truncated
	}
	f.at += n
	return next()
}

func (f *frame) link(link pcap.LinkType) Reason {
	switch link {
	case pcap.LinkTypeEthernet:
		return f.ethernet()
	case pcap.LinkTypeRaw, pcap.LinkTypeRawBSD, pcap.LinkTypeRawOpenBSD, pcap.LinkTypeIPv4, pcap.LinkTypeIPv6:
		return f.ip()
	case pcap.LinkTypeNull, pcap.LinkTypeLoop:
		return f.keep(4, f.ip) // address family; ip looks at the version
	case pcap.LinkTypeLinuxSLL:
		return f.cooked(16, 14, 4, 6)
	case pcap.LinkTypeLinuxSLL2:
		return f.cooked(20, 0, 11, 12)
	}
	return LinkType
}

func (f *frame) ethernet() Reason {
	h := f.rest()
	if len(h) < 14 {
		return Truncated
	}
	if f.depth++; f.depth > maxNesting {
		return TooDeep
	}
	f.m.mac(h)
	f.m.mac(h[6:])
	f.at += 14
	return f.typeOrLength(be16(h[12:]))
}

// cooked rewrites a "Linux any" header of n bytes: its protocol, the length of
// its address (in one byte, or the lower one of two), and the address, which
// has room for 8 bytes.
func (f *frame) cooked(n, protocol, length, address int) Reason {
	h := f.rest()
	if len(h) < n {
		return Truncated
	}
	if n == 16 {
		length++
	}
	room := h[address : address+8]
	if h[length] == 6 {
		f.m.mac(room)
		clear(room[6:])
	} else {
		clear(room)
	}
	kind := be16(h[protocol:])
	f.at += n
	if kind <= 1500 {
		return Unknown
	}
	return f.etherType(kind)
}

// typeOrLength tells an EtherType from the length of an 802.3 frame, of which
// IP over SNAP alone is rewritten (RFC 1042).
func (f *frame) typeOrLength(kind uint16) Reason {
	if kind > 1500 {
		return f.etherType(kind)
	}
	f.limit(int(kind))
	h := f.rest()
	if len(h) < 8 || string(h[:6]) != "\xaa\xaa\x03\x00\x00\x00" {
		return Unknown
	}
	f.at += 8
	return f.etherType(be16(h[6:]))
}

func (f *frame) etherType(kind uint16) Reason {
	h := f.rest()
	switch kind {
	case etherIPv4, etherIPv6:
		return f.ip()
	case etherARP:
		return f.arp()
	case etherVLAN, etherQinQ, etherQinQOld:
		if len(h) < 4 {
			return Truncated
		}
		if f.depth++; f.depth > maxNesting {
			return TooDeep
		}
		f.at += 4
		return f.typeOrLength(be16(h[2:]))
	case etherMPLS, etherMPLSUp:
		return f.mpls()
	case etherBridged:
		return f.ethernet()
	case etherPPPoE:
		if len(h) < 6 {
			return Truncated
		}
		f.at += 6
		f.limit(int(be16(h[4:])))
		return f.ppp()
	}
	return Unknown
}

// mpls keeps a label stack. By convention the first nibble behind it tells IP
// from the control word of a pseudowire (RFC 4928).
func (f *frame) mpls() Reason {
	if f.depth++; f.depth > maxNesting {
		return TooDeep
	}
	for last := false; !last; f.at += 4 {
		h := f.rest()
		if len(h) < 4 {
			return Truncated
		}
		last = h[2]&1 == 1
	}
	h := f.rest()
	switch {
	case len(h) == 0:
		return Truncated
	case h[0]>>4 == 4, h[0]>>4 == 6:
		return f.ip()
	case h[0]>>4 == 0:
		return f.keep(4, f.ethernet)
	}
	return f.ethernet()
}

// ppp keeps the protocol of a PPP frame (RFC 1661) around IP.
func (f *frame) ppp() Reason {
	h, n := f.rest(), 0
	if len(h) >= 2 && h[0] == 0xff && h[1] == 3 {
		n = 2
	}
	if len(h) < n+2 {
		return Truncated
	}
	protocol := be16(h[n:])
	if h[n]&1 == 1 {
		protocol = uint16(h[n])
		n--
	}
	switch protocol {
	case 0x0021, 0x0057:
		return f.keep(n+2, f.ip)
	}
	return Unknown
}

// arp rewrites the addresses of ARP for IPv4 over Ethernet (RFC 826).
func (f *frame) arp() Reason {
	h := f.rest()
	if len(h) < 28 {
		return Truncated
	}
	if string(h[:6]) != "\x00\x01\x08\x00\x06\x04" {
		return Unknown
	}
	f.m.mac(h[8:])
	f.m.ip4(h[14:])
	f.m.mac(h[18:])
	f.m.ip4(h[24:])
	f.at += 28
	return kept
}
