package message

// Content types of TLS records, and handshake messages (RFC 8446, B.1, B.3).
const (
	recordChangeCipherSpec = 20
	recordAlert            = 21
	recordHandshake        = 22
	recordApplicationData  = 23

	clientHello = 1
	serverHello = 2
)

func looksLikeTLS(b []byte) bool {
	return len(b) >= 5 && b[0] >= recordChangeCipherSpec && b[0] <= recordApplicationData && b[1] == 3 && b[2] <= 4 && be16(b[3:]) <= 1<<14+2048
}

// tls replaces what the records at the beginning of a segment hold: hellos
// are kept, without what is random in them; so are alerts. Of all else it is
// the header, and nothing behind it. A record may go on in another segment.
func (r *Rewriter) tls(b, was []byte) int {
	at := 0
	for looksLikeTLS(was[at:]) {
		content := at + 5
		end := content + be16(was[at+3:])
		switch was[at] {
		case recordAlert:
			if end > len(was) || end-content != 2 || was[content] < 1 || was[content] > 2 {
				return content // encrypted
			}
		case recordChangeCipherSpec:
			if end > len(was) || end-content != 1 || was[content] != 1 {
				return content
			}
		case recordHandshake:
			there := min(end, len(was))
			if kept := content + r.handshake(b[content:there], was[content:there]); kept != end {
				return kept
			}
		default:
			return content
		}
		at = end
	}
	return at
}

// handshake replaces what hellos hold. It stops behind the header of the first
// message that is something else, or goes on elsewhere.
func (r *Rewriter) handshake(b, was []byte) int {
	at := 0
	for at+4 <= len(was) {
		kind, n := was[at], int(was[at+1])<<16|be16(was[at+2:])
		if kind > 24 || n > 1<<16 {
			return at // encrypted
		}
		at += 4
		if kind != clientHello && kind != serverHello {
			return at
		}
		there := min(at+n, len(was))
		kept := r.hello(b[at:there], was[at:there], n, kind == clientHello)
		if kept != n {
			return at + kept
		}
		at += n
	}
	return at
}

// retry is what a server sends instead of a random to ask for another hello
// (RFC 8446, 4.1.3).
const retry = "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"

// hello replaces what a hello of n bytes holds (RFC 8446, 4.1.2 and 4.1.3), of
// which the beginning may be there. It returns how much of it can be kept.
func (r *Rewriter) hello(b, was []byte, n int, client bool) int {
	if len(was) < 35 || 35+int(was[34]) > len(was) {
		return 0
	}
	if string(was[2:34]) != retry {
		clear(b[2:34])
	}
	at := 35 + int(was[34])
	clear(b[35:at])
	switch {
	case !client:
		at += 3
	case at+2 > len(was):
		return 0
	default:
		at += 2 + be16(was[at:]) // cipher suites
		if at+1 > len(was) {
			return 0
		}
		at += 1 + int(was[at]) // compression
	}
	switch {
	case at == n && at <= len(was):
		return n // before there were extensions
	case at+2 > len(was) || at+2+be16(was[at:]) != n:
		return 0
	}
	at += 2
	for at+4 <= len(was) {
		next := at + 4 + be16(was[at+2:])
		if next > len(was) {
			break
		}
		if !r.extension(be16(was[at:]), b[at+4:next], was[at+4:next], client) {
			b[at], b[at+1] = 0, 21 // padding (RFC 7685)
			clear(b[at+4 : next])
		}
		at = next
	}
	return at
}

// extension replaces what an extension holds, or says that it can't.
func (r *Rewriter) extension(kind int, b, was []byte, client bool) bool {
	const (
		serverName, statusRequest, groups, pointFormats, signatures, alpn, timestamps, padding = 0, 5, 10, 11, 13, 16, 18, 21
		encryptThenMAC, extendedSecret, compression, versions, exchangeModes, keyShare         = 22, 23, 27, 43, 45, 51
		renegotiation                                                                          = 65281
	)
	switch kind {
	case serverName:
		return len(was) == 0 || r.serverName(b, was)
	case groups, pointFormats, signatures, compression, exchangeModes: // lists of numbers
		return true
	case versions:
		return client || len(was) == 2
	case encryptThenMAC, extendedSecret, timestamps:
		return len(was) == 0
	case statusRequest:
		return len(was) == 0 || string(was) == "\x01\x00\x00\x00\x00"
	case renegotiation:
		return string(was) == "\x00"
	case padding:
		clear(b)
		return true
	case alpn:
		return protocols(was)
	case keyShare:
		return shares(b, was, client)
	}
	return false
}

// serverName replaces the one name of a server name indication (RFC 6066, 3).
func (r *Rewriter) serverName(b, was []byte) bool {
	if len(was) < 5 || be16(was) != len(was)-2 || was[2] != 0 || be16(was[3:]) != len(was)-5 {
		return false
	}
	return r.text(b[5:], was[5:])
}

// protocols reports whether all that is negotiated is well known (RFC 7301).
func protocols(was []byte) bool {
	if len(was) < 2 || be16(was) != len(was)-2 {
		return false
	}
	for was = was[2:]; len(was) > 0; was = was[1+int(was[0]):] {
		if 1+int(was[0]) > len(was) {
			return false
		}
		switch string(was[1 : 1+int(was[0])]) {
		case "h2", "h3", "http/1.0", "http/1.1", "spdy/3.1", "dot", "imap", "pop3", "ftp", "stun.turn", "webrtc", "mqtt":
		default:
			return false
		}
	}
	return true
}

// shares keeps the groups of key shares, and what the keys were as zeros.
func shares(b, was []byte, client bool) bool {
	switch {
	case len(was) == 2 && !client:
		return true // a server asks for another
	case client && (len(was) < 2 || be16(was) != len(was)-2):
		return false
	case client:
		b, was = b[2:], was[2:]
	}
	for len(was) > 0 {
		if len(was) < 4 || 4+be16(was[2:]) > len(was) {
			return false
		}
		n := 4 + be16(was[2:])
		clear(b[4:n])
		b, was = b[n:], was[n:]
	}
	return true
}
