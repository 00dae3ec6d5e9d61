//go:build linux

package lab

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/analysis/analysistest"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

// knock tries addresses, several at a time.
func (w *world) knock(all ...netip.AddrPort) {
	var tries sync.WaitGroup
	slots := make(chan struct{}, 10)
	for _, a := range all {
		slots <- struct{}{}
		tries.Go(func() {
			defer func() { <-slots }()
			if c, err := w.client.dial(a, 300*time.Millisecond); err == nil {
				c.Close()
			}
		})
	}
	tries.Wait()
}

var behaviour = []experiment{
	{
		name: "beacon", doc: "Every 1.5 s a client calls an address outside, says a little and hangs up.",
		run: func(w *world) {
			w.server.serve(at(partnerAddr, 8883), func(c *net.TCPConn) {
				c.Read(make([]byte, 128))
				c.Write([]byte("nothing to do"))
				c.Read(make([]byte, 128))
			})
			beat := time.NewTicker(1500 * time.Millisecond)
			defer beat.Stop()
			for range 9 {
				c := w.client.connect(at(partnerAddr, 8883))
				c.Write([]byte("id=7f3a;state=idle;jobs=0"))
				c.Read(make([]byte, 64))
				c.Close()
				<-beat.C
			}
		},
		shows: synOnly + " && tcp.dstport == 8883",
		want:  want(analysis.Suspicious, finding.Client, "traffic.beacon"),
	},
	{
		name: "scan-horizontal", doc: "A client tries port 445 of 40 addresses; hardly any is a machine.",
		run: func(w *world) {
			var all []netip.AddrPort
			for i := range byte(40) {
				all = append(all, at(netip.AddrFrom4([4]byte{203, 0, 113, 10 + i}), 445))
			}
			w.knock(all...)
			w.sleep(3 * time.Second)
		},
		shows: synOnly + " && tcp.dstport == 445",
		want:  want(analysis.Suspicious, finding.Client, "traffic.scan"),
	},
	{
		name: "scan-vertical", doc: "A client tries 60 ports of one server; one is open.",
		run: func(w *world) {
			w.server.site(web)
			var all []netip.AddrPort
			for port := range uint16(60) {
				all = append(all, at(partnerAddr, 50+port))
			}
			w.knock(all...)
		},
		shows: synOnly,
		want:  want(analysis.Suspicious, finding.Client, "traffic.scan"),
	},
	{
		name: "cleartext-login", doc: "A client logs in by FTP: name and password can be read on the way.",
		run: func(w *world) {
			w.server.serve(at(partnerAddr, 21), func(c *net.TCPConn) {
				fmt.Fprint(c, "220 files.contoso.example FTP\r\n")
				lines := bufio.NewScanner(c)
				for lines.Scan() {
					switch verb, _, _ := strings.Cut(lines.Text(), " "); verb {
					case "USER":
						fmt.Fprint(c, "331 password?\r\n")
					case "PASS":
						fmt.Fprint(c, "230 welcome\r\n")
					case "QUIT":
						fmt.Fprint(c, "221 bye\r\n")
						return
					default:
						fmt.Fprint(c, "200 ok\r\n")
					}
				}
			})
			c := w.client.connect(at(partnerAddr, 21))
			answers := bufio.NewReader(c)
			answers.ReadString('\n')
			for _, line := range []string{"USER backup", "PASS not-a-secret", "TYPE I", "QUIT"} {
				fmt.Fprintf(c, "%s\r\n", line)
				answers.ReadString('\n')
			}
			c.Close()
		},
		shows: `ftp.request.command == "PASS" || ftp.request.command == "USER" || ftp.response.code == 230`,
		want: analysistest.Want{
			Cause: analysis.Exposure, Culprits: []finding.Culprit{finding.Client, finding.Server}, Kinds: []finding.Kind{"exposure.cleartext-credentials"},
		},
	},
}

var partial = []experiment{
	{
		name: "capture-late", doc: "The capture began 8 s after the incident, in the middle of a conversation that goes well.",
		late: true,
		run: func(w *world) {
			w.incident = time.Now()
			w.server.site(web)
			c := w.client.browser(nil)
			w.client.fetch(c, web, "100")
			w.sleep(8 * time.Second)
			w.begin()
			for range 10 {
				w.client.fetch(c, web, "700")
				w.sleep(100 * time.Millisecond)
			}
		},
		shows: "http",
		want:  want(analysis.Inconclusive, finding.Capture, "capture.incomplete-window"),
	},
	{
		name: "capture-cut", doc: "The capture reached its byte limit in the middle of a download.",
		limits: limits{total: 30_000},
		run: func(w *world) {
			w.server.site(web)
			w.client.fetch(w.client.browser(nil), web, "200000")
		},
		shows: "tcp.len > 0",
		want:  want(analysis.Inconclusive, finding.Capture, "capture.limit-reached"),
	},
}
