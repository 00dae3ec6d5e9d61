// Package window knows receivers that do not keep up.
//
// Details of tcp.zero-window: seconds (with a closed window, in total),
// percent (of the life of the connections that it happened to), zeroWindows,
// windowFull and probes (packets, as tshark counts), by (client or server),
// recovered, maxWindow (bytes), connections (affected) and of (connections of
// the same parties).
package window

import (
	"fmt"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/flow"
)

// Detector reports closed windows.
var Detector = &detect.Detector{
	Name: "window",
	Reports: []detect.Reported{{
		Kind:  "tcp.zero-window",
		Means: "A receiver told the sender to stop (a window of 0): its application does not read what arrives. The network delivers; the receiving side is slow, busy or hung.",
		Threshold: "windows of 0 for at least 0.2 s in total; low, medium from 1 s and 5 % of the connection's life or from 20 %, high from 3 s and 20 %, or if the window never opens again within 3 s. " +
			"Shorter ones are flow control at work, and info",
		Next: "On the side that closed its window, look at the process that owns the socket: CPU, garbage collection, a blocked disk or database, one thread that does everything. Larger buffers only delay it.",
	}},
	Start: start,
}

// stalls are closed windows of the same parties.
type stalls struct {
	detect.Case
	of                 int // connections of the same parties
	closed, life       time.Duration
	zero, full, probes int
	maxWindow          uint32
	stuck              int // connections whose window stayed closed
	stuckFor           time.Duration
	worst              time.Duration // of one connection
	worstShare         float64
}

// Join takes over another pair's stalls.
func (s *stalls) Join(o *stalls) {
	s.Merge(&o.Case)
	s.of += o.of
	s.closed += o.closed
	s.life += o.life
	s.zero += o.zero
	s.full += o.full
	s.probes += o.probes
	s.maxWindow = max(s.maxWindow, o.maxWindow)
	s.stuck += o.stuck
	s.stuckFor, s.worst = max(s.stuckFor, o.stuckFor), max(s.worst, o.worst)
	s.worstShare = max(s.worstShare, o.worstShare)
}

type state struct {
	pass  *detect.Pass
	sides [2]detect.Groups[detect.Pair, stalls] // by who closed its window: client, server
}

func start(p *detect.Pass) detect.Hooks {
	s := &state{pass: p}
	p.Bound(&s.sides[0], &s.sides[1])
	return detect.Hooks{Connection: s.connection, End: s.end}
}

func (s *state) connection(c *detect.Connection) {
	k := c.Pair()
	for i, d := range []flow.Direction{c.ClientSide, c.ClientSide.Other()} {
		me, peer := &c.Sides[d], &c.Sides[d.Other()]
		t := me.Trouble()
		if !t.ZeroWindow.Seen() {
			continue
		}
		if g := s.sides[i].At(k); g != nil {
			g.add(c, me, peer, &t)
		}
	}
}

func (s *stalls) add(c *detect.Connection, me, peer *flow.Side, t *flow.Trouble) {
	s.Note(c, t.ZeroWindow.Time, t.ZeroWindow.Frame, c.Last.Frame)
	s.Last = max(s.Last, c.Last.Time)
	life := c.Last.Since(c.First)
	s.closed += t.ZeroWindowFor
	s.life += life
	s.zero += int(me.Count(flow.ZeroWindow))
	s.full += int(peer.Count(flow.WindowFull))
	s.probes += int(peer.Count(flow.ZeroWindowProbe))
	s.maxWindow = max(s.maxWindow, me.MaxWindow)
	if t.ZeroWindowFor > s.worst {
		s.worst = t.ZeroWindowFor
	}
	if life > 0 {
		s.worstShare = max(s.worstShare, t.ZeroWindowFor.Seconds()/life.Seconds())
	}
	if me.WindowClosed() {
		s.stuck++
		s.stuckFor = max(s.stuckFor, t.ZeroWindowFor)
	}
}

func (s *stalls) severity() finding.Severity {
	switch {
	case s.stuckFor >= 3*time.Second, s.worst >= 3*time.Second && s.worstShare >= 0.2:
		return finding.High
	case s.worst >= time.Second && s.worstShare >= 0.05, s.worst >= 200*time.Millisecond && s.worstShare >= 0.2:
		return finding.Medium
	case s.closed >= 200*time.Millisecond:
		return finding.Low
	}
	return finding.Info
}

func (s *state) end(*detect.Summary) {
	for side := range s.sides {
		for k, g := range s.sides[side].All {
			g.of = max(g.Count, s.pass.Traffic(k).Answered)
		}
		for _, g := range detect.Gather(&s.sides[side]) {
			s.pass.Report(g.Into(g.finding(side == 1)))
		}
	}
}

func (s *stalls) finding(byServer bool) finding.Finding {
	f := finding.Finding{
		Kind: "tcp.zero-window", Severity: s.severity(), Confidence: 0.9, Culprit: finding.Client, Flow: s.Flow(),
		Detail: map[string]any{
			"seconds": detect.Seconds(s.closed), "percent": detect.Percent(int(s.closed/time.Microsecond), int(s.life/time.Microsecond)),
			"zeroWindows": s.zero, "windowFull": s.full, "probes": s.probes, "by": "client", "recovered": s.stuck == 0,
			"maxWindow": int(s.maxWindow), "connections": s.Count, "of": s.of,
		},
	}
	who := "The client " + s.Client()
	if byServer {
		f.Culprit, who = finding.Server, "The server "+s.Server()
		f.Detail["by"] = "server"
	}
	f.Summary = fmt.Sprintf("%s stopped reading: its receive window was closed for %s of %s (%s), in %s from %s, since %s.",
		who, detect.Span(s.closed), detect.Span(s.life), detect.Share(int(s.closed/time.Microsecond), int(s.life/time.Microsecond)),
		detect.OutOf(s.Count, s.of, "connection"), s.Parties(), detect.Clock(s.First))
	if s.stuck > 0 {
		f.Summary += " It did not open again."
	}
	return f
}
