package pcap

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
)

// A Section is what a pcapng file says of itself. Empty fields are left out.
type Section struct {
	Comment     string
	Hardware    string // that the packets were captured on
	Application string // that wrote the file
	Interface   string // where the packets are from, said of each interface
}

// An NGWriter writes pcapng (draft-ietf-opsawg-pcapng): one section,
// little-endian, with nanosecond timestamps, and comments, which classic pcap
// has no room for.
type NGWriter struct {
	dst         io.Writer
	description string
	snapLength  int
	links       []LinkType // one interface each
}

// maxComment bounds a comment, in bytes.
const maxComment = 1000

// NewNGWriter writes the section header and returns a writer of packets.
// snapLength is the most bytes kept of a packet; zero or anything beyond
// [MaxPacketLength] means that limit.
func NewNGWriter(dst io.Writer, about Section, snapLength int) (*NGWriter, error) {
	if snapLength <= 0 || snapLength > MaxPacketLength {
		snapLength = MaxPacketLength
	}
	const versionMajor, versionMinor = 1, 0
	b := binary.LittleEndian.AppendUint32(nil, byteOrderMagic)
	b = binary.LittleEndian.AppendUint16(b, versionMajor)
	b = binary.LittleEndian.AppendUint16(b, versionMinor)
	b = binary.LittleEndian.AppendUint64(b, 1<<64-1) // length of the section: not told
	b = appendOptions(b, ngOption{1, about.Comment}, ngOption{2, about.Hardware}, ngOption{4, about.Application})
	w := &NGWriter{dst: dst, description: about.Interface, snapLength: snapLength}
	if err := w.block(blockSectionHeader, b); err != nil {
		return nil, fmt.Errorf("write the capture header: %w", err)
	}
	return w, nil
}

// WritePacket writes one packet, cut to the snap length, with a comment where
// it is not empty. originalLength is its length on the wire. A link type that
// is new gets an interface of its own. A time before 1970, and a link type
// that no file can have, are errors.
func (w *NGWriter) WritePacket(t Timestamp, link LinkType, originalLength int, data []byte, comment string) error {
	if t < 0 || link > 1<<16-1 {
		return fmt.Errorf("write packet: a pcapng file cannot hold the time %v and link type %v", t.Time(), link)
	}
	number := slices.Index(w.links, link)
	if number < 0 {
		number = len(w.links)
		w.links = append(w.links, link)
		b := binary.LittleEndian.AppendUint16(nil, uint16(link))
		b = binary.LittleEndian.AppendUint16(b, 0)
		b = binary.LittleEndian.AppendUint32(b, uint32(w.snapLength))
		b = appendOptions(b, ngOption{3, w.description}, ngOption{9, "\x09"}) // time in 10^-9 s
		if err := w.block(blockInterfaceDescription, b); err != nil {
			return fmt.Errorf("write interface: %w", err)
		}
	}
	data = data[:min(len(data), w.snapLength)]
	b := binary.LittleEndian.AppendUint32(nil, uint32(number))
	b = binary.LittleEndian.AppendUint32(b, uint32(uint64(t)>>32))
	b = binary.LittleEndian.AppendUint32(b, uint32(t))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	b = binary.LittleEndian.AppendUint32(b, uint32(min(max(originalLength, len(data)), 1<<31-1)))
	b = append(b, data...)
	b = pad4(b)
	b = appendOptions(b, ngOption{1, comment})
	if err := w.block(blockEnhancedPacket, b); err != nil {
		return fmt.Errorf("write packet: %w", err)
	}
	return nil
}

// block writes a block in a single call of Write.
func (w *NGWriter) block(kind uint32, body []byte) error {
	total := uint32(12 + len(body))
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, total), kind)
	b = binary.LittleEndian.AppendUint32(b, total)
	b = append(b, body...)
	b = binary.LittleEndian.AppendUint32(b, total)
	_, err := w.dst.Write(b)
	return err
}

type ngOption struct {
	code  uint16
	value string
}

func appendOptions(b []byte, options ...ngOption) []byte {
	before := len(b)
	for _, o := range options {
		value := o.value
		if o.code < 9 { // text
			value = plain(value)
		}
		if value == "" {
			continue
		}
		b = binary.LittleEndian.AppendUint16(b, o.code)
		b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
		b = pad4(append(b, value...))
	}
	if len(b) > before {
		b = append(b, 0, 0, 0, 0) // end of options
	}
	return b
}

func pad4(b []byte) []byte { return append(b, make([]byte, -len(b)&3)...) }

// plain makes a comment harmless and short: it may hold names that came from
// packets, and is shown on terminals, too.
func plain(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	s = strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			return '\ufffd'
		}
		return r
	}, s)
	if len(s) > maxComment {
		s = strings.ToValidUTF8(s[:maxComment-3], "") + "..."
	}
	return s
}
