// Package service knows how each service in a capture fared: who used it, how
// often it failed, how long it took. Two captures are compared by it.
package service

import (
	"maps"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/finding"
)

// A Role is what the captured machine is to a service.
type Role string

// The roles. The zero value is not known: the service may lie on either side.
const (
	Uses   Role = "client" // it calls the service
	Serves Role = "server" // it is the service
)

// The protocols.
const (
	TCP = "tcp"
	UDP = "udp"
	DNS = "dns" // a resolver, whatever carries the questions
)

// A Service is what was asked of one server address and port, and, where TLS
// names one, one server name. Medians are over its connections, or over the
// questions to a resolver.
type Service struct {
	Protocol string           `json:"protocol"` // tcp, udp, dns
	Server   finding.Endpoint `json:"server"`
	SNI      string           `json:"sni,omitempty"`
	Spoken   string           `json:"service,omitempty"` // tls, http, dns, ... as seen
	Role     Role             `json:"role,omitempty"`    // of the captured machine
	Clients  int              `json:"clients"`           // addresses, counted up to MaxClients

	Connections int `json:"connections"` // UDP: conversations
	Established int `json:"established"` // SYN, SYN-ACK and ACK were captured
	Answered    int `json:"answered"`    // the server sent payload
	Midstream   int `json:"midstream"`   // open before the capture began
	// Failures counts connections by the kind of finding that they would be
	// one case of. A connection counts once, by what came first.
	Failures map[finding.Kind]int `json:"failures,omitempty"`

	Handshake   Spread `json:"handshakeMs,omitzero"`   // first SYN to the client's ACK
	RTT         Spread `json:"rttMs,omitzero"`         // last SYN to the first ACK
	ServerThink Spread `json:"serverThinkMs,omitzero"` // the slowest answer of each connection
	ClientThink Spread `json:"clientThinkMs,omitzero"` // handshake to the first request

	Segments   [2]int64       `json:"dataSegments"` // from client, from server
	Lost       [2]int64       `json:"lostSegments"` // of these: sent again, or missed by the capture
	Bytes      [2]int64       `json:"bytes"`        // of payload
	Throughput Spread         `json:"throughputKBps,omitzero"`
	TLS        map[string]int `json:"tlsVersions,omitempty"`

	Resolver *Resolver `json:"resolver,omitempty"` // of a DNS service

	First time.Time `json:"first,omitzero"`
	Last  time.Time `json:"last,omitzero"`
}

// A Resolver is how a DNS server fared.
type Resolver struct {
	Asked      int    `json:"asked"` // questions: one id from one port
	Answered   int    `json:"answered"`
	Unanswered int    `json:"unanswered"` // not those that the end of the capture left open
	Errors     int    `json:"errors"`     // answered with SERVFAIL or REFUSED
	Missing    int    `json:"missing"`    // answered with NXDOMAIN
	Latency    Spread `json:"latencyMs,omitzero"`

	// A lookup is a name that a client wants to know, over all its tries.
	Lookups  int              `json:"lookups"`             // that asked this one first
	Lost     int              `json:"lost"`                // of these, never answered by anybody
	Fallback finding.Endpoint `json:"fallback,omitzero"`   // who answered instead
	Fell     int              `json:"fallbacks"`           // how many lookups went on to another one
	Wait     Spread           `json:"fallbackMs,omitzero"` // from the first question to the answer of the other
}

// Failed is how many connections failed.
func (s *Service) Failed() int {
	n := 0
	for _, v := range s.Failures {
		n += v
	}
	return n
}

// Worked is how many connections came about and did not fail later.
func (s *Service) Worked() int {
	n := max(s.Established, s.Answered)
	for _, k := range []finding.Kind{"tcp.reset", "tls.alert", "tls.handshake-reset", "tls.handshake-timeout"} {
		n -= s.Failures[k]
	}
	return max(n, 0)
}

// Name is how people call the service: its server name, else its address.
func (s *Service) Name() string {
	switch {
	case s.SNI != "":
		return s.SNI
	case s.Protocol == DNS:
		return s.Server.Addr().String()
	}
	return s.Server.String()
}

// Span is the time between its first and its last packet.
func (s *Service) Span() time.Duration { return s.Last.Sub(s.First) }

// LossRate is the share of the data segments of both sides that were lost.
func (s *Service) LossRate() float64 {
	all := s.Segments[0] + s.Segments[1]
	if all == 0 {
		return 0
	}
	return float64(s.Lost[0]+s.Lost[1]) / float64(all)
}

// Join returns the services as one, as when a name is served by several
// addresses. There is at least one.
func Join(all ...*Service) *Service {
	sum := *all[0]
	sum.Failures, sum.TLS = maps.Clone(sum.Failures), maps.Clone(sum.TLS)
	for _, o := range all[1:] {
		if sum.Server != o.Server {
			sum.Server = finding.Endpoint{AddrPort: netip.AddrPortFrom(netip.Addr{}, sum.Server.Port())}
		}
		sum.Clients = max(sum.Clients, o.Clients)
		sum.Connections += o.Connections
		sum.Established += o.Established
		sum.Answered += o.Answered
		sum.Midstream += o.Midstream
		sum.Failures = add(sum.Failures, o.Failures)
		sum.TLS = add(sum.TLS, o.TLS)
		for i := range 2 {
			sum.Segments[i] += o.Segments[i]
			sum.Lost[i] += o.Lost[i]
			sum.Bytes[i] += o.Bytes[i]
		}
		sum.Handshake = sum.Handshake.join(o.Handshake)
		sum.RTT = sum.RTT.join(o.RTT)
		sum.ServerThink = sum.ServerThink.join(o.ServerThink)
		sum.ClientThink = sum.ClientThink.join(o.ClientThink)
		sum.Throughput = sum.Throughput.join(o.Throughput)
		if o.First.Before(sum.First) {
			sum.First = o.First
		}
		if o.Last.After(sum.Last) {
			sum.Last = o.Last
		}
	}
	return &sum
}

func add[K comparable](to, from map[K]int) map[K]int {
	if to == nil {
		to = map[K]int{}
	}
	for k, n := range from {
		to[k] += n
	}
	return to
}

// A Spread summarises a quantity in the unit that its field's name says:
// milliseconds, or kilobytes a second.
type Spread struct {
	N      int     `json:"n"` // how many were measured
	Min    float64 `json:"min"`
	Median float64 `json:"median"` // of a fair choice, if there were many
	Max    float64 `json:"max"`

	kept []float64
}

// Typical is the median of milliseconds.
func (s Spread) Typical() time.Duration { return time.Duration(s.Median * 1e6) }

// Worst is the maximum of milliseconds.
func (s Spread) Worst() time.Duration { return time.Duration(s.Max * 1e6) }

// join merges two. Where the choice is gone (the document was read from JSON),
// the median is that of the larger half.
func (s Spread) join(o Spread) Spread {
	switch {
	case o.N == 0:
		return s
	case s.N == 0:
		return o
	}
	j := Spread{N: s.N + o.N, Min: min(s.Min, o.Min), Max: max(s.Max, o.Max), kept: slices.Concat(s.kept, o.kept)}
	switch {
	case len(j.kept) > 0:
		j.Median = median(j.kept)
	case o.N > s.N:
		j.Median = o.Median
	default:
		j.Median = s.Median
	}
	return j
}

func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(all))
	m := len(s) / 2
	if len(s)%2 == 1 {
		return s[m]
	}
	return round((s[m-1] + s[m]) / 2)
}

// round keeps microseconds.
func round(ms float64) float64 { return math.Round(ms*1e3) / 1e3 }
