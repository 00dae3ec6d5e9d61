// Package dissect reads application protocols out of datagrams and
// connections, within fixed memory.
package dissect

import (
	"net/netip"

	"github.com/pcapwarden/pcapwarden/internal/dissect/cleartext"
	"github.com/pcapwarden/pcapwarden/internal/dissect/dhcp"
	"github.com/pcapwarden/pcapwarden/internal/dissect/dns"
	"github.com/pcapwarden/pcapwarden/internal/dissect/http"
	"github.com/pcapwarden/pcapwarden/internal/dissect/quic"
	"github.com/pcapwarden/pcapwarden/internal/dissect/stream"
	"github.com/pcapwarden/pcapwarden/internal/dissect/tls"
	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// Events are called for what the protocols tell, on the goroutine that feeds;
// nil means nobody asks. What is behind their pointers is valid during the
// call.
type Events struct {
	// Transaction: a DNS question was answered, or turned out not to be.
	Transaction func(*dns.Transaction)
	// Lookup: a DNS client's question over all its tries is over.
	Lookup func(*dns.Lookup)
	// Exchange: an HTTP request has its answer, or never got one.
	Exchange func(Endpoints, *http.Exchange)
	// Login: somebody logged in without protection.
	Login func(Endpoints, cleartext.Login)
	// Lease: a DHCP message about a lease.
	Lease func(*dhcp.Lease)
	// QUIC: the start of a QUIC connection, when its conversation is over.
	QUIC func(*quic.Connection)
}

// Endpoints name a connection.
type Endpoints struct{ Client, Server netip.AddrPort }

// Counters are the counters of the application protocols, as tshark 4.0.17
// counts with default preferences.
type Counters struct {
	DNS       dns.Counters       `json:"dns"`
	TLS       tls.Counters       `json:"tls"`
	ICMP      ICMPCounters       `json:"icmp"`
	Cleartext cleartext.Counters `json:"cleartext"`
	HTTP      http.Counters      `json:"http"`
}

// Dropped is what the limits left out.
type Dropped struct {
	DNS dns.Dropped `json:"dns"`
	// Messages are those that were given up for lack of space.
	Messages int `json:"messages"`
	// QUIC are connections that were not looked into for lack of space.
	QUIC int `json:"quic"`
}

// Any reports whether anything was left out.
func (d Dropped) Any() bool { return d != Dropped{} }

const (
	// unfinished is how many bytes of unfinished messages are held, in all.
	unfinished = 16 << 20
	// maxHellos is how many QUIC connections may wait for the rest of a
	// hello, up to 16 KiB each.
	maxHellos = 1024
)

// Dissector reads the application protocols of one capture. It is fed with
// every packet after the flow table:
//
//	segment := table.Add(p)
//	dissector.Add(p, segment)
//
// and by the table's End and EndConversation with what is over. Its own state
// is what the table's connections carry in Attached.
type Dissector struct {
	table  *flow.Table
	events Events
	budget stream.Budget

	dns  *dns.Table
	tls  *tls.Dissector
	http *http.Dissector
	text *cleartext.Dissector
	icmp icmpCounts

	current *flow.Conn     // the connection that is being fed
	client  flow.Direction // of it
	hellos  int            // QUIC readers that wait
	dropped int            // QUIC readers that were not made
	free    []*conn
}

// New returns a Dissector for the connections of table.
func New(table *flow.Table, events Events) *Dissector {
	d := &Dissector{
		table: table, events: events,
		budget: stream.Budget{Limit: unfinished},
		dns:    dns.NewTable(dns.Limits{}),
		tls:    tls.NewDissector(),
		http:   new(http.Dissector),
		text:   new(cleartext.Dissector),
	}
	d.dns.Budget, d.tls.Budget = &d.budget, &d.budget
	d.dns.Transaction, d.dns.Lookup = events.Transaction, events.Lookup
	if events.Exchange != nil {
		d.http.Exchange = func(e *http.Exchange) { events.Exchange(d.endpoints(), e) }
	}
	if events.Login != nil {
		d.text.Login = func(l cleartext.Login) { events.Login(d.endpoints(), l) }
	}
	return d
}

// Add takes a packet, with what the table made of it.
func (d *Dissector) Add(p *packet.Packet, seg *flow.Segment) {
	if p.IPVersion == 0 || p.Fragment || !p.Transport {
		return
	}
	switch p.Protocol {
	case packet.ProtocolTCP:
		if seg.Conn != nil && !p.PartialHeader {
			d.tcp(p, seg)
		}
	case packet.ProtocolUDP:
		d.udp(p, seg)
	case packet.ProtocolICMP, packet.ProtocolICMPv6:
		d.addICMP(p)
	}
}

// Finish says that the capture ended at end, after the table's Finish.
func (d *Dissector) Finish(end pcap.Timestamp) { d.dns.Finish(end) }

// Resolvers returns the DNS servers that were asked, the busiest first.
func (d *Dissector) Resolvers() []dns.Resolver { return d.dns.Resolvers() }

// Counters returns the counts; after Finish they are complete.
func (d *Dissector) Counters() Counters {
	c := Counters{
		DNS: d.dns.Counters(), TLS: d.tls.Counters(), ICMP: d.icmp.counters(),
		Cleartext: d.text.Counters(), HTTP: d.http.Counters(),
	}
	c.Cleartext.HTTPBasic = d.http.BasicAuth()
	return c
}

// Dropped says what the limits left out.
func (d *Dissector) Dropped() Dropped {
	return Dropped{DNS: d.dns.Dropped(), Messages: d.budget.Refused, QUIC: d.dropped}
}
