package flow

import "github.com/pcapwarden/pcapwarden/internal/packet"

// addTCP places a segment, judges it and keeps the connection's books.
func (t *Table) addTCP(p *packet.Packet, out *Segment) {
	k := &t.key
	from := k.of(p)
	at := Moment{p.Time, p.Number}
	out.From = from

	c := t.find(k)
	syn := p.Flags&(packet.SYN|packet.ACK) == packet.SYN
	if c != nil && syn && c.Sides[from].tcp.based && c.Sides[from].tcp.firstSeq != p.Seq {
		t.end(c, PortsReused)
		c = nil
		out.Analysis = ReusedPorts
	}
	if c == nil {
		c = t.open(k, from, p)
		c.ReusedPorts = out.Analysis != 0
		out.New = true
	}
	out.Conn = c
	t.last = c

	s := &c.Sides[from]
	if p.Flags&packet.SYN != 0 || !c.Sides[0].tcp.based || !c.Sides[1].tcp.based {
		c.number(p, from, out)
	}
	if p.PartialHeader {
		out.Analysis = 0
		t.advance(c, p, from, at)
		c.roundTrip(p, from, 0, false)
		t.count(c, from, 0)
		c.Last = at
		return
	}
	before, paused, rested := s.tcp.nextSeq, c.paused(at), false
	if paused {
		rested = c.atRest()
	}
	out.Analysis |= c.judge(p, from)
	t.acknowledge(c, p, from, out)
	if paused {
		t.idleness(c, p, from, at, out.Analysis, rested)
	}
	t.advance(c, p, from, at)
	t.payload(c, p, from, at, before, out)
	if p.Flags&packet.SYN != 0 {
		c.options(p, from)
	}
	c.roundTrip(p, from, out.Analysis, out.HasRTT)
	t.count(c, from, out.Analysis)
	t.measure(s, p, at)
	c.record(p, from, out.Analysis)
	if p.Flags&packet.RST != 0 || out.Analysis&shown != 0 {
		t.show(c, p, from, at, out.Analysis)
	}

	c.Last = at
	if c.Closed() {
		t.retire(c, false)
	}
}

// find returns the connection with key k, or nil.
func (t *Table) find(k *key) *Conn {
	if t.last != nil && t.last.key.equal(k) {
		return t.last
	}
	return t.conns.find(k)
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
func (t *Table) advance(c *Conn, p *packet.Packet, from Direction, at Moment) {
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
		t.noteReset(c, p, from, at)
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
	if a.found {
		f.sackRun = 0
	}
	if s.talk != nil && s.talk.heard.Frame <= s.talk.Last.Frame && !after(s.tcp.nextSeq, p.Ack) {
		s.talk.heard = Moment{p.Time, p.Number}
	}
	if w := s.work; w != nil {
		w.recover(s, p)
		s.talk.LargestAcked = max(s.talk.LargestAcked, a.largest)
		if a.clean {
			s.talk.rtt.add(p.Time.Sub(a.sentAt), t.random)
		}
		if len(s.talk.stream.waiting) > 0 {
			t.acknowledged(&s.talk.stream, p.Ack)
		}
	}
	if p.SACK && f.sackRun < 1<<16-1 {
		f.sackRun++
	}
}

// measure keeps windows, TTL and IP identification.
func (t *Table) measure(s *Side, p *packet.Packet, at Moment) {
	if s.Packets == 1 {
		s.FirstTTL = p.TTL
	}
	if p.Flags&packet.RST != 0 {
		return
	}
	if step := p.IPID - s.tcp.lastIPID; s.Packets == 1 || step == 0 || step > sequential {
		s.tcp.inRow = 0
	} else if s.tcp.inRow < 1<<8-1 {
		s.tcp.inRow++
	}
	s.tcp.lastIPID = p.IPID
	s.vote(p.TTL)
	if p.Flags&packet.SYN != 0 {
		return
	}
	window := uint32(p.Window)
	if s.tcp.scale > 0 {
		window <<= min(s.tcp.scale, maxScale)
	}
	if s.MaxWindow == 0 && s.MinWindow == 0 {
		s.MinWindow = window
	}
	s.MinWindow, s.MaxWindow = min(s.MinWindow, window), max(s.MaxWindow, window)
	if tr := s.trouble; tr != nil && tr.zeroSince != 0 {
		tr.ZeroWindowFor += max(p.Time.Sub(tr.zeroSince), 0)
		tr.zeroSince = 0
	}
	if window == 0 && p.Flags&packet.FIN == 0 {
		tr := t.troubleOf(s)
		tr.zeroSince = p.Time
		if !tr.ZeroWindow.Seen() {
			tr.ZeroWindow = at
		}
	}
}

// vote finds the TTL that most packets have (Boyer and Moore).
func (s *Side) vote(ttl uint8) {
	switch {
	case s.votes == 0:
		s.TTL, s.votes = ttl, 1
	case s.TTL != ttl:
		s.votes--
	case s.votes < 1<<8-1:
		s.votes++
	}
}
