// Package pathmtu knows packets that are too large for their path.
//
// Details:
//
//	tcp.mtu-blackhole          confirmed (an ICMP error for the flow is in the capture), mtu (as it says; 0: unknown), size (bytes of
//	                           payload of the segments that do not get through), passed (the largest that did), shrunkTo (what the
//	                           sender tried then; 0: nothing), seconds (without progress), retries, direction (client-to-server or
//	                           server-to-client), recovered, connections and of
//	icmp.fragmentation-needed  mtu (the smallest), messages, episodes (bursts of them), sender (whose packets are too large), router (who says so), protocol
package pathmtu

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/packet"
)

// Detector reports path MTU discovery at work, and where it does not work.
var Detector = &detect.Detector{
	Name: "pathmtu",
	Reports: []detect.Reported{
		{
			Kind:  "tcp.mtu-blackhole",
			Means: "Large segments of a connection vanish while small ones get through: a link on the path takes smaller packets, and the ICMP message that would tell the sender does not reach it. Connections open and then hang as soon as there is much to send.",
			Threshold: "a segment of at least 1,200 bytes, larger than any that got through in this direction, sent again at least twice without progress for 3 s; or twice replaced by smaller ones that got through at once. " +
				"High; confirmed by an ICMP error for the same flow (RFC 1191, RFC 8201), else suspected",
			Next: "Find the link with the smaller MTU (VPN, tunnel, VXLAN: from both ends, ping with the don't-fragment bit and growing sizes). Let ICMP type 3 code 4 (IPv6: type 2) pass every NSG and firewall, or clamp the TCP MSS there.",
		},
		{
			Kind:      "icmp.fragmentation-needed",
			Means:     "A router says that packets are too large for the next link. That is path MTU discovery at work: the sender learns the size and sends again. It should have to be told once.",
			Threshold: "one message: info; low if the sender has to be told again (more than 0.5 s later), medium from the fourth time, as it does not listen, and for an MTU below 576 bytes, which nothing real has",
			Next:      "Lower the MTU or the MSS on the sender's side, or on the tunnel, to what the message says, so that nobody has to find out at the cost of lost packets.",
		},
	},
	Start: start,
}

const (
	large   = 1200                   // bytes of payload: what every path is expected to pass is less
	without = 3 * time.Second        // progress
	ignored = 4                      // times that a sender was told
	pause   = 500 * time.Millisecond // between two of them: more than a round trip
	minimal = 576                    // bytes that every IPv4 host must accept (RFC 791)
	maxKept = 4096
)

// A Blackhole is what one side of a connection cannot get through.
type Blackhole struct {
	Size, Passed, ShrunkTo uint32
	Retries                int
	First, Last            flow.Moment
	Stuck                  time.Duration // without progress; 0 if the sender found out at once
	Recovered              bool
	Sure                   bool // small segments of the same direction do get through
}

// Suspect reports whether the payload that d sends looks as if large segments
// vanish.
func Suspect(c *detect.Connection, d flow.Direction) (Blackhole, bool) {
	side, peer := &c.Sides[d], &c.Sides[d.Other()]
	t, talk := side.Trouble(), side.Talk()
	st := t.Stall
	mss := uint32(peer.MSS)
	if mss == 0 {
		mss = 1<<16 - 1
	}
	b := Blackhole{Size: st.Size, Passed: talk.LargestAcked, ShrunkTo: st.ShrunkTo, Retries: int(st.Count), First: st.First, Last: st.Last, Recovered: st.Recovered.Seen(), Sure: true}
	end := c.Last
	if b.Recovered {
		end = st.Recovered
	}
	b.Stuck = end.Since(st.First)
	switch {
	case st.Size < large || st.Size > mss || st.Count < 2 || st.Size <= talk.LargestAcked || peer.Trouble().ZeroWindow.Seen():
	case b.Recovered && st.ShrunkTo == 0: // it got through after all
	case b.Stuck < without:
	case talk.LargestAcked > 0 || st.SACKs > 0 || st.ShrunkTo > 0 && b.Recovered || alive(peer, st.First):
		return b, true
	case c.Established() && st.Count >= 3 && peer.DataSegments > 0 && peer.Trouble().Resent == 0:
		// What the other side sent was acknowledged, so small packets pass.
		b.Sure = false
		return b, true
	}
	if t.Shrunk >= 2 && t.ShrunkFrom >= large && t.ShrunkFrom <= mss && talk.LargestAcked < t.ShrunkFrom && talk.LargestAcked > 0 {
		return Blackhole{
			Size: t.ShrunkFrom, Passed: talk.LargestAcked, ShrunkTo: t.ShrunkTo, Retries: int(t.Shrunk), First: t.FirstShrunk, Last: t.LastShrunk, Recovered: true, Sure: true,
		}, true
	}
	return Blackhole{}, false
}

// alive reports whether a side sent anything of its own after m.
func alive(s *flow.Side, m flow.Moment) bool {
	return s.Talk().Last.Frame > m.Frame || s.FIN.Frame > m.Frame
}

// way is from whom to whom packets go.
type way struct{ from, to netip.AddrPort }

// notice is what ICMP says of a way.
type notice struct {
	mtu   int
	frame int64
}

type state struct {
	pass    *detect.Pass
	notices map[way]notice
	holes   detect.Groups[detect.Pair, holes]
	told    detect.Groups[detect.Pair, messages]
}

func start(p *detect.Pass) detect.Hooks {
	s := &state{pass: p, notices: map[way]notice{}}
	p.Bound(&s.holes, &s.told)
	return detect.Hooks{ICMP: s.icmp, Connection: s.connection, End: s.end}
}

func (s *state) icmp(p *packet.Packet) {
	m := &p.ICMP
	tooBig := p.Protocol == packet.ProtocolICMP && m.Type == 3 && m.Code == 4 || p.Protocol == packet.ProtocolICMPv6 && m.Type == 2
	if !tooBig || !m.Quoted {
		return
	}
	w := way{netip.AddrPortFrom(m.QuotedSrc, m.QuotedSrcPort), netip.AddrPortFrom(m.QuotedDst, m.QuotedDstPort)}
	n, known := s.notices[w]
	if known || len(s.notices) < maxKept {
		if !known || m.MTU < n.mtu {
			s.notices[w] = notice{m.MTU, p.Number}
		}
	}
	client, server := w.from, w.to
	if w.from.Port() < 1024 && w.from.Port() < w.to.Port() && w.from.Port() != 0 {
		client, server = server, client
	}
	if g := s.told.At(detect.Pair{Client: client.Addr(), Server: server}); g != nil {
		g.NoteBetween(client, server, p.Time, p.Number)
		g.keep(p)
	}
}

func (s *state) connection(c *detect.Connection) {
	if c.Client().DataSegments+c.Server().DataSegments == 0 {
		return
	}
	k := c.Pair()
	for d := range flow.Direction(2) {
		n, told := s.notices[way{c.Endpoint(d), c.Endpoint(d.Other())}]
		b, stuck := Suspect(c, d)
		if !stuck || told && b.Stuck < without {
			continue // or the sender did learn
		}
		if g := s.holes.At(k); g != nil {
			g.add(c, d, b, n)
		}
	}
}

func (s *state) end(*detect.Summary) {
	for k, g := range s.holes.All {
		g.of = max(g.Count, s.pass.Traffic(k).Answered)
	}
	for _, g := range detect.Gather(&s.holes) {
		s.pass.Report(g.Into(g.finding()))
	}
	for _, g := range detect.Gather(&s.told) {
		s.pass.Report(g.Into(g.finding()))
	}
}

// holes are connections of the same parties that hang on large segments.
type holes struct {
	detect.Case
	of        int
	mtu       int // 0: unknown
	byServer  int
	confirmed int
	unsure    int
	worst     Blackhole
}

func (g *holes) add(c *detect.Connection, d flow.Direction, b Blackhole, n notice) {
	g.Note(c, b.First.Time, n.frame, b.First.Frame, b.Last.Frame)
	g.Last = max(g.Last, b.Last.Time)
	if d != c.ClientSide {
		g.byServer++
	}
	if n.frame != 0 {
		g.confirmed++
		g.mtu = n.mtu
	}
	if !b.Sure {
		g.unsure++
	}
	if b.Stuck >= g.worst.Stuck {
		g.worst = b
	}
}

// Join takes over another pair's connections.
func (g *holes) Join(o *holes) {
	g.Merge(&o.Case)
	g.of += o.of
	g.byServer += o.byServer
	g.confirmed += o.confirmed
	g.unsure += o.unsure
	if o.mtu != 0 && (g.mtu == 0 || o.mtu < g.mtu) {
		g.mtu = o.mtu
	}
	if o.worst.Stuck > g.worst.Stuck {
		g.worst = o.worst
	}
}

func (g *holes) finding() finding.Finding {
	w := g.worst
	f := finding.Finding{
		Kind: "tcp.mtu-blackhole", Severity: finding.High, Confidence: 0.75, Culprit: finding.Network, Flow: g.Flow(),
		Detail: map[string]any{
			"confirmed": g.confirmed > 0, "mtu": g.mtu, "size": int(w.Size), "passed": int(w.Passed), "shrunkTo": int(w.ShrunkTo), "seconds": detect.Seconds(w.Stuck),
			"retries": w.Retries, "direction": "client-to-server", "recovered": w.Recovered, "connections": g.Count, "of": g.of,
		},
	}
	from := "client"
	if 2*g.byServer >= g.Count {
		from = "server"
		f.Detail["direction"] = "server-to-client"
	}
	f.Summary = fmt.Sprintf("In %s from %s large segments of the %s (%s of payload) do not get through",
		detect.OutOf(g.Count, g.of, "connection"), g.Parties(), from, detect.Count(int(w.Size), "byte"))
	if w.Passed > 0 {
		f.Summary += fmt.Sprintf(" while those of up to %s do", detect.Count(int(w.Passed), "byte"))
	}
	if w.Stuck >= without {
		f.Summary += fmt.Sprintf(": sent again up to %d times over %s", w.Retries, detect.Span(w.Stuck))
	}
	f.Summary += fmt.Sprintf(", since %s.", detect.Clock(g.First))
	switch {
	case g.confirmed > 0 && g.mtu > 0:
		f.Confidence = 0.95
		f.Summary += fmt.Sprintf(" A router said that the path takes packets of %s at most; the sender did not hear it, or did not care.", detect.Count(g.mtu, "byte"))
	case w.ShrunkTo > 0 && w.Recovered:
		f.Confidence = 0.8
		f.Summary += fmt.Sprintf(" It went on once the sender tried %s.", detect.Count(int(w.ShrunkTo), "byte"))
		if w.Stuck < without {
			f.Severity = finding.Medium
		}
	case 2*g.unsure > g.Count:
		f.Confidence = 0.6
	}
	return f
}
