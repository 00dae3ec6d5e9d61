package flow

import (
	"time"

	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// work is what the analysis remembers of a side that sends payload. Sides
// that do not, above all those of unanswered SYNs, go without; those of a
// closed connection give it back.
type work struct {
	unacked []unacked // in the order they were sent
	head    int       // the first of unacked that still waits
	ragged  bool      // unacked is not in the order of sequence numbers
	holes   [4]hole
	recent  [4]fingerprint
	turn    uint8 // of recent
	stall   stall
}

// unacked is a segment whose acknowledgement is awaited.
type unacked struct {
	time    pcap.Timestamp
	end     uint32
	size    uint16 // of the payload, at most 65,535
	resent  bool   // sent more than once: its acknowledgement measures nothing (Karn)
	control bool   // no payload, or the one byte of a keep-alive or zero-window probe
}

// A hole is a range of sequence numbers that was jumped over.
type hole struct {
	start, end uint32 // equal: none
	ipid       uint16 // of the segment that jumped
	time       pcap.Timestamp
}

// A fingerprint tells a packet that was captured twice from one that was sent
// twice.
type fingerprint struct {
	time   pcap.Timestamp
	seq    uint32
	length uint32
	ipid   uint16
}

type stall struct {
	Stall
	seq    uint32
	active bool
}

const (
	maxUnacked = 1024
	// capturedTwice is the time in which a packet's copy arrives, over
	// another path or from a mirror. Who sends it again does so with a new
	// identification, and not before 200 ms if nobody asked for it.
	capturedTwice = 20 * time.Millisecond
	// capturedAgain is the same where there is no identification: IPv6 has
	// none, and many hosts put 0 into what must not be fragmented.
	capturedAgain = time.Millisecond
)

// same reports whether p is f once more; no sender repeats a segment sooner
// than tooSoon.
func (f *fingerprint) same(p *packet.Packet, tooSoon time.Duration) bool {
	if f.time == 0 || f.ipid != p.IPID || f.seq != p.Seq || f.length != uint32(p.SegmentLength) {
		return false
	}
	limit := capturedTwice
	if p.IPVersion != 4 || p.IPID == 0 {
		limit = min(capturedAgain, tooSoon)
	}
	d := p.Time.Sub(f.time)
	return d >= 0 && d < limit
}

// duplicated reports whether p was captured a moment ago, and remembers it.
func (w *work) duplicated(p *packet.Packet, tooSoon time.Duration) bool {
	for i := range w.recent {
		if w.recent[i].same(p, tooSoon) {
			return true
		}
	}
	w.recent[w.turn%uint8(len(w.recent))] = fingerprint{p.Time, p.Seq, uint32(p.SegmentLength), p.IPID}
	w.turn++
	return false
}

// jump remembers that [start, end) was not captured yet. With more holes than
// there is room for, the oldest (which is the least likely to close) goes.
func (w *work) jump(start, end uint32, p *packet.Packet) {
	h := hole{start, end, p.IPID, p.Time}
	for i := range w.holes {
		if w.holes[i].start == w.holes[i].end {
			w.holes[i] = h
			return
		}
	}
	copy(w.holes[:], w.holes[1:])
	w.holes[len(w.holes)-1] = h
}

// fill reports whether [seq, end) closes a part of a hole, and whether it was
// sent before the segment that jumped: by its IP identification where there is
// one that decides, else because it came sooner than tooSoon.
func (w *work) fill(seq, end uint32, p *packet.Packet, tooSoon time.Duration) (late, overtaken bool) {
	for i := range w.holes {
		h := &w.holes[i]
		if h.start == h.end || !after(end, h.start) || !after(h.end, seq) {
			continue
		}
		late = true
		switch d := int16(p.IPID - h.ipid); {
		case p.IPVersion == 4 && p.IPID != 0 && d < 0 && d > -sequential:
			overtaken = true
		case p.IPVersion == 4 && p.IPID != 0 && d > 0 && d < sequential:
			// Sent later, thus again.
		case p.Time >= h.time && p.Time.Sub(h.time) < tooSoon:
			overtaken = true
		}
		switch {
		case !after(seq, h.start) && !after(h.end, end):
			*h = hole{}
		case !after(seq, h.start):
			h.start = end
		default:
			// In the middle: the rest behind it counts as closed, which
			// saves splitting holes. It only errs if that comes later still.
			h.end = seq
		}
	}
	return late, overtaken
}

// sent remembers a segment until it is acknowledged; not if too many are.
func (t *Table) sent(w *work, u unacked) {
	if len(w.unacked) == cap(w.unacked) && !t.makeRoom(w) {
		return
	}
	if n := len(w.unacked); n > w.head && after(w.unacked[n-1].end, u.end) {
		w.ragged = true
	}
	w.unacked = append(w.unacked, u)
}

func (t *Table) makeRoom(w *work) bool {
	live := w.unacked[w.head:]
	if w.head > len(w.unacked)/2 {
		w.unacked, w.head = w.unacked[:copy(w.unacked, live)], 0
		return true
	}
	grown := max(8, 2*cap(w.unacked))
	if grown > maxUnacked || t.unacked+grown-cap(w.unacked) > t.limits.unacked {
		return false
	}
	t.unacked += grown - cap(w.unacked)
	w.unacked, w.head = append(make([]unacked, 0, grown), live...), 0
	return true
}

// resent marks what is sent again, and returns how large the segment was that
// began there at first; 0: there was none.
func (w *work) resent(seq, end uint32) (size uint32) {
	for i := w.head; i < len(w.unacked); i++ {
		u := &w.unacked[i]
		if after(u.end, seq) && after(end, u.end-uint32(u.size)) {
			if u.end-uint32(u.size) == seq && !u.resent {
				size = uint32(u.size)
			}
			u.resent = true
		}
	}
	return size
}

// An arrival is what an acknowledgement tells about the segments it covers.
type arrival struct {
	sentAt  pcap.Timestamp // of the oldest segment that ends at the acknowledged number
	found   bool           // there is such a segment
	clean   bool           // it measures a round trip by Karn's rule
	largest uint32         // payload that arrived at the first attempt
}

func (a *arrival) add(u *unacked, ack uint32) {
	if !u.resent {
		a.largest = max(a.largest, uint32(u.size))
	}
	if u.end != ack {
		return
	}
	if !a.found {
		a.sentAt = u.time
	}
	a.clean = !a.found && !u.resent && !u.control
	a.found = true
}

// acked forgets what ack covers and adds it to a.
func (w *work) acked(ack uint32, a *arrival) {
	i := w.head
	for ; i < len(w.unacked) && !after(w.unacked[i].end, ack); i++ {
		a.add(&w.unacked[i], ack)
	}
	w.head = i
	if w.ragged {
		keep := i
		for ; i < len(w.unacked); i++ {
			if u := w.unacked[i]; after(u.end, ack) {
				w.unacked[keep] = u
				keep++
			} else {
				a.add(&u, ack)
			}
		}
		w.unacked = w.unacked[:keep]
	}
	if w.head == len(w.unacked) {
		w.unacked, w.head, w.ragged = w.unacked[:0], 0, false
	}
}

// A pool holds values to be used again.
type pool[T any] struct {
	free   []*T
	closed bool // nothing is used again
}

func (p *pool[T]) take() *T {
	if len(p.free) == 0 {
		block := new([16]T)
		for i := range block {
			p.free = append(p.free, &block[i])
		}
	}
	last := len(p.free) - 1
	v := p.free[last]
	p.free = p.free[:last]
	return v
}

// give takes *v back, if there is any, and zeroes both.
func (p *pool[T]) give(v **T) {
	if *v == nil {
		return
	}
	if !p.closed {
		**v = *new(T)
		p.free = append(p.free, *v)
	}
	*v = nil
}

// workOf returns what s needs for payload.
func (t *Table) workOf(s *Side) *work {
	if s.talk == nil {
		s.talk = t.talks.take()
	}
	if s.work == nil {
		s.work = t.works.take()
	}
	return s.work
}

func (t *Table) troubleOf(s *Side) *trouble {
	if s.trouble == nil {
		s.trouble = t.troubles.take()
	}
	return s.trouble
}

func (t *Table) declining(c *Conn) *decline {
	if c.decline == nil {
		c.decline = t.declines.take()
	}
	return c.decline
}

// retire takes back what only payload on its way needs: from a side that
// waits for no acknowledgement, or in any case.
func (t *Table) retire(c *Conn, all bool) {
	for d := range c.Sides {
		w := c.Sides[d].work
		if w == nil || !all && len(w.unacked) > 0 {
			continue
		}
		ring := w.unacked[:0]
		if cap(ring) > 64 {
			t.unacked -= cap(ring)
			ring = nil
		}
		t.works.give(&c.Sides[d].work)
		w.unacked = ring
	}
}
