package cleartext

import (
	"bytes"

	"github.com/pcapwarden/pcapwarden/internal/dissect/stream"
)

// Telnet commands (RFC 854).
const (
	telnetSE   = 240
	telnetSB   = 250
	telnetWILL = 251
	telnetDONT = 254
	telnetIAC  = 255
)

// telnet looks for a password prompt of the server and the answer to it.
func (r *Reader) telnet(c stream.Chunk) {
	if c.From != r.server {
		if r.asked && hasText(c.Data) {
			r.asked = false
			r.login(&c, true)
		}
		return
	}
	const prompt = "assword"
	for _, b := range c.Data {
		switch {
		case b == prompt[r.prompt]:
			r.prompt++
		case b == prompt[0]:
			r.prompt = 1
		default:
			r.prompt = 0
		}
		if r.prompt == len(prompt) {
			r.prompt, r.asked = 0, true
		}
	}
}

// hasText reports whether a packet carries more than Telnet commands, as
// tshark sees it: every packet by itself, and text that starts with NUL is
// none.
func hasText(b []byte) bool {
	for len(b) > 0 {
		i := bytes.IndexByte(b, telnetIAC)
		switch {
		case i != 0:
			if b[0] != 0 {
				return true
			}
			if i < 0 {
				return false
			}
			b = b[i:]
		case len(b) == 1:
			return false
		case b[1] == telnetIAC:
			return true
		case b[1] == telnetSB:
			end := bytes.Index(b, []byte{telnetIAC, telnetSE})
			if end < 0 {
				return false
			}
			b = b[end+2:]
		case b[1] >= telnetWILL && b[1] <= telnetDONT:
			b = b[min(3, len(b)):]
		default:
			b = b[2:]
		}
	}
	return false
}
