package cleartext

import (
	"bytes"

	"github.com/pcapwarden/pcapwarden/internal/dissect/stream"
)

// count raises the counters whose protocols tshark reads packet by packet:
// the first command of each packet, whole or not.
func (r *Reader) count(c stream.Chunk) {
	const ftp, pop, telnet = 0, 1, 2
	switch r.kind {
	case FTP:
		if c.From != r.server && isWord(c.Data, "USER", "PASS") {
			r.d.raise(&r.d.counters.FTP, ftp, c.Frame)
		}
	case POP:
		if c.From != r.server && isWord(c.Data, "USER", "PASS", "APOP") {
			r.d.raise(&r.d.counters.POP, pop, c.Frame)
		}
	case Telnet:
		if hasText(c.Data) {
			r.d.raise(&r.d.counters.TelnetData, telnet, c.Frame)
		}
	}
}

// isWord reports whether b starts with one of the words, in any case, and
// ends there or goes on with white space.
func isWord(b []byte, words ...string) bool {
	for _, w := range words {
		if len(b) >= len(w) && bytes.EqualFold(b[:len(w)], []byte(w)) && (len(b) == len(w) || b[len(w)] <= ' ') {
			return true
		}
	}
	return false
}

// lines cuts what a side sends into lines.
func (r *Reader) lines(c stream.Chunk) {
	h := &r.half[c.From]
	if c.Late {
		h.hidden = true
	} else if h.n == 0 {
		h.hidden = false
	}
	for data := c.Data; len(data) > 0 && !r.upgraded; {
		i := bytes.IndexByte(data, '\n')
		piece := data
		if i >= 0 {
			piece = data[:i]
		}
		if h.n < keptLine {
			copy(h.kept[h.n:], piece)
		}
		h.n += len(piece)
		if i < 0 {
			return
		}
		data = data[i+1:]
		line := bytes.TrimRight(h.kept[:min(h.n, keptLine)], "\r")
		if c.From == r.server {
			r.reply(line)
		} else {
			r.command(&c, line, h.hidden)
		}
		clear(h.kept[:]) // it may have held a secret
		h.n = 0
	}
}

// command takes a line of the client.
func (r *Reader) command(c *stream.Chunk, line []byte, hidden bool) {
	switch r.kind {
	case FTP:
		switch {
		case isWord(line, "USER"):
			r.harmless = isWord(line, "USER anonymous", "USER ftp")
			if !r.harmless {
				r.login(c, false)
			}
		case isWord(line, "PASS") && !r.harmless:
			r.login(c, true)
		case isWord(line, "AUTH TLS", "AUTH SSL", "AUTH TLS-C"):
			r.secure = true
		}
	case POP:
		switch {
		case isWord(line, "USER", "APOP"):
			r.login(c, false)
		case isWord(line, "PASS", "AUTH PLAIN", "AUTH LOGIN"):
			r.login(c, true)
		case isWord(line, "STLS"):
			r.secure = true
		}
	case IMAP:
		r.imap(c, line, hidden)
	case SMTP:
		r.smtp(c, line, hidden)
	}
}

func (r *Reader) imap(c *stream.Chunk, line []byte, hidden bool) {
	_, command, ok := bytes.Cut(line, []byte{' '}) // behind the tag
	if !ok {
		return
	}
	if isWord(command, "UID") {
		_, command, _ = bytes.Cut(command, []byte{' '})
	}
	word, _, _ := bytes.Cut(command, []byte{' '})
	const slot = 3
	if !hidden && bytes.Contains(bytes.ToUpper(word), []byte("LOGIN")) {
		r.d.raise(&r.d.counters.IMAP, slot, c.Frame)
	}
	switch {
	case isWord(word, "LOGIN"):
		r.login(c, true)
	case isWord(command, "AUTHENTICATE PLAIN", "AUTHENTICATE LOGIN"):
		r.login(c, true)
	case isWord(command, "STARTTLS"):
		r.secure = true
	}
}

func (r *Reader) smtp(c *stream.Chunk, line []byte, hidden bool) {
	if r.body {
		r.body = string(line) != "."
		return
	}
	const slot = 3
	switch {
	case isWord(line, "AUTH"):
		if !hidden {
			r.d.raise(&r.d.counters.SMTP, slot, c.Frame)
		}
		// The other mechanisms prove that the client knows the secret, or are
		// extended by one that does.
		r.login(c, isWord(line, "AUTH PLAIN", "AUTH LOGIN", "AUTH XOAUTH2", "AUTH OAUTHBEARER"))
	case isWord(line, "DATA"):
		r.body, r.bodyEnds = true, true
	case isWord(line, "STARTTLS"):
		r.secure = true
	}
}

// reply takes a line of the server.
func (r *Reader) reply(line []byte) {
	if r.bodyEnds && len(line) >= 3 {
		r.body = r.body && line[0] == '3'
		r.bodyEnds = false
	}
	if !r.secure {
		return
	}
	switch r.kind {
	case FTP:
		r.upgraded = isWord(line, "234")
	case SMTP:
		r.upgraded = isWord(line, "220")
	case POP:
		r.upgraded = isWord(line, "+OK")
	case IMAP:
		_, status, _ := bytes.Cut(line, []byte{' '})
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] == '*' {
			return // untagged: not the answer yet
		}
		r.upgraded = isWord(status, "OK")
	}
	r.secure = r.upgraded
}
