package analysis

import (
	"cmp"
	"slices"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/dissect"
	"github.com/pcapwarden/pcapwarden/internal/dissect/cleartext"
	"github.com/pcapwarden/pcapwarden/internal/dissect/dns"
	"github.com/pcapwarden/pcapwarden/internal/dissect/http"
	"github.com/pcapwarden/pcapwarden/internal/dissect/stream"
	"github.com/pcapwarden/pcapwarden/internal/dissect/tls"
	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
	"github.com/pcapwarden/pcapwarden/internal/series"
	"github.com/pcapwarden/pcapwarden/internal/service"
	"github.com/pcapwarden/pcapwarden/internal/verdict"
)

// protocols follows connections and what they carry, and tells the detectors.
type protocols struct {
	run       *detect.Run
	table     *flow.Table
	dissector *dissect.Dissector
	talks     talks
	ladders   candidates
	conn      detect.Connection // the one that just ended

	services *service.Collector
	series   series.Recorder
	witness  verdict.Witness
	facts    verdict.Facts  // what went well, and how much of it there was
	last     pcap.Timestamp // of the latest packet
}

func newProtocols(run *detect.Run) *protocols {
	p := &protocols{run: run, table: flow.NewTable(flow.Limits{}), services: service.NewCollector()}
	p.table.End = p.ended
	p.table.EndConversation = p.conversation
	wants := &run.Wants
	events := dissect.Events{
		Transaction: p.transaction, Lookup: p.lookup, Lease: wants.Lease, QUIC: wants.QUIC,
	}
	if wants.Exchange != nil {
		events.Exchange = func(e dissect.Endpoints, x *http.Exchange) {
			wants.Exchange(&detect.Exchange{Exchange: x, Client: e.Client, Server: e.Server})
		}
	}
	if wants.Login != nil {
		events.Login = func(e dissect.Endpoints, l cleartext.Login) {
			wants.Login(&detect.Login{Login: l, Client: e.Client, Server: e.Server})
		}
	}
	p.dissector = dissect.New(p.table, events)
	return p
}

func (p *protocols) add(pkt *packet.Packet) {
	p.last = max(p.last, pkt.Time)
	segment := p.table.Add(pkt)
	p.series.Packet(pkt, segment)
	p.dissector.Add(pkt, segment)
	if pkt.Transport && (pkt.Protocol == packet.ProtocolICMP || pkt.Protocol == packet.ProtocolICMPv6) && p.run.Wants.ICMP != nil {
		p.run.Wants.ICMP(pkt)
	}
}

func (p *protocols) transaction(t *dns.Transaction) {
	if t.Answered || !t.Undecided {
		p.facts.Questions.Note(t.Answered)
	}
	if t.Answered {
		p.series.Answer(t.Latency())
	} else if !t.Undecided {
		p.series.Silence()
	}
	p.services.Question(t)
	if p.run.Wants.Transaction != nil {
		p.run.Wants.Transaction(t)
	}
}

func (p *protocols) lookup(l *dns.Lookup) {
	p.ladders.lookup(l)
	p.services.Lookup(l)
	if p.run.Wants.Lookup != nil {
		p.run.Wants.Lookup(l)
	}
}

func (p *protocols) conversation(c *flow.Conversation, _ flow.Reason) {
	p.dissector.EndConversation(c)
	p.talks.datagrams(c)
	p.services.Conversation(c)
	p.witness.Conversation(c)
	if !c.Endpoint(c.Initiator.Other()).Addr().IsMulticast() {
		p.facts.Datagrams.Note(c.Packets[c.Initiator.Other()] > 0)
	}
	if p.run.Wants.Conversation != nil {
		p.run.Wants.Conversation(c)
	}
}

func (p *protocols) ended(c *flow.Conn, why flow.Reason) {
	conn := &p.conn // nobody may keep it
	*conn = detect.Connection{Conn: c, Reason: why, Service: p.dissector.Service(c)}
	conn.TLS = p.dissector.End(c)
	p.note(conn)
	if p.ladders.wants(conn) {
		conn.Events = withHandshake(p.table.Events(c), conn)
		p.ladders.connection(conn)
	}
	p.talks.connection(conn)
	if p.run.Wants.Connection != nil {
		p.run.Wants.Connection(conn)
	}
}

// withHandshake puts the TLS messages among the events, where one packet
// with several of them is one step.
func withHandshake(events []flow.Event, c *detect.Connection) []flow.Event {
	if c.TLS == nil {
		return events
	}
	add := func(from stream.Side, m flow.Moment, label string) {
		side := c.ClientSide
		if from == stream.Server {
			side = side.Other()
		}
		for i := range events {
			if events[i].Frame == m.Frame && events[i].From == side && (events[i].Kind == flow.Labelled || events[i].Kind == flow.EventFirstPayload) {
				if events[i].Kind == flow.Labelled {
					label = events[i].Label + ", " + label
				}
				events[i].Kind, events[i].Label = flow.Labelled, label
				return
			}
		}
		events = append(events, flow.Event{Moment: m, From: side, Kind: flow.Labelled, Label: label})
	}
	for _, m := range c.TLS.Messages {
		add(m.From, flow.Moment{Time: m.Time, Frame: m.Frame}, m.Type.String())
	}
	for _, a := range c.TLS.Alerts {
		label := "alert: " + a.Description.String()
		if a.Encrypted {
			label = "encrypted alert"
		}
		add(a.From, flow.Moment{Time: a.Time, Frame: a.Frame}, label)
	}
	slices.SortStableFunc(events, func(a, b flow.Event) int { return cmp.Compare(a.Frame, b.Frame) })
	return events
}

// finish ends everything that is open, and counts.
func (p *protocols) finish(s *detect.Summary) (Counters, Limits) {
	counters := Counters{TCP: p.table.Finish()}
	p.dissector.Finish(s.Last)
	counters.Counters = p.dissector.Counters()
	s.TCP, s.Resolvers = &counters.TCP, p.dissector.Resolvers()

	var limits Limits
	drops := p.table.Drops()
	limits.drop("connections", drops.Connections)
	limits.drop("udp and icmp conversations", drops.Conversations)
	limits.drop("connections' reassembly", drops.Reassembly)
	limits.drop("key packets of ladders", drops.Events)
	dropped := p.dissector.Dropped()
	limits.drop("unfinished messages", int64(dropped.Messages))
	limits.drop("quic connections", int64(dropped.QUIC))
	limits.drop("dns questions", int64(dropped.DNS.Transactions))
	limits.drop("dns lookups", int64(dropped.DNS.Lookups))
	limits.drop("questions to further resolvers", int64(dropped.DNS.Resolvers))
	limits.drop("conversations in the table", p.talks.left)
	limits.drop("uses of further services", p.services.Left)
	s.LimitHit = limits.Hit
	return counters, limits
}

// emptyCounters are those of a file that holds no packet.
func emptyCounters() Counters {
	p := newProtocols(detect.Start(detect.Context{}, nil))
	counters, _ := p.finish(&detect.Summary{})
	return counters
}

// note keeps what a verdict wants to know of a connection.
func (p *protocols) note(c *detect.Connection) {
	n := &p.facts.Connections
	n.Seen++
	if c.FirstSYN.Seen() {
		n.Begun++
	}
	if c.Established() {
		n.Established++
	}
	if c.Midstream() {
		n.Midstream++
	}
	if c.Sides[0].Bytes > 0 && c.Sides[1].Bytes > 0 {
		n.Answered++
	}
	if c.TLS != nil && c.TLS.Hello != nil {
		p.facts.TLS.Note(c.TLS.Stage() == tls.StageEstablished)
	}
	p.series.Connection(c.Conn)
	p.services.Connection(c, p.last)
	p.witness.Connection(c)
}
