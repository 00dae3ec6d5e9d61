//go:build linux

package lab

import (
	"net"
	"sync"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/analysis/analysistest"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

var (
	web     = at(partnerAddr, 80)
	service = at(partnerAddr, 8443)
)

func want(cause analysis.Cause, culprit finding.Culprit, kinds ...finding.Kind) analysistest.Want {
	return analysistest.Want{Cause: cause, Culprits: []finding.Culprit{culprit}, Kinds: kinds}
}

const synOnly = "tcp.flags.syn == 1 && tcp.flags.ack == 0"

// try connects twice to what is out of order, after another service was used
// that is in order.
func try(w *world) {
	w.server.site(web)
	w.client.fetch(w.client.browser(nil), web, "300")
	for range 2 {
		if c, err := w.client.dial(service, 4*time.Second); err == nil {
			w.t.Errorf("%v can be reached", c.RemoteAddr())
		}
	}
}

var connecting = []experiment{
	{
		name: "syn-dropped-on-the-way", doc: "A firewall between client and server drops SYNs to one port; captured at the client.",
		run: func(w *world) {
			w.block("tcp dport 8443 drop")
			try(w)
		},
		shows: synOnly + " && tcp.dstport == 8443",
		want:  want(analysis.ConnectBlocked, finding.Firewall, "tcp.connect-timeout"),
	},
	{
		name: "syn-dropped-at-the-host", doc: "SYNs arrive at the server, whose own packet filter drops them; captured there.",
		at: serverSide,
		run: func(w *world) {
			w.server.filter("input", "tcp dport 8443 drop")
			try(w)
		},
		shows: synOnly + " && tcp.dstport == 8443",
		want:  want(analysis.ConnectBlocked, finding.Server, "tcp.connect-timeout"),
	},
	{
		name: "syn-never-arrives", doc: "SYNs are dropped on the way to a server, where a capture asks for nothing else.",
		at: serverSide, limits: limits{filters: []capture.Filter{{Protocol: "TCP", LocalPort: "8443"}}},
		run: func(w *world) {
			w.block("tcp dport 8443 drop")
			try(w)
		},
		want: analysistest.Want{Cause: analysis.NoTraffic, Culprits: []finding.Culprit{finding.Unknown, finding.Network, finding.Firewall, finding.Capture}},
	},
	{
		name: "synack-dropped", doc: "The server answers, and a firewall drops its SYN-ACKs; captured at the server.",
		at: serverSide,
		run: func(w *world) {
			w.server.serve(service, func(*net.TCPConn) {})
			w.block("tcp sport 8443 tcp flags syn,ack / syn,ack drop")
			try(w)
		},
		shows: "tcp.flags.syn == 1 && tcp.srcport == 8443",
		want: analysistest.Want{
			Cause: analysis.ConnectBlocked, Culprits: []finding.Culprit{finding.Firewall, finding.Network},
			Kinds: []finding.Kind{"tcp.half-open", "tcp.connect-timeout"},
		},
	},
	{
		name: "port-closed", doc: "Nothing listens on the port; the server says so with a RST.",
		run:   try,
		shows: "tcp.flags.reset == 1 && tcp.srcport == 8443",
		want:  want(analysis.ConnectRefused, finding.Server, "tcp.connect-refused"),
	},
	{
		name: "refused-by-a-box", doc: "A firewall refuses connections in the server's name: its RSTs have another number of hops behind them than the server's packets.",
		run: func(w *world) {
			w.windows()
			w.block("tcp dport 8443 reject with tcp reset")
			try(w)
		},
		shows: "tcp.flags.reset == 1 && tcp.srcport == 8443 && ip.ttl == 64",
		want: analysistest.Want{
			Cause: analysis.ConnectRefused, Culprits: []finding.Culprit{finding.Middlebox, finding.Firewall}, Kinds: []finding.Kind{"tcp.connect-refused"},
		},
	},
	{
		name: "icmp-prohibited", doc: "A firewall answers SYNs with ICMP: communication administratively prohibited.",
		run: func(w *world) {
			w.block("tcp dport 8443 reject with icmp type admin-prohibited")
			try(w)
		},
		shows: "icmp.type == 3 && icmp.code == 13",
		want:  want(analysis.ICMPUnreachable, finding.Firewall, "icmp.unreachable"),
	},
	{
		name: "icmp-host-unreachable", doc: "The server is switched off: its router finds nobody at the address, and says so after 3 s.",
		run: func(w *world) {
			for range 2 {
				w.client.dial(at(vacantAddr, 8443), 8*time.Second)
			}
		},
		shows: "icmp.type == 3 && icmp.code == 1",
		want: analysistest.Want{
			Cause: analysis.ICMPUnreachable, Culprits: []finding.Culprit{finding.Network, finding.Server}, Kinds: []finding.Kind{"icmp.unreachable"},
		},
	},
	{
		name: "snat-exhausted", doc: "Four source ports for all connections to the partner: the fifth and later ones get no answer.",
		run: func(w *world) {
			w.router.feed("table ip nat {\nchain out {\ntype nat hook postrouting priority 100\nip daddr 203.0.113.20 tcp dport 8443 masquerade to :40000-40003\n}\n}\n", "nft", "-f", "-")
			w.server.serve(service, func(c *net.TCPConn) { c.Read(make([]byte, 1)) })
			var tries sync.WaitGroup
			for range 10 {
				tries.Go(func() { w.client.dial(service, 5*time.Second) })
				w.sleep(50 * time.Millisecond)
			}
			tries.Wait()
		},
		shows: synOnly + " && tcp.analysis.retransmission",
		want: analysistest.Want{
			Cause: analysis.ConnectBlocked, Culprits: []finding.Culprit{finding.Firewall, finding.Network, finding.Middlebox}, Kinds: []finding.Kind{"tcp.connect-timeout"},
		},
	},
	{
		name: "one-way", doc: "The server's answers come in by the client's other network interface; captured at the first one.",
		run: func(w *world) {
			w.router.ip("link add detour type veth peer name eth1 netns " + w.client.path() + "\nlink set detour" + wire + "addr add 10.70.3.1/24 dev detour\n")
			w.client.ip("link set eth1" + wire + "addr add 10.70.3.10/24 dev eth1\n")
			w.router.ip("route add 10.70.1.10/32 via 10.70.3.10 dev detour\n")
			w.server.site(web)
			for range 4 {
				w.client.fetch(w.client.browser(nil), web, "2000")
				w.sleep(200 * time.Millisecond)
			}
			w.client.post(web, 4000, 5*time.Second)
		},
		shows: "tcp.dstport == 80",
		want:  want(analysis.Asymmetric, finding.Network, "tcp.one-way"),
	},
	{
		name: "port-churn", doc: "A client makes a connection for every request, and soon has to use its few source ports again.",
		limits: limits{snap: 74}, // a whole SYN
		run: func(w *world) {
			w.client.set("ipv4/ip_local_port_range", "40000 40007")
			w.client.set("ipv4/tcp_tw_reuse", "1")
			w.server.serve(web, func(c *net.TCPConn) {
				c.Read(make([]byte, 64))
				c.Write([]byte("ok"))
				c.Read(make([]byte, 64))
			})
			for n := 0; n < 40; {
				c, err := w.client.dial(web, time.Second)
				if err != nil { // every port is in TIME_WAIT, for a second
					w.sleep(100 * time.Millisecond)
					continue
				}
				c.Write([]byte("status?"))
				c.Read(make([]byte, 16))
				c.Close()
				n++
			}
		},
		shows: "tcp.analysis.reused_ports",
		want:  want(analysis.ConnectionChurn, finding.Client, "tcp.churn", "tcp.port-reuse"),
	},
}
