//go:build linux

package lab

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

var waiting = []experiment{
	{
		name: "server-thinks", doc: "The server answers most requests at once, and some after 3 s.",
		run: func(w *world) {
			w.server.site(web)
			c := w.client.browser(nil)
			for range 3 {
				w.client.fetch(c, web, "400")
				w.client.fetch(c, web, "400?3s")
			}
		},
		shows: "http.response && http.time > 2.5",
		want:  want(analysis.SlowServer, finding.Server, "app.slow-response"),
	},
	{
		name: "server-thinks-seen-there", doc: "The same, captured at the server and over 40 ms of network.", at: serverSide,
		run: func(w *world) {
			far := path{delay: 20 * time.Millisecond}
			w.relay(far, far)
			w.server.site(web)
			for range 3 {
				w.client.fetch(w.client.browser(nil), web, "400?3s")
			}
		},
		shows: "http.response && http.time > 2.5",
		want:  want(analysis.SlowServer, finding.Server, "app.slow-response"),
	},
	{
		name: "client-dawdles", doc: "The client connects, and takes 4 s before it asks for anything.",
		run: func(w *world) {
			w.server.site(web)
			for range 3 {
				c := w.client.connect(web)
				w.sleep(4 * time.Second)
				fmt.Fprint(c, "GET /500 HTTP/1.1\r\nHost: lab.example\r\nConnection: close\r\n\r\n")
				bufio.NewReader(c).ReadString(0)
				c.Close()
			}
		},
		shows: "http.request && tcp.time_delta > 3.5",
		want:  want(analysis.SlowClient, finding.Client, "app.slow-client"),
	},
	{
		name: "client-stops-reading", doc: "The client asks for a download and does not read it for 6 s: its window closes.", limits: headers,
		run: func(w *world) {
			w.client.set("ipv4/tcp_rmem", "4096 16384 16384")
			w.server.site(web)
			c := w.client.connect(web)
			fmt.Fprint(c, "GET /60000 HTTP/1.1\r\nHost: lab.example\r\nConnection: close\r\n\r\n")
			w.sleep(6 * time.Second)
			bufio.NewReader(c).ReadString(0)
			c.Close()
		},
		shows: "tcp.analysis.zero_window && tcp.dstport == 80",
		want:  want(analysis.ReceiverStalled, finding.Client, "tcp.zero-window"),
	},
	{
		name: "server-stops-reading", doc: "The server takes an upload and does not read it for 6 s: its window closes.", limits: headers,
		run: func(w *world) {
			w.server.set("ipv4/tcp_rmem", "4096 16384 16384")
			w.server.serve(service, func(c *net.TCPConn) {
				w.sleep(6 * time.Second)
				r := bufio.NewReader(c)
				r.Discard(60000)
				c.Write([]byte("stored"))
			})
			c := w.client.connect(service)
			c.Write(bytes.Repeat([]byte{'x'}, 60000))
			c.Read(make([]byte, 16))
			c.Close()
		},
		shows: "tcp.analysis.zero_window && tcp.srcport == 8443",
		want:  want(analysis.ReceiverStalled, finding.Server, "tcp.zero-window"),
	},
}
