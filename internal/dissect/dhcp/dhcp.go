// Package dhcp reads which resolvers and routers DHCP servers hand out, and
// for how long, so that a stale lease can be named as the source of a dead
// resolver.
package dhcp

import (
	"encoding/binary"
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
	Address   netip.Addr // that the client has, gets or asks for
	Server    netip.Addr // server identifier, else who sent it
	Resolvers []netip.Addr
	Routers   []netip.Addr
	Duration  time.Duration // of the lease; Forever if it never ends
	Renew     time.Duration // T1
	Rebind    time.Duration // T2
	Time      pcap.Timestamp
	Frame     int64
}

// Forever is the Duration of a lease without end.
const Forever = time.Duration(1<<63 - 1)

// Layout of a message (RFC 2131, 2).
const (
	opOffset      = 0
	ciaddrOffset  = 12
	yiaddrOffset  = 16
	chaddrOffset  = 28
	cookieOffset  = 236
	optionsOffset = 240
	cookie        = 0x63825363
	reply         = 2
)

// Options that are read (RFC 2132).
const (
	optPad       = 0
	optRouter    = 3
	optResolver  = 6
	optRequested = 50
	optLease     = 51
	optMessage   = 53
	optServer    = 54
	optT1        = 58
	optT2        = 59
	optEnd       = 255
)

// Parse reads the payload of a datagram from or to port 67. Its lists are
// shared with nobody. It reports false for anything that is not DHCP.
func Parse(from netip.Addr, at pcap.Timestamp, frame int64, b []byte) (*Lease, bool) {
	if len(b) < optionsOffset || binary.BigEndian.Uint32(b[cookieOffset:]) != cookie {
		return nil, false
	}
	l := &Lease{Client: [6]byte(b[chaddrOffset:]), Time: at, Frame: frame}
	l.options(b[optionsOffset:])
	if l.Message == 0 {
		return nil, false // BOOTP
	}
	if a := address(b[yiaddrOffset:]); a.IsValid() {
		l.Address = a
	} else if a := address(b[ciaddrOffset:]); a.IsValid() {
		l.Address = a
	}
	if !l.Server.IsValid() && b[opOffset] == reply {
		l.Server = from
	}
	return l, true
}

// options reads options up to the end or a mistake. Those that overload the
// names in the header are not read: no resolver was ever found there.
func (l *Lease) options(b []byte) {
	for len(b) > 0 && b[0] != optEnd {
		if b[0] == optPad {
			b = b[1:]
			continue
		}
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			return
		}
		code, value := b[0], b[2:2+int(b[1])]
		b = b[2+len(value):]
		switch code {
		case optMessage:
			if len(value) == 1 {
				l.Message = MessageType(value[0])
			}
		case optServer:
			l.Server = address(value)
		case optRequested:
			l.Address = address(value)
		case optResolver:
			l.Resolvers = addresses(l.Resolvers, value)
		case optRouter:
			l.Routers = addresses(l.Routers, value)
		case optLease:
			l.Duration = seconds(value)
		case optT1:
			l.Renew = seconds(value)
		case optT2:
			l.Rebind = seconds(value)
		}
	}
}

// address reads an address; 0.0.0.0 is none.
func address(b []byte) netip.Addr {
	if len(b) < 4 || [4]byte(b) == [4]byte{} {
		return netip.Addr{}
	}
	return netip.AddrFrom4([4]byte(b))
}

func addresses(list []netip.Addr, b []byte) []netip.Addr {
	for ; len(b) >= 4 && len(list) < MaxAddresses; b = b[4:] {
		if a := address(b); a.IsValid() {
			list = append(list, a)
		}
	}
	return list
}

func seconds(b []byte) time.Duration {
	if len(b) != 4 {
		return 0
	}
	n := binary.BigEndian.Uint32(b)
	if n == 1<<32-1 {
		return Forever
	}
	return time.Duration(n) * time.Second
}
