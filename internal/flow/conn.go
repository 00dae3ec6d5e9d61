package flow

import (
	"net/netip"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// A Direction names one of the two ends of a connection, as the sender of a
// segment. It is an index into [Conn.Sides] and has nothing to do with the
// roles, which [Conn.ClientSide] tells.
type Direction uint8

// Other returns the opposite end.
func (d Direction) Other() Direction { return d ^ 1 }

// A Moment is a packet: when it was captured and its frame number. The zero
// Moment is a packet that was not seen.
type Moment struct {
	Time  pcap.Timestamp
	Frame int64 // from 1
}

// Seen reports whether there was such a packet.
func (m Moment) Seen() bool { return m.Frame != 0 }

// Since returns m-earlier, or 0 if either was not seen.
func (m Moment) Since(earlier Moment) time.Duration {
	if !m.Seen() || !earlier.Seen() {
		return 0
	}
	return m.Time.Sub(earlier.Time)
}

// A Conn is a TCP connection, one to a tshark stream: a pair of endpoints,
// from its first packet to the SYN with a new initial sequence number that
// begins the next one. It belongs to its [Table], which uses it again: a *Conn
// is valid until the table's End function has returned for it.
type Conn struct {
	Stream      int64 // number of the connection in the capture, from 0, as tcp.stream
	First, Last Moment
	Sides       [2]Side

	ClientSide  Direction // who opened the connection; a guess by port number unless ClientKnown
	ClientKnown bool      // a SYN or a SYN-ACK was seen
	ReusedPorts bool      // the SYN replaced an earlier connection of the same endpoints

	Completeness Completeness

	// The handshake. LastSYN differs from FirstSYN if the SYN was sent again.
	FirstSYN, LastSYN, SYNACK Moment
	HandshakeACK              Moment        // the client's first ACK after the SYN-ACK
	IRTT                      time.Duration // from the last SYN to the first ACK of either side, as tcp.analysis.initial_rtt; 0: unknown

	RSTEvents uint32 // RSTs that belong together (one sender, within one round trip) count once

	// Attached is the caller's own state. The table only clears it, after
	// the end of the connection.
	Attached any

	key       key
	slot      uint32
	sawClient bool // payload from the client, as known when it passed
	sawOther  bool // payload from anybody else
	handshake bool // the client acknowledged the SYN-ACK
	rttShown  bool // tshark shows the IRTT with some packet
	turn      Direction
	spoken    bool // turn is valid: payload was seen
	history   history
	lastSYN   pcap.Timestamp
	decline   *decline // if there was a RST or a silence
	trace     *trace   // if there were events worth keeping
}

// decline is how a connection ends badly. Most do not.
type decline struct {
	rst      RST
	brk      Break
	idle     Break // a silence whose outcome is still open
	from, to Moment
}

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
}

type talk struct {
	Talk
	rtt    sample
	stream stream
}

// Trouble is what went wrong with the segments of one side.
type Trouble struct {
	// What resent and late segments were, seen from the capture point. A
	// resent segment was captured before: it was lost (or its ACK was)
	// beyond this point. A late one closes a gap: it was overtaken, or lost
	// before this point and sent again. Overtaken are those late ones
	// whose IP identification proves that they were sent earlier.
	Resent, Late, Overtaken uint32
	// Duplicated data segments repeat one of the last few with the same IP
	// identification, sequence number and length within 1 ms: the same
	// packet captured twice (packet mirroring, two interfaces).
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
type Exchange struct{ Asked, Answered Moment }

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

// A Break is a silence after which the connection did not go on: what was
// sent next went unanswered and had to be sent again, or a RST came. Nothing
// was waiting for an acknowledgement when the silence began.
type Break struct {
	Before, After   Moment // the packets around the silence
	By              Direction
	Retransmissions uint32 // sent by By without an answer
	Reset           Moment // the RST, if any
	ResetBy         Direction
}

// Silence is the length of the silence, 0 if there was none.
func (b Break) Silence() time.Duration { return b.After.Since(b.Before) }

// Completeness says which parts of a connection's life were captured; the
// bits are those of tcp.completeness.
type Completeness uint8

// The parts of a connection's life.
const (
	SawSYN Completeness = 1 << iota
	SawSYNACK
	SawACK
	SawPayload
	SawFIN
	SawRST
)

// Has reports whether all of parts were captured.
func (c Completeness) Has(parts Completeness) bool { return c&parts == parts }

// Client returns the side that opened the connection; see [Conn.ClientKnown].
func (c *Conn) Client() *Side { return &c.Sides[c.ClientSide] }

// Server returns the side that accepted the connection.
func (c *Conn) Server() *Side { return &c.Sides[c.ClientSide.Other()] }

// Endpoint returns the address and port of d.
func (c *Conn) Endpoint(d Direction) netip.AddrPort { return c.key.endpoint(d) }

// ClientAddr returns the client's address and port.
func (c *Conn) ClientAddr() netip.AddrPort { return c.Endpoint(c.ClientSide) }

// ServerAddr returns the server's address and port.
func (c *Conn) ServerAddr() netip.AddrPort { return c.Endpoint(c.ClientSide.Other()) }

// Established reports whether SYN, SYN-ACK and the client's ACK were captured.
func (c *Conn) Established() bool {
	return c.Completeness.Has(SawSYN|SawSYNACK) && c.handshake
}

// Midstream reports whether the connection was open before the capture began:
// neither SYN nor SYN-ACK was captured.
func (c *Conn) Midstream() bool { return c.Completeness&(SawSYN|SawSYNACK) == 0 }

// OneWay reports whether all packets came from one side.
func (c *Conn) OneWay() bool { return c.Sides[0].Packets == 0 || c.Sides[1].Packets == 0 }

// Closed reports whether both sides sent a FIN, or either a RST.
func (c *Conn) Closed() bool {
	return c.Completeness.Has(SawRST) || c.Sides[0].FINs > 0 && c.Sides[1].FINs > 0
}

// Outstanding returns how many bytes d has sent that the other side had not
// acknowledged at the last packet.
func (c *Conn) Outstanding(d Direction) uint32 {
	next, ack := c.Sides[d].tcp.nextSeq, c.Sides[d.Other()].tcp.lastAck
	if next == 0 || ack == 0 || !after(next, ack) {
		return 0
	}
	return next - ack
}

// SawHandshake tells the connection that a TLS handshake message of this type
// (RFC 8446, 4: 1 ClientHello, 2 ServerHello, 11 Certificate, 16
// ClientKeyExchange) passed. Whoever dissects TLS calls it for every message
// in the clear, before the next packet is added: the phase of a RST depends
// on it.
func (c *Conn) SawHandshake(from Direction, messageType uint8) {
	if messageType < 32 {
		c.Sides[from].shook |= 1 << messageType
	}
}

// Shook reports whether SawHandshake was called with these.
func (c *Conn) Shook(from Direction, messageType uint8) bool {
	return messageType < 32 && c.Sides[from].shook&(1<<messageType) != 0
}

// RST returns the connection's first RST; see [Moment.Seen].
func (c *Conn) RST() RST {
	if c.decline == nil {
		return RST{}
	}
	return c.decline.rst
}

// Break returns the longest silence that the connection did not survive
// unharmed.
func (c *Conn) Break() Break {
	if c.decline == nil {
		return Break{}
	}
	return c.decline.brk
}

// Silence returns the packets around the longest silence of at least a
// second; see [Moment.Seen].
func (c *Conn) Silence() (from, to Moment) {
	if c.decline == nil {
		return Moment{}, Moment{}
	}
	return c.decline.from, c.decline.to
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
