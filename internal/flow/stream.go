package flow

import "slices"

// A stream delivers one direction's payload in order, as far as somebody
// wants it.
type stream struct {
	next     uint32 // sequence number of the next byte
	left     int32  // bytes left of the prologue
	mode     streamMode
	missing  bool // the bytes just before next were not captured
	extended bool
	waiting  []piece
}

type streamMode uint8

const (
	unseen    streamMode = iota // nothing seen yet: the first payload or SYN sets next
	prologue                    // in order, early segments wait for the gap to close
	spent                       // the prologue is used up; over, unless the consumer extends it now
	following                   // for as long as it lasts, gaps are skipped
	lost                        // over at a gap, which the next payload tells the consumer
	over
)

// A piece is payload that came early.
type piece struct {
	seq, length uint32 // length on the wire
	data        []byte
}

// maxWaiting is how many early segments wait for one gap. A gap that is
// older than that is not going to close.
const maxWaiting = 64

// Extend lets the prologue of d go on up to [Limits.LongPrologue]. It is
// called while handling a [Segment], for instance because a certificate chain
// is not complete yet.
func (t *Table) Extend(c *Conn, d Direction) {
	s := t.streamOf(c, d)
	if (s.mode == prologue || s.mode == spent) && !s.extended {
		s.extended = true
		s.left += int32(t.limits.LongPrologue - t.limits.Prologue)
		s.mode = prologue
	}
}

// Follow delivers all payload of d from now on, at no cost in memory: a
// segment that comes early is delivered at once, with Gap set, and what it
// overtook is not.
func (t *Table) Follow(c *Conn, d Direction) {
	if s := t.streamOf(c, d); s.mode != over {
		t.release(s)
		s.mode = following
	}
}

// Stop ends the delivery of d: the consumer has seen what it needs.
func (t *Table) Stop(c *Conn, d Direction) {
	s := t.streamOf(c, d)
	t.release(s)
	s.mode = over
}

func (t *Table) streamOf(c *Conn, d Direction) *stream {
	s := &c.Sides[d]
	if s.talk == nil {
		s.talk = t.talks.take()
	}
	return &s.talk.stream
}

// release forgets the early segments.
func (t *Table) release(s *stream) {
	for _, p := range s.waiting {
		t.waiting -= len(p.data)
	}
	s.waiting = nil
}

// begin sets the sequence number of the first byte.
func (t *Table) begin(s *stream, next uint32) {
	t.release(s)
	*s = stream{next: next, left: int32(t.limits.Prologue), mode: prologue}
}

// deliver takes a segment's payload (data is what was captured of length
// bytes) and puts what is in order into out. first is the sequence number of
// the stream's first byte, or seq if that is not known.
func (t *Table) deliver(s *stream, first, seq, length uint32, data []byte, out *Segment) {
	switch s.mode {
	case unseen:
		t.begin(s, first)
	case spent:
		if !after(seq+length, s.next) {
			return
		}
		s.mode = over
		return
	case lost:
		t.giveUp(s, out)
		return
	case over:
		return
	}
	if uint32(len(data)) > length {
		data = data[:length]
	}
	switch ahead := int32(seq - s.next); {
	case ahead < 0:
		old := uint32(-ahead)
		if old >= length {
			return
		}
		data, length = data[min(old, uint32(len(data))):], length-old
	case ahead > 0 && s.mode == following:
		s.missing, s.next = true, seq
	case ahead > 0:
		if !t.wait(s, piece{seq, length, data}) {
			t.giveUp(s, out)
		}
		return
	}
	t.emit(s, length, data, out)
	for s.mode == prologue && len(s.waiting) > 0 {
		p := s.waiting[0]
		if after(p.seq, s.next) {
			return
		}
		s.waiting = slices.Delete(s.waiting, 0, 1)
		t.waiting -= len(p.data)
		if old := s.next - p.seq; old < p.length {
			t.emit(s, p.length-old, p.data[min(old, uint32(len(p.data))):], out)
		}
	}
}

// emit delivers length bytes that are next, of which data was captured.
func (t *Table) emit(s *stream, length uint32, data []byte, out *Segment) {
	if s.missing {
		if s.mode != following {
			t.giveUp(s, out)
			return
		}
		out.Gap, s.missing = true, false
	}
	s.next += length
	s.missing = uint32(len(data)) < length
	if len(data) > 0 {
		out.Stream = append(out.Stream, data)
	}
	if s.mode == prologue {
		s.left -= int32(min(length, 1<<30))
		if s.left <= 0 {
			t.release(s)
			s.mode = spent
		}
	}
}

// wait keeps a copy of p until the bytes before it arrive, if there is space.
func (t *Table) wait(s *stream, p piece) bool {
	ahead := p.seq - s.next
	if int32(min(ahead, 1<<30)) > s.left {
		return true // behind the end of the prologue: nobody will ask for it
	}
	if len(s.waiting) >= maxWaiting {
		return false
	}
	if t.waiting+len(p.data) > t.limits.Reassembly {
		t.drops.Reassembly++
		return false
	}
	i, found := slices.BinarySearchFunc(s.waiting, p, func(a, b piece) int { return int(int32(a.seq - b.seq)) })
	if found && len(s.waiting[i].data) >= len(p.data) {
		return true
	}
	p.data = slices.Clone(p.data)
	t.waiting += len(p.data)
	s.waiting = slices.Insert(s.waiting, i, p)
	return true
}

// giveUp ends a prologue at a gap.
func (t *Table) giveUp(s *stream, out *Segment) {
	t.release(s)
	s.mode = over
	out.Gap = true
}

// acknowledged ends a prologue whose next bytes the receiver has and the
// capture does not. Some early segments must wait already, since captures
// can show an acknowledgement just before what it acknowledges.
func (t *Table) acknowledged(s *stream, ack uint32) {
	if len(s.waiting) >= 3 && after(ack, s.next) {
		t.release(s)
		s.mode = lost
	}
}
