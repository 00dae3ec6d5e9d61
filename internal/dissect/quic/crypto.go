package quic

// maxHello is how much of a hello is put together. Post-quantum key shares
// make a ClientHello 1.8 KB; nothing needs more than a few packets.
const maxHello = 8 << 10

// assembly puts the first handshake message of a side together from CRYPTO
// frames, which may come in any order and overlap.
type assembly struct {
	bytes []byte
	have  [][2]uint64 // which parts are there, sorted, not touching
	whole bool
}

// add takes a piece, and returns the message once it is whole.
func (a *assembly) add(offset uint64, data []byte) (msg []byte, ok bool) {
	end := offset + uint64(len(data))
	if a.whole || len(data) == 0 || end > maxHello {
		return nil, false
	}
	if grow := int(end) - len(a.bytes); grow > 0 {
		a.bytes = append(a.bytes, make([]byte, grow)...)
	}
	copy(a.bytes[offset:], data)
	a.cover(offset, end)
	if a.have[0][0] != 0 || a.have[0][1] < 4 {
		return nil, false
	}
	need := 4 + (uint64(a.bytes[1])<<16 | uint64(a.bytes[2])<<8 | uint64(a.bytes[3]))
	if a.have[0][1] < need {
		return nil, false
	}
	msg = a.bytes[:need]
	*a = assembly{whole: true}
	return msg, true
}

// cover notes that [from, to) is there.
func (a *assembly) cover(from, to uint64) {
	kept := a.have[:0]
	at := 0
	for _, h := range a.have {
		switch {
		case h[1] < from:
			kept = append(kept, h)
			at = len(kept)
		case h[0] > to:
			kept = append(kept, h)
		default:
			from, to = min(from, h[0]), max(to, h[1])
		}
	}
	kept = append(kept, [2]uint64{})
	copy(kept[at+1:], kept[at:])
	kept[at] = [2]uint64{from, to}
	a.have = kept
}

// cursor reads a structure. Reading past the end gives zero and leaves short
// set.
type cursor struct {
	b     []byte
	at    int
	short bool
}

func (o *cursor) bytes(n uint64) []byte {
	if o.short || n > uint64(len(o.b)-o.at) {
		o.short = true
		return nil
	}
	b := o.b[o.at : o.at+int(n)]
	o.at += int(n)
	return b
}

func (o *cursor) byte() byte {
	if b := o.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// varint reads a variable-length integer (RFC 9000, 16).
func (o *cursor) varint() uint64 {
	first := o.byte()
	v := uint64(first & 0x3f)
	for _, b := range o.bytes(1<<(first>>6) - 1) {
		v = v<<8 | uint64(b)
	}
	return v
}

// ack skips the rest of an ACK frame.
func (o *cursor) ack() {
	o.varint()
	o.varint()
	ranges := o.varint()
	o.varint()
	for i := uint64(0); i < ranges && !o.short; i++ {
		o.varint()
		o.varint()
	}
}
