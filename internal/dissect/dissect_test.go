package dissect_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/dissect"
	"github.com/pcapwarden/pcapwarden/internal/dissect/cleartext"
	"github.com/pcapwarden/pcapwarden/internal/dissect/dhcp"
	"github.com/pcapwarden/pcapwarden/internal/dissect/dns"
	"github.com/pcapwarden/pcapwarden/internal/dissect/http"
	"github.com/pcapwarden/pcapwarden/internal/dissect/quic"
	"github.com/pcapwarden/pcapwarden/internal/dissect/tls"
	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// everything is what comes out of a dissector.
type everything struct {
	Transactions []dns.Transaction
	Lookups      []dns.Lookup
	Exchanges    []http.Exchange
	Logins       []cleartext.Login
	Leases       []dhcp.Lease
	QUIC         []quic.Connection
	Sessions     []tls.Session
	Counters     dissect.Counters
	Dropped      dissect.Dropped
}

func read(t testing.TB, c *capture) everything {
	t.Helper()
	var out everything
	r, err := pcap.NewReader(bytes.NewReader(c.file.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	table := flow.NewTable(flow.Limits{})
	d := dissect.New(table, dissect.Events{
		Transaction: func(x *dns.Transaction) { out.Transactions = append(out.Transactions, *x) },
		Lookup:      func(x *dns.Lookup) { out.Lookups = append(out.Lookups, *x) },
		Exchange:    func(_ dissect.Endpoints, x *http.Exchange) { out.Exchanges = append(out.Exchanges, *x) },
		Login:       func(_ dissect.Endpoints, x cleartext.Login) { out.Logins = append(out.Logins, x) },
		Lease:       func(x *dhcp.Lease) { out.Leases = append(out.Leases, *x) },
		QUIC:        func(x *quic.Connection) { out.QUIC = append(out.QUIC, *x) },
	})
	table.End = func(fc *flow.Conn, _ flow.Reason) {
		if s := d.End(fc); s != nil {
			out.Sessions = append(out.Sessions, *s)
		}
	}
	table.EndConversation = func(fc *flow.Conversation, _ flow.Reason) { d.EndConversation(fc) }
	var decoder packet.Decoder
	var p packet.Packet
	for rec, err := r.Next(); err == nil; rec, err = r.Next() {
		decoder.Decode(rec, &p)
		d.Add(&p, table.Add(&p))
	}
	table.Finish()
	d.Finish(p.Time)
	out.Counters, out.Dropped = d.Counters(), d.Dropped()
	return out
}

// clientHello is a minimal one with a name.
func clientHello(name string) string {
	sni := fmt.Sprintf("\x00\x00\x00%c\x00%c\x00\x00%c%s", len(name)+5, len(name)+3, len(name), name)
	body := "\x03\x03" + strings.Repeat("r", 32) + "\x00\x00\x02\xc0\x2f\x01\x00" + fmt.Sprintf("\x00%c", len(sni)) + sni
	return fmt.Sprintf("\x16\x03\x01\x00%c\x01\x00\x00%c", len(body)+4, len(body)) + body
}

// What was sent to log in, asked for or remembered in cookies does not come
// out of a dissector in any form.
func TestSecretsStayInside(t *testing.T) {
	const user, secret = "Uniq0User", "Uniq0Secret"
	c := newCapture()
	h := c.connect("10.0.0.5:4001", "10.0.0.9:80")
	h.client("GET /" + secret + "?token=" + secret + " HTTP/1.1\r\nHost: h.test\r\nCookie: " + secret + "\r\nAuthorization: Basic " + secret + "\r\n\r\n")
	h.server("HTTP/1.1 200 OK\r\nSet-Cookie: " + secret + "\r\nContent-Length: 11\r\n\r\n" + secret)
	h.fin()
	for i, talk := range []struct {
		port  int
		lines string
	}{
		{21, "USER " + user + "\r\nPASS " + secret},
		{110, "USER " + user + "\r\nPASS " + secret},
		{143, "a LOGIN " + user + " " + secret},
		{25, "AUTH PLAIN " + secret},
		{587, "AUTH LOGIN\r\n" + secret},
		{23, user + "\r\n" + secret},
		{389, "\x30\x21\x02\x01\x01\x60\x1c\x02\x01\x03\x04\x0acn=" + user[:7] + "\x80\x0b" + secret},
	} {
		conn := c.connect(fmt.Sprintf("10.0.0.5:%d", 4100+i), fmt.Sprintf("10.0.0.9:%d", talk.port))
		conn.server("Password: ")
		conn.client(talk.lines + "\r\n")
		conn.fin()
	}
	got := read(t, c)
	if len(got.Logins) < 8 || len(got.Exchanges) != 1 {
		t.Errorf("%d logins, %d exchanges, want at least 8 and 1: %+v", len(got.Logins), len(got.Exchanges), got.Logins)
	}
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{user, secret, secret[:6], user[:6]} {
		if bytes.Contains(text, []byte(s)) {
			t.Errorf("%q came out", s)
		}
	}
	want := cleartext.Counters{HTTPBasic: 1, FTP: 1, POP: 1, IMAP: 1, SMTP: 2, TelnetData: 2}
	if diff := cmp.Diff(want, got.Counters.Cleartext); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}

// TLS is found wherever it begins; tshark's counts include only what its ports
// and its other dissectors let it see.
func TestWhereTLSIsFound(t *testing.T) {
	hello := clientHello("a.test")
	tests := []struct {
		name    string
		server  string
		talk    func(c *tcp)
		counted int
	}{
		{"known_port", "10.0.0.9:443", func(c *tcp) { c.client(hello) }, 1},
		{"any_port", "10.0.0.9:9999", func(c *tcp) { c.client(hello) }, 1},
		{"port_of_another_protocol", "10.0.0.9:80", func(c *tcp) { c.client(hello) }, 0},
		{"mail_upgrade", "10.0.0.9:25", func(c *tcp) { c.client("STARTTLS\r\n"); c.server("220 go\r\n"); c.client(hello) }, 1},
		{"database_upgrade", "10.0.0.9:5432", func(c *tcp) { c.client("\x00\x00\x00\x08\x04\xd2\x16\x2f"); c.server("S"); c.client(hello) }, 1},
		{"proxy", "10.0.0.9:8080", func(c *tcp) {
			c.client("CONNECT a.test:443 HTTP/1.1\r\n\r\n")
			c.server("HTTP/1.1 200 OK\r\n\r\n")
			c.client(hello)
		}, 1},
		{"socks", "10.0.0.9:1080", func(c *tcp) { c.client("\x05\x01\x00"); c.server("\x05\x00"); c.client(hello) }, 1},
		{"in_two_packets", "10.0.0.9:9999", func(c *tcp) { c.client(hello[:9]); c.client(hello[9:]) }, 1},
		{"overtaken", "10.0.0.9:443", func(c *tcp) {
			c.skip(0, 20)
			c.client(hello[20:])
			c.back(0, len(hello))
			c.client(hello[:20])
		}, 0}, // tshark's default preferences do not put it together
		{"midstream", "10.0.0.9:443", func(c *tcp) { c.client("gibberish"); c.client(hello) }, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCapture()
			conn := c.connect("10.0.0.5:40001", tt.server)
			tt.talk(conn)
			got := read(t, c)
			if len(got.Sessions) != 1 || got.Sessions[0].Hello == nil || got.Sessions[0].Hello.SNI != "a.test" {
				t.Fatalf("sessions = %+v, want one with a.test", got.Sessions)
			}
			if n := got.Counters.TLS.HandshakeTypes["1"]; n != tt.counted {
				t.Errorf("%d ClientHellos counted, want %d", n, tt.counted)
			}
		})
	}
}

// A long body with losses in it, then another exchange on the same connection.
func TestLongConnection(t *testing.T) {
	c := newCapture()
	h := c.connect("10.0.0.5:4001", "10.0.0.9:80")
	body := strings.Repeat("x", 1000)
	h.client("GET / HTTP/1.1\r\n\r\n")
	h.server("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n")
	for i := range 200 {
		if i == 2 || i == 3 { // overtaken by the next one
			h.skip(1, len(body))
			h.server(body)
			h.back(1, 2*len(body))
			h.server(body)
			h.skip(1, len(body))
			continue
		}
		if i == 4 || i == 5 {
			continue
		}
		if i == 150 { // not captured
			h.skip(1, len(body))
			continue
		}
		h.server(body)
	}
	h.client("HEAD / HTTP/1.1\r\n\r\n")
	h.server("HTTP/1.1 404 no\r\nContent-Length: 7\r\n\r\n")
	h.fin()
	got := read(t, c)
	var statuses []int
	for _, e := range got.Exchanges {
		statuses = append(statuses, e.Status)
		if e.AnswerEnd == 0 {
			t.Errorf("the answer %d never ended", e.Status)
		}
	}
	if diff := cmp.Diff([]int{200, 404}, statuses); diff != "" {
		t.Errorf("exchanges (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"404": 1}, got.Counters.HTTP.ResponseCodes); diff != "" {
		t.Errorf("tshark counts what it has all bytes of (-want +got):\n%s", diff)
	}
}

func TestDatagrams(t *testing.T) {
	addr := netip.MustParseAddrPort
	c := newCapture()
	query := []byte("\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01")
	c.udp(addr("10.0.0.5:4000"), addr("10.0.0.4:53"), query)
	c.unreachable(netip.MustParseAddr("10.0.0.4"), addr("10.0.0.5:4000"), addr("10.0.0.4:53"))
	c.udp(addr("10.0.0.5:5353"), addr("224.0.0.251:5353"), query)
	c.udp(addr("10.0.0.5:4000"), addr("224.0.0.252:5355"), query)
	c.udp(addr("10.0.0.5:4000"), addr("239.255.255.250:1900"), []byte("M-SEARCH * HTTP/1.1\r\nHOST: x\r\n\r\n"))
	lease := make([]byte, 250)
	lease[0] = 2
	copy(lease[236:], "\x63\x82\x53\x63\x35\x01\x05\x06\x04\x0a\x00\x00\x04\xff")
	c.udp(addr("10.0.0.1:67"), addr("10.0.0.5:68"), lease)
	got := read(t, c)

	if got.Counters.DNS.Queries != 1 || len(got.Transactions) != 1 || got.Transactions[0].Unreachable != 2 || !got.Transactions[0].Undecided {
		t.Errorf("DNS: %+v, %+v, want one query that frame 2 calls unreachable", got.Counters.DNS, got.Transactions)
	}
	wantICMP := dissect.ICMPCounters{V4: map[string]int{"3/3": 1}, V6: map[string]int{}, Unreachable: 1, MTU: []string{}}
	if diff := cmp.Diff(wantICMP, got.Counters.ICMP); diff != "" {
		t.Errorf("ICMP (-want +got):\n%s", diff)
	}
	if got.Counters.HTTP.Requests != 1 {
		t.Errorf("SSDP: %+v, want one request", got.Counters.HTTP)
	}
	if len(got.Leases) != 1 || got.Leases[0].Resolvers[0] != netip.MustParseAddr("10.0.0.4") {
		t.Errorf("leases = %+v, want one with 10.0.0.4", got.Leases)
	}
}

// Connections that each stop in the middle of a message share one limit.
func TestMemoryOfUnfinishedMessages(t *testing.T) {
	c := newCapture()
	half := "\x16\x03\x01\x40\x00\x0b\x00\x3f\xfc" + strings.Repeat("x", 14000)
	const connections = 3000 // 42 MB
	for i := range connections {
		conn := c.connect(fmt.Sprintf("10.0.%d.%d:4001", i>>8, i&255), "10.1.0.9:443")
		conn.client(half)
	}
	got := read(t, c)
	if got.Dropped.Messages == 0 || got.Dropped.Messages >= connections {
		t.Errorf("%d messages given up, want some of %d", got.Dropped.Messages, connections)
	}
}

func FuzzCapture(f *testing.F) {
	c := newCapture()
	h := c.connect("10.0.0.5:4001", "10.0.0.9:80")
	h.client("GET / HTTP/1.1\r\n\r\n")
	h.server("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
	h.skip(1, 1)
	h.server("d")
	h.fin()
	s := c.connect("10.0.0.5:4002", "10.0.0.9:443")
	s.client(clientHello("a.test"))
	m := c.connect("10.0.0.5:4003", "10.0.0.9:25")
	m.client("STARTTLS\r\n")
	m.server("220 go\r\n")
	m.client(clientHello("a.test"))
	f.Add(c.file.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		d, _ := run(t, bytes.NewReader(b), dissect.Events{})
		if d != nil {
			d.Counters()
			d.Resolvers()
		}
	})
}
