package flow

import (
	"time"

	"github.com/pcapwarden/pcapwarden/internal/packet"
)

// slow is when an answer counts as slow.
const slow = time.Second

// payload keeps the books about what was sent; before is the end of what had
// been sent until then.
func (t *Table) payload(c *Conn, p *packet.Packet, from Direction, at Moment, before uint32, out *Segment) {
	s := &c.Sides[from]
	length := uint32(p.SegmentLength)
	s.Bytes += uint64(length)
	if length == 0 || out.Analysis.Has(KeepAlive|ZeroWindowProbe) {
		t.controls(s, p)
		return
	}
	start := p.Seq
	if p.Flags&packet.SYN != 0 {
		start++ // TCP fast open
	}
	s.DataSegments++
	w := t.workOf(s)
	s.talk.MaxSegment = max(s.talk.MaxSegment, length)
	old := before != 0 && after(before, start) && start != before-1
	switch {
	case w.duplicated(p, c.tooSoon()):
		out.Analysis |= Duplicated
		t.troubleOf(s).Duplicated++
	case old:
		t.repeat(c, w, p, from, at, out)
	case before != 0 && after(start, before):
		w.jump(before, start, p)
	}
	t.sent(w, unacked{time: p.Time, end: s.tcp.end(p), size: uint16(min(length, 1<<16-1)), resent: out.Analysis.Has(Resent)})
	if !out.Analysis.Has(SpuriousRetransmission | Duplicated) {
		c.speak(from, at, length, old)
	}
	first := start
	if s.SYNs > 0 {
		first = s.tcp.firstSeq + 1
	}
	t.deliver(&s.talk.stream, first, start, length, p.Payload, out)
}

// end is the sequence number behind p.
func (*tcpState) end(p *packet.Packet) uint32 {
	end := p.Seq + uint32(p.SegmentLength)
	if p.Flags&(packet.SYN|packet.FIN) != 0 {
		end++
	}
	return end
}

// controls remembers a SYN, FIN or probe until it is acknowledged.
func (t *Table) controls(s *Side, p *packet.Packet) {
	if p.SegmentLength == 0 && p.Flags&(packet.SYN|packet.FIN) == 0 {
		return
	}
	u := unacked{time: p.Time, end: s.tcp.end(p), control: true}
	switch {
	case !s.tcp.awaiting && s.work == nil && p.SegmentLength == 0:
		s.tcp.awaiting, s.tcp.control = true, u
	case !s.tcp.awaiting || s.tcp.control.end != u.end: // a SYN or FIN sent again waits already
		t.sent(t.workOf(s), u)
	}
}

// repeat tells what was sent again from what comes late.
func (t *Table) repeat(c *Conn, w *work, p *packet.Packet, from Direction, at Moment, out *Segment) {
	s := &c.Sides[from]
	end := p.Seq + uint32(p.SegmentLength)
	late, overtaken := w.fill(p.Seq, end, p, c.tooSoon())
	tr := t.troubleOf(s)
	if !tr.First.Seen() {
		tr.First = at
	}
	tr.Last = at
	switch {
	case overtaken:
		tr.Overtaken++
		out.Analysis |= Overtaken
		fallthrough
	case late:
		tr.Late++
		out.Analysis |= Late
	default:
		tr.Resent++
		out.Analysis |= Resent
		if out.Analysis.Has(SpuriousRetransmission) {
			tr.Needless++
		}
		if was := w.resent(p.Seq, end); was > uint32(p.SegmentLength) {
			if tr.Shrunk++; tr.Shrunk == 1 {
				tr.FirstShrunk = at
			}
			tr.LastShrunk = at
			if was > tr.ShrunkFrom {
				tr.ShrunkFrom, tr.ShrunkTo = was, uint32(p.SegmentLength)
			}
		}
		peer := &c.Sides[from.Other()].tcp
		if peer.lastAck == 0 || peer.lastAck == p.Seq {
			w.stuck(&tr.Stall, p, at, peer.sackRun)
		}
	}
}

// tooSoon is how soon after a gap a segment comes that nobody can have sent
// again: its sender hears of the gap a round trip later. Half of it leaves room
// for a path that got shorter; as long as it is unknown, tshark's limit does.
func (c *Conn) tooSoon() time.Duration {
	if c.IRTT > 0 {
		return c.IRTT / 2
	}
	return outOfOrderWithin
}

// speak keeps the turns of the conversation.
func (c *Conn) speak(from Direction, at Moment, length uint32, old bool) {
	s, peer := c.Sides[from].talk, c.Sides[from.Other()].talk
	if !s.First.Seen() {
		s.First = at
	}
	if c.spoken && c.turn != from && !old {
		e := Exchange{Asked: peer.Last, Answered: at, Question: peer.Burst, Answer: length}
		if peer.heard.Frame > peer.Last.Frame {
			e.Acked = peer.heard
		}
		if s.Answers == 0 {
			s.FirstAnswer = e
		}
		if e.Took() > slow {
			s.Slow++
		}
		if s.Answers == 0 || e.Took() > s.MaxAnswer.Took() {
			s.MaxAnswer = e
		}
		s.Answers++
	}
	if !old || !c.spoken || c.turn == from {
		if !c.spoken || c.turn != from {
			s.Burst = 0
		}
		s.Burst += length
		c.turn = from
		s.Last = at
	}
	c.spoken = true
}
