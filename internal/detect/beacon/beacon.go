// Package beacon detects connections that are opened, or tried, at even
// intervals.
//
// Details: intervalSeconds (the median), intervals (how many were seen),
// connections (opened or refused; several within half a second are one beat),
// refused (of these), spanSeconds, score (1 - MAD/median of the intervals),
// timeScore and sizeScore (RITA's, of the intervals and of what the client
// sends), service (as seen), name (SNI).
package beacon

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/dissect/quic"
	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// Detector reports regular connections. A capture of minutes cannot say what
// RITA says of a day, so it says how many intervals it saw.
var Detector = &detect.Detector{
	Name: "beacon",
	Reports: []detect.Reported{{
		Kind:      "traffic.beacon",
		Means:     "One machine opens connections to the same service at even intervals, as heartbeats, agents, pollers and malware do. Refused attempts at even intervals are an automatic client that nobody serves any more.",
		Threshold: "at least 6 successful connections, or 6 refused ones; intervals above 0.5 s; 1 - MAD/median of the intervals at least 0.9, over at least 5 of them (RITA's time score, without its parts that need a day). Attempts without an answer do not count: their intervals are TCP's (activecm/rita-legacy#117). Left out: 168.63.129.16, 169.254.169.254, DNS, NTP and discovery protocols.",
		Next:      "Look the client up in the inventory: which software does it run that calls at this interval? Known services are mostly polled on purpose; an unknown one is for security operations.",
	}},
	Start: start,
}

const (
	minBeats    = 6
	minInterval = 500 * time.Millisecond
	minScore    = 0.9
	maxSeries   = 1 << 15 // clients with what they call
	maxKept     = 1024    // connections of one pair that are timed
	maxCalls    = 1 << 18 // of all pairs
)

// housekeeping are UDP ports of protocols that repeat themselves by design:
// DNS, DHCP, NTP, NetBIOS, SSDP, WS-Discovery, mDNS and LLMNR.
var housekeeping = []uint16{53, 67, 68, 123, 137, 138, 1900, 3702, 5353, 5355}

// key is who calls whom: a service with a name is the same at all its
// addresses.
type key struct {
	protocol string
	client   netip.Addr
	server   netip.AddrPort // without address if there is a name
	name     string
}

// series are the calls of one key, in any order.
type series struct {
	good, refused []call
	server        netip.AddrPort
	service       string
	payload       uint64
}

// call is one connection.
type call struct {
	at    pcap.Timestamp
	frame int64
	sent  uint64 // payload of the client
}

type state struct {
	pass  *detect.Pass
	calls int
	all   detect.Groups[key, series]
	names map[netip.AddrPort]string // by the client's endpoint, of QUIC
}

func start(p *detect.Pass) detect.Hooks {
	s := &state{pass: p, names: map[netip.AddrPort]string{}}
	s.all.Most = maxSeries
	p.Bound(&s.all)
	return detect.Hooks{Connection: s.connection, Conversation: s.conversation, QUIC: s.quic, End: func(*detect.Summary) { s.end() }}
}

func (s *state) connection(c *detect.Connection) {
	client, server := c.ClientAddr().Addr(), c.ServerAddr()
	if !c.FirstSYN.Seen() || c.Pair().Platform() {
		return
	}
	k := key{protocol: "tcp", client: client, server: server}
	if c.TLS != nil && c.TLS.Hello != nil && c.TLS.Hello.SNI != "" {
		k.name, k.server = strings.ToLower(c.TLS.Hello.SNI), netip.AddrPortFrom(netip.Addr{}, server.Port())
	}
	g := s.all.At(k)
	if g == nil {
		return
	}
	at := call{c.FirstSYN.Time, c.FirstSYN.Frame, c.Client().Bytes}
	switch {
	case c.Established():
		s.keep(&g.good, at)
		g.server, g.service = server, c.Service
		g.payload += c.Client().Bytes + c.Server().Bytes
	case c.RST().Seen() && c.RST().Phase == flow.AfterSYN && c.RST().From != c.ClientSide:
		s.keep(&g.refused, at)
		g.server = server
	}
}

func (s *state) keep(to *[]call, c call) {
	if len(*to) < maxKept && s.calls < maxCalls {
		s.calls++
		*to = append(*to, c)
	}
}

// conversation takes UDP: a client that uses a new port for each call.
func (s *state) conversation(c *flow.Conversation) {
	from, to := c.Endpoint(c.Initiator), c.Endpoint(c.Initiator.Other())
	if c.Protocol != packet.ProtocolUDP || c.Packets[c.Initiator.Other()] == 0 || detect.Platform(to.Addr()) || detect.Platform(from.Addr()) ||
		slices.Contains(housekeeping, to.Port()) || slices.Contains(housekeeping, from.Port()) {
		return
	}
	k := key{protocol: "udp", client: from.Addr(), server: to, name: s.names[from]}
	if k.name != "" {
		k.server = netip.AddrPortFrom(netip.Addr{}, to.Port())
	}
	g := s.all.At(k)
	if g == nil {
		return
	}
	s.keep(&g.good, call{c.First.Time, c.First.Frame, c.Bytes[c.Initiator]})
	g.server = to
	g.payload += c.Bytes[0] + c.Bytes[1]
	if k.name != "" {
		g.service = "quic"
	}
}

func (s *state) quic(c *quic.Connection) {
	if c.Hello != nil && len(s.names) < 8*maxKept {
		s.names[c.Client] = strings.ToLower(c.Hello.SNI)
	}
}

// beats puts calls in order and takes those that come together for one.
func beats(calls []call) []call {
	slices.SortFunc(calls, func(a, b call) int { return cmp.Compare(a.at, b.at) })
	var out []call
	for i, c := range calls {
		if i > 0 && c.at.Sub(calls[i-1].at) <= minInterval {
			out[len(out)-1].sent += c.sent
			continue
		}
		out = append(out, c)
	}
	return out
}

// rhythm is how even a series of beats is.
type rhythm struct {
	interval  time.Duration // median
	intervals int
	span      time.Duration
	score     float64 // 1 - MAD/median of the intervals
	time      float64 // RITA's: the score, and how symmetric the intervals lie around the median
	size      float64 // the same of what the client sends
}

// regular reports whether there are enough beats, at even intervals.
func regular(all []call) (rhythm, bool) {
	if len(all) < minBeats {
		return rhythm{}, false
	}
	var intervals, sizes []float64
	for i, c := range all {
		sizes = append(sizes, float64(c.sent))
		if i > 0 {
			intervals = append(intervals, float64(c.at.Sub(all[i-1].at)))
		}
	}
	middle := quantile(intervals, 0.5)
	r := rhythm{interval: time.Duration(middle), intervals: len(intervals), span: all[len(all)-1].at.Sub(all[0].at)}
	r.score = evenness(intervals)
	r.time = (r.score + symmetry(intervals)) / 2
	r.size = (evenness(sizes) + symmetry(sizes)) / 2
	return r, r.score >= minScore && float64(r.span) >= 5*middle
}

// evenness is 1 - MAD/median, at least 0.
func evenness(all []float64) float64 {
	middle := quantile(all, 0.5)
	if middle < 1 {
		return 0
	}
	away := make([]float64, 0, len(all))
	for _, v := range all {
		away = append(away, max(v-middle, middle-v))
	}
	return max(0, 1-quantile(away, 0.5)/middle)
}

// symmetry is 1 - |Bowley's skewness|, which is taken as 0 where the
// quartiles lie too close to say.
func symmetry(all []float64) float64 {
	low, middle, high := quantile(all, 0.25), quantile(all, 0.5), quantile(all, 0.75)
	if high-low < 10 || middle == low || middle == high {
		return 1
	}
	skew := (low + high - 2*middle) / (high - low)
	return 1 - max(skew, -skew)
}

// quantile interpolates between the nearest two.
func quantile(all []float64, q float64) float64 {
	s := slices.Sorted(slices.Values(all))
	at := q * float64(len(s)-1)
	i := int(at)
	if i+1 >= len(s) {
		return s[len(s)-1]
	}
	return s[i] + (at-float64(i))*(s[i+1]-s[i])
}
