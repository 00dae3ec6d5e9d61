package redact

// UDP ports of the tunnels that are rewritten. The packets of others are
// dropped where the analysis would have opened them.
const (
	portVXLAN    = 4789
	portVXLANGPE = 4790
	portGeneve   = 6081
)

// udpTunnel asks the lower port first, as package packet does.
func (f *frame) udpTunnel(src, dst uint16) Reason {
	low, high := min(src, dst), max(src, dst)
	for _, port := range [...]uint16{low, high} {
		switch port {
		case portVXLAN, portVXLANGPE, portGeneve:
			return f.openUDP(port)
		}
		if low < 1024 {
			break
		}
	}
	return kept
}

// openUDP keeps the header of a tunnel, and what is in the tunnel. A tunnel
// too short for its header is payload.
func (f *frame) openUDP(port uint16) Reason {
	h := f.rest()
	if len(h) < 8 {
		return kept
	}
	switch port {
	case portVXLAN: // RFC 7348
		f.at += 8
		return f.ethernet()
	case portVXLANGPE:
		switch h[3] {
		case 1, 2:
			return f.keep(8, f.ip)
		case 3:
			return f.keep(8, f.ethernet)
		}
		return kept
	}
	// Geneve (RFC 8926). Its options are kept as places: what they hold is
	// whatever the network's maker liked.
	n := 8 + int(h[0]&0x3f)*4
	if h[0]>>6 != 0 || len(h) < n {
		return kept
	}
	for options := h[8:n]; len(options) >= 4; {
		size := min(4+int(options[3]&0x1f)*4, len(options))
		clear(options[4:size])
		options = options[size:]
	}
	f.at += n
	return f.etherType(be16(h[2:]))
}

// gre keeps a GRE header (RFC 2784, RFC 2890; PPTP's of RFC 2637), and what
// is in the tunnel.
func (f *frame) gre() Reason {
	const hasChecksum, hasRouting, hasKey, hasSequence, hasAck = 0x8000, 0x4000, 0x2000, 0x1000, 0x0080
	h := f.rest()
	if len(h) < 4 {
		return Truncated
	}
	flags, kind := be16(h), be16(h[2:])
	n := 4
	if flags&hasRouting != 0 {
		return Unknown // routes of addresses
	}
	if flags&hasChecksum != 0 {
		n += 4
		f.promise(checksum{at: f.at + 4, from: f.at, length: f.wire - f.at})
	}
	if flags&hasKey != 0 {
		n += 4
	}
	if flags&hasSequence != 0 {
		n += 4
	}
	if flags&7 == 1 && flags&hasAck != 0 {
		n += 4
	}
	if len(h) < n {
		return Truncated
	}
	f.at += n
	switch kind {
	case etherIPv4, etherIPv6, etherBridged, etherVLAN, etherQinQ, etherMPLS, etherMPLSUp:
		return f.etherType(kind)
	case 0x6400:
		return f.ethernet()
	case 0x880b:
		return f.ppp()
	case etherERSPAN:
		if flags&hasSequence == 0 { // type I has no header of its own
			return f.ethernet()
		}
		return f.erspan()
	case etherERSPAN3:
		return f.erspan()
	}
	return kept
}

// erspan keeps the header of a mirrored frame of type II or III
// (draft-foschiano-erspan), without its platform's part.
func (f *frame) erspan() Reason {
	h := f.rest()
	if len(h) < 12 {
		return Truncated
	}
	switch h[0] >> 4 {
	case 1:
		return f.keep(8, f.ethernet)
	case 2:
		if h[11]&1 == 0 {
			return f.keep(12, f.ethernet)
		}
		if len(h) < 20 {
			return Truncated
		}
		clear(h[12:20])
		return f.keep(20, f.ethernet)
	}
	return kept
}
