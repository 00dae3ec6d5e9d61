// Package stream names what protocol readers are fed: the two sides of a
// connection, and the pieces of payload that they sent.
package stream

import "github.com/pcapwarden/pcapwarden/internal/pcap"

// A Side is one end of a connection.
type Side uint8

// The sides. Who sent the SYN is the client; where a capture starts in the
// middle, whoever feeds the reader decides.
const (
	Client Side = iota
	Server
)

// Peer returns the other side.
func (s Side) Peer() Side { return s ^ 1 }

// String returns "client" or "server".
func (s Side) String() string {
	if s == Client {
		return "client"
	}
	return "server"
}

// A Chunk is the payload of one TCP segment, next in order for its side. Data
// is valid during the call that it is passed to.
type Chunk struct {
	From  Side
	Time  pcap.Timestamp
	Frame int64 // of the packet that made the bytes available
	Data  []byte
	// Late: the segment closed a gap. tshark with default preferences does not
	// dissect it, and so counts no message that needs it; readers read it and
	// leave it out of their counters.
	Late bool
}
