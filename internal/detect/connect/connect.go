// Package connect knows connections that never came about: refused,
// unanswered, half-open, and the many of a scan or a flood.
//
// Details: attempts (connections tried), synPackets, worked (connections of
// the same parties that came about), clients and services (how many of each,
// where more than one), and
//
//	tcp.connect-refused  otherMachine (what refused sits elsewhere than the server, by its TTL or its haste),
//	                     stoppedAt (RFC 3339: it worked until then), fellBack (the port was reached over the other IP version)
//	tcp.connect-timeout  hostSeen (the host answered something else), reusedPorts (attempts from ports used a moment before)
//	tcp.half-open        answerLost (the client asked again after the answer passed);
//	                     of a flood: flood true, sources, perSecond, answered
//	traffic.scan         type (horizontal, vertical), hosts, ports, refused, silent, open, perSecond
package connect

import (
	"net/netip"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// Detector reports attempts that failed.
var Detector = &detect.Detector{
	Name: "connect",
	Reports: []detect.Reported{
		{
			Kind:      "tcp.connect-refused",
			Means:     "A SYN was answered with a RST: nothing listens on the port, or a firewall rejects the connection in the host's name.",
			Threshold: "one refused attempt (Zeek's REJ); high if nothing else came about between the same parties, or nothing since then, medium from 10 % of the attempts or for a single one, else low, as where the client got to the port over the other IP version",
			Next:      "On the server, check whether the service runs and listens on this port and address; then who tells the client to use it.",
		},
		{
			Kind:      "tcp.connect-timeout",
			Means:     "SYNs went unanswered: they, or the answers, were dropped on the way, or the host is gone.",
			Threshold: "no answer for 3 s or after a second SYN (hosts send it again after 1 s, RFC 6298); severity by the share of the attempts, as for refused ones. Attempts that an ICMP error answered are icmp.unreachable; where the answers of all connections are missing, the capture is tcp.one-way",
			Next:      "Check the NSG and the effective routes of both ends for this flow, then any firewall in between; capture at the other end to see where the SYN is lost.",
		},
		{
			Kind:      "tcp.half-open",
			Means:     "A SYN-ACK was sent and never acknowledged: it was lost on the way, its route leads elsewhere, or the client never wanted to connect. Very many at once are a SYN flood, answered or not.",
			Threshold: "SYN and SYN-ACK, no ACK for 3 s; a flood: at least 500 attempts that lead nowhere against one host, ten times as many as came about, from 100 addresses or at 100 a second",
			Next:      "Check the route back to the client: asymmetric routing through a stateful firewall looks like this. Against a flood, see that SYN cookies are on, and turn to DDoS protection.",
		},
		{
			Kind:      "traffic.scan",
			Means:     "One machine tries many hosts on a port, or many ports of a host, and mostly fails: it looks for something that listens.",
			Threshold: "failed attempts within 5 minutes: 25 hosts on one port, or 15 ports of one host (as Zeek's scan policy), or 10 ports of one host within a second",
			Next:      "Find out who runs the scanning machine: a known vulnerability scanner belongs on the list of exceptions, anything else is for security operations. See which of its attempts were answered.",
		},
	},
	Start: start,
}

// patience is how long an attempt may wait before it counts as unanswered: the
// first two tries of a host lie within it.
const patience = 3 * time.Second

// maxKept bounds what is kept of each sort beside the cases.
const maxKept = 65536

// An attempt is a connection that did not come about.
type attempt struct {
	client, server netip.AddrPort
	syns           int
	first, last    flow.Moment
	answered       bool // by a SYN-ACK
	again          bool // the client sent its SYN again after the SYN-ACK
	reused         bool // from a port that was used a moment before
}

func (a *attempt) pair() detect.Pair { return detect.Pair{Client: a.client.Addr(), Server: a.server} }

// A host is what is known of a machine that answered.
type host struct {
	ttl    uint8         // 0: it only sent RSTs
	answer time.Duration // the shortest time from SYN to SYN-ACK
}

// success is the connections of a pair that came about.
type success struct {
	count       int
	first, last pcap.Timestamp
}

type state struct {
	pass     *detect.Pass
	refused  detect.Groups[detect.Pair, attempts]
	silent   detect.Groups[detect.Pair, attempts]
	halfOpen detect.Groups[detect.Pair, attempts]
	sources  detect.Groups[netip.Addr, source]
	targets  detect.Groups[netip.Addr, target]
	nowhere  target // attempts against targets beyond the bound

	worked   detect.PerPair[success]
	hosts    map[netip.Addr]*host
	rejected map[detect.Pair]bool        // an ICMP error answered
	waiting  []attempt                   // to be judged when the end of the capture is known
	refusing map[netip.AddrPort]struct{} // services that refused
	oneSided int                         // successes of which the server's side is not in the capture
	twoSided int                         // the others
	targeted int                         // targets of all sources that are told apart
	knocking int                         // sources of all targets
}

func start(p *detect.Pass) detect.Hooks {
	s := &state{pass: p, hosts: map[netip.Addr]*host{}, rejected: map[detect.Pair]bool{}, refusing: map[netip.AddrPort]struct{}{}}
	p.Bound(&s.refused, &s.silent, &s.halfOpen, &s.sources, &s.targets)
	return detect.Hooks{Connection: s.connection, ICMP: s.icmp, End: s.end}
}

// icmp remembers which SYNs an error answered.
func (s *state) icmp(p *packet.Packet) {
	m := &p.ICMP
	if !m.Quoted || m.QuotedProtocol != packet.ProtocolTCP || len(s.rejected) >= maxKept {
		return
	}
	hard := p.Protocol == packet.ProtocolICMP && (m.Type == 3 && m.Code != 4 || m.Type == 11) || p.Protocol == packet.ProtocolICMPv6 && (m.Type == 1 || m.Type == 3)
	if hard {
		s.rejected[detect.Pair{Client: m.QuotedSrc, Server: netip.AddrPortFrom(m.QuotedDst, m.QuotedDstPort)}] = true
	}
}

func (s *state) connection(c *detect.Connection) {
	s.learn(c)
	if !c.FirstSYN.Seen() {
		return
	}
	k := c.Pair()
	if k.Platform() {
		return
	}
	a := attempt{
		client: c.ClientAddr(), server: c.ServerAddr(), syns: int(c.Client().SYNs), first: c.FirstSYN, last: c.Last,
		answered: c.SYNACK.Seen(), again: c.SYNACK.Seen() && c.LastSYN.Frame > c.SYNACK.Frame, reused: c.ReusedPorts,
	}
	rst := c.RST()
	switch {
	case c.Established() || c.Unseen(c.ClientSide.Other()) || c.SYNACK.Seen() && c.Completeness.Has(flow.SawPayload):
		s.success(c)
	case rst.Seen() && rst.Phase == flow.AfterSYN && rst.From != c.ClientSide:
		s.refuse(c, &a)
	case rst.Seen() && rst.From == c.ClientSide:
		// The client took its SYN back: a scanner that knows enough, or one
		// that tried two addresses at once. A connection that a stateful
		// device disowns looks like this too: that is a reset.
		if src := s.sources.At(k.Client); src != nil && c.SYNACK.Seen() {
			src.open++
		}
	case c.Reason != flow.CaptureEnded:
		s.unanswered(&a)
	case len(s.waiting) < maxKept:
		s.waiting = append(s.waiting, a)
	default:
		s.pass.Leave(1)
	}
}

// learn keeps how far away the hosts are that answer.
func (s *state) learn(c *detect.Connection) {
	server := c.Server()
	if server.Packets == 0 {
		return
	}
	a := c.ServerAddr().Addr()
	h := s.hosts[a]
	if h == nil {
		if len(s.hosts) >= maxKept {
			return
		}
		h = new(host)
		s.hosts[a] = h
	}
	if server.Packets > server.RSTs {
		h.ttl = server.TTL
	}
	if d := c.Latency().ServerPart; d > 0 && (h.answer == 0 || d < h.answer) {
		h.answer = d
	}
}

func (s *state) success(c *detect.Connection) {
	if c.SYNACK.Seen() {
		s.twoSided++
	} else {
		s.oneSided++
	}
	w := s.worked.At(c.Number)
	if w == nil {
		return
	}
	if w.count == 0 || c.FirstSYN.Time < w.first {
		w.first = c.FirstSYN.Time
	}
	w.last = max(w.last, c.FirstSYN.Time)
	w.count++
}

// successes are the connections of k that came about.
func (s *state) successes(k detect.Pair) success {
	if w := s.worked.At(s.pass.Number(k)); w != nil {
		return *w
	}
	return success{}
}

func (s *state) refuse(c *detect.Connection, a *attempt) {
	if s.scans(a, true) {
		return
	}
	group := s.refused.At(a.pair())
	if group == nil {
		return
	}
	group.add(a, c.RST().Frame)
	asked := c.LastSYN
	if asked.Frame > c.RST().Frame {
		asked = c.FirstSYN // it was asked again after the first RST
	}
	group.resets = append(group.resets, answer{c.RST().TTL, c.RST().Since(asked)})
	group.resets = group.resets[max(0, len(group.resets)-16):]
	if c.RST().TTLDiffers() {
		group.foreign++
	}
}

// unanswered places an attempt that nobody answered, or whose answer nobody
// acknowledged.
func (s *state) unanswered(a *attempt) {
	if s.rejected[a.pair()] {
		return
	}
	if scanned, flooded := s.scans(a, false), s.floods(a); scanned || flooded {
		return
	}
	group := &s.silent
	if a.answered {
		group = &s.halfOpen
	}
	if g := group.At(a.pair()); g != nil {
		g.add(a, a.last.Frame)
		g.Last = max(g.Last, a.last.Time)
	}
}

func (s *state) end(sum *detect.Summary) {
	for i := range s.waiting {
		a := &s.waiting[i]
		if sum.Last.Sub(a.first.Time) < patience && a.syns < 2 {
			// The capture ended too early to say more.
			s.scans(a, false)
			if t, found := s.targets.Find(a.server.Addr()); found && t.Count >= floodAttempts {
				s.floods(a)
			}
			continue
		}
		s.unanswered(a)
	}
	scanners := s.reportScans()
	flooded := s.reportFloods(scanners)
	for _, g := range []*detect.Groups[detect.Pair, attempts]{&s.refused, &s.silent, &s.halfOpen} {
		g.Keep(func(k detect.Pair, a *attempts) bool {
			a.success = s.successes(k)
			return !scanners[k.Client] && (!flooded[k.Server.Addr()] || g == &s.refused)
		})
	}
	s.fallbacks()
	for k := range s.refused.All {
		s.refusing[k.Server] = struct{}{}
	}
	for _, a := range detect.Gather(&s.refused) {
		s.reportRefused(a)
	}
	if s.oneSided > 4*s.twoSided {
		return // answers are not in the capture: tcp.one-way
	}
	for _, a := range detect.Gather(&s.silent) {
		s.reportSilent(a)
	}
	for _, a := range detect.Gather(&s.halfOpen) {
		s.reportHalfOpen(a)
	}
}
