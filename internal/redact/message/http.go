package message

import "bytes"

// methods begin a request (RFC 9110, 9; RFC 5789; RFC 4918).
var methods = [...]string{"GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "CONNECT ", "OPTIONS ", "TRACE ", "PATCH ", "PROPFIND "}

// fields whose values are numbers, or words that the protocol defines.
var fields = [...]string{"content-length", "transfer-encoding", "connection", "keep-alive", "retry-after", "age", "upgrade", "content-encoding", "accept-encoding"}

// http replaces what the head of a message holds (RFC 9112): method, status,
// and the values of a few fields are kept, names of hosts replaced. It refuses
// a head that is not whole.
func (r *Rewriter) http(b, was []byte) int {
	line, rest := cutLine(was)
	if line == nil || !r.start(b, line) {
		return 0
	}
	for at := len(was) - len(rest); ; at = len(was) - len(rest) {
		line, rest = cutLine(rest)
		switch {
		case line == nil:
			return 0
		case len(line) == 0:
			return len(was) - len(rest)
		}
		r.field(b[at:at+len(line)], line)
	}
}

// cutLine returns the first line of b, without its end, and what follows; nil
// where it has no end.
func cutLine(b []byte) (line, rest []byte) {
	line, rest, ok := bytes.Cut(b, []byte("\r\n"))
	if !ok {
		return nil, nil
	}
	return line, rest
}

// start replaces what the first line holds: the target of a request, and the
// words behind a status.
func (r *Rewriter) start(b, line []byte) bool {
	const version, status = len("HTTP/1.1"), len("HTTP/1.1 200")
	isVersion := func(v []byte) bool { return string(v) == "HTTP/1.1" || string(v) == "HTTP/1.0" }
	if len(line) >= status && isVersion(line[:version]) && line[version] == ' ' && digits(line[version+1:status]) {
		if len(line) > status {
			if line[status] != ' ' {
				return false
			}
			fill(b[status+1 : len(line)])
		}
		return true
	}
	for _, m := range methods {
		if !bytes.HasPrefix(line, []byte(m)) || len(line) < len(m)+1+1+version || !isVersion(line[len(line)-version:]) || line[len(line)-version-1] != ' ' {
			continue
		}
		target := b[len(m) : len(line)-version-1]
		fill(target)
		if target[0] = line[len(m)]; target[0] != '*' {
			target[0] = '/'
		}
		return true
	}
	return false
}

func digits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// field replaces what a line holds. Names of fields that are not known may
// tell who made them up.
func (r *Rewriter) field(b, line []byte) {
	const host = "host"
	name, value, ok := bytes.Cut(line, []byte{':'})
	if !ok || line[0] == ' ' || line[0] == '\t' {
		fill(b) // goes on with the line before
		b[0] = ' '
		return
	}
	v := b[len(name)+1:]
	blank := len(value) - len(bytes.TrimLeft(value, " "))
	v, value = v[blank:], value[blank:]
	if bytes.EqualFold(name, []byte(host)) {
		where, port, _ := bytes.Cut(value, []byte{':'})
		if !digits(port) || len(port) > 5 || !r.text(v[:len(where)], where) {
			fill(v)
		}
		return
	}
	for _, f := range fields {
		if bytes.EqualFold(name, []byte(f)) {
			if !plainValue(value) {
				fill(v)
			}
			return
		}
	}
	fill(b[:len(name)])
	fill(v)
}

// values are the words that the fields kept may hold.
var values = [...]string{"close", "keep-alive", "upgrade", "chunked", "gzip", "deflate", "br", "zstd", "identity", "websocket", "h2c", "timeout", "max"}

// plainValue reports whether a value is made of numbers and known words.
func plainValue(value []byte) bool {
	words := bytes.FieldsFunc(value, func(c rune) bool { return c == ',' || c == ' ' || c == ';' || c == '=' })
	for _, w := range words {
		known := digits(w) && len(w) <= 19
		for _, v := range values {
			known = known || bytes.EqualFold(w, []byte(v))
		}
		if !known {
			return false
		}
	}
	return true
}
