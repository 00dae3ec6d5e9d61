package analysis

import (
	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/packet"
)

// protocols follows connections and what they carry, and tells the detectors.
type protocols struct {
	run     *detect.Run
	table   *flow.Table
	talks   talks
	ladders candidates

	connections, established, handshakes, answered int64
}

func newProtocols(run *detect.Run) *protocols {
	p := &protocols{run: run, table: flow.NewTable(flow.Limits{})}
	p.table.End = p.ended
	return p
}

func (p *protocols) add(pkt *packet.Packet) {
	p.table.Add(pkt)
}

func (p *protocols) ended(c *flow.Conn, why flow.Reason) {
	conn := &detect.Connection{Conn: c, Reason: why, Events: p.table.Events(c)}
	p.connections++
	if c.Established() {
		p.established++
	}
	p.talks.connection(conn)
	p.ladders.connection(conn)
	if p.run.Wants.Connection != nil {
		p.run.Wants.Connection(conn)
	}
}

func (p *protocols) finish(s *detect.Summary) (Counters, Limits) {
	var limits Limits
	counters := Counters{TCP: p.table.Finish()}
	s.TCP = &counters.TCP
	limits.drop("conversations", p.talks.left)
	return counters, limits
}

func emptyCounters() Counters { return Counters{} }
