package service

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/dissect/dns"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// Bounds.
const (
	// maxServices is how many services are told apart. A scan makes one of
	// every port.
	maxServices = 4096
	// MaxClients is how many client addresses of one service are counted.
	MaxClients = 64
	// maxNames is how many server names of one address are told apart; the rest
	// is counted under the address.
	maxNames = 64
)

// bulk is what a connection must carry, and for how long, to measure a
// throughput.
const (
	bulkBytes = 64 << 10
	bulkTime  = 10 * time.Millisecond
)

type key struct {
	protocol uint8
	server   netip.AddrPort
	sni      string
}

// A Collector gathers services as connections end.
type Collector struct {
	services map[key]*entry
	names    map[netip.AddrPort]int
	asked    *entry // the resolver that was asked last
	seed     uint64
	Left     int64 // connections and questions to services that found no place
}

// NewCollector returns a Collector without services.
func NewCollector() *Collector {
	return &Collector{services: map[key]*entry{}, names: map[netip.AddrPort]int{}}
}

type entry struct {
	Service
	clients     map[netip.Addr]struct{}
	first, last pcap.Timestamp
	handshake, rtt, serverThink, clientThink,
	throughput, latency, wait sample
}

// at returns the entry, or nil when there is no place for another one.
func (c *Collector) at(k key) *entry {
	e := c.services[k]
	if e != nil {
		return e
	}
	if len(c.services) >= maxServices {
		c.Left++
		return nil
	}
	e = &entry{Service: Service{Server: finding.Endpoint{AddrPort: k.server}, SNI: k.sni}}
	c.services[k] = e
	return e
}

// Connection takes a TCP connection that is over. end is the time of the
// capture's last packet so far.
func (c *Collector) Connection(conn *detect.Connection, end pcap.Timestamp) {
	k := key{protocol: packet.ProtocolTCP, server: conn.ServerAddr()}
	if conn.TLS != nil && conn.TLS.Hello != nil && conn.TLS.Hello.SNI != "" {
		k.sni = conn.TLS.Hello.SNI
		if _, known := c.services[k]; !known {
			if c.names[k.server] >= maxNames {
				k.sni = ""
			} else {
				c.names[k.server]++
			}
		}
	}
	e := c.at(k)
	if e == nil {
		return
	}
	e.Protocol = TCP
	e.Spoken = cmp.Or(conn.Service, e.Spoken)
	e.seen(conn.ClientAddr().Addr(), conn.First.Time, conn.Last.Time)
	client, server := conn.Client(), conn.Server()
	if conn.Established() {
		e.Established++
	}
	if server.Bytes > 0 {
		e.Answered++
	}
	if conn.Midstream() {
		e.Midstream++
	}
	if kind := Failure(conn, end); kind != "" {
		if e.Failures == nil {
			e.Failures = map[finding.Kind]int{}
		}
		e.Failures[kind]++
	}
	if conn.TLS != nil && conn.TLS.ServerHello != nil {
		if e.TLS == nil {
			e.TLS = map[string]int{}
		}
		e.TLS[conn.TLS.ServerHello.Version.String()]++
	}
	for i, s := range [2]*flow.Side{client, server} {
		e.Segments[i] += int64(s.DataSegments)
		e.Bytes[i] += int64(s.Bytes)
		e.Lost[i] += int64(lost(s))
	}
	e.times(conn, c)
}

// lost is how many segments of s were sent twice because the first did not
// arrive, seen from wherever the capture was taken.
func lost(s *flow.Side) uint32 {
	t := s.Trouble()
	gone := t.Resent + t.Late
	return gone - min(gone, t.Overtaken)
}

func (e *entry) times(conn *detect.Connection, c *Collector) {
	l := conn.Latency()
	rtt := conn.RTT()
	e.handshake.add(l.Handshake, c)
	e.rtt.add(rtt, c)
	e.clientThink.add(l.ClientThink, c)
	if think := conn.Server().Talk().MaxAnswer.Took(); think > 0 {
		// Captured on the client's end, an answer includes the way there and
		// back.
		if !l.NearServer {
			think = max(think-rtt, 1)
		}
		e.serverThink.add(think, c)
	}
	for _, s := range [2]*flow.Side{conn.Client(), conn.Server()} {
		t := s.Talk()
		if took := t.Last.Since(t.First); s.Bytes >= bulkBytes && took >= bulkTime {
			e.throughput.put(round(float64(s.Bytes)/1e3/took.Seconds()), c)
		}
	}
}

// Conversation takes a UDP conversation that is over; resolvers are told by
// their lookups.
func (c *Collector) Conversation(conv *flow.Conversation) {
	from := conv.Initiator
	server := conv.Endpoint(from.Other())
	if conv.Protocol != packet.ProtocolUDP || server.Port() == 53 || server.Addr().IsMulticast() {
		return
	}
	e := c.at(key{protocol: packet.ProtocolUDP, server: server})
	if e == nil {
		return
	}
	e.Protocol = UDP
	e.seen(conv.Endpoint(from).Addr(), conv.First.Time, conv.Last.Time)
	if conv.Packets[from.Other()] > 0 {
		e.Answered++
	}
	e.Bytes[0] += int64(conv.Bytes[from])
	e.Bytes[1] += int64(conv.Bytes[from.Other()])
}

func (c *Collector) resolver(server netip.AddrPort) *entry {
	server = netip.AddrPortFrom(server.Addr(), 53)
	if c.asked != nil && c.asked.Server.AddrPort == server {
		return c.asked
	}
	e := c.at(key{server: server})
	c.asked = e
	if e != nil && e.Resolver == nil {
		e.Protocol, e.Spoken, e.Resolver = DNS, DNS, &Resolver{}
	}
	return e
}

// Question takes a DNS transaction.
func (c *Collector) Question(t *dns.Transaction) {
	e := c.resolver(t.Server)
	if e == nil {
		return
	}
	last := t.Last
	if t.Answered {
		last = max(last, t.AnswerTime)
	}
	e.seen(t.Client.Addr(), t.First, last)
	r := e.Resolver
	r.Asked++
	switch {
	case !t.Answered && !t.Undecided:
		r.Unanswered++
	case !t.Answered:
	case t.Failed():
		r.Answered++
		r.Errors++
	default:
		r.Answered++
		e.Answered++
		e.latency.add(t.Latency(), c)
		if t.RCode == dns.NameError {
			r.Missing++
		}
	}
}

// Lookup takes a name that a client wanted to know.
func (c *Collector) Lookup(l *dns.Lookup) {
	e := c.resolver(l.Tries[0].Server)
	if e == nil {
		return
	}
	r := e.Resolver
	r.Lookups++
	good, ok := l.Answered()
	first := &l.Tries[0]
	switch {
	case !ok && first.Failed():
		r.Lost++
	case ok && good.Server.Addr() != first.Server.Addr():
		r.Fell++
		r.Fallback = finding.Endpoint{AddrPort: netip.AddrPortFrom(good.Server.Addr(), 0)}
		e.wait.add(good.Answer.Sub(first.Asked), c)
	}
}

func (e *entry) seen(client netip.Addr, first, last pcap.Timestamp) {
	e.Connections++
	if len(e.clients) < MaxClients {
		if e.clients == nil {
			e.clients = map[netip.Addr]struct{}{}
		}
		e.clients[client] = struct{}{}
	}
	if e.Connections == 1 || first < e.first {
		e.first = first
	}
	e.last = max(e.last, last)
}

// List returns at most n services, the most used first. role says what the
// captured machine is to a service.
func (c *Collector) List(n int, machine []netip.Addr) []Service {
	all := make([]*entry, 0, len(c.services))
	for _, e := range c.services {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *entry) int {
		return cmp.Or(
			cmp.Compare(b.Connections, a.Connections), cmp.Compare(a.first, b.first),
			a.Server.AddrPort.Compare(b.Server.AddrPort), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.SNI, b.SNI),
		)
	})
	list := make([]Service, 0, min(n, len(all)))
	for _, e := range all[:min(n, len(all))] {
		s := e.Service
		s.Clients, s.First, s.Last = len(e.clients), e.first.Time(), e.last.Time()
		s.Handshake, s.RTT = e.handshake.spread(), e.rtt.spread()
		s.ServerThink, s.ClientThink = e.serverThink.spread(), e.clientThink.spread()
		s.Throughput = e.throughput.spread()
		if s.Resolver != nil {
			s.Resolver.Latency, s.Resolver.Wait = e.latency.spread(), e.wait.spread()
		}
		s.Role = e.role(machine)
		list = append(list, s)
	}
	return list
}

func (e *entry) role(machine []netip.Addr) Role {
	if slices.Contains(machine, e.Server.Addr()) {
		return Serves
	}
	for _, a := range machine {
		if _, ok := e.clients[a]; ok {
			return Uses
		}
	}
	return ""
}
