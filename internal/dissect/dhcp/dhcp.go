// Package dhcp reads which resolvers and routers DHCP servers hand out, and
// for how long, so that a stale lease can be named as the source of a dead
// resolver.
package dhcp

import (
	"net/netip"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// MaxAddresses is how many addresses of one option a Lease keeps.
const MaxAddresses = 8

// A MessageType is option 53 (RFC 2132, 9.6).
type MessageType uint8

// The message types.
const (
	Discover MessageType = 1 + iota
	Offer
	Request
	Decline
	ACK
	NAK
	Release
	Inform
)

var messageNames = [...]string{"", "discover", "offer", "request", "decline", "ack", "nak", "release", "inform"}

// String returns "ack".
func (t MessageType) String() string {
	if int(t) < len(messageNames) {
		return messageNames[t]
	}
	return "unknown"
}

// A Lease is what one DHCPv4 message says about a lease (RFC 2131, 2132).
// A zero address or duration means that the message does not say.
type Lease struct {
	Message   MessageType
	Client    [6]byte    // hardware address
	Address   netip.Addr // that the client has or gets
	Server    netip.Addr // server identifier, else who sent it
	Resolvers []netip.Addr
	Routers   []netip.Addr
	Duration  time.Duration // of the lease
	Renew     time.Duration // T1
	Rebind    time.Duration // T2
	Time      pcap.Timestamp
	Frame     int64
}
