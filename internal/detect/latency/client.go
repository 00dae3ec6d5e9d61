package latency

import (
	"fmt"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

// clients are the first requests of the same parties.
type clients struct {
	detect.Case     // the late ones
	of          int // all
	worst       time.Duration
	rtt         time.Duration
	near        bool
}

// firstRequest keeps one that came late.
func (s *state) firstRequest(k detect.Pair, c *detect.Connection) {
	l, rtt, client := c.Latency(), c.RTT(), c.Client()
	if l.ClientThink <= slow || l.ClientThink <= roundTrip*rtt || client.Trouble().Late > 0 {
		return // also if the first request was lost before it got here
	}
	g := s.clients.At(k)
	if g == nil {
		return
	}
	first := client.Talk().First
	g.Note(c, c.HandshakeACK.Time, c.HandshakeACK.Frame, first.Frame)
	g.Last = max(g.Last, first.Time)
	if l.ClientThink > g.worst {
		g.worst, g.rtt, g.near = l.ClientThink, rtt, l.NearServer
	}
}

// Join takes over another pair's requests.
func (g *clients) Join(o *clients) {
	g.Merge(&o.Case)
	g.of += o.of
	if o.worst > g.worst {
		g.worst, g.rtt, g.near = o.worst, o.rtt, o.near
	}
}

func (g *clients) finding() finding.Finding {
	f := finding.Finding{
		Kind: "app.slow-client", Severity: finding.Info, Confidence: 0.75, Culprit: finding.Client, Flow: g.Flow(),
		Summary: fmt.Sprintf("On %s from %s the client connected and then waited up to %s before its first request, since %s; the network's round trip is %s.",
			detect.OutOf(g.Count, g.of, "connection"), g.Parties(), detect.Span(g.worst), detect.Clock(g.First), detect.Span(g.rtt)),
		Detail: map[string]any{
			"seconds": detect.Seconds(g.worst), "rttSeconds": detect.Seconds(g.rtt), "connections": g.Count, "of": g.of, "nearServer": g.near,
		},
	}
	switch {
	case 2*g.Count >= g.of:
		f.Severity = finding.Medium
	case 10*g.Count >= g.of:
		f.Severity = finding.Low
	}
	return f
}
