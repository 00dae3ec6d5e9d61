package pcap

import (
	"encoding/binary"
	"math"
	"math/bits"
	"time"
)

// Block types of pcapng (draft-ietf-opsawg-pcapng). Those that are not named
// here (name resolution, decryption secrets, ...) are skipped unread;
// decryption secrets never leave the file.
const (
	blockSectionHeader        = 0x0a0d0d0a
	blockInterfaceDescription = 1
	blockPacket               = 2 // obsolete
	blockSimplePacket         = 3
	blockInterfaceStatistics  = 5
	blockEnhancedPacket       = 6

	// Wireshark 4.0 lists these among the packets, so they take a number.
	blockSystemdJournal = 9
	blockCustom         = 0xbad
	blockCustomNoCopy   = 0x40000bad
)

const (
	byteOrderMagic = 0x1a2b3c4d

	// maxBlockLength is tshark's limit: 16 MiB.
	maxBlockLength = 16 << 20
	// maxOptions is how much of a block is looked at for options.
	maxOptions = 64 << 10
	// maxInterfaces bounds the table of interfaces of a section: 3 MiB.
	maxInterfaces = 64 << 10
)

// networkInterface is what is kept of an interface description block.
type networkInterface struct {
	link       LinkType
	snapLength uint32
	units      uint64 // in a second
	offset     int64  // seconds
	dropped    uint64
}

// ng is the state of a pcapng file.
type ng struct {
	order       binary.ByteOrder
	interfaces  []networkInterface // of the current section
	dropped     uint64             // from statistics blocks
	packetDrops uint64             // from the packets themselves
}

func isNG(head []byte) bool {
	return len(head) >= 4 && binary.BigEndian.Uint32(head) == blockSectionHeader
}

func (r *Reader) openNG() error {
	f := &ng{}
	head, err := r.peekMore(12)
	if err == errCut {
		return &FormatError{LooksLike: "the first bytes of a pcapng file, cut before its header ends"}
	} else if err != nil {
		return err
	}
	if _, ok := sectionOrder(head); !ok {
		return &FormatError{LooksLike: "a pcapng file whose first header is damaged"}
	}
	r.sum.Format = FormatPcapNG
	r.next = func() error { return r.nextNG(f) }
	return nil
}

func sectionOrder(block []byte) (binary.ByteOrder, bool) {
	switch uint32(byteOrderMagic) {
	case binary.LittleEndian.Uint32(block[8:]):
		return binary.LittleEndian, true
	case binary.BigEndian.Uint32(block[8:]):
		return binary.BigEndian, true
	}
	return nil, false
}

// nextNG reads blocks up to the next packet.
func (r *Reader) nextNG(f *ng) error {
	for {
		h, err := r.peek(8)
		if err != nil {
			return err
		}
		order := f.order
		section := binary.BigEndian.Uint32(h) == blockSectionHeader // reads the same both ways
		if section {
			if h, err = r.peekMore(12); err != nil {
				return err
			}
			var ok bool
			if order, ok = sectionOrder(h); !ok {
				return damaged("a section header has no byte-order mark")
			}
		}
		kind, length := order.Uint32(h), order.Uint32(h[4:])
		if length < 12 || length > maxBlockLength {
			return damaged("a block claims %d bytes", length)
		}
		// Some writers forget to count the padding (tshark: rounds up, too).
		total := (int(length) + 3) &^ 3
		packet, err := r.block(f, order, kind, total)
		if err != nil {
			return err
		}
		if packet {
			return nil
		}
	}
}

// block reads one block, and reports whether it was a packet.
func (r *Reader) block(f *ng, order binary.ByteOrder, kind uint32, total int) (bool, error) {
	switch kind {
	case blockEnhancedPacket, blockPacket, blockSimplePacket, blockInterfaceDescription, blockInterfaceStatistics, blockSectionHeader:
	case blockSystemdJournal, blockCustom, blockCustomNoCopy:
		r.rec.Time, r.rec.Length, r.rec.LinkType, r.rec.Data = 0, 0, LinkTypeNone, nil
		return true, r.skipBlock(order, total)
	default:
		return false, r.skipBlock(order, total)
	}
	// A block that exceeds the buffer is not a packet, or one with options
	// beyond reason.
	if total > bufferSize {
		return false, damaged("a packet or interface block claims %d bytes", total)
	}
	b, err := r.peekMore(total)
	if err != nil {
		return false, err
	}
	if err := checkTrailer(order, b); err != nil {
		return false, err
	}
	body := b[8 : total-4]
	switch kind {
	case blockEnhancedPacket:
		err = r.enhancedPacket(f, body)
	case blockPacket:
		err = r.obsoletePacket(f, body)
	case blockSimplePacket:
		err = r.simplePacket(f, body)
	default:
		switch kind {
		case blockSectionHeader:
			err = f.section(order, body)
		case blockInterfaceDescription:
			err = r.interfaceDescription(f, body)
		case blockInterfaceStatistics:
			r.interfaceStatistics(f, body)
		}
		if err == nil {
			err = r.discard(total)
		}
		return false, err
	}
	r.skip = total
	return true, err
}

// skipBlock passes over a block of any length, and checks that it ends as it
// began.
func (r *Reader) skipBlock(order binary.ByteOrder, total int) error {
	head, err := r.peekMore(8)
	if err != nil {
		return err
	}
	length := order.Uint32(head[4:])
	if err := r.discard(total - 4); err != nil {
		return err
	}
	tail, err := r.peekMore(4)
	if err != nil {
		return err
	}
	if order.Uint32(tail) != length {
		return damaged("a block's two lengths differ")
	}
	return r.discard(4)
}

func checkTrailer(order binary.ByteOrder, block []byte) error {
	if order.Uint32(block[4:]) != order.Uint32(block[len(block)-4:]) {
		return damaged("a block's two lengths differ")
	}
	return nil
}

func (f *ng) section(order binary.ByteOrder, body []byte) error {
	if len(body) < 16 {
		return damaged("a section header is too short")
	}
	if major := order.Uint16(body[4:]); major != 1 {
		return damaged("a section has version %d, which is unknown", major)
	}
	f.interfaces = f.interfaces[:0]
	f.order = order
	return nil
}

func (r *Reader) interfaceDescription(f *ng, body []byte) error {
	if len(body) < 8 {
		return damaged("an interface description is too short")
	}
	if len(f.interfaces) == maxInterfaces {
		return damaged("a section has more than %d interfaces", maxInterfaces)
	}
	face := networkInterface{
		link:       LinkType(f.order.Uint16(body)),
		snapLength: f.order.Uint32(body[4:]),
		units:      1e6,
	}
	for code, value := range options(f.order, body[8:]) {
		switch {
		case code == 9 && len(value) >= 1: // if_tsresol
			face.units = timestampUnits(value[0])
		case code == 14 && len(value) >= 8: // if_tsoffset
			face.offset = int64(f.order.Uint64(value))
		}
	}
	f.interfaces = append(f.interfaces, face)
	r.describeInterface(face.link, face.snapLength, max(1, time.Duration(uint64(time.Second)/face.units)))
	return nil
}

// timestampUnits returns how many units a second has. A resolution finer than
// 64 bits can count in a second is taken as the finest that they can.
func timestampUnits(resolution uint8) uint64 {
	exponent := int(resolution & 0x7f)
	if resolution&0x80 != 0 {
		return 1 << min(exponent, 63)
	}
	units := uint64(1)
	for range min(exponent, 19) {
		units *= 10
	}
	return units
}

// timestamp converts a 64-bit count of units. Moments that do not fit are
// clamped, and ok is false.
func (i *networkInterface) timestamp(count uint64) (t Timestamp, ok bool) {
	seconds, rest := count/i.units, count%i.units
	// rest < units, so that the quotient fits.
	hi, lo := bits.Mul64(rest, uint64(time.Second))
	nanoseconds, _ := bits.Div64(hi, lo, i.units)
	const last = math.MaxInt64/int64(time.Second) - 1
	switch {
	case i.offset > last, seconds > uint64(math.MaxInt64), i.offset > 0 && int64(seconds) > last-i.offset, i.offset <= 0 && int64(seconds)+i.offset > last:
		return math.MaxInt64, false
	case int64(seconds)+i.offset < 0:
		return 0, false
	}
	return Timestamp((int64(seconds)+i.offset)*int64(time.Second) + int64(nanoseconds)), true
}

func (r *Reader) enhancedPacket(f *ng, body []byte) error {
	if len(body) < 20 {
		return damaged("a packet block is too short")
	}
	order := f.order
	count := uint64(order.Uint32(body[4:]))<<32 | uint64(order.Uint32(body[8:]))
	captured, err := r.ngPacket(f, order.Uint32(body), count, order.Uint32(body[12:]), order.Uint32(body[16:]), body[20:])
	if err != nil {
		return err
	}
	if rest := body[20+captured:]; len(rest) >= 12 { // room for epb_dropcount
		for code, value := range options(order, rest) {
			if code == 4 && len(value) >= 8 {
				f.packetDrops += order.Uint64(value)
				r.sum.Dropped = f.lost()
			}
		}
	}
	return nil
}

func (r *Reader) obsoletePacket(f *ng, body []byte) error {
	if len(body) < 20 {
		return damaged("a packet block is too short")
	}
	order := f.order
	count := uint64(order.Uint32(body[4:]))<<32 | uint64(order.Uint32(body[8:]))
	if drops := order.Uint16(body[2:]); drops != 0xffff {
		f.packetDrops += uint64(drops)
		r.sum.Dropped = f.lost()
	}
	_, err := r.ngPacket(f, uint32(order.Uint16(body)), count, order.Uint32(body[12:]), order.Uint32(body[16:]), body[20:])
	return err
}

// ngPacket fills the record, and returns how many bytes of data it takes up,
// with padding.
func (r *Reader) ngPacket(f *ng, number uint32, count uint64, captured, length uint32, data []byte) (int, error) {
	if uint64(number) >= uint64(len(f.interfaces)) {
		return 0, damaged("a packet belongs to interface %d, which the file does not describe", number)
	}
	if captured > MaxPacketLength || int(captured) > len(data) {
		return 0, damaged("a packet claims %d bytes, more than its block has or than the %d that a packet may have", captured, MaxPacketLength)
	}
	face := &f.interfaces[number]
	t, ok := face.timestamp(count)
	if !ok {
		r.sum.BadTimestamps++
	}
	r.rec.Time = t
	r.rec.Length = boundedLength(length)
	r.rec.LinkType = face.link
	r.rec.Data = data[:captured:captured]
	return min(len(data), int(captured+3)&^3), nil
}

// simplePacket reads a packet without time: only the wire length is stored,
// what was captured follows from the snap length of interface 0.
func (r *Reader) simplePacket(f *ng, body []byte) error {
	if len(body) < 4 || len(f.interfaces) == 0 {
		return damaged("a simple packet block is too short, or has no interface")
	}
	face := &f.interfaces[0]
	length := f.order.Uint32(body)
	captured := length
	if face.snapLength > 0 {
		captured = min(captured, face.snapLength)
	}
	if captured > MaxPacketLength || int(captured) > len(body)-4 {
		return damaged("a packet claims %d bytes, more than its block has or than the %d that a packet may have", captured, MaxPacketLength)
	}
	r.rec.Time = 0
	r.rec.Length = boundedLength(length)
	r.rec.LinkType = face.link
	r.rec.Data = body[4 : 4+captured]
	return nil
}

func (r *Reader) interfaceStatistics(f *ng, body []byte) {
	if len(body) < 12 {
		return
	}
	number := f.order.Uint32(body)
	if uint64(number) >= uint64(len(f.interfaces)) {
		return
	}
	var drops uint64
	for code, value := range options(f.order, body[12:]) {
		if (code == 5 || code == 7) && len(value) >= 8 { // isb_ifdrop, isb_osdrop
			drops += f.order.Uint64(value)
		}
	}
	// The counts run from the start of the capture.
	face := &f.interfaces[number]
	if drops > face.dropped {
		f.dropped += drops - face.dropped
		face.dropped = drops
		r.sum.Dropped = f.lost()
	}
}

// lost is how many packets the file says are missing. Statistics and packets
// count the same losses.
func (f *ng) lost() uint64 { return max(f.dropped, f.packetDrops) }
