package flow

import (
	"net/netip"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/packet"
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

	Tunnel packet.Tunnel // what the first packet was in

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

	key       *key
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

// Completeness says which parts of a connection's life were captured. The bits
// are numbered as in tcp.completeness, which leaves some out: the SYN unless it
// comes first, the ACK of packets with payload.
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

// Unseen reports whether the capture lacks what d sent although the other
// side acknowledged it: nothing of d was captured, and yet the conversation
// went on.
func (c *Conn) Unseen(d Direction) bool {
	s, peer := &c.Sides[d], &c.Sides[d.Other()]
	if s.Packets > 0 {
		return false
	}
	switch {
	case peer.SYNs > 0:
		// A SYN-ACK answers a SYN; an ACK after a SYN, or payload, a SYN-ACK.
		return c.Completeness.Has(SawSYNACK) && c.Completeness&(SawACK|SawPayload) != 0 || c.Completeness.Has(SawSYN|SawACK)
	case s.tcp.based && after(peer.tcp.lastAck, s.tcp.firstSeq+1):
		return true
	}
	// Payload that need not be sent again gets through.
	return peer.DataSegments >= 3 && peer.Trouble().Resent == 0
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
