package pcap

import (
	"encoding/binary"
	"time"
)

// The magic numbers of classic pcap, as the writer's byte order shows them.
const (
	magicMicroseconds = 0xa1b2c3d4
	magicNanoseconds  = 0xa1b23c4d
	magicModified     = 0xa1b2cd34 // Alexey Kuznetzov's patches: longer packet headers
)

const classicHeaderLength = 24

// classic is the state of a classic pcap file.
type classic struct {
	order        binary.ByteOrder
	little       bool  // order is binary.LittleEndian
	headerLength int   // of a packet: 16, and more in the modified dialects
	scale        int64 // nanoseconds in a unit of the second half of a timestamp
	swap         swap
	link         LinkType
}

// swap says whether captured and original length have changed places.
type swap int

const (
	swapNever swap = iota
	swapIfLarger
	swapAlways
)

func classicMagic(head []byte) (magic uint32, order binary.ByteOrder) {
	if len(head) < 4 {
		return 0, nil
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch magic := order.Uint32(head); magic {
		case magicMicroseconds, magicNanoseconds, magicModified:
			return magic, order
		}
	}
	return 0, nil
}

func isClassic(head []byte) bool {
	_, order := classicMagic(head)
	return order != nil
}

func (r *Reader) openClassic() error {
	h, err := r.peekMore(classicHeaderLength)
	if err == errCut {
		return &FormatError{LooksLike: "the first bytes of a pcap file, cut before its header ends"}
	} else if err != nil {
		return err
	}
	magic, order := classicMagic(h)
	major, minor := order.Uint16(h[4:]), order.Uint16(h[6:])
	snapLength, network := order.Uint32(h[16:]), order.Uint32(h[20:])
	if major < 2 {
		return &FormatError{LooksLike: "a pcap file of a version before 2, which nothing can read"}
	}
	f := &classic{
		order:        order,
		little:       order == binary.LittleEndian,
		headerLength: 16,
		scale:        int64(time.Microsecond),
		// The upper bits hold the length of a frame check sequence.
		link: LinkType(network & 0x03ffffff),
	}
	if magic == magicNanoseconds {
		f.scale = 1
	}
	// Before version 2.3 the two lengths were stored the other way around,
	// and some writers of 2.3 and DG/UX (version 543.0) did so still.
	switch {
	case major == 543, major == 2 && minor < 3:
		f.swap = swapAlways
	case major == 2 && minor == 3:
		f.swap = swapIfLarger
	}
	if err := r.discard(classicHeaderLength); err != nil {
		return err
	}
	if magic == magicModified {
		f.headerLength = r.modifiedHeaderLength(f)
	}
	r.sum.Format = FormatPcap
	r.describeInterface(f.link, snapLength, time.Duration(f.scale))
	r.rec.LinkType = f.link
	r.next = func() error { return r.nextClassic(f) }
	return nil
}

func (r *Reader) nextClassic(f *classic) error {
	// Mostly the packet is in memory, and looking once is enough.
	h := r.in.ahead()
	if len(h) < f.headerLength {
		var err error
		if h, err = r.peek(f.headerLength); err != nil {
			return err
		}
	}
	var seconds, fraction, captured, length uint32
	_ = h[15]
	if f.little {
		seconds, fraction = binary.LittleEndian.Uint32(h), binary.LittleEndian.Uint32(h[4:])
		captured, length = binary.LittleEndian.Uint32(h[8:]), binary.LittleEndian.Uint32(h[12:])
	} else {
		seconds, fraction = binary.BigEndian.Uint32(h), binary.BigEndian.Uint32(h[4:])
		captured, length = binary.BigEndian.Uint32(h[8:]), binary.BigEndian.Uint32(h[12:])
	}
	if f.swap != swapNever {
		captured, length = f.swap.apply(captured, length)
	}
	if captured > MaxPacketLength {
		return damaged("the next packet claims %d bytes, more than the %d that a packet may have", captured, MaxPacketLength)
	}
	end := f.headerLength + int(captured)
	b := h
	if len(b) < end {
		var err error
		if b, err = r.peekMore(end); err != nil {
			return err
		}
	}
	// Neither product nor sum can overflow: both factors have 32 bits.
	nanoseconds := int64(fraction) * f.scale
	if nanoseconds >= int64(time.Second) {
		r.sum.BadTimestamps++
	}
	r.rec.Time = Timestamp(int64(seconds)*int64(time.Second) + nanoseconds)
	r.rec.Length = boundedLength(length)
	r.rec.Data = b[f.headerLength:end]
	r.skip = end
	return nil
}

func (s swap) apply(captured, length uint32) (uint32, uint32) {
	if s == swapAlways || s == swapIfLarger && captured > length {
		return length, captured
	}
	return captured, length
}

// boundedLength makes a length on the wire that fits an int on every machine.
func boundedLength(n uint32) int { return int(min(n, 1<<31-1)) }

// modifiedHeaderLength finds out which of two dialects a file with the
// modified magic speaks: the packet headers have 24 bytes (the usual one) or
// 28 (the patch of 1999-09-15). Nothing in the file says so; the one in which
// the first packets chain up wins.
func (r *Reader) modifiedHeaderLength(f *classic) int {
	const usual, rare, packets = 24, 28, 3
	window, _ := r.in.peek(bufferSize / 2) // shorter at the end of the file
	chains := func(headerLength int) bool {
		rest := window
		for range packets {
			if len(rest) < headerLength {
				break
			}
			captured, length := f.swap.apply(f.order.Uint32(rest[8:]), f.order.Uint32(rest[12:]))
			if captured > MaxPacketLength || captured > length || f.order.Uint32(rest[4:]) >= 1e6 {
				return false
			}
			rest = rest[min(len(rest), headerLength+int(captured)):]
		}
		return true
	}
	if !chains(usual) && chains(rare) {
		return rare
	}
	return usual
}
