package detect

import (
	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// Traffic is what a pair did over TCP, with or without trouble: what the
// trouble is a share of.
type Traffic struct {
	Connections int            // all
	First, Last pcap.Timestamp // when the first and the last of them began
	Answered    int            // those that were not refused, and of which both sides were captured
	Segments    [2]int         // with payload, as they crossed the wire: from the client, from the server
}

// maxTraffic bounds the pairs whose traffic is counted, to about 10 MB.
const maxTraffic = 1 << 16

// Traffic returns what the pair did so far, all of it in End. It is zero for
// pairs beyond a bound.
func (p *Pass) Traffic(k Pair) Traffic { return p.run.traffic[k] }

func (r *Run) measure(c *Connection) {
	k := c.Pair()
	t, known := r.traffic[k]
	if !known && len(r.traffic) >= maxTraffic {
		return
	}
	if at := c.First.Time; t.Connections == 0 || at < t.First {
		t.First = at
	}
	t.Last = max(t.Last, c.First.Time)
	t.Connections++
	if !c.OneWay() && c.RST().Phase != flow.AfterSYN {
		t.Answered++
	}
	t.Segments[0] += segments(c.Client())
	t.Segments[1] += segments(c.Server())
	r.traffic[k] = t
}

// segments is how many segments with payload of a side crossed the wire: where
// the network card cuts large ones up, the capture has fewer.
func segments(s *flow.Side) int {
	n := int(s.DataSegments)
	if mss := int(s.MSS); mss > 0 && int(s.Talk().MaxSegment) > mss {
		n = max(n, int(s.Bytes)/mss)
	}
	return n
}
