package pcap

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// MaxPacketLength is the most bytes of one packet that a file may claim to
// hold: tshark's limit. A file that claims more is damaged or hostile. A
// packet longer than the file's own snap length, but not than this, is
// accepted: many tools write those.
const MaxPacketLength = 256 << 10

// bufferSize must hold the largest packet and its header. Half a MiB makes the
// cost of reading disappear against that of decoding.
const bufferSize = 1 << 19

// Format is the container format of a capture file.
type Format string

// The formats.
const (
	FormatUnknown Format = "unknown"
	FormatPcap    Format = "pcap"
	FormatPcapNG  Format = "pcapng"
	FormatNetMon  Format = "netmon"
)

// A Record is one packet as it lies in the file. It is valid until the next
// call of [Reader.Next], and so is Data.
type Record struct {
	Number   int64     // from 1, as Wireshark shows it
	Time     Timestamp // zero where the file has none, or none that can be
	Length   int       // bytes on the wire
	LinkType LinkType
	Data     []byte // what was captured; at most MaxPacketLength bytes
}

// A Summary is what the file says about itself, and how reading it went. It
// is complete once [Reader.Next] has returned an error.
type Summary struct {
	Format     Format
	Compressed bool          // the file was compressed with gzip
	LinkTypes  []LinkType    // distinct, in order of appearance; at most maxLinkTypes
	SnapLength int           // most bytes kept of a packet; 0: no limit known. The largest, of several interfaces
	Resolution time.Duration // of timestamps, at least 1ns. The coarsest, of several interfaces

	Bytes         int64 // read from the file so far, before decompression
	Packets       int64
	CutShort      bool   // the file ends in the middle of a packet or block
	Dropped       uint64 // packets that the capturing machine says it lost (pcapng)
	BadTimestamps int64  // packets whose time cannot be represented, or is not a time
}

// maxLinkTypes bounds Summary.LinkTypes: a file may declare any number.
const maxLinkTypes = 16

// A Reader reads the packets of one capture file. It holds half a MiB of
// the file and nothing of the packets that it returned.
type Reader struct {
	in      *window
	counted *countingReader
	inflate *inflater // nil if the file is not compressed
	next    func() error
	rec     Record
	skip    int // bytes to consume before the next record: what rec.Data refers to
	sum     Summary
	err     error // sticky
}

// NewReader returns a reader of the capture that src delivers. A stream that
// is no capture gives a [*FormatError] that says what it looks like; anything
// else is an error of src.
func NewReader(src io.Reader) (*Reader, error) {
	r := &Reader{counted: &countingReader{src: src}}
	r.in = newWindow(r.counted)
	r.sum.Format = FormatUnknown
	head, err := r.in.peek(sniffLength)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read the start of the capture: %w", err)
	}
	if isGzip(head) {
		if head, err = r.decompress(); err != nil {
			return nil, err
		}
	}
	switch {
	case isClassic(head):
		err = r.openClassic()
	case isNG(head):
		err = r.openNG()
	case isNetMon(head):
		err = r.openNetMon()
	default:
		err = &FormatError{LooksLike: describe(head)}
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// decompress puts an inflater in front of the buffer and returns the first
// bytes that come out of it.
func (r *Reader) decompress() ([]byte, error) {
	inflate, err := newInflater(r.in, r.counted)
	if err != nil {
		if r.counted.failed() {
			return nil, fmt.Errorf("read the start of the capture: %w", err)
		}
		return nil, &FormatError{LooksLike: "a damaged gzip file"}
	}
	r.inflate = inflate
	r.in = newWindow(inflate)
	r.sum.Compressed = true
	head, err := r.in.peek(sniffLength)
	if len(head) == 0 && err != io.EOF {
		if r.counted.failed() {
			return nil, fmt.Errorf("read the start of the capture: %w", err)
		}
		return nil, &FormatError{LooksLike: "a damaged gzip file"}
	}
	if isGzip(head) {
		return nil, &FormatError{LooksLike: "gzip inside gzip"}
	}
	return head, nil
}

// Next returns the next packet. The record is valid until the call after.
//
// It returns [io.EOF] at the end of the file, also where the file ends in the
// middle of a packet ([Summary.CutShort]); a [*FormatError] where what follows
// cannot be trusted; and any other error is the source's own. What was
// returned before an error stays true, and the error stays.
func (r *Reader) Next() (*Record, error) {
	if r.err != nil {
		return nil, r.err
	}
	r.in.consume(r.skip)
	r.skip = 0
	if err := r.next(); err != nil {
		r.err = r.explain(err)
		r.rec.Data = nil
		return nil, r.err
	}
	r.sum.Packets++
	r.rec.Number = r.sum.Packets
	return &r.rec, nil
}

// Summary returns what is known about the file so far.
func (r *Reader) Summary() Summary {
	s := r.sum
	s.Bytes = r.counted.n
	s.LinkTypes = slices.Clone(s.LinkTypes)
	return s
}

// errCut says that the input ended where more had to follow.
var errCut = errors.New("cut short")

// explain turns an error of the formats into one for the caller.
func (r *Reader) explain(err error) error {
	switch {
	case err == io.EOF:
		return io.EOF
	case err == errCut:
		r.sum.CutShort = true
		return io.EOF
	}
	if damage, ok := errors.AsType[*FormatError](err); ok {
		damage.Packets = r.sum.Packets
		return damage
	}
	return fmt.Errorf("read the capture after packet %d: %w", r.sum.Packets, err)
}

// peek returns the next n bytes without consuming them. It returns io.EOF if
// there are none, errCut if there are fewer.
func (r *Reader) peek(n int) ([]byte, error) {
	b, err := r.in.peek(n)
	if err == nil {
		return b, nil
	}
	if err != io.EOF {
		return nil, err
	}
	if len(b) == 0 {
		return nil, io.EOF
	}
	return nil, errCut
}

// peekMore is peek where the end of the input is never in order.
func (r *Reader) peekMore(n int) ([]byte, error) {
	b, err := r.peek(n)
	if err == io.EOF {
		err = errCut
	}
	return b, err
}

// discard consumes n bytes, however many, in fixed memory.
func (r *Reader) discard(n int) error {
	err := r.in.discard(n)
	if err == io.EOF {
		err = errCut
	}
	return err
}

// describeInterface notes what one interface of the file says.
func (r *Reader) describeInterface(link LinkType, snapLength uint32, resolution time.Duration) {
	s := &r.sum
	s.Resolution = max(s.Resolution, resolution)
	if snapLength <= 1<<31-1 {
		s.SnapLength = max(s.SnapLength, int(snapLength))
	}
	if !slices.Contains(s.LinkTypes, link) && len(s.LinkTypes) < maxLinkTypes {
		s.LinkTypes = append(s.LinkTypes, link)
	}
}

// countingReader counts what is read, and keeps how it ended.
type countingReader struct {
	src io.Reader
	n   int64
	err error
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.src.Read(p)
	c.n += int64(n)
	if err != nil {
		c.err = err
	}
	return n, err
}

// failed reports whether the source failed, rather than come to its end.
func (c *countingReader) failed() bool { return c.err != nil && c.err != io.EOF }
