package redact

// IP protocols whose headers are rewritten, or passed (IANA).
const (
	protocolHopByHop    = 0
	protocolICMP        = 1
	protocolIPv4        = 4
	protocolTCP         = 6
	protocolUDP         = 17
	protocolIPv6        = 41
	protocolRouting     = 43
	protocolFragment    = 44
	protocolGRE         = 47
	protocolAH          = 51
	protocolICMPv6      = 58
	protocolDestination = 60
	protocolEtherIP     = 97
	protocolMobility    = 135
	protocolMPLS        = 137
	protocolHIP         = 139
	protocolShim6       = 140
	protocolEthernet    = 143
)

// upper is what an IP header says of what it holds.
type upper struct {
	protocol  uint8
	length    int    // of what follows: as the header has it, but no more than there was
	addresses [2]int // where they lie, src and dst together
	quoted    bool   // inside an ICMP error: no tunnel is opened
}

// pseudo returns the pseudo header of what u announces.
func (u upper) pseudo(length int) pseudo {
	return pseudo{u.addresses[0], u.addresses[1], u.protocol, length}
}

func (f *frame) ip() Reason { return f.anyIP(false) }

func (f *frame) anyIP(quoted bool) Reason {
	h := f.rest()
	if len(h) == 0 {
		return Truncated
	}
	if f.depth++; f.depth > maxNesting {
		return TooDeep
	}
	switch h[0] >> 4 {
	case 4:
		return f.ip4(quoted)
	case 6:
		return f.ip6(quoted)
	}
	return Malformed
}

// ip4 rewrites an IPv4 header. Options record routes and addresses, so each of
// their bytes becomes a NOP (RFC 791).
func (f *frame) ip4(quoted bool) Reason {
	const nop = 1
	h := f.rest()
	if len(h) < 20 {
		return Truncated
	}
	n, total := int(h[0]&0x0f)*4, int(be16(h[2:]))
	if total == 0 {
		total = f.wire - f.at // the card was to segment it
	}
	switch {
	case n < 20 || total < n:
		return Malformed
	case len(h) < n:
		return Truncated
	}
	f.limit(total)
	f.m.ip4(h[12:])
	f.m.ip4(h[16:])
	for i := 20; i < n; i++ {
		h[i] = nop
	}
	f.promise(checksum{at: f.at + 10, from: f.at, length: n, header: n})
	u := upper{h[9], total - n, [2]int{f.at + 12, f.at + 20}, quoted}
	f.at += n
	if !quoted {
		u.length = min(u.length, f.wire-f.at)
	}
	if where := be16(h[6:]); where&0x3fff != 0 && !(quoted && where&0x1fff == 0) {
		return f.fragment(u, where&0x1fff == 0)
	}
	return f.transport(u)
}

// ip6 rewrites an IPv6 header and its extensions (RFC 8200).
func (f *frame) ip6(quoted bool) Reason {
	h := f.rest()
	if len(h) < 40 {
		return Truncated
	}
	f.m.ip6(h[8:])
	f.m.ip6(h[24:])
	f.at += 40
	length := int(be16(h[4:]))
	if n := f.wire - f.at; length == 0 && n > 0xffff {
		length = n
	}
	f.limit(length)
	if !quoted {
		length = min(length, f.wire-f.at)
	}
	return f.extensions(upper{h[6], length, [2]int{f.at - 32, f.at}, quoted})
}

// extensions passes over IPv6 extension headers. What options hold is
// replaced by padding; headers that hold addresses are not rewritten.
func (f *frame) extensions(u upper) Reason {
	for {
		h := f.rest()
		switch u.protocol {
		case protocolHopByHop, protocolDestination:
			if len(h) < 8 {
				return Truncated
			}
			n := 8 + 8*int(h[1])
			if len(h) < n {
				return Truncated
			}
			padOptions(h[2:n])
			u.protocol = h[0]
			u.length -= n
			f.at += n
		case protocolFragment:
			if len(h) < 8 {
				return Truncated
			}
			h[1] = 0 // reserved
			u.protocol = h[0]
			u.length -= 8
			f.at += 8
			if where := be16(h[2:]); where&0xfff9 != 0 && !(u.quoted && where&0xfff8 == 0) {
				return f.fragment(u, where&0xfff8 == 0)
			}
		case protocolRouting, protocolMobility, protocolHIP, protocolShim6:
			return Extension
		default:
			return f.transport(u)
		}
	}
}

// padOptions makes the options in b padding (RFC 8200, 4.2). One PadN cannot
// fill the longest header; each has room for 255 bytes.
func padOptions(b []byte) {
	const padN = 1
	clear(b)
	for len(b) >= 2 {
		n := min(len(b)-2, 255)
		b[0], b[1] = padN, byte(n)
		b = b[2+n:]
	}
}

// fragment keeps the transport header that lies in a first fragment, and
// replaces all else by zeros instead of cutting it: what is not captured whole
// is put together by nobody. Its checksum would cover what other fragments
// hold, so there is none.
func (f *frame) fragment(u upper, first bool) Reason {
	h := f.rest()
	n := 0
	switch {
	case !first:
	case u.protocol == protocolTCP && len(h) >= 20:
		if n = int(h[12]>>4) * 4; n < 20 {
			return Malformed
		}
		n = min(n, len(h))
		clearTCPOptions(h[20:n])
		clear(h[16:18])
	case u.protocol == protocolUDP && len(h) >= 8:
		n = 8
		clear(h[6:8])
	}
	clear(h[n:])
	f.at = len(f.b)
	return kept
}

// transport rewrites what an IP packet holds. Of a protocol that is not known
// nothing is kept.
func (f *frame) transport(u upper) Reason {
	switch u.protocol {
	case protocolTCP:
		return f.tcp(u)
	case protocolUDP:
		return f.udp(u)
	case protocolICMP:
		return f.icmp(u)
	case protocolICMPv6:
		return f.icmp6(u)
	}
	if u.quoted {
		return kept
	}
	switch u.protocol {
	case protocolGRE:
		return f.gre()
	case protocolIPv4, protocolIPv6:
		return f.ip()
	case protocolAH:
		return f.authentication(u)
	case protocolEtherIP:
		if h := f.rest(); len(h) >= 2 && h[0]>>4 != 3 {
			return kept
		}
		return f.keep(2, f.ethernet)
	case protocolMPLS:
		return f.mpls()
	case protocolEthernet:
		return f.ethernet()
	}
	return kept
}

// authentication keeps the head of an IPsec header (RFC 4302) and clears its
// check value: it is made from the original addresses.
func (f *frame) authentication(u upper) Reason {
	h := f.rest()
	if len(h) < 12 {
		return Truncated
	}
	n := 8 + 4*int(h[1])
	if n < 12 || len(h) < n {
		return Truncated
	}
	clear(h[12:n])
	f.at += n
	u.protocol = h[0]
	u.length -= n
	return f.transport(u)
}
