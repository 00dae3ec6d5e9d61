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

// maxPairs bounds the pairs that have a number, and with it what detectors
// keep of each: their traffic takes about 10 MB. Half of the numbers are for
// pairs that talk to each other, so that a flood cannot take them.
const maxPairs = 1 << 16

// Number returns the number of a pair; -1 if there is none.
func (p *Pass) Number(k Pair) int {
	if n, ok := p.run.numbers[k]; ok {
		return int(n)
	}
	return -1
}

// Pairs yields the pairs that have a number, in no order.
func (p *Pass) Pairs(yield func(Pair, int) bool) {
	for k, n := range p.run.numbers {
		if !yield(k, int(n)) {
			return
		}
	}
}

// Traffic returns what the pair did so far, all of it in End. It is zero for
// pairs without a number.
func (p *Pass) Traffic(k Pair) Traffic { return p.TrafficOf(p.Number(k)) }

// TrafficOf is Traffic for the pair with this number.
func (p *Pass) TrafficOf(number int) Traffic {
	if number < 0 {
		return Traffic{}
	}
	return p.run.traffic[number]
}

// measure gives the connection's pair a number, and counts its traffic.
func (r *Run) measure(c *Connection) {
	k := c.Pair()
	n, known := r.numbers[k]
	if !known {
		if n := len(r.traffic); n >= maxPairs || n >= maxPairs/2 && !c.Established() {
			c.Number = -1
			r.left++
			return
		}
		n = int32(len(r.traffic))
		r.numbers[k] = n
		r.traffic = append(r.traffic, Traffic{})
	}
	c.Number = int(n)
	t := &r.traffic[n]
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
}

// A PerPair keeps a value for every pair that has a number. Detectors that
// look at all connections ask for it each time: that is as cheap as it gets.
type PerPair[V any] struct{ values []V }

// At returns the value of the pair with this number, nil for one without. It
// is valid until the next call.
func (p *PerPair[V]) At(number int) *V {
	if number < 0 {
		return nil
	}
	if more := number + 1 - len(p.values); more > 0 {
		p.values = append(p.values, make([]V, more)...)
	}
	return &p.values[number]
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
