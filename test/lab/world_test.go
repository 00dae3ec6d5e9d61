//go:build linux

package lab

import (
	"net/netip"
	"testing"
	"time"
)

// The addresses of the world. The partner is the server under an address
// that looks public; nothing answers at the others that are not a host's.
var (
	clientAddr   = netip.MustParseAddr("10.70.1.10")
	gatewayAddr  = netip.MustParseAddr("10.70.1.1") // the router's, as the client sees it
	serverAddr   = netip.MustParseAddr("10.70.2.20")
	resolverAddr = netip.MustParseAddr("10.70.2.53") // the server's too
	partnerAddr  = netip.MustParseAddr("203.0.113.20")
	deadAddr     = netip.MustParseAddr("10.70.2.66")    // packets to it are swallowed
	vacantAddr   = netip.MustParseAddr("10.70.2.99")    // nobody has it
	probeAddr    = netip.MustParseAddr("168.63.129.16") // Azure's health probes come from here
)

func at(addr netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(addr, port) }

// A world is a client and a server with a router between them.
type world struct {
	t                      *testing.T
	client, router, server *host
	begin                  func() // begins the capture
	recorder               *recorder
	incident               time.Time // when what it is about began, where it is known
}

// Interfaces never send more than a frame at once: the kernel would hand
// segments of 64 KB from one host to the other, and they would be captured so.
const wire = " gso_max_segs 1 gso_max_size 1514 up\n"

func newWorld(t *testing.T) *world {
	w := &world{t: t, client: newHost(t, "client"), router: newHost(t, "router"), server: newHost(t, "server")}
	w.router.ip("link add toclient address 02:70:00:00:01:01 type veth peer name eth0 address 02:70:00:00:01:10 netns " + w.client.path() + "\n" +
		"link add toserver address 02:70:00:00:02:01 type veth peer name eth0 address 02:70:00:00:02:20 netns " + w.server.path() + "\n" +
		"link set toclient" + wire + "link set toserver" + wire +
		"addr add 10.70.1.1/24 dev toclient\naddr add 10.70.2.1/24 dev toserver\n" +
		"addr add 168.63.129.16/32 dev lo\n" +
		"route add 203.0.113.0/24 via 10.70.2.20\n")
	w.client.ip("link set eth0" + wire + "addr add 10.70.1.10/24 dev eth0\nroute add default via 10.70.1.1\n")
	w.server.ip("link set eth0" + wire + "addr add 10.70.2.20/24 dev eth0\naddr add 10.70.2.53/24 dev eth0\n" +
		"addr add 203.0.113.20/32 dev lo\nroute add default via 10.70.2.1\n")
	for _, h := range []*host{w.router, w.client, w.server} {
		h.set("ipv4/conf/all/rp_filter", "0")
		h.set("ipv4/conf/default/rp_filter", "0")
	}
	w.router.set("ipv4/ip_forward", "1")
	w.router.filter("forward", "ip daddr "+deadAddr.String()+" drop")
	return w
}

// block adds rules to what the router does with packets that it forwards. It
// may do so while the world is in use.
func (w *world) block(rules ...string) {
	w.t.Helper()
	w.router.filter("forward", rules...)
}

// windows makes the server's packets start with 128 hops to live, as Windows
// does, while the router's start with 64.
func (w *world) windows() { w.server.set("ipv4/ip_default_ttl", "128") }

func (w *world) sleep(d time.Duration) {
	select {
	case <-time.After(d):
	case <-w.t.Context().Done():
		w.t.Fatal("the lab was stopped")
	}
}

// mirror makes a monitor port of the router's, which gets what passes the
// client's link: each packet twice, as of a switch that mirrors two VLANs.
func (w *world) mirror() {
	w.t.Helper()
	w.router.ip("link add monitor type veth peer name mirror\nlink set monitor up\nlink set mirror up\n")
	const twice = " protocol all u32 match u32 0 0 action mirred egress mirror dev mirror pipe action mirred egress mirror dev mirror\n"
	commands := "qdisc add dev toclient clsact\n" +
		"filter add dev toclient ingress" + twice +
		"filter add dev toclient egress" + twice
	w.router.feed(commands, "tc", "-batch", "-")
}
