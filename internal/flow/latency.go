package flow

import "time"

// Latency splits the time that a connection took to get going. Every part is
// 0 if its packets were not captured.
type Latency struct {
	Handshake  time.Duration // first SYN to ACK, retries included
	ServerPart time.Duration // last SYN to SYN-ACK
	ClientPart time.Duration // SYN-ACK to ACK
	// NearServer: the SYN-ACK followed the SYN at once and the ACK took its
	// time, so that this was captured on the server's end. Otherwise what
	// the server takes to answer includes the way there and back.
	NearServer bool
	// ClientThink is the time from the handshake's end to the first byte of
	// a client that speaks first; ServerGreeting the same for the server.
	ClientThink, ServerGreeting time.Duration
}

// Latency returns the parts.
func (c *Conn) Latency() Latency {
	l := Latency{
		Handshake:  c.HandshakeACK.Since(c.FirstSYN),
		ServerPart: c.SYNACK.Since(c.LastSYN),
		ClientPart: c.HandshakeACK.Since(c.SYNACK),
	}
	l.NearServer = l.ClientPart > 4*l.ServerPart
	client, server := c.Client().Talk().First, c.Server().Talk().First
	switch {
	case client.Seen() && (!server.Seen() || client.Frame < server.Frame):
		l.ClientThink = client.Since(c.HandshakeACK)
	case server.Seen():
		l.ServerGreeting = server.Since(c.HandshakeACK)
	}
	return l
}

// RTT is the network's round trip: the handshake's, or the shortest that the
// client's payload saw; 0 if unknown.
func (c *Conn) RTT() time.Duration {
	if c.IRTT > 0 {
		return c.IRTT
	}
	return c.Client().AckRTT().Min
}

// Unanswered returns the last payload of the client if the server has sent
// none since.
func (c *Conn) Unanswered() (Moment, bool) {
	return c.Client().Talk().Last, c.spoken && c.turn == c.ClientSide
}
