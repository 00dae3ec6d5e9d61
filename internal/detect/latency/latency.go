// Package latency knows where the time goes: into the network, the server or
// the client.
//
// Details:
//
//	tcp.slow-handshake  seconds (the longest, first SYN to ACK), synRetries, serverPart and clientPart (seconds of the
//	                    longest: SYN to SYN-ACK, SYN-ACK to ACK), medianSeconds (of the same parties), rttSeconds
//	app.slow-response   seconds (the longest, as captured), thinkSeconds (of it, without the round trip), rttSeconds, acknowledgedAfter (seconds until the
//	                    server had acknowledged the request), answers, slow, unanswered, phase (request or greeting), percent
//	app.slow-client     seconds (the longest, handshake to first request), rttSeconds
//
// and in all of them connections (affected) and of (connections of the same
// parties), and nearServer (the capture point is at the server's end).
package latency

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/dissect/tls"
	"github.com/pcapwarden/pcapwarden/internal/flow"
)

// Detector reports slow handshakes, servers and clients.
var Detector = &detect.Detector{
	Name: "latency",
	Reports: []detect.Reported{
		{
			Kind:  "tcp.slow-handshake",
			Means: "The TCP handshake took long: packets of it were lost and sent again, the path is slow, or the server was slow to accept.",
			Threshold: "more than 1 s from the first SYN to the ACK, or more than 10 times the median of the same parties and 0.2 s, or 0.3 s (150 ms each way, ITU-T G.114) if the acknowledgement of the first request took that long as well. " +
				"Medium from half of the handshakes, low from 5 %, else info",
			Next: "SYNs that are lost point at the path or at a full accept queue; a long round trip at the route (another region, a VPN, a congested link). Compare the round trip with the distance.",
		},
		{
			Kind:  "app.slow-response",
			Means: "The server received a request, acknowledged it, and took long to answer, or did not answer at all: the application is slow, not the network. Where even the acknowledgement was late, it is the network.",
			Threshold: "more than 1 s and 5 round trips from the last byte of the request to the first of the answer; without an answer, 10 s, or 5 s when the client gave up. Interactive sessions (SSH, telnet, RDP, VNC) and " +
				"TLS messages too small for a request are left out. Medium from 10 % of the answers, or 2 % if it took 5 s; high from half of 5; low from 1 %, else info",
			Next: "Look at the server's own figures for these requests: the application log, its database, the queue in front of it, CPU. The packets say when it got the request and when it began to answer.",
		},
		{
			Kind:      "app.slow-client",
			Means:     "The client connected and then took long to send its first request: whatever is slow happens before the network, on the client.",
			Threshold: "more than 1 s and 5 round trips from the end of the handshake to the first request, of a client that speaks first; medium from half of the connections, low from 10 %, else info",
			Next:      "Look at the client between connecting and sending: a thread pool, a proxy script, a name lookup, an antivirus. Browsers that connect ahead of need look like this, too.",
		},
	},
	Start: start,
}

const (
	slow      = time.Second
	roundTrip = 5 // so many of them are no network's fault
	outlier   = 10
	least     = 200 * time.Millisecond // an outlier below is not worth a word
	// farAway is the round trip of a path that people notice: 150 ms each way
	// (ITU-T G.114).
	farAway = 300 * time.Millisecond

	forever = 10 * time.Second // without an answer
	gaveUp  = 5 * time.Second  // without an answer, until the client closed
)

// smallTLS is what is too small for a request or an answer in TLS: alerts,
// and the frames with which HTTP/2 keeps its connections.
const smallTLS = 48

// interactive are the ports of people, who wait for commands to finish.
var interactive = map[uint16]bool{22: true, 23: true, 3389: true, 5900: true, 5901: true}

type state struct {
	pass       *detect.Pass
	handshakes detect.Groups[detect.Pair, handshakes]
	responses  detect.Groups[detect.Pair, responses]
	clients    detect.Groups[detect.Pair, clients]
	waiting    []question
	pairs      detect.PerPair[pace]
}

// pace is what is known of all connections of a pair, slow or not.
type pace struct {
	handshakes uint32
	spoke      uint32    // connections on which the client said something
	answering  uint32    // connections with answers
	answers    uint32    // on these
	sample     [8]uint32 // of the handshakes, in microseconds
}

// typical is the median of the first handshakes.
func (p *pace) typical() time.Duration {
	n := min(int(p.handshakes), len(p.sample))
	if n == 0 {
		return 0
	}
	s := p.sample // a copy
	slices.Sort(s[:n])
	return time.Duration(s[(n-1)/2]) * time.Microsecond
}

// question is one that had no answer when the capture ended.
type question struct {
	client, server netip.AddrPort
	service        string
	asked, last    flow.Moment
}

const maxWaiting = 16384

func start(p *detect.Pass) detect.Hooks {
	s := &state{pass: p}
	p.Bound(&s.handshakes, &s.responses, &s.clients)
	return detect.Hooks{Connection: s.connection, End: s.end}
}

func (s *state) connection(c *detect.Connection) {
	k := c.Pair()
	if k.Platform() || c.OneWay() {
		return
	}
	s.pace(c)
	far := false
	if c.Established() {
		far = s.handshake(k, c)
		s.firstRequest(k, c)
	}
	if !interactive[c.ServerAddr().Port()] && !handshaking(c) {
		s.respond(k, c, far)
	}
}

func (s *state) pace(c *detect.Connection) {
	p := s.pairs.At(c.Number)
	if p == nil {
		return
	}
	if c.Established() {
		if p.handshakes < uint32(len(p.sample)) {
			p.sample[p.handshakes] = uint32(min(max(c.Latency().Handshake/time.Microsecond, 0), math.MaxUint32))
		}
		p.handshakes++
		if c.Client().Talk().First.Seen() {
			p.spoke++
		}
	}
	if n := c.Server().Talk().Answers; n > 0 {
		p.answering++
		p.answers += n
	}
}

// paceOf returns what is known of a pair.
func (s *state) paceOf(k detect.Pair) pace {
	if p := s.pairs.At(s.pass.Number(k)); p != nil {
		return *p
	}
	return pace{}
}

// handshaking reports whether TLS has not got to requests.
func handshaking(c *detect.Connection) bool {
	return c.TLS != nil && c.TLS.Hello != nil && c.TLS.Stage() != tls.StageEstablished
}

func (s *state) end(sum *detect.Summary) {
	for _, q := range s.waiting {
		k := detect.Pair{Client: q.client.Addr(), Server: q.server}
		if sum.Last.Sub(q.asked.Time) < forever {
			continue
		}
		if r := s.responses.At(k); r != nil {
			r.unanswered(&q, sum.Last.Sub(q.asked.Time))
		}
	}
	s.handshakes.Keep(func(k detect.Pair, h *handshakes) bool {
		p := s.paceOf(k)
		return h.judge(&p)
	})
	for k, r := range s.responses.All {
		p := s.paceOf(k)
		r.of = max(r.Count, int(p.answering))
		r.answers = max(r.slow, r.silent+int(p.answers))
	}
	for k, g := range s.clients.All {
		g.of = max(g.Count, int(s.paceOf(k).spoke))
	}
	for _, h := range detect.Gather(&s.handshakes) {
		s.pass.Report(h.Into(s.slowHandshake(h)))
	}
	for _, r := range detect.Gather(&s.responses) {
		s.pass.Report(r.Into(r.finding()))
	}
	for _, g := range detect.Gather(&s.clients) {
		s.pass.Report(g.Into(g.finding()))
	}
}
