package tls

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
)

// Extensions that are read (IANA TLS parameters).
const (
	extServerName          = 0
	extSupportedGroups     = 10
	extSignatureAlgorithms = 13
	extALPN                = 16
	extSessionTicket       = 35
	extPreSharedKey        = 41
	extSupportedVersions   = 43
	extKeyShare            = 51
)

// helloRetryRandom is the random of a ServerHello that asks for another
// ClientHello (RFC 8446, 4.1.3).
var helloRetryRandom = [32]byte{
	0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11, 0xBE, 0x1D, 0x8C, 0x02, 0x1E, 0x65, 0xB8, 0x91,
	0xC2, 0xA2, 0x11, 0x16, 0x7A, 0xBB, 0x8C, 0x5E, 0x07, 0x9E, 0x09, 0xE2, 0xC8, 0xA8, 0x33, 0x9C,
}

// octets is what is left of a structure. Reading past the end gives zero and
// leaves short set, so that a parser need look only once.
type octets struct {
	b     []byte
	short bool
}

func (o *octets) take(n int) []byte {
	if n > len(o.b) {
		o.short = true
		o.b = nil
		return nil
	}
	b := o.b[:n]
	o.b = o.b[n:]
	return b
}

func (o *octets) uint8() int {
	if b := o.take(1); b != nil {
		return int(b[0])
	}
	return 0
}

func (o *octets) uint16() uint16 {
	if b := o.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (o *octets) vector8() octets  { return octets{b: o.take(o.uint8())} }
func (o *octets) vector16() octets { return octets{b: o.take(int(o.uint16()))} }

// grease reports whether v is one of the values that mean nothing (RFC 8701).
func grease(v uint16) bool { return v&0x0f0f == 0x0a0a && v>>8 == v&0xff }

// ParseClientHello reads the body of a ClientHello, without the four bytes of
// the message header. transport is 't' for TCP or 'q' for QUIC, as JA4 writes
// it. What follows a mistake is not read.
func ParseClientHello(body []byte, transport byte) (*ClientHello, bool) {
	o := octets{b: body}
	h := &ClientHello{Legacy: Version(o.uint16())}
	o.take(32)
	id := o.vector8()
	suites := o.vector16()
	o.vector8() // compression
	if o.short {
		return nil, false
	}
	h.SessionID = len(id.b) > 0
	var f fingerprint
	f.ciphers, f.extensions, f.signatures = f.room[0][:0], f.room[1][:0], f.room[2][:0]
	for len(suites.b) > 1 {
		if s := suites.uint16(); !grease(s) {
			h.CipherSuites++
			f.ciphers = append(f.ciphers, s)
		}
	}
	extensions := o.vector16()
	for len(extensions.b) >= 4 {
		t := extensions.uint16()
		e := extensions.vector16()
		if extensions.short {
			break
		}
		if grease(t) {
			continue
		}
		f.extensions = append(f.extensions, t)
		h.extension(t, e, &f)
	}
	h.JA4 = f.ja4(h, transport)
	return h, true
}

func parseClientHello(body []byte) (*ClientHello, bool) { return ParseClientHello(body, 't') }

func (h *ClientHello) extension(t uint16, e octets, f *fingerprint) {
	switch t {
	case extServerName:
		list := e.vector16()
		for len(list.b) >= 3 {
			kind := list.uint8()
			name := list.vector16()
			if kind == 0 && h.SNI == "" {
				h.SNI = cut(name.b)
			}
		}
	case extSupportedGroups:
		list := e.vector16()
		for len(list.b) > 1 && len(h.Groups) < MaxGroups {
			if g := list.uint16(); !grease(g) {
				h.Groups = append(h.Groups, g)
			}
		}
	case extSignatureAlgorithms:
		list := e.vector16()
		for len(list.b) > 1 {
			if a := list.uint16(); !grease(a) {
				f.signatures = append(f.signatures, a)
			}
		}
	case extALPN:
		list := e.vector16()
		for len(list.b) > 1 && len(h.ALPN) < MaxALPN {
			name := list.vector8()
			h.ALPN = append(h.ALPN, cut(name.b))
		}
	case extSessionTicket:
		h.Ticket = h.Ticket || len(e.b) > 0
	case extPreSharedKey:
		h.Ticket = true
	case extSupportedVersions:
		list := e.vector8()
		for len(list.b) > 1 && len(h.Versions) < MaxVersions {
			if v := list.uint16(); !grease(v) {
				h.Versions = append(h.Versions, Version(v))
			}
		}
	}
}

// cut keeps foreign text to MaxName bytes.
func cut(b []byte) string { return string(b[:min(len(b), MaxName)]) }

// parseServerHello reads the body of a ServerHello or HelloRetryRequest.
func parseServerHello(body []byte) (h *ServerHello, retry, ok bool) {
	o := octets{b: body}
	h = &ServerHello{Version: Version(o.uint16())}
	random := o.take(32)
	o.vector8() // session id
	h.CipherSuite = o.uint16()
	o.uint8() // compression
	if o.short {
		return nil, false, false
	}
	retry = [32]byte(random) == helloRetryRandom
	extensions := o.vector16()
	for len(extensions.b) >= 4 {
		t := extensions.uint16()
		e := extensions.vector16()
		if extensions.short {
			break
		}
		switch t {
		case extSupportedVersions:
			if len(e.b) == 2 {
				h.Version = Version(e.uint16())
			}
		case extPreSharedKey:
			h.PSK = true
		case extKeyShare:
			h.Group = e.uint16()
		case extALPN:
			list := e.vector16()
			name := list.vector8()
			h.ALPN = cut(name.b)
		}
	}
	return h, retry, true
}

// fingerprint gathers what JA4 is made of. Most hellos fit the room, which
// saves the allocations of every connection.
type fingerprint struct {
	ciphers, extensions, signatures []uint16
	room                            [3][48]uint16
}

// ja4 is the JA4 client fingerprint, as FoxIO describes it
// (github.com/FoxIO-LLC/ja4, technical_details/JA4.md; JA4 itself is under the
// BSD licence).
func (f *fingerprint) ja4(h *ClientHello, transport byte) string {
	var room [64]byte
	out := append(room[:0], transport)
	switch v := h.MaxVersion(); v {
	case VersionTLS10, VersionTLS11, VersionTLS12, VersionTLS13:
		out = append(out, '1', '0'+byte(v-VersionTLS10))
	case VersionSSL3:
		out = append(out, "s3"...)
	case VersionSSL2:
		out = append(out, "s2"...)
	default:
		out = append(out, "00"...)
	}
	if slices.Contains(f.extensions, extServerName) {
		out = append(out, 'd')
	} else {
		out = append(out, 'i')
	}
	out = twoDigits(out, len(f.ciphers))
	out = twoDigits(out, len(f.extensions))
	if len(h.ALPN) > 0 && h.ALPN[0] != "" {
		out = firstLast(out, h.ALPN[0])
	} else {
		out = append(out, "00"...)
	}

	var listRoom [512]byte
	slices.Sort(f.ciphers)
	out = short(append(out, '_'), hexList(listRoom[:0], f.ciphers))

	kept := f.extensions[:0]
	for _, e := range f.extensions {
		if e != extServerName && e != extALPN {
			kept = append(kept, e)
		}
	}
	slices.Sort(kept)
	list := hexList(listRoom[:0], kept)
	if len(list) > 0 && len(f.signatures) > 0 {
		list = hexList(append(list, '_'), f.signatures)
	}
	return string(short(append(out, '_'), list))
}

func twoDigits(dst []byte, n int) []byte {
	n = min(n, 99)
	return append(dst, '0'+byte(n/10), '0'+byte(n%10))
}

// firstLast appends the first and the last character of a protocol name, or
// of its hexadecimal form if one of them is neither letter nor digit.
func firstLast(dst []byte, s string) []byte {
	first, last := s[0], s[len(s)-1]
	if !alphanumeric(first) || !alphanumeric(last) {
		x := hex.EncodeToString([]byte(s))
		first, last = x[0], x[len(x)-1]
	}
	return append(dst, first, last)
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// hexList appends numbers of four digits, separated by commas.
func hexList(dst []byte, list []uint16) []byte {
	for i, v := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = hex.AppendEncode(dst, []byte{byte(v >> 8), byte(v)})
	}
	return dst
}

// short appends the first twelve digits of the SHA-256 of list, or zeros for
// nothing.
func short(dst, list []byte) []byte {
	if len(list) == 0 {
		return append(dst, "000000000000"...)
	}
	sum := sha256.Sum256(list)
	return hex.AppendEncode(dst, sum[:6])
}
