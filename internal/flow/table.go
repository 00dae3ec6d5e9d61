package flow

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/packet"
)

// Limits bound what a [Table] keeps. The zero value of a field means its
// default.
type Limits struct {
	Connections         int // TCP connections at a time; 65,536: 45 MB of SYNs, 80 MB of conversations
	Conversations       int // UDP and ICMP conversations at a time; 32,768
	Prologue            int // bytes at the start of each direction that are delivered in order; 16 KiB
	LongPrologue        int // the same after [Conn.Extend]; 64 KiB
	Reassembly          int // bytes that wait for a gap to close, in all; 8 MiB
	Events              int // events kept, in all; 500,000, about 8 MB
	EventsPerConnection int // half of them the first, half the last; 32

	unacked int // segments whose acknowledgement is awaited, in all
}

func (l *Limits) setDefaults() {
	for _, d := range []struct {
		limit *int
		value int
	}{
		{&l.Connections, 1 << 16}, {&l.Conversations, 1 << 15},
		{&l.Prologue, 16 << 10}, {&l.LongPrologue, 64 << 10}, {&l.Reassembly, 8 << 20},
		{&l.Events, 500_000}, {&l.EventsPerConnection, 32}, {&l.unacked, 1 << 18},
	} {
		if *d.limit <= 0 {
			*d.limit = d.value
		}
	}
	l.EventsPerConnection = max(l.EventsPerConnection, 4)
	l.LongPrologue = max(l.LongPrologue, l.Prologue)
}

// A Drop count says what the limits made a table forget.
type Drops struct {
	Connections   int64 `json:"connections"`   // ended early: half-open and closed ones first, then the longest silent
	HalfOpen      int64 `json:"halfOpen"`      // of those, nobody had answered the SYN
	Closed        int64 `json:"closed"`        // of those, over anyway
	Conversations int64 `json:"conversations"` // UDP and ICMP, ended early
	Reassembly    int64 `json:"reassembly"`    // directions whose prologue was given up for lack of space
	Events        int64 `json:"events"`
}

// Any reports whether anything was dropped that the figures may miss.
func (d Drops) Any() bool { return d != Drops{} }

// A Reason says why a connection ended for the table.
type Reason uint8

// The reasons.
const (
	CaptureEnded Reason = iota // no more packets
	PortsReused                // a new connection with the same endpoints began
	Evicted                    // a limit was hit: later packets look like a new connection
)

// A Segment is what the table knows about the packet that was just added. It
// is valid until the next Add.
type Segment struct {
	Conn         *Conn         // nil if the packet is not TCP, or a fragment, or was cut before the end of its TCP header
	Conversation *Conversation // nil unless UDP or ICMP
	From         Direction     // who sent it
	New          bool          // the packet began the connection or conversation

	Analysis Analysis
	AckRTT   time.Duration // a sample, if HasRTT
	HasRTT   bool

	// Stream is the payload that is now next in order: mostly this packet's,
	// none if it came early, and more if it closed a gap. Resent bytes are
	// left out.
	Stream [][]byte
	// Gap: bytes before Stream are missing, and always will be. Unless the
	// consumer follows (see [Conn.Follow]) this is the end of the stream.
	Gap bool
}

// A Table holds the conversations of a capture, packet by packet. It is not
// safe for concurrent use: TCP can only be judged in order.
type Table struct {
	// End is called for every connection once, when nothing more can happen
	// to it: in Add, or for what is left in Finish, in the order of
	// [Conn.Stream]. The Conn is used again afterwards. May be nil.
	End func(*Conn, Reason)
	// EndConversation is the same for UDP and ICMP.
	EndConversation func(*Conversation, Reason)

	limits Limits
	drops  Drops
	random *rand.Rand

	key       key // of the packet at hand
	conns     slab[Conn]
	hand      uint32 // where to look for the next victim
	last      *Conn  // the previous packet's: mostly the next one's as well
	datagrams slab[Conversation]
	oldest    uint32 // the next victim among datagrams
	waiting   int    // bytes of early segments
	unacked   int    // room in all rings of unacked segments
	noted     int    // room in all traces

	works    pool[work]
	talks    pool[talk]
	troubles pool[trouble]
	declines pool[decline]

	traces     []*trace // to be used again
	labels     map[string]uint16
	labelNames []string
	segment    Segment // what Add returns

	counters     Counters
	tally        [classes]int64
	phases       map[rstKey]int64
	irtt, ackRTT reservoir
}

type rstKey struct {
	phase Phase
	by    string
}

// NewTable returns an empty table.
func NewTable(limits Limits) *Table {
	limits.setDefaults()
	return &Table{
		limits: limits,
		// The choice of samples is fair, and the same for the same capture.
		random:    rand.New(rand.NewPCG(1, 2)),
		conns:     newSlab[Conn](limits.Connections),
		datagrams: newSlab[Conversation](limits.Conversations),
		labels:    make(map[string]uint16),
		phases:    make(map[rstKey]int64),
	}
}

// Add places a packet. The segment's Stream points into p.Payload; nothing else
// of p is kept.
func (t *Table) Add(p *packet.Packet) *Segment {
	stream := t.segment.Stream[:0]
	t.segment = Segment{}
	t.segment.Stream = stream
	// Without ports there is no conversation; what an ICMP error quotes is
	// somebody else's packet.
	if p.IPVersion == 0 || p.Fragment || !p.Transport {
		return &t.segment
	}
	switch p.Protocol {
	case packet.ProtocolTCP:
		t.addTCP(p, &t.segment)
	case packet.ProtocolUDP, packet.ProtocolICMP, packet.ProtocolICMPv6:
		t.addDatagram(p, &t.segment)
	}
	return &t.segment
}

// Drops returns what the limits made the table forget so far.
func (t *Table) Drops() Drops { return t.drops }

// Finish ends what is left and returns the totals. Nothing can be added then.
func (t *Table) Finish() Counters {
	t.finishConnections()
	t.finishConversations()
	return t.total()
}

// finishConnections lets go of what ends, so that whoever is told finds room
// for what they make of it.
func (t *Table) finishConnections() {
	left := t.conns.all()
	slices.SortFunc(left, func(a, b *Conn) int { return cmp.Compare(a.Stream, b.Stream) })
	t.conns.chunks, t.last = nil, nil
	t.talks, t.troubles, t.declines = pool[talk]{closed: true}, pool[trouble]{closed: true}, pool[decline]{closed: true}
	for i, c := range left {
		t.end(c, CaptureEnded)
		left[i] = nil
	}
}

func (t *Table) finishConversations() {
	left := t.datagrams.all()
	slices.SortFunc(left, func(a, b *Conversation) int { return cmp.Compare(a.First.Frame, b.First.Frame) })
	t.datagrams.chunks = nil
	for i, c := range left {
		t.endConversation(c, CaptureEnded)
		left[i] = nil
	}
}
