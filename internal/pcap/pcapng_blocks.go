package pcap

import (
	"encoding/binary"
	"iter"
	"math"
	"math/bits"
	"time"
)

// networkInterface is what is kept of an interface description block.
type networkInterface struct {
	link       LinkType
	snapLength uint32
	units      uint64 // in a second
	offset     int64  // seconds
	dropped    uint64
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

// options yields the options of a pcapng block, up to the end of options or
// to the first that runs over the block.
func options(order binary.ByteOrder, b []byte) iter.Seq2[uint16, []byte] {
	b = b[:min(len(b), maxOptions)]
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= 4 {
			code, length := order.Uint16(b), int(order.Uint16(b[2:]))
			if code == 0 || 4+length > len(b) || !yield(code, b[4:4+length]) {
				return
			}
			b = b[min(len(b), 4+(length+3)&^3):]
		}
	}
}
