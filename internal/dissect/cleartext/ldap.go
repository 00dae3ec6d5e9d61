package cleartext

import (
	"bytes"

	"github.com/pcapwarden/pcapwarden/internal/dissect/stream"
)

// ber cuts what an LDAP client sends into messages (RFC 4511, 4.1.1) and
// keeps the start of each.
type ber struct {
	kept [512]byte // longer names than that do not log in
	n    int
	left int // bytes of the message behind what is kept
	lost bool
}

func (b *ber) reset() {
	clear(b.kept[:b.n])
	b.n, b.left = 0, 0
}

// startTLS is the name of the extended operation (RFC 4511, 4.14.1).
const startTLS = "1.3.6.1.4.1.1466.20037"

func (r *Reader) feedLDAP(c stream.Chunk) {
	if c.From == r.server {
		// The answer to StartTLS is an ExtendedResponse with resultCode 0.
		if r.secure {
			if op, ok := operation(c.Data); ok && len(op) > 0 && op[0] == 0x78 {
				r.upgraded = bytes.Contains(op[:min(len(op), 8)], []byte{0x0a, 1, 0})
				r.secure = r.upgraded
			}
		}
		return
	}
	b := &r.ldap
	data := c.Data
	for len(data) > 0 && !b.lost {
		if b.left > 0 {
			n := min(b.left, len(data))
			b.left -= n
			data = data[n:]
			continue
		}
		// A byte at a time up to the length, which says how much the rest is.
		b.kept[b.n] = data[0]
		b.n++
		data = data[1:]
		if b.kept[0] != 0x30 {
			b.lost = true
			return
		}
		header, length, ok := lengthOf(b.kept[:b.n])
		if !ok {
			b.lost = b.n > 6
			continue
		}
		if length > 1<<24 {
			b.lost = true
			return
		}
		total := header + length
		keep := min(total, len(b.kept))
		n := min(keep-b.n, len(data))
		copy(b.kept[b.n:], data[:n])
		b.n += n
		data = data[n:]
		if b.n < keep {
			return
		}
		b.left = total - keep
		r.message(&c, b.kept[:b.n])
		clear(b.kept[:b.n])
		b.n = 0
	}
}

// message takes the start of an LDAP message from the client.
func (r *Reader) message(c *stream.Chunk, b []byte) {
	op, ok := operation(b)
	if !ok {
		return
	}
	switch op[0] {
	case 0x60: // BindRequest: version, name, authentication
		_, body, ok := element(op)
		if !ok {
			return
		}
		body, _, ok = element(body)
		if !ok {
			return
		}
		body, _, ok = element(body)
		if ok && len(body) >= 2 && body[0] == 0x80 && body[1] != 0 { // simple, and not without a password
			r.login(c, true)
		}
	case 0x77: // ExtendedRequest
		r.secure = bytes.Contains(op, []byte(startTLS))
	}
}

// operation returns the protocol operation of a message, as far as it is
// there.
func operation(b []byte) ([]byte, bool) {
	_, body, ok := element(b)
	if !ok {
		return nil, false
	}
	op, _, ok := element(body) // behind the message id
	return op, ok && len(op) > 0
}

// element splits the BER element at the start of b from what follows it;
// either may be cut.
func element(b []byte) (rest, content []byte, ok bool) {
	header, length, ok := lengthOf(b)
	if !ok {
		return nil, nil, false
	}
	end := min(header+length, len(b))
	return b[end:], b[header:end], true
}

// lengthOf reads the tag and length at the start of b.
func lengthOf(b []byte) (header, length int, ok bool) {
	if len(b) < 2 {
		return 0, 0, false
	}
	n := int(b[1])
	if n < 0x80 {
		return 2, n, true
	}
	n &= 0x7f
	if n > 4 || len(b) < 2+n {
		return 0, 0, false
	}
	for _, v := range b[2 : 2+n] {
		length = length<<8 | int(v)
	}
	return 2 + n, length, true
}
