package pcap

import (
	"encoding/binary"
	"fmt"
	"io"
)

// A Writer writes classic pcap, version 2.4, little-endian: what every tool
// reads.
type Writer struct {
	dst        io.Writer
	snapLength int
	unit       uint64 // of timestamps, in nanoseconds
	buf        []byte
}

// NewWriter writes the file header and returns a writer of packets with
// nanosecond timestamps.
// snapLength is the most bytes kept of a packet; zero or anything beyond
// [MaxPacketLength] means that limit. The writer does not buffer: a process
// that dies leaves whole packets, as far as dst got them.
func NewWriter(dst io.Writer, link LinkType, snapLength int) (*Writer, error) {
	return newWriter(dst, link, snapLength, magicNanoseconds, 1)
}

// NewMicrosecondWriter is [NewWriter] with microsecond timestamps: finer times
// are cut.
func NewMicrosecondWriter(dst io.Writer, link LinkType, snapLength int) (*Writer, error) {
	return newWriter(dst, link, snapLength, magicMicroseconds, 1e3)
}

func newWriter(dst io.Writer, link LinkType, snapLength int, magic uint32, unit uint64) (*Writer, error) {
	if snapLength <= 0 || snapLength > MaxPacketLength {
		snapLength = MaxPacketLength
	}
	h := make([]byte, 0, classicHeaderLength)
	h = binary.LittleEndian.AppendUint32(h, magic)
	h = binary.LittleEndian.AppendUint16(h, 2)
	h = binary.LittleEndian.AppendUint16(h, 4)
	h = binary.LittleEndian.AppendUint64(h, 0) // time zone and accuracy, never used
	h = binary.LittleEndian.AppendUint32(h, uint32(snapLength))
	h = binary.LittleEndian.AppendUint32(h, uint32(link))
	if _, err := dst.Write(h); err != nil {
		return nil, fmt.Errorf("write the capture header: %w", err)
	}
	return &Writer{dst: dst, snapLength: snapLength, unit: unit}, nil
}

// WritePacket writes one packet, cut to the snap length, in a single call of
// Write. originalLength is its length on the wire. A time before 1970 or
// after 2106 cannot be stored and is an error.
func (w *Writer) WritePacket(t Timestamp, originalLength int, data []byte) error {
	seconds, nanoseconds := int64(t)/1e9, int64(t)%1e9
	if t < 0 || seconds > 1<<32-1 {
		return fmt.Errorf("write packet: the time %v does not fit a pcap file", t.Time())
	}
	data = data[:min(len(data), w.snapLength)]
	b := w.buf[:0]
	b = binary.LittleEndian.AppendUint32(b, uint32(seconds))
	b = binary.LittleEndian.AppendUint32(b, uint32(uint64(nanoseconds)/w.unit))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	b = binary.LittleEndian.AppendUint32(b, uint32(min(max(originalLength, len(data)), 1<<31-1)))
	b = append(b, data...)
	w.buf = b
	if _, err := w.dst.Write(b); err != nil {
		return fmt.Errorf("write packet: %w", err)
	}
	return nil
}
