// Package resolve detects name resolution that fails, is late, or asks a
// resolver that is not there.
//
// Details, all of them optional but the first:
//
//	resolver         address of the resolver that the finding is about
//	expected         whether the policy lists it; absent without a policy
//	clients          how many addresses asked it
//	questions        transactions with it: one id from one port
//	unanswered       of these, without an answer
//	queries          packets of those
//	onRetry          questions that were answered once they were asked again
//	lost, lookups    names that were never resolved, and all that it was asked for
//	name, type       of one of the questions concerned
//	rcode            as in RFC 1035 and 2136, such as SERVFAIL
//	names            how many different names failed
//	recovered        lookups that failed at first and were answered by the same server
//	fallbackTo       who answered instead
//	delaySeconds     median of what the client waited; worstSeconds: the longest
//	medianSeconds    of the answers in time
//	icmp, icmpFrom   the ICMP error that quoted a question: type/code and sender
//	leasePacket, leaseServer, leaseResolvers, leaseNamesIt
//	                 the client's DHCP lease, and whether it names the resolver
//	overOneSecond    answers that took longer
//	truncated        the answers did not fit into a datagram
//	moreResolvers    of which the same is true, and which are not reported
//	othersAnswered   clients that do not ask this resolver and get their answers
package resolve

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/dissect/dns"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/packet"
)

// Detector reports what DNS lookups show.
var Detector = &detect.Detector{
	Name: "resolve",
	Reports: []detect.Reported{
		{
			Kind:      "dns.resolver-unreachable",
			Means:     "A resolver answered none of the questions that it was asked: it is gone, it does not listen, or something drops port 53 on the way.",
			Threshold: "at least 3 queries and not one answer, or no answer and an ICMP error that quotes a query. A question counts as unanswered 5 s after it was asked (tshark's dns.retransmission_timer) or when the client turns to another resolver.",
			Next:      "Check the DNS servers of the virtual network and of the network interface, and what the machine really uses (resolv.conf, ipconfig /all): an old DHCP lease may name a resolver that is gone, renew it. Then the NSG and the effective route to the resolver, port 53.",
		},
		{
			Kind:      "dns.timeout",
			Means:     "Questions stayed without an answer, or were answered only after they were asked again, although the resolver answers others.",
			Threshold: "one question without an answer for 5 s, or one that took a second query; tshark's dns.retransmission_timer",
			Next:      "Look at the load and the log of the resolver, and for loss between it and the client: a capture at the resolver shows whether the questions arrive.",
		},
		{
			Kind:      "dns.fallback",
			Means:     "The resolver that was asked first failed and another one answered: every such lookup costs the client the wait for the first.",
			Threshold: "one lookup: the same client, name and type, at most 15 s apart; resolvers that are asked at the same time (within 200 ms) are no fallback",
			Next:      "Remove or mend the first resolver: the DNS servers of the virtual network or the network interface, then renew the DHCP lease.",
		},
		{
			Kind:      "dns.failure",
			Means:     "A resolver answered with an error, a name that does not exist keeps being asked for, or an answer was cut and never fetched over TCP.",
			Threshold: "one lookup that ended in SERVFAIL, REFUSED or another error (RFC 1035, 4.1.1); NXDOMAIN for the same name 3 times, or for 20 names, search suffixes left out; one truncated answer without a query over TCP within 5 s (RFC 7766, 5)",
			Next:      "Ask the resolver's log for the name. For a private zone check that it is linked to the virtual network and that the resolver forwards to 168.63.129.16.",
		},
		{
			Kind:      "dns.slow",
			Means:     "Answers came, late. Whoever opens a connection by name waits for them.",
			Threshold: "more than 1 s; or more than ten times the resolver's median and 100 ms, 3 times",
			Next:      "Look at the resolver's forwarders: a dead one in front of a good one costs its time-out each time. Then at the resolver's load.",
		},
	},
	Start: start,
}

// Bounds of what is kept of one resolver, and of all: captures may hold any
// number of them.
const (
	maxClients = 64
	maxDelays  = 1024
	maxLate    = 256
	maxTimes   = 1 << 17 // latencies and late answers
	maxNames   = 1 << 14 // that failed or do not exist
)

type state struct {
	pass      *detect.Pass
	questions int // to all resolvers
	times     int // that are kept
	names     int
	resolvers detect.Groups[netip.Addr, resolver]
	errors    detect.Groups[errorKey, failures]
	missing   detect.Groups[netip.Addr, missing] // by client
	exists    map[string]netip.Addr              // names with an answer, and who gave it
	cuts      []cut
	leases    map[netip.Addr]lease // by client
	streams   map[stream]attempt   // TCP connections to port 53
}

// resolver is how one server was seen to behave.
type resolver struct {
	clients   []netip.Addr
	protocol  string
	questions int
	answered  int

	silence   detect.Tally // questions without an answer
	queries   int          // packets of these
	open      int          // and of questions that the end of the capture left open
	name      string       // of one of them
	typ       dns.Type
	sameName  bool // all of them ask for it
	onRetry   detect.Tally
	lookups   int // that involved it
	lost      int // and never came to an answer
	fallbacks fallbacks
	icmp      icmpError
	unreached int // ICMP errors

	latencies []time.Duration // of the first answers that no retry preceded
	usual     time.Duration   // their median when they were usualOf
	usualOf   int
	late      []late
}

func start(p *detect.Pass) detect.Hooks {
	s := &state{pass: p, exists: map[string]netip.Addr{}, streams: map[stream]attempt{}, leases: map[netip.Addr]lease{}}
	p.Bound(&s.resolvers, &s.errors, &s.missing)
	return detect.Hooks{
		Transaction: s.transaction, Lookup: s.lookup, Lease: s.lease, ICMP: s.icmp, Connection: s.connection, End: s.end,
	}
}

func (s *state) resolver(server netip.Addr) *resolver {
	r := s.resolvers.At(server)
	if r != nil && r.protocol == "" {
		r.protocol = "udp"
	}
	return r
}

func (r *resolver) asks(client netip.Addr) bool {
	return slices.Contains(r.clients, client)
}

func (s *state) transaction(t *dns.Transaction) {
	s.questions++
	r := s.resolver(t.Server.Addr())
	if r == nil {
		return
	}
	if r.questions++; r.questions == 1 && t.TCP {
		r.protocol = "tcp"
	}
	if len(r.clients) < maxClients && !r.asks(t.Client.Addr()) {
		r.clients = append(r.clients, t.Client.Addr())
	}
	switch {
	case t.Answered:
		r.answered++
		s.latency(r, t)
	case !t.Undecided || t.Unreachable != 0:
		r.silent(t.Name, t.Type)
		r.queries += t.Queries
		r.silence.Add(t.First, append(t.QueryFrames, t.Unreachable)...)
		r.silence.Last = max(r.silence.Last, t.Last)
	default:
		r.open += t.Queries
	}
}

// silent notes what a question was about that got no answer.
func (r *resolver) silent(name string, typ dns.Type) {
	if r.silence.Count == 0 {
		r.name, r.typ, r.sameName = name, typ, true
	}
	r.sameName = r.sameName && name == r.name
}

func (s *state) lookup(l *dns.Lookup) {
	good := answerOf(l)
	decided := true
	for i := range l.Tries {
		t := &l.Tries[i]
		decided = decided && (t.Answered || !t.Undecided)
		if r := s.resolver(t.Server.Addr()); r != nil && firstTryOf(l, i) {
			r.lookups++
		}
		// Whoever asks another one and gets its answer has given up on this
		// one, even if the capture ends soon after.
		if t.Undecided && !t.Answered && t.Unreachable == 0 && gaveUp(t, good) {
			if r := s.resolver(t.Server.Addr()); r != nil {
				r.silent(l.Name, l.Type)
				r.silence.Add(t.Asked, t.Frame)
			}
		}
	}
	if good == nil && decided {
		for i := range l.Tries {
			if r := s.resolver(l.Tries[i].Server.Addr()); r != nil && !l.Tries[i].Answered && firstTryOf(l, i) {
				r.lost++
			}
		}
	}
	s.fellBack(l, good)
	s.answers(l, good)
}

// firstTryOf reports whether no earlier try of the lookup asked this server.
func firstTryOf(l *dns.Lookup, i int) bool {
	for _, t := range l.Tries[:i] {
		if t.Server.Addr() == l.Tries[i].Server.Addr() {
			return false
		}
	}
	return true
}

// answerOf returns the answer that came first: a name that does not exist is
// one, an error is none.
func answerOf(l *dns.Lookup) *dns.Try {
	var good *dns.Try
	for i := range l.Tries {
		t := &l.Tries[i]
		if usable(t) && (good == nil || t.Answer < good.Answer) {
			good = t
		}
	}
	return good
}

func usable(t *dns.Try) bool {
	return t.Answered && (t.RCode == dns.NoError || t.RCode == dns.NameError)
}

// An icmpError is the last one that quoted a question to a resolver.
type icmpError struct {
	typ, code uint8
	from      netip.Addr
}

func (s *state) icmp(p *packet.Packet) {
	m := &p.ICMP
	v4 := p.Protocol == packet.ProtocolICMP && m.Type == 3 && m.Code != 4
	if !v4 && (p.Protocol != packet.ProtocolICMPv6 || m.Type != 1) {
		return
	}
	if m.Quoted && m.QuotedProtocol == packet.ProtocolUDP && m.QuotedDstPort == 53 {
		if r := s.resolver(m.QuotedDst); r != nil {
			r.unreached++
			r.icmp = icmpError{m.Type, m.Code, p.Src}
		}
	}
}

// prohibited reports whether the sender is a filter that says so (RFC 1812,
// 5.2.7.1; RFC 4443, 3.1).
func (e icmpError) prohibited() bool {
	if e.typ == 3 {
		return e.code == 9 || e.code == 10 || e.code == 13
	}
	return e.typ == 1 && (e.code == 1 || e.code == 5 || e.code == 6)
}

// closed reports whether the host itself says that nobody listens.
func (e icmpError) closed() bool { return e.typ == 3 && e.code == 3 || e.typ == 1 && e.code == 4 }

func (s *state) end(sum *detect.Summary) {
	s.each(func(r *resolver) bool { return r.dead() }, s.reportDead)
	s.each(func(r *resolver) bool { return !r.dead() && r.silence.Count+r.onRetry.Count > 0 }, s.reportTimeouts)
	s.each(func(r *resolver) bool { return r.fallbacks.Count > 0 }, s.reportFallback)
	s.each(func(r *resolver) bool { return len(r.late) > 0 }, s.reportSlow)
	s.reportErrors()
	s.reportMissing()
	s.reportCuts(sum.Last)
}

// maxReported is how many findings of a kind are made. A machine that resolves
// names by itself asks hundreds of servers, and some are always out of order.
const maxReported = 16

// each reports on the resolvers of which something is true, those that were
// asked most. It tells how many are left out.
func (s *state) each(is func(*resolver) bool, report func(netip.Addr, *resolver, int)) {
	var chosen []netip.Addr
	for server, r := range s.resolvers.All {
		if is(r) {
			chosen = append(chosen, server)
		}
	}
	slices.SortStableFunc(chosen, func(a, b netip.Addr) int {
		return cmp.Compare(s.resolver(b).questions, s.resolver(a).questions)
	})
	for _, server := range chosen[:min(len(chosen), maxReported)] {
		report(server, s.resolver(server), max(0, len(chosen)-maxReported))
	}
}

// others adds to a finding that there are more like it.
func others(f *finding.Finding, more int) {
	if more > 0 {
		f.Detail["moreResolvers"] = more
		f.Summary += fmt.Sprintf(" The same goes for %s more.", detect.Count(more, "resolver"))
	}
}

// about is the flow of a finding: with the client if there was only one.
func (r *resolver) about(server netip.Addr) *finding.Flow {
	f := &finding.Flow{Protocol: r.protocol, Server: finding.Endpoint{AddrPort: netip.AddrPortFrom(server, 53)}}
	if len(r.clients) == 1 {
		f.Client = finding.Endpoint{AddrPort: netip.AddrPortFrom(r.clients[0], 0)}
	}
	return f
}
