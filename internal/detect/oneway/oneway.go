// Package oneway knows connections of which the capture holds one direction.
//
// Details of tcp.one-way: oneSided and connections (how many of how many),
// percent, seen (client, server or both: which side was captured), wholeCapture
// (it concerns nearly all connections), filtered.
package oneway

import (
	"fmt"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/flow"
)

// Detector reports one-sided conversations.
var Detector = &detect.Detector{
	Name: "oneway",
	Reports: []detect.Reported{{
		Kind: "tcp.one-way",
		Means: "Connections go on although one of their directions never passes the capture point: the answers take another route, or the capture leaves them out. " +
			"Nothing that needs both directions can be said of them.",
		Threshold: "3 packets from one side that show that the other one answers (its ACKs advance, or its data need not be sent again). " +
			"Above 80 % of the TCP connections it is one finding about the capture, medium; below, one for each service all of whose connections are one-sided: medium from 3, else low. Info if the capture had filters, which prove nothing",
		Next: "Check the capture's filters first: they must match both directions. Then compare the routes of both directions (effective routes, UDRs, several NICs or NVAs): a stateful firewall that sees one of them drops connections.",
	}},
	Start: start,
}

// nearlyAll is the share of one-sided connections that is no matter of single
// services any more.
const nearlyAll = 0.8

// sided are the one-sided connections of the same parties.
type sided struct {
	detect.Case
	of       int
	byClient int // of which the client's side was captured
}

// Join takes over another pair's connections.
func (s *sided) Join(o *sided) {
	s.Merge(&o.Case)
	s.of += o.of
	s.byClient += o.byClient
}

func start(p *detect.Pass) detect.Hooks {
	var pairs detect.Groups[detect.Pair, sided]
	p.Bound(&pairs)
	var all sided
	return detect.Hooks{
		Connection: func(c *detect.Connection) {
			k := c.Pair()
			seen := c.ClientSide
			if c.Sides[seen].Packets == 0 {
				seen = seen.Other()
			}
			lone := c.OneWay() && c.Sides[seen].Packets >= 3 && c.Unseen(seen.Other())
			if !lone && c.OneWay() {
				return // nobody answers, or it is too short to say
			}
			all.of++
			if !lone {
				return
			}
			all.add(c, seen)
			if g := pairs.At(k); g != nil {
				g.add(c, seen)
			}
		},
		End: func(*detect.Summary) {
			if all.Count == 0 {
				return
			}
			if float64(all.Count) > nearlyAll*float64(all.of) {
				p.Report(all.Into(all.whole(p)))
				return
			}
			pairs.Keep(func(k detect.Pair, g *sided) bool {
				g.of = g.Count
				return p.Traffic(k).Answered == 0
			})
			for _, g := range detect.Gather(&pairs) {
				p.Report(g.Into(g.service(p)))
			}
		},
	}
}

func (s *sided) add(c *detect.Connection, seen flow.Direction) {
	s.Note(c, c.First.Time, c.First.Frame, c.Last.Frame)
	s.Last = max(s.Last, c.Last.Time)
	if seen == c.ClientSide {
		s.byClient++
	}
}

func (s *sided) seen() string {
	switch s.byClient {
	case s.Count:
		return "client"
	case 0:
		return "server"
	}
	return "both"
}

// which says whose packets are there, of several connections.
func (s *sided) which() string {
	switch s.byClient {
	case 0:
		return ", the server's"
	case s.Count:
		return ", the client's"
	}
	return fmt.Sprintf(" (the client's in %d, the server's in %d)", s.byClient, s.Count-s.byClient)
}

func (s *sided) detail(p *detect.Pass) map[string]any {
	return map[string]any{
		"oneSided": s.Count, "connections": s.of, "percent": detect.Percent(s.Count, s.of), "seen": s.seen(), "filtered": p.Filtered, "wholeCapture": false,
	}
}

func (s *sided) whole(p *detect.Pass) finding.Finding {
	f := finding.Finding{
		Kind: "tcp.one-way", Severity: finding.Medium, Confidence: 0.8, Culprit: finding.Network, Flow: s.Flow(), Detail: s.detail(p),
		Summary: fmt.Sprintf("%s show the packets of one side only%s, although the other side answers: its packets take another route, or the capture leaves them out.",
			detect.Begin(detect.OutOf(s.Count, s.of, "TCP connection")), s.which()),
	}
	f.Detail["wholeCapture"] = true
	if s.of == 1 {
		f.Confidence = 0.7
		f.Summary = fmt.Sprintf("The only TCP connection, %s, shows the packets of the %s only, although the other side answers: its packets take another route, or the capture leaves them out.", s.Parties(), s.seen())
	}
	return s.filtered(p, f)
}

func (s *sided) service(p *detect.Pass) finding.Finding {
	f := finding.Finding{
		Kind: "tcp.one-way", Severity: finding.Low, Confidence: 0.7, Culprit: finding.Network, Flow: s.Flow(), Detail: s.detail(p),
		Summary: fmt.Sprintf("%s from %s show the packets of one side only (%s), while others show both: the routes of the two directions differ.",
			detect.Count(s.Count, "connection"), s.Parties(), s.seen()),
	}
	if s.Count == 1 {
		f.Summary = fmt.Sprintf("The connection from %s shows the packets of the %s only, while others show both: the routes of the two directions differ.", s.Parties(), s.seen())
	}
	if s.Count >= 3 {
		f.Severity = finding.Medium
	}
	return s.filtered(p, f)
}

// filtered takes back what filters may explain.
func (s *sided) filtered(p *detect.Pass, f finding.Finding) finding.Finding {
	if p.Filtered {
		f.Severity, f.Culprit, f.Confidence = finding.Info, finding.Capture, 0.5
		f.Summary += " The capture had filters, so this is no proof of a different route."
	}
	return f
}
