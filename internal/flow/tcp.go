package flow

import (
	"time"

	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// tcpState is what tshark 4.0.17 remembers of one side to judge the next
// segment of either. As there, 0 in nextSeq, maxAcked and lastAck means unset,
// and window and dupAcks are unsigned.
type tcpState struct {
	firstSeq uint32
	nextSeq  uint32 // the end of what was sent so far
	maxAcked uint32 // the highest number that can be acknowledged without a gap
	lastAck  uint32
	window   uint32 // raw, of the last packet
	dupAcks  uint32
	nextTime pcap.Timestamp // when nextSeq last advanced
	lastTime pcap.Timestamp // of the last packet

	scale         int8 // of the window: unknownScale, noScale or a shift
	based         bool // firstSeq is set
	firstAck      bool // SYN sent, and neither side's first ACK after it
	lastKeepAlive bool // the last packet was a keep-alive
	lastProbe     bool // the last packet was a zero-window probe

	// Ours.
	awaiting bool    // control is waiting
	lastIPID uint16  // of the last packet that is not a RST
	inRow    uint8   // how many IPIDs in a row counted up
	sackRun  uint16  // ACKs with SACK blocks since the acknowledgement advanced
	control  unacked // the oldest SYN or FIN that waits for its acknowledgement
}

const (
	unknownScale = -1
	noScale      = -2
	maxScale     = 14 // RFC 7323, 2.3

	// ackedUnseen in dupAcks marks that an acknowledgement of uncaptured
	// bytes was reported already. Being unsigned, it also counts as many
	// duplicate ACKs, which tells some fast retransmissions from others.
	ackedUnseen = 1<<32 - 1

	fastWithin       = 20 * time.Millisecond // after the duplicate ACK
	outOfOrderWithin = 3 * time.Millisecond  // while there is no iRTT
)

// after reports whether sequence number a is later than b.
func after(a, b uint32) bool { return int32(a-b) > 0 }

// newTCPState is a side that sent nothing yet.
func newTCPState() tcpState { return tcpState{window: 1<<32 - 1, scale: unknownScale} }

// judge classifies the segment p from side from, and advances the state. The
// order of the checks is tshark's and matters.
func (c *Conn) judge(p *packet.Packet, from Direction) Analysis {
	f, r := &c.Sides[from].tcp, &c.Sides[from.Other()].tcp
	length := uint32(p.SegmentLength)
	window := uint32(p.Window)
	plain := p.Flags&(packet.SYN|packet.FIN|packet.RST) == 0
	var a Analysis

	if length == 1 && p.Seq == f.nextSeq && r.window == 0 {
		a |= ZeroWindowProbe
	} else {
		a |= f.judgeWindow(r, p, length, window, plain)
	}

	if p.Ack != f.lastAck {
		f.dupAcks = 0
	}
	if p.Flags&packet.ACK != 0 && r.maxAcked != 0 && after(p.Ack, r.maxAcked) {
		if after(r.nextSeq, r.maxAcked) {
			r.maxAcked = r.nextSeq
			a |= AckLostSegment
		} else {
			if r.dupAcks == 0 {
				a |= AckLostSegment
			}
			r.dupAcks = ackedUnseen
		}
	}

	next := p.Seq + length
	counts := length > 0
	if p.Flags&(packet.SYN|packet.FIN) != 0 {
		next++
		counts = true
	}
	if counts && !a.Has(KeepAlive) {
		a |= c.judgeResent(f, r, p, length, next)
	}

	if !a.Has(ZeroWindowProbe) {
		if f.nextSeq == 0 || after(next, f.nextSeq) {
			f.nextSeq, f.nextTime = next, p.Time
		}
		if f.maxAcked == 0 || p.Seq == f.maxAcked {
			f.maxAcked = f.nextSeq
		}
	}
	f.window = window
	f.lastAck = p.Ack
	f.lastTime = p.Time
	f.lastKeepAlive = a.Has(KeepAlive)
	f.lastProbe = a.Has(ZeroWindowProbe)
	return a
}

// judgeWindow finds everything about windows, keep-alives and gaps.
func (f *tcpState) judgeWindow(r *tcpState, p *packet.Packet, length, window uint32, plain bool) Analysis {
	var a Analysis
	if window == 0 && plain {
		a |= ZeroWindow
	}
	if f.nextSeq != 0 && after(p.Seq, f.nextSeq) && p.Flags&packet.RST == 0 {
		a |= LostSegment
	}
	if !plain {
		return a
	}
	if length <= 1 && p.Seq == f.nextSeq-1 {
		a |= KeepAlive
	}
	here := length == 0 && p.Seq == f.nextSeq && p.Ack == f.lastAck
	if here && window != 0 && window != f.window {
		a |= WindowUpdate
	}
	if length > 0 && r.scale != unknownScale {
		shift := max(r.scale, 0)
		if r.firstAck {
			shift = 0
		}
		if p.Seq+length == r.lastAck+r.window<<min(shift, maxScale) {
			a |= WindowFull
		}
	}
	if here && window == f.window {
		switch {
		case window != 0 && r.lastKeepAlive:
			a |= KeepAliveAck
		case window == 0 && r.lastProbe:
			a |= ZeroWindowProbeAck
		case window != 0:
			a |= DuplicateAck
			f.dupAcks++ // ackedUnseen becomes 0
			f.dupAcks = max(f.dupAcks, 1)
		}
	}
	return a
}

// judgeResent says what kind of repetition a segment is, if it is one.
func (c *Conn) judgeResent(f, r *tcpState, p *packet.Packet, length, next uint32) Analysis {
	old := f.nextSeq != 0 && after(f.nextSeq, p.Seq) && !(length > 1 && p.Seq == f.nextSeq-1)
	// Unsigned, as there: a time that runs backwards is far in the future, and a
	// negative round trip, in a shuffled capture, the longest.
	within := func(t pcap.Timestamp, limit time.Duration) bool {
		return uint64(p.Time.Sub(t)) < uint64(limit)
	}
	reorder := c.IRTT
	if reorder == 0 {
		reorder = outOfOrderWithin
	}
	switch {
	case length > 0 && r.lastAck != 0 && !after(p.Seq+length, r.lastAck):
		return SpuriousRetransmission
	case !old:
		return 0
	case r.dupAcks >= 2 && r.lastAck == p.Seq && within(r.lastTime, fastWithin):
		return FastRetransmission
	case within(f.nextTime, reorder) && f.nextSeq != next:
		return OutOfOrder
	}
	return Retransmission
}

// options applies what a SYN or SYN-ACK negotiates, after it was judged.
func (c *Conn) options(p *packet.Packet, from Direction) {
	f, r := &c.Sides[from].tcp, &c.Sides[from.Other()].tcp
	if p.WindowScale >= 0 {
		f.scale = p.WindowScale
	}
	switch {
	case f.scale == unknownScale:
		f.scale, r.scale = noScale, noScale
	case p.Flags&packet.ACK != 0 && r.scale == noScale:
		f.scale = noScale
	}
}

// roundTrip measures the initial round trip from the last SYN to the first
// ACK, whichever side sends that. tshark shows it with segments that it has
// anything else to say about, and only then it is counted.
func (c *Conn) roundTrip(p *packet.Packet, from Direction, a Analysis, acked bool) {
	f := &c.Sides[from].tcp
	switch p.Flags & (packet.SYN | packet.ACK) {
	case packet.SYN, packet.SYN | packet.ACK:
		if p.Flags&packet.ACK == 0 {
			c.lastSYN = p.Time
		}
		f.firstAck = true
	case packet.ACK:
		if c.IRTT == 0 && c.lastSYN != 0 {
			c.IRTT = p.Time.Sub(c.lastSYN)
		}
		f.firstAck = false
	}
	if c.IRTT != 0 && (acked || p.SegmentLength > 0 || a&tshark != 0) {
		c.rttShown = true
	}
}
