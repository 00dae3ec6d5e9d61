package pcap

import (
	"encoding/binary"
	"hash/maphash"
	"io"
	"time"
)

const netMonHeaderLength = 128

// netMon is the state of a NetMon file (Microsoft Network Monitor; Windows'
// older tools write it, with the extension .cap). Frames come first and the
// table of where they lie comes last, so a stream is read on the assumption
// that the frames follow each other, and the table is held against that at
// the end. Only its digest is kept.
type netMon struct {
	start        Timestamp
	headerLength int // of a frame: 8 in version 1, 16 in version 2
	trailer      int // bytes after a frame, from version 2.1
	link         LinkType
	offset       int64 // of the next frame
	table        int64 // where the table starts
	frames       int64 // that the table lists
	read         int64
	offsets      maphash.Hash // of the frames that were read
}

func isNetMon(head []byte) bool {
	return len(head) >= 4 && (string(head[:4]) == "GMBU" || string(head[:4]) == "RTSS")
}

func (r *Reader) openNetMon() error {
	h, err := r.peekMore(netMonHeaderLength)
	if err == errCut {
		return &FormatError{LooksLike: "the first bytes of a NetMon file, cut before its header ends"}
	} else if err != nil {
		return err
	}
	le := binary.LittleEndian
	minor, major := h[4], h[5]
	tableLength := int64(le.Uint32(h[28:]))
	f := &netMon{
		start:  netMonStart(h[8:24]),
		link:   netMonLinkType(le.Uint16(h[6:])),
		table:  int64(le.Uint32(h[24:])),
		frames: tableLength / 4,
		offset: netMonHeaderLength,
	}
	switch {
	case major == 1:
		f.headerLength = 8
	case major == 2:
		f.headerLength = 16
		f.trailer = [...]int{0, 2, 6, 15}[min(minor, 3)]
	default:
		return &FormatError{LooksLike: "a NetMon file of an unknown version; convert it with editcap -F pcap"}
	}
	if f.table < netMonHeaderLength || tableLength%4 != 0 ||
		f.frames > (f.table-netMonHeaderLength)/int64(f.headerLength) {
		return &FormatError{LooksLike: "a NetMon file whose frame table cannot be true; convert it with editcap -F pcap"}
	}
	if err := r.discard(netMonHeaderLength); err != nil {
		return err
	}
	r.sum.Format = FormatNetMon
	resolution := time.Microsecond
	if major == 1 {
		resolution = time.Millisecond
	}
	r.describeInterface(f.link, 0, resolution)
	r.next = func() error { return r.nextNetMon(f) }
	return nil
}

func (r *Reader) nextNetMon(f *netMon) error {
	if f.read == f.frames {
		return r.closeNetMon(f)
	}
	h, err := r.peekMore(f.headerLength)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	var delta uint64 // since the start, in the unit of the version
	var length, captured uint32
	unit := uint64(time.Microsecond)
	if f.headerLength == 8 {
		unit = uint64(time.Millisecond)
		delta, length, captured = uint64(le.Uint32(h)), uint32(le.Uint16(h[4:])), uint32(le.Uint16(h[6:]))
	} else {
		delta, length, captured = le.Uint64(h), le.Uint32(h[8:]), le.Uint32(h[12:])
	}
	if captured > MaxPacketLength {
		return damaged("the next packet claims %d bytes, more than the %d that a packet may have", captured, MaxPacketLength)
	}
	end := f.headerLength + int(captured)
	if f.offset+int64(end+f.trailer) > f.table {
		return damaged("NetMon frames run into the frame table; convert the file with editcap -F pcap")
	}
	b, err := r.peekMore(end + f.trailer)
	if err != nil {
		return err
	}
	var offset [4]byte
	le.PutUint32(offset[:], uint32(f.offset))
	f.offsets.Write(offset[:])
	f.offset += int64(len(b))
	f.read++

	r.rec.Time = f.start + Timestamp(min(delta, 1<<62/unit)*unit)
	if delta > 1<<62/unit || r.rec.Time < f.start || f.start == 0 {
		r.rec.Time = 0
		r.sum.BadTimestamps++
	}
	r.rec.LinkType = f.link
	if f.trailer > 0 {
		r.rec.LinkType = netMonLinkType(le.Uint16(b[end:]))
	}
	r.rec.Length = boundedLength(length)
	r.rec.Data = b[f.headerLength:end]
	r.skip = len(b)
	return nil
}

// closeNetMon compares the table with what was read.
func (r *Reader) closeNetMon(f *netMon) error {
	if err := r.discard(int(f.table - f.offset)); err != nil {
		return err
	}
	var table maphash.Hash
	table.SetSeed(f.offsets.Seed())
	for range f.frames {
		b, err := r.peekMore(4)
		if err != nil {
			return err
		}
		table.Write(b)
		if err := r.discard(4); err != nil {
			return err
		}
	}
	if table.Sum64() != f.offsets.Sum64() {
		return damaged("the NetMon frame table tells another order than the frames lie in; convert the file with editcap -F pcap")
	}
	return io.EOF
}

// netMonStart reads a SYSTEMTIME. Its zone is not stored: UTC is assumed.
func netMonStart(b []byte) Timestamp {
	field := func(i int) int { return int(binary.LittleEndian.Uint16(b[2*i:])) }
	t := time.Date(field(0), time.Month(field(1)), field(3), field(4), field(5), field(6), field(7)*int(time.Millisecond), time.UTC)
	if y := t.Year(); y < 1970 || y > 2200 {
		return 0
	}
	return Timestamp(t.UnixNano())
}

// netMonLinkType translates NetMon's numbers. From 0xe000 on they are those
// of pcap; most of the rest are events, not packets.
func netMonLinkType(n uint16) LinkType {
	switch {
	case n == 1:
		return LinkTypeEthernet
	case n == 8:
		return LinkTypeRaw
	case n >= 0xe000 && n < 0xf000:
		return LinkType(n - 0xe000)
	}
	return LinkTypeNone
}
