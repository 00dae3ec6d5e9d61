package flow

import (
	"time"

	"github.com/pcapwarden/pcapwarden/internal/packet"
)

// eventWindow is how long RSTs belong together where the round trip is unknown.
const eventWindow = 100 * time.Millisecond

// A Phase says how far a connection had come when its first RST was captured.
type Phase uint8

// The phases. What comes first in this list is checked first.
const (
	NoReset          Phase = iota
	AfterSYN               // SYN, no SYN-ACK
	AfterSYNACK            // SYN-ACK, no ACK from the client
	AfterFIN               // a FIN from either side: mostly normal
	InMidstream            // the handshake was not captured
	BeforeData             // established, no payload
	AfterClientHello       // TLS: ClientHello, no ServerHello
	AfterCertificate       // TLS up to 1.2: the server's Certificate, no ClientKeyExchange
	AfterClientData        // only the client sent payload
	AfterData
)

var phases = [...]string{"", "syn", "synack", "after_fin", "midstream", "established_no_data",
	"after_client_hello", "after_certificate", "after_client_data", "data"}

// String returns the name that the counters use.
func (p Phase) String() string {
	if int(p) < len(phases) {
		return phases[p]
	}
	return "unknown"
}

// A RST is the first segment of a connection that aborts it.
type RST struct {
	Moment
	From  Direction
	Phase Phase
	// ACK and Seq as in the segment: a RST with ACK and sequence number 0 that
	// answers a SYN is what a closed port sends.
	ACK bool
	Seq uint32
	// TTL and IPID of the RST, and what is usual for the alleged sender: the
	// TTL of most of its packets and the IPID of its last one. UsualTTL 0:
	// nothing else was captured from it.
	TTL, UsualTTL  uint8
	IPID, LastIPID uint16
	IPv4           bool // the IPIDs mean something
	Counting       bool // the sender's packets before this one counted their IPIDs up
}

// TTLDiffers reports whether the RST travelled another number of hops than
// the other packets of its alleged sender: by more than one, as paths may
// differ by a hop. It hints at a middlebox.
func (r RST) TTLDiffers() bool {
	return r.Seen() && r.UsualTTL != 0 && max(r.TTL, r.UsualTTL)-min(r.TTL, r.UsualTTL) > 1
}

// sequential is how far apart the IPIDs of two packets of a connection are
// whose sender counts them up for all its packets.
const sequential = 1000

// IPIDDiffers reports whether the IP identification of the RST is out of the
// row that its alleged sender counts in. Hosts leave it 0 in a RST for a
// connection that they have forgotten: that is no hint.
func (r RST) IPIDDiffers() bool {
	return r.Seen() && r.IPv4 && r.Counting && r.IPID != 0 && r.IPID-r.LastIPID > sequential && r.LastIPID-r.IPID > sequential
}

// Foreign reports whether something else than its alleged sender seems to
// have made the RST: a firewall, a load balancer, a proxy.
func (r RST) Foreign() bool { return r.TTLDiffers() || r.IPIDDiffers() }

// ClosedPort reports whether a SYN was refused by a RST as hosts send it for a
// port that nobody listens on (RFC 9293, 3.5.2: sequence number 0 and ACK).
func (r RST) ClosedPort() bool { return r.Phase == AfterSYN && r.ACK && r.Seq == 0 }

// ResetBy returns "client", "server" or "unknown": who sent the first RST,
// or claims to.
func (c *Conn) ResetBy() string {
	switch {
	case !c.ClientKnown:
		return "unknown"
	case c.RST().From == c.ClientSide:
		return "client"
	}
	return "server"
}

// noteReset records a RST, before the segment itself changes the state.
func (t *Table) noteReset(c *Conn, p *packet.Packet, from Direction, now Moment) {
	s := &c.Sides[from]
	if c.RSTEvents > 0 {
		// One abort often shows as several RSTs: one for each segment in
		// flight, or a middlebox's, repeated to be sure.
		first := &c.decline.rst
		if from != first.From || p.Time.Sub(first.Time) > max(c.IRTT, eventWindow) {
			c.RSTEvents++
		}
		return
	}
	c.RSTEvents = 1
	t.declining(c).rst = RST{
		Moment: now, From: from, Phase: c.phase(),
		ACK: p.Flags&packet.ACK != 0, Seq: p.Seq,
		TTL: p.TTL, UsualTTL: s.TTL,
		IPID: p.IPID, LastIPID: s.tcp.lastIPID, IPv4: p.IPVersion == 4, Counting: s.tcp.inRow >= 3,
	}
}

// phase is how far the connection has come; the order of the cases matters.
func (c *Conn) phase() Phase {
	client, server := c.ClientSide, c.ClientSide.Other()
	switch {
	case c.Completeness.Has(SawSYN) && !c.Completeness.Has(SawSYNACK):
		return AfterSYN
	case c.Completeness.Has(SawSYNACK) && !c.handshake:
		return AfterSYNACK
	case c.Completeness.Has(SawFIN):
		return AfterFIN
	case c.Midstream():
		return InMidstream
	case !c.sawClient && !c.sawOther:
		return BeforeData
	case c.Shook(client, clientHello) && !c.Shook(server, serverHello):
		return AfterClientHello
	case c.Shook(server, certificate) && !c.Shook(client, clientKeyExchange):
		return AfterCertificate
	case !c.sawOther:
		return AfterClientData
	}
	return AfterData
}

// TLS handshake messages that a phase depends on (RFC 8446, 4; RFC 5246, 7.4).
const (
	clientHello       = 1
	serverHello       = 2
	certificate       = 11
	clientKeyExchange = 16
)
