// Package loss knows segments that had to be sent again, and those that came
// in another order than they were sent.
//
// Details of tcp.retransmission: cause (loss, reordering, no-answer or
// idle-timeout), and
//
//	loss          lost, segments, percent (of the worse direction), direction (client-to-server or server-to-client),
//	              beyond (lost behind the capture point, seen twice here) and before (lost ahead of it, a gap here), needless
//	reordering    overtaken, segments, percent, direction, lost
//	no-answer     retries, seconds (of trying), bytes (of the segment), by (client or server)
//	idle-timeout  idleSeconds, retries, by
//
// and in all of them connections (affected), of (connections of the same
// parties).
package loss

import (
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/detect/pathmtu"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/flow"
)

// Detector reports retransmissions that mean something.
var Detector = &detect.Detector{
	Name: "loss",
	Reports: []detect.Reported{{
		Kind: "tcp.retransmission",
		Means: "Data had to be sent again because it was lost, or arrived in another order than it was sent, or one side fell silent in the middle of a conversation. " +
			"What is sent again although it had arrived, what a capture holds twice and keep-alives do not count; " +
			"what tshark calls out of order counts as lost if it passed here before, or was sent later than what overtook it.",
		Threshold: "of the data segments of one direction: low from 0.5 % (2 segments, or 1 of 10 and fewer), medium from 2 % (5), high from 8 % (10); info from 3 segments or 5 %. " +
			"Reordering: the same. A segment sent again 3 times within 3 s or more that is never acknowledged, or at least once after a silence: high. " +
			"ntopng asks for 5 and 10 %, Suricata for 10 in a flow; an ACK for data that is not in the capture means that the capture is incomplete, and no more is said of loss than that leaves",
		Next: "Lost behind the capture point: look at the path to the receiver. Lost ahead of it: at the path from the sender. Check interface drops, the VM's bandwidth limit and the load of NVAs and firewalls on it, or capture on the other end at the same time.",
	}},
	Start: start,
}

type state struct {
	pass      *detect.Pass
	lost      detect.Groups[detect.Pair, losses]
	reordered detect.Groups[detect.Pair, losses]
	mute      detect.Groups[detect.Pair, silence]
	forgotten detect.Groups[detect.Pair, silence]
}

func start(p *detect.Pass) detect.Hooks {
	s := &state{pass: p}
	p.Bound(&s.lost, &s.reordered, &s.mute, &s.forgotten)
	return detect.Hooks{Connection: s.connection, End: s.end}
}

func (s *state) connection(c *detect.Connection) {
	k := c.Pair()
	if k.Platform() || c.Client().DataSegments+c.Server().DataSegments == 0 {
		return
	}
	var hole [2]bool // tcp.mtu-blackhole explains it
	for i, d := range []flow.Direction{c.ClientSide, c.ClientSide.Other()} {
		_, hole[i] = pathmtu.Suspect(c, d)
	}
	if !hole[0] && !hole[1] && s.silent(c, k) {
		return
	}
	var m [2]measure
	for i, d := range []flow.Direction{c.ClientSide, c.ClientSide.Other()} {
		if hole[i] {
			continue
		}
		m[i] = measured(&c.Sides[d], &c.Sides[d.Other()])
		if c.Sides[d.Other()].Trouble().ZeroWindowFor >= full && m[i].lost() <= probes {
			m[i] = measure{} // what a full receiver has to drop is tcp.zero-window
		}
	}
	if m[0].lost()+m[1].lost() > 0 {
		if g := s.lost.At(k); g != nil {
			g.add(c, m)
		}
	}
	if m[0].overtaken+m[1].overtaken > 0 {
		if g := s.reordered.At(k); g != nil {
			g.add(c, m)
		}
	}
}

const (
	// A peer that does not answer: host or path are gone. Hosts try for
	// minutes (RFC 9293, 3.8.3: at least 100 s); three tries within 3 s are
	// more than an unlucky segment has.
	retries = 3
	trying  = 3 * time.Second
	// idle is the silence after which a stateful device may have forgotten
	// the connection.
	idle = 3 * time.Second

	// A receiver is full that closed its window for so long, and what it
	// drops then are a few probes.
	full   = 200 * time.Millisecond
	probes = 8
)

// silent keeps a connection one side of which stopped answering, and reports
// whether it did.
func (s *state) silent(c *detect.Connection, k detect.Pair) bool {
	if b := c.Break(); b.Silence() >= idle && !b.Reset.Seen() && b.Retransmissions >= 2 && c.Last.Since(b.After) >= time.Second &&
		(c.Sides[b.By.Other()].Talk().First.Seen() || c.Sides[b.By.Other()].Packets > 0 && c.Established()) {
		if g := s.forgotten.At(k); g != nil {
			g.Note(c, b.After.Time, b.Before.Frame, b.After.Frame, c.Last.Frame)
			g.Last = max(g.Last, c.Last.Time)
			g.keep(c, b.By, int(b.Retransmissions), b.Silence(), 0)
		}
		return true
	}
	for d := range flow.Direction(2) {
		side, peer := &c.Sides[d], &c.Sides[d.Other()]
		st := side.Trouble().Stall
		took := st.Last.Since(st.First)
		if st.Count < retries || took < trying || st.Recovered.Seen() || peer.Trouble().ZeroWindow.Seen() {
			continue
		}
		if g := s.mute.At(k); g != nil {
			g.Note(c, st.First.Time, st.First.Frame, st.Last.Frame)
			g.Last = max(g.Last, st.Last.Time)
			g.keep(c, d, int(st.Count), took, int(st.Size))
		}
		return true
	}
	return false
}

// onePath is how many cases are told apart: what happens between more parties
// happens on a path that they share.
const onePath = 3

func gather[V any, P detect.Joiner[V]](g *detect.Groups[detect.Pair, V]) []P {
	cases := detect.Gather[V, P](g)
	if len(cases) > onePath {
		cases = []P{detect.Unite[V](cases)}
	}
	return cases
}

func (s *state) end(sum *detect.Summary) {
	for _, g := range []*detect.Groups[detect.Pair, silence]{&s.mute, &s.forgotten} {
		for k, m := range g.All {
			m.of = max(m.Count, s.pass.Traffic(k).Connections)
		}
	}
	for _, g := range []*detect.Groups[detect.Pair, losses]{&s.lost, &s.reordered} {
		// A loss is a share of something: of nothing, where there are too
		// many pairs to count.
		g.Keep(func(k detect.Pair, l *losses) bool {
			t := s.pass.Traffic(k)
			l.connections, l.segments = max(l.Count, t.Connections), t.Segments
			return t.Connections > 0
		})
	}
	for _, m := range gather(&s.forgotten) {
		s.pass.Report(m.Into(m.idleTimeout()))
	}
	for _, m := range gather(&s.mute) {
		s.pass.Report(m.Into(m.noAnswer()))
	}
	for _, l := range gather(&s.lost) {
		if f, ok := l.loss(sum); ok {
			s.pass.Report(l.Into(f))
		}
	}
	for _, l := range gather(&s.reordered) {
		if f, ok := l.reordering(); ok {
			s.pass.Report(l.Into(f))
		}
	}
}

// severity goes by the share of the segments. It reports false for what
// happens on every path.
func severity(n, of int) (finding.Severity, bool) {
	share := float64(n) / float64(max(of, 1))
	switch {
	case share >= 0.08 && n >= 10:
		return finding.High, true
	case share >= 0.02 && n >= 5:
		return finding.Medium, true
	case share >= 0.005 && n >= 2, share >= 0.1:
		// One lost segment of a handful is all that such a capture shows.
		return finding.Low, true
	}
	return finding.Info, n >= 3 || share >= 0.05
}
