package http

import "bytes"

// methods are the request methods that are recognised; true where tshark
// 4.0.17 knows them, too.
var methods = map[string]bool{
	"GET": true, "PUT": true, "POST": true, "HEAD": true, "DELETE": true, "OPTIONS": true, "TRACE": true, "CONNECT": true, "PATCH": true,
	"PROPFIND": true, "PROPPATCH": true, "MKCOL": true, "COPY": true, "MOVE": true, "LOCK": true, "UNLOCK": true, "SEARCH": true,
	"POLL": true, "BCOPY": true, "BMOVE": true, "BDELETE": true, "BPROPFIND": true, "BPROPPATCH": true,
	"NOTIFY": true, "SUBSCRIBE": true, "UNSUBSCRIBE": true, "M-SEARCH": true,
	"LABEL": true, "MERGE": true, "REPORT": true, "UPDATE": true, "CHECKIN": true, "CHECKOUT": true, "UNCHECKOUT": true,
	"MKACTIVITY": true, "MKWORKSPACE": true, "VERSION-CONTROL": true, "BASELINE-CONTROL": true,
	"RPC_CONNECT": true, "RPC_IN_DATA": true, "RPC_OUT_DATA": true, "CCM_POST": true, "SSTP_DUPLEX_POST": true,
	"LINK": false, "UNLINK": false, "ACL": false, "BIND": false, "UNBIND": false, "REBIND": false, "MKCALENDAR": false,
	"QUERY": false, "PURGE": false, "BITS_POST": false,
}

const maxMethod = 16

// names holds each method once, so that keeping one costs nothing.
var names = func() map[string]string {
	m := make(map[string]string, len(methods))
	for name := range methods {
		m[name] = name
	}
	return m
}()

// LooksLikeStart reports whether a packet that starts with b can be the start
// of an HTTP message on a port where HTTP is expected.
func LooksLikeStart(b []byte) bool {
	if len(b) >= 5 && string(b[:5]) == "HTTP/" {
		return true
	}
	i := bytes.IndexByte(b[:min(len(b), maxMethod+1)], ' ')
	if i < 0 {
		return false
	}
	_, ok := methods[string(b[:i])]
	return ok
}

// Opens reports whether b makes tshark take a connection on any port for
// HTTP: a whole line that starts or ends with the protocol's name.
func Opens(b []byte) bool {
	const longest = 8 << 10 // of a line that is looked for
	end := bytes.IndexByte(b[:min(len(b), longest)], '\n')
	if end < 0 {
		return false
	}
	line := bytes.TrimSuffix(b[:end], []byte{'\r'})
	const name = "HTTP/1."
	if len(line) < 9 {
		return false
	}
	return bytes.EqualFold(line[:len(name)], []byte(name)) || bytes.EqualFold(line[len(line)-8:len(line)-1], []byte(name))
}

// statusOf reads the status of a response's first line; 0 if there is none.
func statusOf(line []byte) int {
	_, rest, _ := bytes.Cut(line, []byte{' '})
	rest = bytes.TrimLeft(rest, " ")
	code := 0
	for i := range min(3, len(rest)) {
		if rest[i] < '0' || rest[i] > '9' {
			break
		}
		code = code*10 + int(rest[i]-'0')
	}
	return code
}

// Datagram counts an HTTP message in a UDP datagram: SSDP.
func (d *Dissector) Datagram(frame int64, b []byte) {
	if !LooksLikeStart(b) {
		return
	}
	method, _, _ := bytes.Cut(b[:min(len(b), maxMethod+1)], []byte{' '})
	switch {
	case bytes.HasPrefix(b, []byte("HTTP/")):
		d.countResponse(statusOf(b[:min(len(b), 32)]))
	case methods[string(method)]:
		d.countRequest(frame, false)
	}
}
