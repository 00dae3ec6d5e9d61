package detect

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// A Pair is a client and the service that it uses: whose connections share a
// fate.
type Pair struct {
	Client netip.Addr
	Server netip.AddrPort
}

// Pair returns whose connection it is.
func (c *Connection) Pair() Pair { return Pair{c.ClientAddr().Addr(), c.ServerAddr()} }

// platform are the addresses of Azure's own services: DNS, DHCP and the load
// balancers' health probes at the first
// (https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16),
// instance metadata at the second.
var platform = [...]netip.Addr{netip.AddrFrom4([4]byte{168, 63, 129, 16}), netip.AddrFrom4([4]byte{169, 254, 169, 254})}

// Platform reports whether a is one of the addresses that Azure talks to
// every machine from. A health probe connects and hangs up, all day long:
// that is no fault of anybody.
func Platform(a netip.Addr) bool { return slices.Contains(platform[:], a.Unmap()) }

// Platform reports whether Azure itself is one of the two.
func (p Pair) Platform() bool { return Platform(p.Client) || Platform(p.Server.Addr()) }

// A Case is a [Tally] of connections, and whom it is about: one pair, or what
// several pairs have in common.
type Case struct {
	Tally
	Clients, Services int // how many of each

	flow *finding.Flow
}

// Note counts a connection.
func (a *Case) Note(c *Connection, at pcap.Timestamp, packets ...int64) {
	first := a.flow == nil
	a.NoteBetween(c.ClientAddr(), c.ServerAddr(), at, packets...)
	if first && c.TLS != nil && c.TLS.Hello != nil {
		a.flow.SNI = c.TLS.Hello.SNI
	}
}

// NoteBetween is Note for a connection that is gone, of which the ends are
// known.
func (a *Case) NoteBetween(client, server netip.AddrPort, at pcap.Timestamp, packets ...int64) {
	if a.flow == nil {
		a.Clients, a.Services = 1, 1
		a.flow = &finding.Flow{Protocol: "tcp", Client: finding.Endpoint{AddrPort: client}, Server: finding.Endpoint{AddrPort: server}}
	} else {
		a.flow.Client.AddrPort = common(a.flow.Client.AddrPort, client)
		a.flow.Server.AddrPort = common(a.flow.Server.AddrPort, server)
	}
	a.Add(at, packets...)
}

// Over says that the case is not about TCP.
func (a *Case) Over(protocol string) {
	if a.flow != nil {
		a.flow.Protocol = protocol
	}
}

// Base returns a: whatever embeds a Case is a [Joiner] with a Join method.
func (a *Case) Base() *Case { return a }

// Merge adds the connections of another pair.
func (a *Case) Merge(o *Case) {
	a.Tally.Merge(&o.Tally)
	if a.flow == nil || o.flow == nil {
		if a.flow == nil {
			a.flow, a.Clients, a.Services = o.flow, o.Clients, o.Services
		}
		return
	}
	flow := *a.flow
	flow.Client.AddrPort = common(flow.Client.AddrPort, o.flow.Client.AddrPort)
	flow.Server.AddrPort = common(flow.Server.AddrPort, o.flow.Server.AddrPort)
	if flow.SNI != o.flow.SNI {
		flow.SNI = ""
	}
	a.flow = &flow
}

// common is what two endpoints have in common: all, the address, or nothing.
func common(a, b netip.AddrPort) netip.AddrPort {
	switch {
	case a == b:
		return a
	case a.Addr() == b.Addr():
		return netip.AddrPortFrom(a.Addr(), 0)
	}
	return netip.AddrPort{}
}

// Flow is whom the case is about, as far as its connections agree.
func (a *Case) Flow() *finding.Flow {
	if a.flow == nil {
		return nil
	}
	f := *a.flow
	return &f
}

// Client names the client, or says how many there are.
func (a *Case) Client() string {
	if a.Clients > 1 || a.flow == nil || a.flow.Client.IsZero() {
		return Count(a.Clients, "client")
	}
	return a.flow.Client.Addr().String()
}

// Server names the service or the host, or says how many there are.
func (a *Case) Server() string {
	switch {
	case a.flow == nil || a.flow.Server.IsZero():
		return Count(a.Services, "service")
	case a.flow.Server.Port() == 0:
		return fmt.Sprintf("%s (%s)", a.flow.Server, Count(a.Services, "port"))
	}
	return a.flow.Server.String()
}

// Parties says between whom: "10.0.0.5 to 10.0.0.4:443", "12 clients to
// 10.0.0.4:443", "10.0.0.5 to 14 services".
func (a *Case) Parties() string { return a.Client() + " to " + a.Server() }

// A Joiner is a value for each pair that embeds a [Case] and can take over
// another pair's.
type Joiner[V any] interface {
	*V
	Base() *Case
	Join(*V)
}

const (
	// shared is how many pairs with the same server, or the same client, are
	// one case: the server's, or the client's.
	shared = 4
	// listed is how many cases are told apart; the rest is summed up.
	listed = 12
)

// Gather turns what is known of pairs into cases, in the order of their first
// appearance: a server that fails many clients is one case, and so is a client
// that fails with many servers.
func Gather[V any, P Joiner[V]](g *Groups[Pair, V]) []P {
	servers, clients := map[netip.AddrPort]int{}, map[netip.Addr]int{}
	for k := range g.All {
		servers[k.Server]++
		clients[k.Client]++
	}
	var cases []P
	byServer, byClient := map[netip.AddrPort]P{}, map[netip.Addr]P{}
	for k, v := range g.All {
		var into P
		switch s, c := servers[k.Server], clients[k.Client]; {
		case s >= shared && s >= c:
			into = byServer[k.Server]
			byServer[k.Server] = P(v)
		case c >= shared:
			into = byClient[k.Client]
			byClient[k.Client] = P(v)
		}
		if into == nil {
			cases = append(cases, v)
			continue
		}
		into.Join(v)
		if servers[k.Server] >= shared && servers[k.Server] >= clients[k.Client] {
			byServer[k.Server] = into
			into.Base().Clients++
		} else {
			byClient[k.Client] = into
			into.Base().Services++
		}
	}
	if len(cases) > listed {
		slices.SortStableFunc(cases, func(a, b P) int { return b.Base().Count - a.Base().Count })
		cases[listed-1] = Unite[V](cases[listed-1:])
		cases = cases[:listed]
	}
	return cases
}

// Unite makes one case of several, of which there is at least one.
func Unite[V any, P Joiner[V]](cases []P) P {
	all := cases[0]
	for _, c := range cases[1:] {
		base, add := all.Base(), c.Base()
		clients, services := base.Clients+add.Clients, base.Services+add.Services
		all.Join(c)
		base.Clients, base.Services = clients, services
	}
	return all
}
