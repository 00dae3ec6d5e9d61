//go:build linux

package lab

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/net/quic"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/analysis/analysistest"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

var calm = analysistest.Want{Cause: analysis.Healthy, Culprits: []finding.Culprit{finding.None}, Calm: true}

// What is in order, however odd some of it looks.
var healthy = []experiment{
	{
		name: "healthy-tls12", doc: "TLS 1.2, four connections.", want: calm,
		run: func(w *world) {
			w.secure(serverTLS(), echo)
			config := clientTLS()
			config.MaxVersion = tls.VersionTLS12
			w.callAll(4, config)
		},
	},
	{
		name: "healthy-tls13-resumption", doc: "TLS 1.3; the second and later connections resume the session of the first.", want: calm,
		shows: "tls.handshake.extensions.psk.identity.identity_length || tls.handshake.extension.type == 41",
		run: func(w *world) {
			w.secure(serverTLS(), echo)
			config := clientTLS()
			config.ClientSessionCache = tls.NewLRUClientSessionCache(4)
			w.callAll(4, config)
		},
	},
	{
		name: "healthy-mutual-tls", doc: "TLS 1.3 with a client certificate that the server likes.", want: calm,
		run: func(w *world) {
			server, client := serverTLS(), clientTLS()
			server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, trusted().pool()
			client.Certificates = []tls.Certificate{trusted().issue("robot-17", inYears(20))}
			w.secure(server, echo)
			w.callAll(3, client)
		},
	},
	{
		name: "healthy-https-close-after-fin", doc: "The client closes, and the server's late goodbye is answered with a RST: how many connections end.", want: calm,
		shows: "tcp.flags.reset == 1",
		run: func(w *world) {
			w.secure(serverTLS(), func(c *tls.Conn) {
				c.Read(make([]byte, 64))
				c.Write([]byte("here you are"))
				w.sleep(300 * time.Millisecond)
				c.Write([]byte("and one more thing"))
			})
			for range 3 {
				if err := w.call(clientTLS()); err != nil {
					w.t.Error(err)
				}
				w.sleep(500 * time.Millisecond)
			}
		},
	},
	{
		name: "healthy-http-keep-alive", doc: "Twelve requests on one connection, one of them for a page that is not there.", want: calm,
		run: func(w *world) {
			w.server.site(web)
			c := w.client.browser(nil)
			for i := range 12 {
				page := fmt.Sprint(100 * i)
				if i == 7 {
					page = "favicon.ico"
				}
				w.client.fetch(c, web, page)
				w.sleep(50 * time.Millisecond)
			}
		},
	},
	{
		name: "healthy-dns-search-suffixes", doc: "Each name is asked for under two search suffixes, where it does not exist, before it is found.", want: calm,
		shows: "dns.flags.rcode == 3",
		run: func(w *world) {
			w.resolver(func(m *dnsmessage.Message) bool {
				if bytes.HasSuffix([]byte(m.Questions[0].Name.String()), []byte(".internal.")) {
					return missing(m)
				}
				return answer(m)
			})
			w.server.site(web)
			for range 3 {
				for _, name := range []string{"ingest.contoso.example.", "login.contoso.example."} {
					for _, suffix := range []string{"apps.svc.internal.", "svc.internal.", ""} {
						w.ask(name+suffix, resolverAddr)
					}
					w.client.fetch(w.client.browser(nil), web, "200")
				}
				w.sleep(300 * time.Millisecond)
			}
		},
	},
	{
		name: "healthy-dns-over-tcp", doc: "A long answer is cut (TC), and asked for by TCP at once.", want: calm,
		shows: "dns.flags.truncated == 1",
		run: func(w *world) {
			w.resolver(func(m *dnsmessage.Message) bool {
				m.Truncated = true
				return true
			})
			w.resolverByTCP(answer)
			for _, name := range []string{"many.contoso.example.", "more.contoso.example."} {
				w.askOne(name, resolverAddr)
				w.askByTCP(name, resolverAddr)
			}
		},
	},
	{
		name: "healthy-ssh-session", doc: "Banners, a key exchange, and somebody who types now and then.", want: calm,
		run: func(w *world) {
			w.server.serve(at(partnerAddr, 22), func(c *net.TCPConn) {
				fmt.Fprint(c, "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
				buf := make([]byte, 2048)
				for {
					n, err := c.Read(buf)
					if err != nil {
						return
					}
					c.Write(append(buf[:n], make([]byte, 36)...))
				}
			})
			c := w.client.connect(at(partnerAddr, 22))
			r := bufio.NewReader(c)
			r.ReadString('\n')
			fmt.Fprint(c, "SSH-2.0-OpenSSH_9.6\r\n")
			for i, size := range []int{1200, 48, 36, 36, 36, 36, 36, 36} {
				c.Write(bytes.Repeat([]byte{byte(0xa0 + i)}, size))
				io.CopyN(io.Discard, r, int64(size))
				w.sleep(time.Duration(300+i*400) * time.Millisecond)
			}
			c.Close()
		},
	},
	{
		name: "healthy-database", doc: "Queries and answers of all sizes over a few connections that stay open.", want: calm,
		run: func(w *world) {
			w.server.serve(at(partnerAddr, 5432), func(c *net.TCPConn) {
				buf := make([]byte, 1024)
				for {
					n, err := c.Read(buf)
					if err != nil {
						return
					}
					w.sleep(time.Duration(n%7) * 5 * time.Millisecond)
					c.Write(bytes.Repeat([]byte{'D'}, 16*n))
				}
			})
			for range 3 {
				c := w.client.connect(at(partnerAddr, 5432))
				for i := range 10 {
					query := bytes.Repeat([]byte{'Q'}, 10+7*i)
					c.Write(query)
					io.CopyN(io.Discard, c, int64(16*len(query)))
					w.sleep(40 * time.Millisecond)
				}
				c.Close()
			}
		},
	},
	{
		name: "healthy-idle-with-keep-alives", doc: "A connection is idle for 15 s, kept alive every 3 s, and then used again.", want: calm,
		shows: "tcp.analysis.keep_alive",
		run: func(w *world) {
			w.secure(serverTLS(), echo)
			raw := w.client.connect(at(partnerAddr, 443))
			raw.(*net.TCPConn).SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 3 * time.Second, Interval: 3 * time.Second, Count: 5})
			c := tls.Client(raw, clientTLS())
			buf := make([]byte, 64)
			for range 2 {
				c.Write([]byte("still there?"))
				c.Read(buf)
				w.sleep(15 * time.Second)
			}
			c.Close()
		},
	},
	{
		name: "healthy-upload", doc: "250 KB from client to server.", limits: headers, want: calm,
		run: func(w *world) {
			w.relay(line(), line())
			w.server.site(web)
			if err := w.client.post(web, 250_000, 10*time.Second); err != nil {
				w.t.Error(err)
			}
		},
	},
	{
		name: "healthy-download", doc: "250 KB from server to client.", limits: headers, want: calm,
		run: func(w *world) {
			w.relay(line(), line())
			w.server.site(web)
			w.client.fetch(w.client.browser(nil), web, "250000")
		},
	},
	{
		name: "healthy-wide-area", doc: "Four pages from a server 40 ms away.", want: calm,
		run: func(w *world) {
			far := path{delay: 20 * time.Millisecond, rate: 50_000_000}
			w.relay(far, far)
			w.server.site(web)
			for range 4 {
				w.client.fetch(w.client.browser(nil), web, "5000")
			}
		},
	},
	{
		name: "healthy-quic", doc: "QUIC: a handshake, and a stream each way.", want: calm,
		shows: "quic",
		run: func(w *world) {
			server, client := serverTLS(), clientTLS()
			for _, c := range []*tls.Config{server, client} {
				c.MinVersion, c.NextProtos = tls.VersionTLS13, []string{"lab"}
			}
			w.speakQUIC(&quic.Config{TLSConfig: server}, &quic.Config{TLSConfig: client})
		},
	},
	{
		name: "healthy-probes", doc: "A load balancer looks every second whether the server's port is open; a client uses it meanwhile.", want: calm, at: serverSide,
		shows: "ip.src == 168.63.129.16 && " + synOnly,
		run: func(w *world) {
			w.server.site(at(serverAddr, 80))
			for i := range 8 {
				w.router.connect(at(serverAddr, 80), from(probeAddr)).Close()
				if i%3 == 1 {
					w.client.fetch(w.client.browser(nil), at(serverAddr, 80), "300")
				}
				w.sleep(time.Second)
			}
		},
	},
	{
		name: "healthy-time", doc: "A machine asks for the time every 2 s.", want: calm,
		run: func(w *world) {
			s := w.server.packets(at(partnerAddr, 123))
			go func() {
				buf := make([]byte, 64)
				for {
					n, from, err := s.ReadFrom(buf)
					if err != nil {
						return
					}
					buf[0] = 0x24 // version 4, server
					s.WriteTo(buf[:n], from)
				}
			}()
			c := w.client.packets(at(clientAddr, 123))
			for range 6 {
				c.WriteTo(append([]byte{0x23}, make([]byte, 47)...), net.UDPAddrFromAddrPort(at(partnerAddr, 123)))
				c.SetReadDeadline(time.Now().Add(time.Second))
				c.ReadFrom(make([]byte, 64))
				w.sleep(2 * time.Second)
			}
		},
	},
	{
		name: "healthy-path-mtu", doc: "The router asks for smaller packets by ICMP, and the client obeys: path MTU discovery at work.", limits: limits{snap: 128}, want: calm,
		shows: "icmp.type == 3 && icmp.code == 4",
		run: func(w *world) {
			w.router.ip("link set toserver mtu 1300\n")
			w.server.site(web)
			if err := w.client.post(web, 20000, 10*time.Second); err != nil {
				w.t.Error(err)
			}
		},
	},
	{
		name: "healthy-lease", doc: "A machine extends its DHCP lease, and the resolver that it is given answers.", want: calm,
		shows: "dhcp",
		run: func(w *world) {
			w.resolver(answer)
			w.lookUp(w.renewLease(resolverAddr))
		},
	},
}

// callAll makes calls that have to work.
func (w *world) callAll(n int, config *tls.Config) {
	w.t.Helper()
	for range n {
		if err := w.call(config); err != nil {
			w.t.Error(err)
		}
	}
}
