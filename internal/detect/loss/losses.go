package loss

import (
	"fmt"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/flow"
)

// measure is what went wrong for one side of a connection.
type measure struct {
	beyond, before      int // lost behind and ahead of the capture point
	needless, overtaken int
	unseen              int // ACKs of the other side for what is not in the capture
}

func (m measure) lost() int { return m.beyond + m.before }

func measured(s, peer *flow.Side) measure {
	t := s.Trouble()
	return measure{
		beyond: int(t.Resent - min(t.Needless, t.Resent)), before: int(t.Late - min(t.Overtaken, t.Late)),
		needless: int(t.Needless), overtaken: int(t.Overtaken), unseen: int(peer.Count(flow.AckLostSegment)),
	}
}

// losses are the lost and late segments of the same parties.
type losses struct {
	detect.Case
	connections int        // of the same parties
	segments    [2]int     // of theirs: from the client, from the server
	measures    [2]measure // the same
}

func (l *losses) add(c *detect.Connection, m [2]measure) {
	first, last := c.Last, c.First
	for i := range c.Sides {
		if t := c.Sides[i].Trouble(); t.First.Seen() {
			if t.First.Frame < first.Frame {
				first = t.First
			}
			if t.Last.Frame > last.Frame {
				last = t.Last
			}
			l.Prove(t.First.Frame, t.Stall.First.Frame, t.Stall.Last.Frame, t.Last.Frame)
		}
	}
	l.Note(c, first.Time)
	l.Last = max(l.Last, last.Time)
	for i := range m {
		l.measures[i].beyond += m[i].beyond
		l.measures[i].before += m[i].before
		l.measures[i].needless += m[i].needless
		l.measures[i].overtaken += m[i].overtaken
		l.measures[i].unseen += m[i].unseen
	}
}

// Join takes over another pair's losses.
func (l *losses) Join(o *losses) {
	l.Merge(&o.Case)
	l.connections += o.connections
	for i := range l.measures {
		l.segments[i] += o.segments[i]
		l.measures[i].beyond += o.measures[i].beyond
		l.measures[i].before += o.measures[i].before
		l.measures[i].needless += o.measures[i].needless
		l.measures[i].overtaken += o.measures[i].overtaken
		l.measures[i].unseen += o.measures[i].unseen
	}
}

var directions = [2]string{"client-to-server", "server-to-client"}

// worse returns the direction in which more of n happened, by share.
func (l *losses) worse(n func(measure) int) int {
	share := func(i int) float64 { return float64(n(l.measures[i])) / float64(max(l.segments[i], 1)) }
	s0, _ := severity(n(l.measures[0]), l.segments[0])
	s1, _ := severity(n(l.measures[1]), l.segments[1])
	if s1 > s0 || s1 == s0 && share(1) >= share(0) {
		return 1
	}
	return 0
}

func (l *losses) of() string {
	return fmt.Sprintf("in %s from %s", detect.OutOf(l.Count, l.connections, "connection"), l.Parties())
}

func (l *losses) loss(sum *detect.Summary) (finding.Finding, bool) {
	d := l.worse(measure.lost)
	m, of := l.measures[d], l.segments[d]
	s, ok := severity(m.lost(), of)
	// What is missing in the capture alone cannot be told from what was lost
	// on the way; as much of it as that, and nothing is certain.
	incomplete := m.unseen > 0 && 2*m.unseen >= m.lost()
	if !ok || incomplete && m.beyond < m.unseen {
		return finding.Finding{}, false
	}
	f := finding.Finding{
		Kind: "tcp.retransmission", Severity: s, Confidence: 0.85, Culprit: finding.Network, Flow: l.Flow(),
		Detail: map[string]any{
			"cause": "loss", "lost": m.lost(), "segments": of, "percent": detect.Percent(m.lost(), of), "direction": directions[d],
			"beyond": m.beyond, "before": m.before, "needless": m.needless, "connections": l.Count, "of": l.connections,
		},
	}
	from := [2]string{"client", "server"}[d]
	f.Summary = fmt.Sprintf("%s of the %s from the %s were lost and sent again (%s), %s, since %s.",
		detect.Share(m.lost(), of), detect.Count(of, "data segment"), from, detect.Count(m.lost(), "segment"), l.of(), detect.Clock(l.First))
	switch {
	case m.beyond > 3*m.before:
		f.NextStep = fmt.Sprintf("Look at the path from here to the %s: ", [2]string{"server", "client"}[d]) + whereLost
		f.Summary += fmt.Sprintf(" They had passed here: they, or their acknowledgements, are lost between the capture point and the %s.", [2]string{"server", "client"}[d])
	case m.before > 3*m.beyond:
		f.NextStep = fmt.Sprintf("Look at the path from the %s to here: ", from) + whereLost
		f.Summary += fmt.Sprintf(" They never got here: they are lost between the %s and the capture point.", from)
	}
	if incomplete {
		f.Severity, f.Confidence = min(s, finding.Low), 0.4
		f.Summary += " The capture itself is incomplete, so this is uncertain."
	}
	if sum.Dropped > 0 {
		f.Confidence = min(f.Confidence, 0.6)
	}
	return f, true
}

const whereLost = "interface drops, the VM's bandwidth limit, the load of the NVAs and firewalls on it. A capture at the other end at the same time tells on which side of it packets get lost."

// few late segments are no disorder.
const few = 3

func (l *losses) reordering() (finding.Finding, bool) {
	overtaken := func(m measure) int { return m.overtaken }
	d := l.worse(overtaken)
	m, of := l.measures[d], l.segments[d]
	s, ok := severity(m.overtaken, of)
	if !ok || m.overtaken < few || m.overtaken < m.lost() {
		return finding.Finding{}, false // where much is lost, some of it is taken for disorder
	}
	return finding.Finding{
		Kind: "tcp.retransmission", Severity: min(s, finding.Medium), Confidence: 0.85, Culprit: finding.Network, Flow: l.Flow(),
		Summary: fmt.Sprintf("%s of the %s from the %s arrived out of order without being lost (%s), %s, since %s: packets of one connection take different paths or queues.",
			detect.Share(m.overtaken, of), detect.Count(of, "data segment"), [2]string{"client", "server"}[d], detect.Count(m.overtaken, "segment"), l.of(), detect.Clock(l.First)),
		Detail: map[string]any{
			"cause": "reordering", "overtaken": m.overtaken, "segments": of, "percent": detect.Percent(m.overtaken, of),
			"direction": directions[d], "lost": m.lost(), "connections": l.Count, "of": l.connections,
		},
		NextStep: "Look for links that are balanced packet by packet, several tunnels or NVAs in parallel, and receive queues that do not keep a flow together. TCP takes late segments for lost ones and slows down.",
	}, true
}
