//go:build linux

package lab

import (
	"net"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/analysis/analysistest"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

// abort closes a connection with a RST.
func abort(c net.Conn) {
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

var resetting = []experiment{
	{
		name: "reset-by-the-server", doc: "A server takes a request, and aborts the connection instead of answering.",
		run: func(w *world) {
			w.server.serve(service, func(c *net.TCPConn) {
				c.Read(make([]byte, 64))
				w.sleep(200 * time.Millisecond)
				abort(c)
			})
			for range 3 {
				c := w.client.connect(service)
				c.Write([]byte("SELECT 1;"))
				c.Read(make([]byte, 16))
				c.Close()
			}
		},
		shows: "tcp.flags.reset == 1 && tcp.srcport == 8443",
		want:  want(analysis.Reset, finding.Server, "tcp.reset"),
	},
	{
		name: "reset-by-a-box", doc: "A box on the way resets a connection that worked, in the server's name, when it sees a word that it does not like.",
		run: func(w *world) {
			w.windows()
			w.server.serve(web, func(c *net.TCPConn) {
				buf := make([]byte, 1024)
				for {
					if _, err := c.Read(buf); err != nil {
						return
					}
					c.Write([]byte("250 OK\r\n"))
				}
			})
			w.block("tcp dport 80 @th,256,32 0x44524f50 reject with tcp reset") // payload that begins with "DROP"
			for range 2 {
				c := w.client.connect(web)
				for _, line := range []string{"HELO client\r\n", "NOOP\r\n", "DROP TABLE\r\n"} {
					c.Write([]byte(line))
					if _, err := c.Read(make([]byte, 64)); err != nil {
						break
					}
					w.sleep(100 * time.Millisecond)
				}
				c.Close()
			}
		},
		shows: "tcp.flags.reset == 1 && tcp.srcport == 80 && ip.ttl == 64",
		want:  want(analysis.Reset, finding.Middlebox, "tcp.reset"),
	},
}

// Connections that are silent for half a minute while the box in between
// forgets them after ten seconds.
var idleness = []experiment{
	{
		name: "idle-dropped", doc: "A stateful firewall forgets a connection that was silent, and then drops what belongs to it.",
		run: func(w *world) {
			w.forgetful("drop")
			w.goQuiet()
		},
		shows: "tcp.analysis.retransmission",
		want: analysistest.Want{
			Cause: analysis.IdleTimeout, Culprits: []finding.Culprit{finding.Firewall, finding.Middlebox, finding.Network},
			Kinds: []finding.Kind{"tcp.reset", "tcp.retransmission", "tcp.one-way"},
		},
	},
	{
		name: "idle-reset", doc: "A load balancer forgets a connection that was silent, and then resets it.",
		run: func(w *world) {
			w.windows()
			w.forgetful("reject with tcp reset")
			w.goQuiet()
		},
		shows: "tcp.flags.reset == 1",
		want: analysistest.Want{
			Cause: analysis.IdleTimeout, Culprits: []finding.Culprit{finding.Firewall, finding.Middlebox, finding.Network},
			Kinds: []finding.Kind{"tcp.reset"},
		},
	},
}

// forgetful lets the router forward only what belongs to a connection that it
// knows, and forget one after 10 s.
func (w *world) forgetful(verdict string) {
	w.t.Helper()
	w.block("ct state invalid meta l4proto tcp "+verdict, "ct state new tcp flags & (syn | ack) == ack "+verdict)
	w.router.set("netfilter/nf_conntrack_tcp_loose", "0")
	w.router.set("netfilter/nf_conntrack_tcp_timeout_established", "10")
}

// goQuiet uses a connection, leaves it alone for half a minute, and wants to
// use it again.
func (w *world) goQuiet() {
	w.t.Helper()
	w.server.serve(at(partnerAddr, 5432), func(c *net.TCPConn) {
		buf := make([]byte, 256)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
			c.Write([]byte("one row"))
		}
	})
	c := w.client.connect(at(partnerAddr, 5432))
	ask := func() error {
		c.SetDeadline(time.Now().Add(8 * time.Second))
		if _, err := c.Write([]byte("SELECT now();")); err != nil {
			return err
		}
		_, err := c.Read(make([]byte, 64))
		return err
	}
	for range 3 {
		if err := ask(); err != nil {
			w.t.Error(err)
		}
		w.sleep(200 * time.Millisecond)
	}
	w.sleep(30 * time.Second)
	if ask() == nil {
		w.t.Error("the connection survived")
	}
	c.Close()
}
