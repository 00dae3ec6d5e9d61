// Package stream names the two sides of a connection, as protocol readers are
// told about them.
package stream

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
