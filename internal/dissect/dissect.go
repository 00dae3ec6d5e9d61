// Package dissect reads application protocols out of datagrams and
// connections, within fixed memory.
package dissect

import (
	"net/netip"

	"github.com/pcapwarden/pcapwarden/internal/dissect/cleartext"
	"github.com/pcapwarden/pcapwarden/internal/dissect/dhcp"
	"github.com/pcapwarden/pcapwarden/internal/dissect/dns"
	"github.com/pcapwarden/pcapwarden/internal/dissect/http"
	"github.com/pcapwarden/pcapwarden/internal/dissect/quic"
	"github.com/pcapwarden/pcapwarden/internal/dissect/tls"
)

// Events are called for what the protocols tell, on the goroutine that feeds;
// nil means nobody asks. Values behind pointers are only valid during the
// call: what is kept must be copied.
type Events struct {
	// Transaction: a DNS question was answered, or turned out not to be.
	Transaction func(*dns.Transaction)
	// Lookup: a DNS client's question over all its tries is over.
	Lookup func(*dns.Lookup)
	// TLS: a connection's handshake is over, or the connection is.
	TLS func(Endpoints, *tls.Session)
	// HTTP: a request has its answer, or never got one.
	HTTP func(Endpoints, *http.Exchange)
	// Login: somebody logged in without protection.
	Login func(Endpoints, cleartext.Login)
	// Lease: a DHCP message about a lease.
	Lease func(*dhcp.Lease)
	// QUIC: a QUIC connection was opened.
	QUIC func(*quic.Connection)
}

// Endpoints name a connection.
type Endpoints struct{ Client, Server netip.AddrPort }

// Counters are the counters of the application protocols, as tshark 4.0.17
// counts with default preferences.
type Counters struct {
	DNS       dns.Counters       `json:"dns"`
	TLS       tls.Counters       `json:"tls"`
	ICMP      ICMPCounters       `json:"icmp"`
	Cleartext cleartext.Counters `json:"cleartext"`
	HTTP      http.Counters      `json:"http"`
}

// ICMPCounters are ICMP messages by "type/code".
type ICMPCounters struct {
	V4          map[string]int `json:"v4"`
	V6          map[string]int `json:"v6"`
	Unreachable int            `json:"unreachable"`
	TooBig      int            `json:"frag_needed_or_too_big"`
	MTU         []string       `json:"mtu"` // the values of those, each once, sorted as text
}
