package analysis

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/dissect/dns"
	"github.com/pcapwarden/pcapwarden/internal/dissect/tls"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/flow"
)

// Which connection decides is known at the end, when connections are gone. So
// the ladders of those that might are kept: the first few of each pair of
// endpoints that did not go well.
const (
	maxCandidates = 512
	maxPerPair    = 2
)

type candidates struct {
	ladders []Ladder
	perPair map[pair]int
}

// pair is whose ladders are counted together.
type pair struct {
	client netip.Addr
	server netip.AddrPort
}

func (c *candidates) room(p pair) bool {
	if len(c.ladders) >= maxCandidates || c.perPair[p] >= maxPerPair {
		return false
	}
	if c.perPair == nil {
		c.perPair = map[pair]int{}
	}
	c.perPair[p]++
	return true
}

// wants reports whether something is wrong with a connection, so that its
// ladder may be asked for, and there is room.
func (c *candidates) wants(conn *detect.Connection) bool {
	wrong := conn.RST().Seen() || !conn.SYNACK.Seen() && conn.FirstSYN.Seen() || conn.Break().Silence() > 0
	for i := range conn.Sides {
		s := &conn.Sides[i]
		wrong = wrong || s.Retransmissions() > 0 || s.Trouble().ZeroWindow.Seen()
	}
	if conn.TLS != nil {
		_, failed := conn.TLS.Failure()
		wrong = wrong || failed || conn.TLS.Stage() != tls.StageEstablished
	}
	return wrong && c.room(pair{conn.ClientAddr().Addr(), conn.ServerAddr()})
}

// connection keeps the ladder of a connection.
func (c *candidates) connection(conn *detect.Connection) {
	l := Ladder{Lanes: []finding.Endpoint{{AddrPort: conn.ClientAddr()}, {AddrPort: conn.ServerAddr()}}}
	l.Title = fmt.Sprintf("TCP %s to %s", conn.ClientAddr(), conn.ServerAddr())
	for _, e := range conn.Events {
		if len(l.Steps) == MaxLadderSteps {
			break
		}
		s := step(e, conn.ClientSide)
		if n := len(l.Steps); n > 0 && l.Steps[n-1].Packet == s.Packet {
			l.Steps[n-1].Label += ", " + s.Label // one packet, seen twice: a SYN, sent again
			continue
		}
		l.Steps = append(l.Steps, s)
	}
	c.ladders = append(c.ladders, l)
}

func step(e flow.Event, client flow.Direction) Step {
	s := Step{Packet: e.Frame, Time: e.Time.Time(), To: 1, Label: e.String()}
	if e.From != client {
		s.From, s.To = 1, 0
	}
	return s
}

// lookup keeps the ladder of a lookup that was not answered at once.
func (c *candidates) lookup(l *dns.Lookup) {
	failed := false
	for i := range l.Tries {
		failed = failed || l.Tries[i].Failed()
	}
	if !failed || !c.room(pair{l.Client, l.Tries[0].Server}) {
		return
	}
	out := Ladder{
		Title: fmt.Sprintf("DNS lookup of %s by %s", l.Name, l.Client),
		Lanes: []finding.Endpoint{{AddrPort: netip.AddrPortFrom(l.Client, 0)}},
	}
	for i := range l.Tries {
		t := &l.Tries[i]
		lane := slices.IndexFunc(out.Lanes, func(e finding.Endpoint) bool { return e.AddrPort == t.Server })
		if lane < 0 {
			lane = len(out.Lanes)
			out.Lanes = append(out.Lanes, finding.Endpoint{AddrPort: t.Server})
		}
		label := fmt.Sprintf("%s %s?", l.Type, l.Name)
		if t.Queries > 1 {
			label += fmt.Sprintf(" (%d times)", t.Queries)
		}
		out.Steps = append(out.Steps, Step{Packet: t.Frame, Time: t.Asked.Time(), To: lane, Label: label})
		if t.Answered {
			out.Steps = append(out.Steps, Step{Packet: t.Reply, Time: t.Answer.Time(), From: lane, Label: t.RCode.String()})
		}
	}
	slices.SortStableFunc(out.Steps, func(a, b Step) int { return cmp.Compare(a.Packet, b.Packet) })
	c.ladders = append(c.ladders, out)
}

// choose returns the ladders of the findings that decide: those that hold one
// of a finding's packets.
func (c *candidates) choose(findings []finding.Finding, deciding []int) []Ladder {
	chosen := []Ladder{}
	taken := map[int]bool{}
	for _, f := range deciding {
		best, hits := -1, 0
		for i, l := range c.ladders {
			n := 0
			for _, s := range l.Steps {
				if slices.Contains(findings[f].Packets, s.Packet) {
					n++
				}
			}
			if n > hits && !taken[i] {
				best, hits = i, n
			}
		}
		if best < 0 || len(chosen) == MaxLadders {
			continue
		}
		taken[best] = true
		l := c.ladders[best]
		l.Finding = f
		for i := range l.Steps {
			l.Steps[i].Key = slices.Contains(findings[f].Packets, l.Steps[i].Packet)
		}
		chosen = append(chosen, l)
	}
	return chosen
}
