package flow

import "github.com/pcapwarden/pcapwarden/internal/packet"

// addTCP places a segment, judges it and keeps the connection's books.
func (t *Table) addTCP(p *packet.Packet) Segment {
	k, from := keyOf(p)
	at := Moment{p.Time, p.Number}
	out := Segment{From: from, Stream: t.chunks[:0]}

	c := t.find(&k)
	syn := p.Flags&(packet.SYN|packet.ACK) == packet.SYN
	if c != nil && syn && c.Sides[from].tcp.based && c.Sides[from].tcp.firstSeq != p.Seq {
		t.end(c, PortsReused)
		c = nil
		out.Analysis = ReusedPorts
	}
	if c == nil {
		c = t.open(&k, from, p)
		c.ReusedPorts = out.Analysis != 0
		out.New = true
	}
	out.Conn = c
	t.last = c

	s := &c.Sides[from]
	c.number(p, from, &out)
	if p.PartialHeader {
		out.Analysis = 0
		c.advance(p, from, at)
		c.roundTrip(p, from, 0, false)
		t.count(c, from, 0)
		c.Last = at
		return out
	}
	before, rested := s.tcp.nextSeq, c.atRest()
	out.Analysis |= c.judge(p, from)
	t.acknowledge(c, p, from, &out)
	c.idleness(p, from, at, out.Analysis, rested)
	c.advance(p, from, at)
	t.payload(c, p, from, at, before, &out)
	if p.Flags&packet.SYN != 0 {
		c.options(p, from)
	}
	c.roundTrip(p, from, out.Analysis, out.HasRTT)
	s.measure(p, at)
	c.record(p, from, out.Analysis)
	t.count(c, from, out.Analysis)
	t.trouble(c, p, from, at, out.Analysis)

	c.Last = at
	t.chunks = out.Stream
	return out
}

// find returns the connection with key k, or nil.
func (t *Table) find(k *key) *Conn {
	if t.last != nil && t.last.key == *k {
		return t.last
	}
	if slot, ok := t.byKey[*k]; ok {
		return t.conns.at(slot)
	}
	return nil
}

// number keeps the first sequence numbers, and with them the identity of the
// connection.
func (c *Conn) number(p *packet.Packet, from Direction, out *Segment) {
	f, r := &c.Sides[from].tcp, &c.Sides[from.Other()].tcp
	switch p.Flags & (packet.SYN | packet.ACK) {
	case packet.SYN:
		if f.based {
			// The SYN again: whatever followed it is to be sent again, too.
			f.nextSeq = f.maxAcked
		}
	case packet.SYN | packet.ACK:
		if f.based && f.firstSeq != p.Seq {
			f.firstSeq = p.Seq
			out.Analysis |= ReusedPorts
		}
	}
	if p.PartialHeader {
		return
	}
	if !f.based {
		f.based = true
		f.firstSeq = p.Seq
		if p.Flags&packet.SYN == 0 {
			f.firstSeq--
		}
	}
	if !r.based && p.Flags&packet.ACK != 0 {
		r.based = true
		r.firstSeq = p.Ack - 1
	}
}

// advance keeps roles, handshake, FIN and RST.
func (c *Conn) advance(p *packet.Packet, from Direction, at Moment) {
	s := &c.Sides[from]
	s.Packets++
	flags := p.Flags
	switch flags & (packet.SYN | packet.ACK) {
	case packet.SYN:
		c.settle(from)
		c.Completeness |= SawSYN
		if from == c.ClientSide {
			if !c.FirstSYN.Seen() {
				c.FirstSYN = at
			}
			c.LastSYN = at
		}
	case packet.SYN | packet.ACK:
		c.settle(from.Other())
		c.Completeness |= SawSYNACK
		if from != c.ClientSide && !c.SYNACK.Seen() {
			c.SYNACK = at
		}
	case packet.ACK:
		c.Completeness |= SawACK
		if c.ClientKnown && from == c.ClientSide && c.Completeness.Has(SawSYNACK) && flags&packet.RST == 0 && !c.handshake {
			c.handshake = true
			c.HandshakeACK = at
		}
	}
	if flags&packet.SYN != 0 {
		s.SYNs++
		if p.MSS != 0 {
			s.MSS = p.MSS
		}
		if p.WindowScale >= 0 {
			s.WindowScale = p.WindowScale
		}
		s.SACK = p.SACKPermitted
	}
	if p.SegmentLength > 0 {
		c.Completeness |= SawPayload
		if c.ClientKnown && from == c.ClientSide {
			c.sawClient = true
		} else {
			c.sawOther = true
		}
	}
	if flags&packet.FIN != 0 {
		c.Completeness |= SawFIN
		if s.FINs == 0 {
			s.FIN = at
		}
		s.FINs++
	}
	if flags&packet.RST != 0 {
		c.noteReset(p, from, at)
		c.Completeness |= SawRST
		s.RSTs++
	}
}

// settle says who the client is.
func (c *Conn) settle(client Direction) {
	if !c.ClientKnown {
		c.ClientSide, c.ClientKnown = client, true
	}
}

// acknowledge takes round trips, stalls and early segments forward by what p
// acknowledges.
func (t *Table) acknowledge(c *Conn, p *packet.Packet, from Direction, out *Segment) {
	f, s := &c.Sides[from].tcp, &c.Sides[from.Other()]
	var a arrival // tshark looks at the number whatever the flags are
	if s.tcp.awaiting && !after(s.tcp.control.end, p.Ack) {
		a.add(&s.tcp.control, p.Ack)
		s.tcp.awaiting = false
	}
	if s.work != nil {
		s.work.acked(p.Ack, &a)
	}
	if a.found && p.Time != a.sentAt { // tshark shows no round trip of 0
		out.AckRTT, out.HasRTT = p.Time.Sub(a.sentAt), true
		t.ackRTT.add(out.AckRTT, t.random)
	}
	if p.Flags&packet.ACK == 0 {
		return
	}
	s.LargestAcked = max(s.LargestAcked, a.largest)
	if a.found {
		f.sackRun = 0
	}
	if w := s.work; w != nil {
		w.recover(s, p)
		if a.clean {
			w.rtt.add(p.Time.Sub(a.sentAt), t.random)
		}
	}
	if p.SACK {
		f.sackRun++
	}
	if len(s.stream.waiting) > 0 {
		t.acknowledged(&s.stream, p.Ack)
	}
}

// payload keeps the books about what was sent; before is the end of what had
// been sent until then.
func (t *Table) payload(c *Conn, p *packet.Packet, from Direction, at Moment, before uint32, out *Segment) {
	s := &c.Sides[from]
	length := uint32(p.SegmentLength)
	s.Bytes += uint64(length)
	start := p.Seq
	if p.Flags&packet.SYN != 0 {
		start++
		if s.stream.mode == unseen || out.Analysis.Has(ReusedPorts) {
			t.begin(&s.stream, start)
		}
	}
	if length == 0 || out.Analysis.Has(KeepAlive|ZeroWindowProbe) {
		t.controls(s, p)
		if s.tcp.last.same(p) {
			s.Duplicated++
			out.Analysis |= Duplicated
		}
		return
	}

	s.DataSegments++
	s.MaxSegment = max(s.MaxSegment, length)
	w := t.workOf(s)
	old := before != 0 && after(before, start) && start != before-1
	switch {
	case w.duplicated(p):
		out.Analysis |= Duplicated
		s.Duplicated++
	case old:
		t.repeat(c, w, p, from, at, out)
	case before != 0 && after(start, before):
		w.jump(before, start, p.IPID)
	}
	t.sent(w, unacked{time: p.Time, end: s.tcp.end(p), size: uint16(min(length, 1<<16-1)), resent: out.Analysis.Has(Resent)})
	if !out.Analysis.Has(SpuriousRetransmission | Duplicated) {
		c.speak(from, at, old)
	}
	t.deliver(&s.stream, start, length, p.Payload, out)
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
	late, overtaken := w.fill(p.Seq, end, p)
	switch {
	case overtaken:
		s.Overtaken++
		out.Analysis |= Overtaken
		fallthrough
	case late:
		s.Late++
		out.Analysis |= Late
	default:
		s.Resent++
		out.Analysis |= Resent
		w.resent(p.Seq, end)
		peer := &c.Sides[from.Other()].tcp
		if peer.lastAck == 0 || peer.lastAck == p.Seq {
			w.stuck(s, p, at, peer.sackRun)
		}
	}
}

// speak keeps the turns of the conversation.
func (c *Conn) speak(from Direction, at Moment, old bool) {
	s, peer := &c.Sides[from], &c.Sides[from.Other()]
	if !s.FirstPayload.Seen() {
		s.FirstPayload = at
	}
	if c.spoken && c.turn != from && !old {
		e := Exchange{Asked: peer.LastPayload, Answered: at}
		if s.Answers == 0 {
			s.FirstAnswer = e
		}
		if s.Answers == 0 || e.Took() > s.MaxAnswer.Took() {
			s.MaxAnswer = e
		}
		s.Answers++
	}
	if !old || c.turn == from {
		c.turn = from
		s.LastPayload = at
	}
	c.spoken = true
}

// measure keeps windows, TTL and IP identification.
func (s *Side) measure(p *packet.Packet, at Moment) {
	st := &s.tcp
	if s.Packets == 1 {
		s.FirstTTL = p.TTL
	}
	st.last = fingerprint{p.Time, p.Seq, uint32(p.SegmentLength), p.IPID}
	if p.Flags&packet.RST != 0 {
		return
	}
	st.lastIPID = p.IPID
	s.TTL = s.ttl.add(p.TTL)
	if p.Flags&packet.SYN != 0 {
		return
	}
	window := uint32(p.Window)
	if st.scale > 0 {
		window <<= min(st.scale, maxScale)
	}
	if s.MaxWindow == 0 && s.MinWindow == 0 {
		s.MinWindow = window
	}
	s.MinWindow, s.MaxWindow = min(s.MinWindow, window), max(s.MaxWindow, window)
	if st.zeroSince != 0 {
		s.ZeroWindowFor += max(p.Time.Sub(st.zeroSince), 0)
		st.zeroSince = 0
	}
	if window == 0 && p.Flags&packet.FIN == 0 {
		st.zeroSince = p.Time
		if !s.ZeroWindow.Seen() {
			s.ZeroWindow = at
		}
	}
}

// A majority finds the value that most packets have (Boyer and Moore's vote).
type majority struct {
	value uint8
	votes uint32
}

func (m *majority) add(v uint8) uint8 {
	switch {
	case m.votes == 0:
		*m = majority{v, 1}
	case m.value == v:
		m.votes++
	default:
		m.votes--
	}
	return m.value
}
