package dns

import (
	"encoding/binary"
	"net/netip"
)

const headerLength = 12

// message is one parsed message. Its byte slices point into a parser's
// scratch space and into the packet.
type message struct {
	id        uint16
	response  bool
	truncated bool
	rcode     RCode

	name  []byte // of the first question, presentation form; nil: no question could be read
	typ   Type
	cname []byte // presentation form of the last CNAME
	// whole: every section was read to its end. tshark shows what it knows of
	// the transaction only then.
	whole bool

	addresses [MaxAddresses]netip.Addr
	addressN  int
}

// parser reads messages; it holds the scratch space so that reading one does
// not allocate.
type parser struct {
	message
	nameSpace, cnameSpace [maxPresentation]byte
}

// maxPresentation is a name of 255 bytes in which every byte is escaped.
const maxPresentation = 4 * 255

// parse reads b. It reports false if there is not even an id with flags.
func (p *parser) parse(b []byte) bool {
	p.message = message{}
	if len(b) < 4 {
		return false
	}
	flags := binary.BigEndian.Uint16(b[2:])
	p.id = binary.BigEndian.Uint16(b)
	p.response = flags&0x8000 != 0
	p.truncated = flags&0x0200 != 0
	p.rcode = RCode(flags & 15)
	if len(b) < headerLength {
		return true
	}
	questions := int(binary.BigEndian.Uint16(b[4:]))
	answers := int(binary.BigEndian.Uint16(b[6:]))
	others := int(binary.BigEndian.Uint16(b[8:])) + int(binary.BigEndian.Uint16(b[10:]))

	// The counts are only as good as the bytes behind them: each round takes
	// at least five bytes or ends the reading, so 65,535 of nothing is cheap.
	off := headerLength
	for i := range questions {
		var space []byte
		if i == 0 {
			space = p.nameSpace[:0]
		}
		name, next, ok := readName(b, off, space)
		if !ok || next+4 > len(b) {
			return true
		}
		if i == 0 {
			p.name = name
			p.typ = Type(binary.BigEndian.Uint16(b[next:]))
		}
		off = next + 4
	}
	for range answers {
		next, ok := p.answer(b, off)
		if !ok {
			return true
		}
		off = next
	}
	for range others {
		_, next, ok := readRecord(b, off)
		if !ok {
			return true
		}
		off = next
	}
	p.whole = true
	return true
}

// answer reads one record of the answer section.
func (p *parser) answer(b []byte, off int) (next int, ok bool) {
	r, next, ok := readRecord(b, off)
	if !ok {
		return 0, false
	}
	switch data := b[r.data:next]; {
	case r.typ == TypeA && len(data) == 4 && p.addressN < MaxAddresses:
		p.addresses[p.addressN] = netip.AddrFrom4([4]byte(data))
		p.addressN++
	case r.typ == TypeAAAA && len(data) == 16 && p.addressN < MaxAddresses:
		p.addresses[p.addressN] = netip.AddrFrom16([16]byte(data))
		p.addressN++
	case r.typ == TypeCNAME:
		if name, _, ok := readName(b, r.data, p.cnameSpace[:0]); ok {
			p.cname = name
		}
	}
	return next, true
}

// record is where the data of a resource record starts.
type record struct {
	typ  Type
	data int
}

func readRecord(b []byte, off int) (r record, next int, ok bool) {
	_, off, ok = readName(b, off, nil)
	if !ok || off+10 > len(b) {
		return record{}, 0, false
	}
	r = record{typ: Type(binary.BigEndian.Uint16(b[off:])), data: off + 10}
	next = r.data + int(binary.BigEndian.Uint16(b[off+8:]))
	return r, next, next <= len(b)
}

// readName reads the name at b[off:] and returns the offset behind it. With a
// space it also returns the name in presentation form (RFC 4343): lower case,
// anything but letters, digits, '-' and '_' as \DDD, so that foreign names are
// plain ASCII from here on.
//
// A name that points to itself, or is longer than 255 bytes, ends where that
// shows; what stands behind it in the message can still be read, as tshark
// does.
func readName(b []byte, off int, space []byte) (name []byte, next int, ok bool) {
	const maxPointers = 126 // more cannot be in 255 bytes
	pointers, length := 0, 0
	next = -1
	for {
		if off >= len(b) {
			return nil, 0, false
		}
		c := int(b[off])
		switch {
		case c == 0:
			if next < 0 {
				next = off + 1
			}
			if space != nil && len(space) == 0 {
				space = append(space, '.')
			}
			return space, next, true
		case c >= 0xc0:
			if off+1 >= len(b) {
				return nil, 0, false
			}
			if next < 0 {
				next = off + 2
			}
			if pointers++; pointers > maxPointers {
				return space, next, true
			}
			off = c&0x3f<<8 | int(b[off+1])
		case c >= 0x40: // reserved, and the binary labels of RFC 2673
			return nil, 0, false
		default:
			if off+1+c > len(b) {
				return nil, 0, false
			}
			length += 1 + c
			if space != nil && length < 255 {
				if len(space) > 0 {
					space = append(space, '.')
				}
				space = appendLabel(space, b[off+1:off+1+c])
			}
			if length > 255 && next >= 0 { // behind a pointer nothing more is to be learnt
				return space, next, true
			}
			off += 1 + c
		}
	}
}

func appendLabel(dst, label []byte) []byte {
	for _, c := range label {
		switch {
		case 'A' <= c && c <= 'Z':
			dst = append(dst, c+'a'-'A')
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
			dst = append(dst, c)
		default:
			dst = append(dst, '\\', '0'+c/100, '0'+c/10%10, '0'+c%10)
		}
	}
	return dst
}
