package http

import (
	"bytes"
	"encoding/base64"
	"strconv"
)

// keptLine is how much of a line is kept: enough for every header that is
// read. Only the length is known of the rest.
const keptLine = 512

// line is a line under way, without its end.
type line struct {
	n         int // its length so far
	lastSpace int // where its last space is
	kept      [keptLine]byte
	tail      [10]byte // its last bytes, for the protocol's name behind a long target
	cr        bool     // it ends in CR for the time being
}

// borrow returns l, or the line that all readers share for the time of one
// call, so that only those in the middle of a line hold one.
func (d *Dissector) borrow(l *line) *line {
	if l != nil {
		return l
	}
	return &d.shared
}

// maxLines is how many lines may be under way at a time, 0.6 KB each.
const maxLines = 8192

// settle takes a line back at the end of a call. It reports false if the line
// under way cannot be kept.
func (d *Dissector) settle(l *line) (*line, bool) {
	pending := l.n > 0 || l.cr
	switch {
	case pending && l == &d.shared:
		if n := len(d.free); n > 0 {
			l, d.free = d.free[n-1], d.free[:n-1]
		} else if d.lines < maxLines {
			d.lines++
			l = new(line)
		} else {
			d.shared.reset()
			return nil, false
		}
		*l = d.shared
		d.shared.reset()
		return l, true
	case pending:
		return l, true
	case l != &d.shared:
		l.reset()
		d.free = append(d.free, l)
	}
	return nil, true
}

func (l *line) reset() {
	clear(l.kept[:min(l.n, keptLine)]) // credentials may have been in it
	l.n, l.lastSpace, l.cr = 0, 0, false
}

func (l *line) text() []byte { return l.kept[:min(l.n, keptLine)] }

// read takes bytes up to the end of the line and reports how many, and
// whether the line is whole.
func (l *line) read(data []byte) (n int, whole bool) {
	i := bytes.IndexByte(data, '\n')
	piece := data
	if i >= 0 {
		piece = data[:i]
	}
	if l.cr && len(piece) > 0 { // a CR in the middle is part of the line
		l.add([]byte{'\r'})
		l.cr = false
	}
	if len(piece) > 0 && piece[len(piece)-1] == '\r' {
		l.cr = true
		piece = piece[:len(piece)-1]
	}
	l.add(piece)
	if i < 0 {
		return len(data), false
	}
	return i + 1, true
}

func (l *line) add(b []byte) {
	if l.n < keptLine {
		copy(l.kept[l.n:], b)
	}
	if i := bytes.LastIndexByte(b, ' '); i >= 0 {
		l.lastSpace = l.n + i
	}
	if len(b) >= len(l.tail) {
		copy(l.tail[:], b[len(b)-len(l.tail):])
	} else {
		copy(l.tail[:], l.tail[len(b):])
		copy(l.tail[len(l.tail)-len(b):], b)
	}
	l.n += len(b)
}

// canStart reports whether the line, as far as it came, can be the first one
// of a message.
func (l *line) canStart() bool {
	b := l.text()
	const version = "HTTP/"
	if n := min(len(b), len(version)); string(b[:n]) == version[:n] {
		return true
	}
	method, _, found := bytes.Cut(b, []byte{' '})
	if !found {
		return len(b) <= maxMethod
	}
	_, ok := methods[string(method)]
	return ok
}

// hex reads a chunk size (RFC 9112, 7.1), which an extension may follow.
func (l *line) hex() (uint64, bool) {
	b, _, _ := bytes.Cut(l.text(), []byte{';'})
	b = bytes.TrimSpace(b)
	if len(b) > 15 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b), 16, 64)
	return n, err == nil
}

// first reads the first line of a message.
func (m *head) first(l *line) bool {
	b := l.text()
	if bytes.HasPrefix(b, []byte("HTTP/")) {
		m.status = statusOf(b)
		return true
	}
	i := bytes.IndexByte(b, ' ')
	if i < 0 {
		return false
	}
	known, ok := methods[string(b[:i])]
	if !ok {
		return false
	}
	m.request, m.known, m.method = true, known, names[string(b[:i])]
	end := l.n
	if l.lastSpace > i && bytes.Contains(l.tail[:], []byte("HTTP/")) {
		end = l.lastSpace
	}
	m.target = max(0, end-i-1)
	return true
}

// header reads a header line.
func (m *head) header(l *line) {
	name, value, ok := bytes.Cut(l.text(), []byte{':'})
	if !ok || len(name) > 20 {
		return
	}
	is := func(s string) bool { return len(name) == len(s) && bytes.EqualFold(name, []byte(s)) }
	value = bytes.TrimSpace(value)
	switch {
	case is("Host"):
		if m.host == "" {
			m.host = string(value[:min(len(value), MaxHost)])
		}
	case is("Content-Length"):
		if n, err := strconv.ParseUint(string(value[:min(len(value), 24)]), 10, 63); err == nil {
			m.length, m.hasLength = n, true
		}
	case is("Transfer-Encoding"):
		m.chunked = m.chunked || bytes.Contains(bytes.ToLower(value), []byte("chunked"))
	case is("Authorization"), is("Proxy-Authorization"):
		const scheme = "Basic "
		if len(value) > len(scheme) && bytes.EqualFold(value[:len(scheme)], []byte(scheme)) {
			m.basic = true
			m.basicShown = m.basicShown || string(value[:len(scheme)]) == scheme && decodes(value[len(scheme):])
		}
	}
}

// decodes reports whether b starts with base64.
func decodes(b []byte) bool {
	var out [3]byte
	n, _ := base64.StdEncoding.Decode(out[:], b[:min(len(b), 4)])
	return n > 0
}
