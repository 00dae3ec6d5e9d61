package tls

import (
	"encoding/binary"

	"github.com/pcapwarden/pcapwarden/internal/dissect/stream"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// Record types (RFC 8446, 5.1).
const (
	recordChangeCipherSpec = 20
	recordAlert            = 21
	recordHandshake        = 22
	recordApplicationData  = 23
	recordHeartbeat        = 24
)

const (
	headerLength = 5
	// maxRecord is the longest record that is believed: 2^14 bytes of content
	// and what old ciphers and compression may add (RFC 5246, 6.2.3).
	maxRecord = 1<<14 + 2048
	// maxMessage is the longest handshake message that is believed, as in
	// tshark; a chain of certificates is a tenth of it.
	maxMessage = 1<<16 - 1
	// small is how long an encrypted record may be at most to be an alert:
	// two bytes, the type, a tag, and some padding.
	small = 30
	// spare is how many halves are kept to be used again.
	spare = 1024
	// enough is how many records of application data each side has to send
	// before nothing more is expected from the connection.
	enough = 8
)

// Dissector holds what the readers of one capture share.
type Dissector struct {
	// Budget bounds the unfinished messages of all readers; nil: no bound.
	Budget *stream.Budget

	handshakes [256]int
	alerts     [256]int
	chains     chains
	histories  map[string]string
	halves     []*[2]half // to be used again
}

// NewDissector returns a Dissector without counts.
func NewDissector() *Dissector { return &Dissector{} }

// NewReader returns a reader for one connection. counted says whether tshark
// takes the connection for TLS, so that its messages belong in the Counters;
// knownPort, whether it does so for the port, and so also counts the hello of
// SSLv2.
func (d *Dissector) NewReader(counted, knownPort bool) *Reader {
	r := &Reader{d: d, counted: counted, ssl2Counted: counted && knownPort}
	if n := len(d.halves); n > 0 {
		r.half, d.halves = d.halves[n-1], d.halves[:n-1]
	} else {
		r.half = new([2]half)
	}
	return r
}

// CountQUIC counts a handshake message that a QUIC packet carried: tshark
// counts those, too.
func (d *Dissector) CountQUIC(t byte) { d.handshakes[t]++ }

// Reader reads one connection.
type Reader struct {
	d           *Dissector
	counted     bool
	ssl2Counted bool
	half        *[2]half // nil once released
	small       [2]Alert // of each side: an encrypted record that may be an alert, if the connection ends now
	session     Session
	started     bool // a ClientHello or ServerHello was seen
	ended       bool
}

// half is one direction.
type half struct {
	header  [headerLength]byte
	headerN int
	typ     byte
	left    int           // bytes of the record that are still to come
	record  stream.Buffer // what came of it, for types that are read
	seen    bool          // a record was read
	lost    bool          // the next bytes may not be the start of a record
	hidden  bool          // tshark does not see the bytes at hand: see [stream.Chunk]

	message stream.Buffer // what came of a handshake message that goes over several records
	need    int           // its length

	ssl2 bool // record holds the start of an SSLv2 message

	cipherSpec int64 // frame of ChangeCipherSpec
	answered   bool  // TLS 1.3: the client began its encrypted answer
}

// Session returns what was read so far. It is valid as long as the reader.
func (r *Reader) Session() *Session { return &r.session }

// Done reports whether nothing more is expected: data flows in both
// directions, or neither side makes sense.
func (r *Reader) Done() bool { return r.ended }

// Feed takes the next bytes of one side.
func (r *Reader) Feed(c stream.Chunk) {
	if r.half == nil {
		return
	}
	from, at, frame, data := c.From, c.Time, c.Frame, c.Data
	h := &r.half[from]
	if c.Late {
		h.hidden = true
	} else if h.headerN == 0 && h.left == 0 && h.need == 0 && !h.ssl2 {
		h.hidden = false
	}
	if h.lost {
		if !LooksLikeRecord(data) {
			return
		}
		h.lost = false
	}
	for len(data) > 0 && !r.ended {
		if h.left > 0 {
			data = r.body(h, from, at, frame, data)
			continue
		}
		if h.ssl2 || !h.seen && h.headerN == 0 && data[0]&0x80 != 0 {
			data = r.ssl2(h, from, at, frame, data)
			continue
		}
		n := copy(h.header[h.headerN:], data)
		h.headerN += n
		data = data[n:]
		if h.headerN < headerLength {
			return
		}
		h.headerN = 0
		h.typ = h.header[0]
		h.left = int(binary.BigEndian.Uint16(h.header[3:]))
		if h.typ < recordChangeCipherSpec || h.typ > recordHeartbeat || h.header[1] != 3 || h.left > maxRecord {
			r.lose(from)
			return
		}
		h.seen = true
		h.record.Reset(r.d.Budget)
		if h.left == 0 {
			continue
		}
		if h.typ == recordApplicationData {
			r.applicationData(h, from, at, frame, h.left)
		} else {
			r.small[from] = Alert{}
		}
	}
}

// body takes bytes of the record that is under way.
func (r *Reader) body(h *half, from stream.Side, at pcap.Timestamp, frame int64, data []byte) (rest []byte) {
	n := min(h.left, len(data))
	h.left -= n
	rest = data[n:]
	if h.typ == recordApplicationData || h.typ == recordHeartbeat {
		return rest
	}
	record := data[:n]
	if h.record.Len() > 0 || h.left > 0 {
		if !h.record.Append(r.d.Budget, record) {
			r.lose(from)
			return nil
		}
		if h.left > 0 {
			return rest
		}
		record = h.record.Bytes()
		h.record.Reset(r.d.Budget)
	}
	switch h.typ {
	case recordHandshake:
		r.handshake(h, from, at, frame, record)
	case recordAlert:
		r.alert(h, from, at, frame, record)
	case recordChangeCipherSpec:
		h.cipherSpec = frame
		r.step('i', from)
		r.note(ChangeCipherSpec, from, at, frame, false)
	}
	return rest
}

// lose gives up one direction until a record starts with a packet.
func (r *Reader) lose(from stream.Side) {
	h := &r.half[from]
	h.lost = true
	h.ssl2, h.headerN, h.left, h.need = false, 0, 0, 0
	h.record.Reset(r.d.Budget)
	h.message.Reset(r.d.Budget)
	r.small[from] = Alert{}
	r.session.Incomplete = true
}

// Gap says that bytes of one side are missing from the capture: n of them, or
// an unknown number if n is 0.
func (r *Reader) Gap(from stream.Side, n int64) {
	if r.half == nil {
		return
	}
	h := &r.half[from]
	r.session.Incomplete = true
	// Inside application data the place is still known.
	if !h.lost && h.typ == recordApplicationData && n > 0 && int64(h.left) >= n {
		h.left -= int(n)
		return
	}
	r.lose(from)
	h.seen = true // a hello of SSLv2 can only come first
}

// Cut says that the rest of the segment that was just fed lies beyond the
// snap length.
func (r *Reader) Cut(from stream.Side, _ int64) { r.Gap(from, 0) }

// Again takes a segment that tshark dissects twice: a fast retransmission.
// Only the counters know of it.
func (r *Reader) Again(c stream.Chunk) {
	if !r.counted || r.half == nil {
		return
	}
	var d Dissector
	twin := d.NewReader(true, true)
	twin.session.ServerHello = r.session.ServerHello
	h := &twin.half[c.From]
	h.seen = true
	h.cipherSpec = r.half[c.From].cipherSpec
	twin.Feed(c)
	for t, n := range d.handshakes {
		r.d.handshakes[t] += n
	}
	for t, n := range d.alerts {
		r.d.alerts[t] += n
	}
}

// Close says that one side sent a FIN, or a RST.
func (r *Reader) Close(from stream.Side, at pcap.Timestamp, frame int64, reset bool) {
	s := &r.session
	if s.Closed {
		s.Reset = s.Reset || reset
		return
	}
	s.Closed, s.Reset, s.ClosedBy, s.ClosedAt, s.CloseAt = true, reset, from, at, frame
	r.inferAlert(from)
	r.inferAlert(from.Peer())
}

// Release lets go of what is held of unfinished messages: nothing more will be
// fed. The Session stays.
func (r *Reader) Release() {
	r.ended = true
	if r.half == nil {
		return
	}
	for i := range r.half {
		h := &r.half[i]
		h.record.Reset(r.d.Budget)
		h.message.Reset(r.d.Budget)
		*h = half{record: h.record, message: h.message}
	}
	if len(r.d.halves) < spare {
		r.d.halves = append(r.d.halves, r.half)
	}
	r.half = nil
}

// LooksLikeRecord reports whether b starts with the header of a TLS record. None
// says 1.3 there (RFC 8446, 5.1).
func LooksLikeRecord(b []byte) bool {
	if len(b) < headerLength || b[0] < recordChangeCipherSpec || b[0] > recordApplicationData || b[1] != 3 || b[2] > 3 {
		return false
	}
	n := int(binary.BigEndian.Uint16(b[3:]))
	return n > 0 && n < maxRecord
}

// Opens reports whether b starts with a record that makes tshark take a
// connection on any port for TLS: handshake or application data.
func Opens(b []byte) bool {
	return LooksLikeRecord(b) && (b[0] == recordHandshake || b[0] == recordApplicationData)
}

// LooksLikeSSL2 reports whether b starts with the ClientHello of SSLv2, as old
// clients send it, for any version.
func LooksLikeSSL2(b []byte) bool {
	if len(b) < 5 || b[0]&0x80 == 0 || b[2] != byte(ClientHelloType) {
		return false
	}
	return b[3] == 0 && b[4] == 2 || b[3] == 3 && b[4] <= 4
}
