package flow

import "github.com/pcapwarden/pcapwarden/internal/packet"

// open makes a connection for p, the first packet of it.
func (t *Table) open(k *key, from Direction, p *packet.Packet) *Conn {
	if t.conns.full() {
		t.evict(p.Number)
	}
	c, slot := t.conns.add(k)
	at := Moment{p.Time, p.Number}
	*c = Conn{key: t.conns.keyAt(slot), slot: slot, Stream: t.counters.Streams, First: at, Tunnel: p.Tunnel, ClientSide: likelyClient(p, from)}
	for d := range c.Sides {
		c.Sides[d].WindowScale = unknownScale
		c.Sides[d].tcp = newTCPState()
	}
	t.counters.Streams++
	return c
}

// likelyClient guesses who opened a connection whose handshake is not in the
// capture: servers listen on well-known ports, clients use ephemeral ones
// (RFC 6335, 6). Failing that, who is seen first.
func likelyClient(p *packet.Packet, from Direction) Direction {
	src, dst := portClass(p.SrcPort), portClass(p.DstPort)
	if src < dst {
		return from.Other()
	}
	return from
}

func portClass(port uint16) int {
	switch {
	case port < 1024:
		return 0
	case port < 32768: // Linux's first ephemeral port
		return 1
	}
	return 2
}

// looks is how many places a search for a victim looks at, at most.
const looks = 32

// evict ends one connection to make room. Under a flood of SYNs, or of short
// connections, the first look finds a victim that nobody misses: a closed one,
// or a half-open one that has waited for as long as the table remembers.
// Connections that carry data go last, the longest silent of a few first: an
// attacker cannot push them out by opening new ones.
func (t *Table) evict(now int64) {
	n := t.conns.limit
	victim := t.conns.at(t.hand % n)
	for range min(looks, n) {
		c := t.conns.at(t.hand % n)
		t.hand = (t.hand + 1) % n
		if c.Closed() || c.halfOpen() && now-c.Last.Frame >= int64(n/2) {
			victim = c
			break
		}
		if old, young := victim.halfOpen(), c.halfOpen(); young && !old || young == old && c.Last.Frame < victim.Last.Frame {
			victim = c
		}
	}
	t.drops.Connections++
	switch {
	case victim.halfOpen():
		t.drops.HalfOpen++
	case victim.Closed():
		t.drops.Closed++
	}
	t.end(victim, Evicted)
}

// halfOpen reports whether c is a SYN that nobody answered so far.
func (c *Conn) halfOpen() bool {
	return c.OneWay() && c.Completeness.Has(SawSYN) && c.Sides[0].DataSegments+c.Sides[1].DataSegments == 0
}

// end takes c out of the table, its totals into the counters, and hands it to
// whoever listens.
func (t *Table) end(c *Conn, why Reason) {
	for d := range c.Sides {
		s := &c.Sides[d]
		if tr := s.trouble; tr != nil && tr.zeroSince != 0 {
			tr.ZeroWindowFor += max(c.Last.Time.Sub(tr.zeroSince), 0)
		}
	}
	t.countStream(c)
	if t.End != nil {
		t.End(c, why)
	}
	t.retire(c, true)
	for d := range c.Sides {
		s := &c.Sides[d]
		if s.talk != nil {
			t.release(&s.talk.stream)
			t.talks.give(&s.talk)
		}
		t.troubles.give(&s.trouble)
	}
	t.declines.give(&c.decline)
	t.forget(c)
	if t.last == c {
		t.last = nil
	}
	c.Attached = nil
	t.conns.remove(c.slot)
}

// count adds a segment to the totals.
func (t *Table) count(c *Conn, from Direction, a Analysis) {
	t.counters.Packets++
	if a &= tshark; a == 0 {
		return
	}
	tr := t.troubleOf(&c.Sides[from])
	for ; a != 0; a &= a - 1 {
		i := a.index()
		t.tally[i]++
		tr.counts[i]++
	}
}

// countStream adds a connection to the totals.
func (t *Table) countStream(c *Conn) {
	n := &t.counters
	client := uint32(0)
	for d := range c.Sides {
		n.RSTPackets += int64(c.Sides[d].RSTs)
		client += c.Sides[d].SYNs
	}
	add := func(counter *int64, is bool) {
		if is {
			*counter++
		}
	}
	syn, synack := c.Completeness.Has(SawSYN), c.Completeness.Has(SawSYNACK)
	if rst := c.RST(); rst.Seen() {
		n.StreamsWithRST++
		t.phases[rstKey{rst.Phase, c.ResetBy()}]++
	}
	add(&n.SYNNoSYNACKStreams, syn && !synack)
	add(&n.SYNNoReplyAtAllStreams, syn && !synack && c.OneWay())
	if syn && !synack {
		n.SYNPacketsInUnanswered += int64(client)
	}
	add(&n.HandshakeCompleteStreams, c.Established())
	add(&n.OneDirectionalStreams, c.OneWay())
	add(&n.OneDirectionalWithDataStreams, c.OneWay() && c.Sides[0].Bytes+c.Sides[1].Bytes > 0)
	add(&n.MidstreamStreams, c.Midstream())
	add(&n.ClientHelloNoServerHelloStreams,
		(c.Shook(0, clientHello) || c.Shook(1, clientHello)) && !c.Shook(0, serverHello) && !c.Shook(1, serverHello))
	if c.rttShown {
		t.irtt.add(c.IRTT, t.random)
	}
}

// shown are the classes that are worth a line in a ladder.
const shown = ^(WindowUpdate | KeepAliveAck | ReusedPorts | Duplicated)

// show notes the packets that a ladder shows.
func (t *Table) show(c *Conn, p *packet.Packet, from Direction, at Moment, a Analysis) {
	s := &c.Sides[from]
	switch {
	case p.Flags&packet.RST != 0 && at != c.RST().Moment:
		t.event(c, EventRST, from, at)
	case a&shown == 0:
	case a.Has(Retransmissions | Resent):
		t.event(c, EventRetransmission, from, at)
	case a.Has(Late | OutOfOrder):
		t.event(c, EventLateSegment, from, at)
	case a.Has(LostSegment | AckLostSegment):
		t.event(c, EventLostSegment, from, at)
	case a.Has(ZeroWindowProbe):
		t.event(c, EventZeroWindowProbe, from, at)
	case a.Has(ZeroWindow):
		t.event(c, EventZeroWindow, from, at)
	case a.Has(WindowFull):
		t.event(c, EventWindowFull, from, at)
	case a.Has(KeepAlive):
		t.event(c, EventKeepAlive, from, at)
	case a.Has(DuplicateAck) && s.tcp.dupAcks == 1:
		t.event(c, EventDuplicateAck, from, at)
	}
}

// total completes the counters.
func (t *Table) total() Counters {
	n := t.counters
	of := func(a Analysis) int64 { return t.tally[a.index()] }
	n.FastRetransmission = of(FastRetransmission)
	n.SpuriousRetransmission = of(SpuriousRetransmission)
	n.Retransmission = of(Retransmission) + n.FastRetransmission + n.SpuriousRetransmission
	n.OutOfOrder = of(OutOfOrder)
	n.DuplicateAck = of(DuplicateAck)
	n.LostSegment = of(LostSegment)
	n.AckLostSegment = of(AckLostSegment)
	n.ZeroWindow = of(ZeroWindow)
	n.ZeroWindowProbe = of(ZeroWindowProbe)
	n.ZeroWindowProbeAck = of(ZeroWindowProbeAck)
	n.WindowFull = of(WindowFull)
	n.WindowUpdate = of(WindowUpdate)
	n.KeepAlive = of(KeepAlive)
	n.KeepAliveAck = of(KeepAliveAck)
	n.ReusedPorts = of(ReusedPorts)
	n.FirstRSTPhaseBy = make(map[string]int64)
	for k, v := range t.phases {
		n.FirstRSTPhaseBy[k.phase.String()+":"+k.by] += v
	}
	n.IRTT, n.AckRTT = t.irtt.spread(), t.ackRTT.spread()
	return n
}
