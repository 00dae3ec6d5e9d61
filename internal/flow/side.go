package flow

import (
	"time"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// A Side is what one end of a connection sent.
type Side struct {
	Packets      uint32
	DataSegments uint32 // with payload; keep-alives and zero-window probes are not data
	Bytes        uint64 // of payload, by the IP header; what was sent twice counts twice

	SYNs, FINs, RSTs uint32 // SYNs includes SYN-ACKs
	FIN              Moment // the first

	MinWindow, MaxWindow uint32 // advertised, scaled, in bytes; SYN and RST left out
	MSS                  uint16 // option; 0: absent or not seen
	WindowScale          int8   // option, 0 to 14; -1: absent or not seen
	SACK                 bool   // selective acknowledgements permitted
	FirstTTL             uint8  // or hop limit, of the first packet
	TTL                  uint8  // the usual one: majority of the packets that are not RSTs
	votes                uint8  // for TTL

	shook   uint32 // handshake message types, a bit each
	tcp     tcpState
	talk    *talk    // of a side with payload
	trouble *trouble // of a side with something in its Analysis
	work    *work    // of a side with payload, while the connection is open
}

// Talk is what one side said, apart from how it got through.
type Talk struct {
	First, Last  Moment // packets with payload; Last includes what was sent again
	MaxSegment   uint32 // the largest payload; above the MSS where segmentation is offloaded
	LargestAcked uint32 // the largest payload that arrived at the first attempt

	// FirstAnswer and MaxAnswer measure how long this side took to answer
	// the other one's payload: what a server thinks about a request. For a
	// capture on the other side's end it includes a round trip.
	FirstAnswer, MaxAnswer Exchange
	Answers                uint32 // how often the word passed to this side
	Slow                   uint32 // of the Answers, those that took more than a second
	Burst                  uint32 // bytes that this side sent when it spoke last
}

type talk struct {
	Talk
	heard  Moment // the ACK of everything that this side had sent
	rtt    sample
	stream stream
}

// Trouble is what went wrong with the segments of one side.
type Trouble struct {
	// What resent and late segments were, seen from the capture point. A
	// resent segment was captured before: it was lost (or its ACK was)
	// beyond this point. Needless are those of them that had been
	// acknowledged already: only an ACK was lost or late. A late one closes
	// a gap: it was overtaken, or lost before this point and sent again.
	// Overtaken are those late ones that were sent earlier: their IP
	// identification proves it, or they came sooner than any sender could
	// have known of the gap, within half a round trip.
	Resent, Needless, Late, Overtaken uint32
	First, Last                       Moment // of these
	// Shrunk counts the Resent ones that were sent again with less than at
	// first, as a sender does that has learned of a smaller path MTU;
	// ShrunkFrom is the largest of their first sizes, ShrunkTo what was
	// sent instead.
	Shrunk                  uint32
	ShrunkFrom, ShrunkTo    uint32
	FirstShrunk, LastShrunk Moment
	// Duplicated data segments repeat one of the last few with the same IP
	// identification, sequence number and length within 20 ms, or without
	// one within 1 ms and half a round trip: the same packet captured twice
	// (packet mirroring, two interfaces).
	Duplicated uint32

	ZeroWindow    Moment        // the first zero window
	ZeroWindowFor time.Duration // in total, for as long as packets show it

	Stall Stall // the worst
}

type trouble struct {
	Trouble
	counts    [classes]uint32
	zeroSince pcap.Timestamp
}

// An Exchange is a turn of the conversation: the other side's last payload and
// the first one that followed from this side.
type Exchange struct {
	Asked    Moment
	Acked    Moment // when this side had acknowledged all of the question, not later than Answered; may be unseen
	Answered Moment
	Question uint32 // bytes that were asked with, as sent
	Answer   uint32 // bytes of the first segment of the answer
}

// Took is the time between the two, 0 if there was no answer.
func (e Exchange) Took() time.Duration { return e.Answered.Since(e.Asked) }

// A Stall is a segment that was sent again and again without being
// acknowledged. At the largest size of a connection, while smaller segments
// get through, it is the mark of a path MTU black hole.
type Stall struct {
	Size        uint32 // of the payload
	Count       uint32 // times it was sent again
	First, Last Moment // the first and the last of these
	ShrunkTo    uint32 // the same sequence number was sent again with this much smaller size; 0: never
	SACKs       uint32 // meanwhile, ACKs that say later segments did arrive
	Recovered   Moment // the ACK that ended the stall
}

// Talk returns what s said, all zero if it never sent payload.
func (s *Side) Talk() Talk {
	if s.talk == nil {
		return Talk{}
	}
	return s.talk.Talk
}

// Trouble returns what went wrong for s.
func (s *Side) Trouble() Trouble {
	if s.trouble == nil {
		return Trouble{}
	}
	return s.trouble.Trouble
}

// WindowClosed reports whether the last window that s advertised was 0.
func (s *Side) WindowClosed() bool { return s.trouble != nil && s.trouble.zeroSince != 0 }

// Count returns how many segments of this side have the class; a is one of
// tshark's.
func (s *Side) Count(a Analysis) uint32 {
	if a&tshark == 0 || s.trouble == nil {
		return 0
	}
	return s.trouble.counts[a.index()]
}

// Retransmissions returns what tshark counts as tcp.analysis.retransmission:
// plain, fast and spurious ones.
func (s *Side) Retransmissions() uint32 {
	return s.Count(Retransmission) + s.Count(FastRetransmission) + s.Count(SpuriousRetransmission)
}

// AckRTT summarises how long the other side's acknowledgements took (the
// segment's end equals the acknowledged number; nothing that was resent).
func (s *Side) AckRTT() Summary {
	if s.talk == nil {
		return Summary{}
	}
	return s.talk.rtt.summary()
}
