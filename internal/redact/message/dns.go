package message

import (
	"encoding/binary"
	"slices"
)

// Types of records whose data is replaced field by field (IANA).
const (
	typeA     = 1
	typeNS    = 2
	typeCNAME = 5
	typeSOA   = 6
	typeNULL  = 10
	typePTR   = 12
	typeMX    = 15
	typeTXT   = 16
	typeAAAA  = 28
	typeSRV   = 33
	typeDNAME = 39
	typeOPT   = 41
	typeSVCB  = 64
	typeHTTPS = 65
)

// dnsStream replaces what the whole messages at the beginning of a TCP segment
// hold (RFC 1035, 4.2.2).
func (r *Rewriter) dnsStream(b, was []byte) int {
	at := 0
	for at+2 <= len(was) {
		n := be16(was[at:])
		if at+2+n > len(was) || n == 0 || r.dns(b[at+2:at+2+n], was[at+2:at+2+n]) != n {
			break
		}
		at += 2 + n
	}
	return at
}

// dns replaces what a message holds (RFC 1035, 4.1). The header, types,
// classes and times to live are kept.
func (r *Rewriter) dns(b, was []byte) int {
	const header = 12
	if len(was) < header {
		return 0
	}
	r.labels = r.labels[:0]
	at, ok := header, false
	for range be16(was[4:]) {
		if at, ok = r.name(b, was, at); !ok || at+4 > len(was) {
			return 0
		}
		at += 4
	}
	for range be16(was[6:]) + be16(was[8:]) + be16(was[10:]) {
		if at, ok = r.record(b, was, at); !ok {
			return 0
		}
	}
	return at
}

// record replaces the record at an offset and returns where it ends.
func (r *Rewriter) record(b, was []byte, at int) (int, bool) {
	at, ok := r.name(b, was, at)
	if !ok || at+10 > len(was) {
		return 0, false
	}
	kind, from := be16(was[at:]), at+10
	end := from + be16(was[at+8:])
	if end > len(was) {
		return 0, false
	}
	if end == from {
		return end, true
	}
	data := b[from:end]
	switch kind {
	case typeA:
		if ok = len(data) == 4; ok {
			r.m.IP4(data)
		}
	case typeAAAA:
		if ok = len(data) == 16; ok {
			r.m.IP6(data)
		}
	case typeNS, typeCNAME, typePTR, typeDNAME:
		ok = r.names(b, was, from, end, 1, 0)
	case typeMX:
		ok = r.names(b, was, from+2, end, 1, 0)
	case typeSRV:
		ok = r.names(b, was, from+6, end, 1, 0)
	case typeSOA:
		ok = r.names(b, was, from, end, 2, 20)
	case typeTXT:
		ok = texts(data)
	case typeOPT:
		ok = options(data)
	case typeSVCB, typeHTTPS:
		ok = r.service(b, was, from, end)
	default: // what it holds is not known: it may be anything
		binary.BigEndian.PutUint16(b[at:], typeNULL)
		clear(data)
	}
	return end, ok
}

// names replaces n names that lie between two offsets, with so many bytes of
// numbers behind them.
func (r *Rewriter) names(b, was []byte, from, end, n, numbers int) bool {
	for range n {
		next, ok := r.name(b, was, from)
		if !ok {
			return false
		}
		from = next
	}
	return from+numbers == end
}

// texts replaces character strings (RFC 1035, 3.3.14).
func texts(data []byte) bool {
	for len(data) > 0 {
		n := 1 + int(data[0])
		if n > len(data) {
			return false
		}
		fill(data[1:n])
		data = data[n:]
	}
	return true
}

// options makes all options of EDNS padding (RFC 6891, RFC 7830): there are
// client addresses and cookies among them.
func options(data []byte) bool {
	const padding = 12
	for len(data) > 0 {
		if len(data) < 4 || 4+be16(data[2:]) > len(data) {
			return false
		}
		n := 4 + be16(data[2:])
		binary.BigEndian.PutUint16(data, padding)
		clear(data[4:n])
		data = data[n:]
	}
	return true
}

// service replaces a service binding (RFC 9460): its target, and the addresses
// among its parameters. Other parameters become one for private use.
func (r *Rewriter) service(b, was []byte, from, end int) bool {
	const ipv4hint, ipv6hint, private = 4, 6, 65280
	at, ok := r.name(b, was, from+2)
	if !ok || at > end {
		return false
	}
	for at < end {
		if at+4 > end || at+4+be16(was[at+2:]) > end {
			return false
		}
		value := b[at+4 : at+4+be16(was[at+2:])]
		switch key := be16(was[at:]); {
		case key == ipv4hint && len(value)%4 == 0:
			for i := 0; i < len(value); i += 4 {
				r.m.IP4(value[i : i+4])
			}
		case key == ipv6hint && len(value)%16 == 0:
			for i := 0; i < len(value); i += 16 {
				r.m.IP6(value[i : i+16])
			}
		default:
			binary.BigEndian.PutUint16(b[at:], private)
			clear(value)
		}
		at += 4 + len(value)
	}
	return true
}

// maxLabels bounds what is remembered of one message.
const maxLabels = 512

// name replaces the labels of the name at an offset and returns where it ends.
// What a pointer leads to has to be a label that was replaced already, in
// another name or in this one: then it means the same.
func (r *Rewriter) name(b, was []byte, at int) (int, bool) {
	for at < len(was) {
		n := int(was[at])
		switch {
		case n == 0:
			return at + 1, true
		case n >= 0xc0:
			if at+2 > len(was) || !slices.Contains(r.labels, be16(was[at:])&0x3fff) {
				return 0, false
			}
			return at + 2, true
		case n > 63 || at+1+n > len(was) || len(r.labels) == maxLabels:
			return 0, false
		}
		r.labels = append(r.labels, at)
		whole, ok := r.suffix(was, at)
		if !ok {
			return 0, false
		}
		r.label(b[at+1:at+1+n], whole)
		at += 1 + n
	}
	return 0, false
}

// suffix reads the name from an offset to its end. Every step either uses up
// some of a name's 255 bytes, or leads back.
func (r *Rewriter) suffix(was []byte, at int) ([]byte, bool) {
	name := r.space[:0]
	for at < len(was) {
		n := int(was[at])
		switch {
		case n == 0:
			return append(name, 0), len(name) < maxName
		case n >= 0xc0:
			if at+2 > len(was) || be16(was[at:])&0x3fff >= at {
				return nil, false
			}
			at = be16(was[at:]) & 0x3fff
			continue
		case n > 63 || at+1+n > len(was) || len(name)+1+n >= maxName:
			return nil, false
		}
		name = append(name, byte(n))
		for _, c := range was[at+1 : at+1+n] {
			name = append(name, lower(c))
		}
		at += 1 + n
	}
	return nil, false
}
