// Package quic reads what a QUIC client says in the clear: its Initial
// packets are encrypted under keys that anybody can derive (RFC 9001, 5.2).
package quic

import (
	"fmt"
	"net/netip"

	"github.com/pcapwarden/pcapwarden/internal/dissect/tls"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// A Version is a QUIC version.
type Version uint32

// The versions whose Initial packets can be read.
const (
	Version1 Version = 1
	Version2 Version = 0x6b3343cf
)

// String returns "1", "2" or the number.
func (v Version) String() string {
	switch v {
	case Version1:
		return "1"
	case Version2:
		return "2"
	}
	return fmt.Sprintf("0x%08x", uint32(v))
}

// A Connection is the start of one QUIC connection.
type Connection struct {
	Client, Server netip.AddrPort
	Version        Version
	Hello          *tls.ClientHello // nil: never complete
	First          pcap.Timestamp
	Frame          int64 // of the first Initial
	Initials       int   // Initial packets of the client
	Answered       bool  // the server sent anything back
	ServerHello    bool  // and it was a ServerHello: the handshake went on
	Retry          bool  // it asked for an address validation (RFC 9000, 17.2.5)
	Negotiation    bool  // it refused the version (RFC 9000, 17.2.1)
}
