package redact

// tcp keeps a TCP header (RFC 9293), or as much of it as was captured.
func (f *frame) tcp(u upper) Reason {
	h := f.rest()
	n := 20
	if len(h) > 12 {
		n = int(h[12]>>4) * 4
	}
	if n < 20 || !u.quoted && n > f.wire-f.at {
		return Malformed
	}
	if n = min(n, len(h)); n > 20 {
		clearTCPOptions(h[20:n])
	}
	if n == 17 {
		n = 16 // half a checksum
	}
	f.promise(checksum{at: f.at + 16, from: f.at, length: u.length, pseudo: u.pseudo(u.length)})
	f.at += n
	if f.messages != nil && n >= 20 && !u.quoted {
		f.at += f.messages.Segment(be16(h), be16(h[2:]), f.rest(), f.source[f.at:len(f.b)])
	}
	return kept
}

// clearTCPOptions keeps the options whose fields are numbers of the
// connection, and makes all others NOPs: cookies (RFC 7413), signatures, and
// the addresses of MPTCP (RFC 8684).
func clearTCPOptions(b []byte) {
	const end, nop = 0, 1
	lengths := [...]int{2: 4, 3: 3, 4: 2, 8: 10} // MSS, window scale, SACK permitted, timestamps
	const sack = 5
	for len(b) > 0 {
		switch kind := b[0]; {
		case kind == end:
			clear(b)
			return
		case kind == nop:
			b = b[1:]
			continue
		case len(b) < 2 || b[1] < 2 || int(b[1]) > len(b):
			for i := range b {
				b[i] = nop
			}
			return
		default:
			n := int(b[1])
			known := int(kind) < len(lengths) && lengths[kind] == n || kind == sack && n%8 == 2 && n >= 10
			if !known {
				for i := range b[:n] {
					b[i] = nop
				}
			}
			b = b[n:]
		}
	}
}

// udp keeps a UDP header (RFC 768), and opens the tunnels behind it.
func (f *frame) udp(u upper) Reason {
	h := f.rest()
	if len(h) < 8 {
		f.at += min(len(h), 6) // without half a checksum
		return kept
	}
	length := int(be16(h[4:]))
	switch {
	case length >= 8:
		f.limit(length)
	case length > 0:
		return Malformed
	default:
		length = u.length
	}
	if v6 := u.addresses[1]-u.addresses[0] > 8; be16(h[6:]) != 0 || v6 {
		f.promise(checksum{at: f.at + 6, from: f.at, length: length, pseudo: u.pseudo(length), udp: true})
	}
	f.at += 8
	if u.quoted {
		return kept
	}
	if f.messages != nil {
		if n := f.messages.Datagram(be16(h), be16(h[2:]), f.rest(), f.source[f.at:len(f.b)]); n > 0 {
			f.at += n
			return kept
		}
	}
	return f.udpTunnel(be16(h), be16(h[2:]))
}

// icmp keeps the head of an ICMP message (RFC 792), and rewrites what an error
// quotes.
func (f *frame) icmp(u upper) Reason {
	const unreachable, quench, redirect, timeExceeded, parameter = 3, 4, 5, 11, 12
	const echo, echoReply = 8, 0
	h := f.rest()
	if len(h) < 4 {
		f.at += min(len(h), 2) // without half a checksum
		return kept
	}
	f.promise(checksum{at: f.at + 2, from: f.at, length: u.length})
	switch h[0] {
	case redirect:
		if len(h) >= 8 {
			f.m.ip4(h[4:])
		}
		return f.message(8, !u.quoted)
	case unreachable, quench, timeExceeded, parameter:
		return f.message(8, !u.quoted)
	case echo, echoReply:
		return f.message(8, false)
	}
	return f.message(4, false)
}

// icmp6 does the same for ICMPv6 (RFC 4443), and for neighbor discovery (RFC
// 4861), which is full of addresses.
func (f *frame) icmp6(u upper) Reason {
	h := f.rest()
	if len(h) < 4 {
		f.at += min(len(h), 2) // without half a checksum
		return kept
	}
	f.promise(checksum{at: f.at + 2, from: f.at, length: u.length, pseudo: u.pseudo(u.length)})
	switch kind := h[0]; kind {
	case 1, 2, 3, 4: // errors
		return f.message(8, !u.quoted)
	case 128, 129: // echo
		return f.message(8, false)
	case 133: // router solicitation
		f.message(8, false)
		return f.neighborOptions()
	case 134: // router advertisement
		f.message(16, false)
		return f.neighborOptions()
	case 135, 136: // neighbor solicitation and advertisement
		if len(h) < 24 {
			return f.message(8, false)
		}
		f.m.ip6(h[8:])
		f.message(24, false)
		return f.neighborOptions()
	}
	return f.message(4, false)
}

// message keeps n bytes of an ICMP message, or as many as there are, and the
// packet that it quotes as far as that can be rewritten.
func (f *frame) message(n int, quotes bool) Reason {
	if len(f.rest()) < n {
		f.at += len(f.rest())
		return kept
	}
	f.at += n
	if !quotes {
		return kept
	}
	at, sums := f.at, len(f.sums)
	if f.anyIP(true) != kept {
		f.at, f.sums = at, f.sums[:sums]
	}
	return kept
}

// neighborOptions rewrites link-layer addresses, up to the first option that
// is something else.
func (f *frame) neighborOptions() Reason {
	const sourceAddress, targetAddress = 1, 2
	for {
		h := f.rest()
		if len(h) < 8 || h[0] != sourceAddress && h[0] != targetAddress || h[1] != 1 {
			return kept
		}
		f.m.mac(h[2:])
		f.at += 8
	}
}
