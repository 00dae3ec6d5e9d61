package message

import "bytes"

// maxName is the length of the longest name (RFC 1035, 2.3.4).
const maxName = 255

// structural are labels that protocols define, and that tell what a name is
// for, not whose it is: reverse lookups (RFC 1035, 3.5; RFC 3596), multicast
// DNS (RFC 6762), and services (RFC 2782).
var structural = [...]string{"arpa", "in-addr", "ip6", "local", "_tcp", "_udp"}

// label replaces the label at dst, the first one of name.
func (r *Rewriter) label(dst, name []byte) {
	for _, s := range structural {
		if string(name[1:1+len(dst)]) == s {
			return
		}
	}
	r.m.Label(dst, name)
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// text replaces a name in text, such as "www.example.com", label by label. It
// refuses what is no name.
func (r *Rewriter) text(b, was []byte) bool {
	if len(was) == 0 || len(was) > maxName-2 {
		return false
	}
	name := r.space[:0]
	for rest := was; ; {
		label, after, more := bytes.Cut(rest, []byte{'.'})
		if len(label) > 63 || len(label) == 0 && more {
			return false
		}
		if len(label) > 0 {
			name = append(name, byte(len(label)))
			for _, c := range label {
				name = append(name, lower(c))
			}
		}
		if rest = after; !more {
			break
		}
	}
	at := 0
	for name = append(name, 0); name[0] != 0; name = name[1+name[0]:] {
		n := int(name[0])
		r.label(b[at:at+n], name)
		at += n + 1
	}
	return true
}
