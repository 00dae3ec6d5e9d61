//go:build linux

package lab

import (
	"encoding/binary"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/analysis/analysistest"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

func dnsWant(cause analysis.Cause, kinds ...finding.Kind) analysistest.Want {
	return analysistest.Want{Cause: cause, Culprits: []finding.Culprit{finding.Resolver}, Kinds: kinds}
}

var resolving = []experiment{
	{
		name: "dns-resolver-dead", doc: "The only resolver never answers.",
		run:   func(w *world) { w.lookUp(deadAddr) },
		shows: "dns && ip.dst == 10.70.2.66",
		want:  dnsWant(analysis.DNSUnreachable, "dns.resolver-unreachable"),
	},
	{
		name: "dns-first-resolver-dead", doc: "The first of two resolvers never answers; each name waits for it.",
		run: func(w *world) {
			w.resolver(answer)
			w.lookUp(deadAddr, resolverAddr)
		},
		shows: "dns && ip.dst == 10.70.2.66",
		want:  dnsWant(analysis.DNSUnreachable, "dns.resolver-unreachable", "dns.fallback"),
	},
	{
		name: "dns-resolver-port-closed", doc: "Nothing listens on port 53 of the resolver; ICMP says so.",
		run:   func(w *world) { w.lookUp(resolverAddr) },
		shows: "icmp.type == 3 && icmp.code == 3",
		want:  dnsWant(analysis.DNSUnreachable, "dns.resolver-unreachable"),
	},
	{
		name: "dns-stale-lease", doc: "DHCP hands out a resolver that is gone.",
		run: func(w *world) {
			w.lookUp(w.renewLease(deadAddr))
		},
		shows: "dns && ip.dst == 10.70.2.66",
		want:  dnsWant(analysis.DNSUnreachable, "dns.resolver-unreachable"),
	},
	{
		name: "dns-slow", doc: "The resolver takes 2.5 s for names that it has to ask others about.",
		run: func(w *world) {
			w.resolver(func(m *dnsmessage.Message) bool {
				time.Sleep(2500 * time.Millisecond)
				return answer(m)
			})
			w.lookUp(resolverAddr)
		},
		shows: "dns.time > 2",
		want:  dnsWant(analysis.SlowDNS, "dns.slow"),
	},
	{
		name: "dns-servfail", doc: "The resolver's forwarder is broken: SERVFAIL.",
		run: func(w *world) {
			w.resolver(func(m *dnsmessage.Message) bool {
				m.RCode = dnsmessage.RCodeServerFailure
				return true
			})
			w.lookUp(resolverAddr)
		},
		shows: "dns.flags.rcode == 2",
		want:  dnsWant(analysis.DNSFailure, "dns.failure"),
	},
	{
		name: "dns-nxdomain-storm", doc: "A client asks again and again for a name that does not exist.",
		run: func(w *world) {
			w.resolver(missing)
			for range 40 {
				w.ask("old-broker.contoso.example.", resolverAddr)
				w.sleep(50 * time.Millisecond)
			}
		},
		shows: "dns.flags.rcode == 3",
		// The client asks, the resolver does not know: both are fair.
		want: analysistest.Want{Cause: analysis.DNSFailure, Culprits: []finding.Culprit{finding.Client, finding.Resolver}, Kinds: []finding.Kind{"dns.failure"}},
	},
	{
		name: "dns-truncated", doc: "Answers are cut (TC), and the client never asks by TCP.",
		run: func(w *world) {
			w.resolver(func(m *dnsmessage.Message) bool {
				m.Truncated = true
				return true
			})
			w.lookUp(resolverAddr)
		},
		shows: "dns.flags.truncated == 1",
		want:  analysistest.Want{Cause: analysis.DNSFailure, Culprits: []finding.Culprit{finding.Client, finding.Resolver}, Kinds: []finding.Kind{"dns.failure"}},
	},
}

// answer is how a resolver answers that knows every name.
func answer(m *dnsmessage.Message) bool {
	m.Answers = []dnsmessage.Resource{{
		Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET, TTL: 30},
		Body:   &dnsmessage.AResource{A: partnerAddr.As4()},
	}}
	return true
}

// missing is how one answers that knows none.
func missing(m *dnsmessage.Message) bool {
	m.RCode = dnsmessage.RCodeNameError
	return true
}

// resolver answers questions by UDP, several at a time; reply completes the
// answer, or says that there is none.
func (w *world) resolver(reply func(*dnsmessage.Message) bool) {
	w.t.Helper()
	c := w.server.packets(at(resolverAddr, 53))
	go func() {
		for {
			buf := make([]byte, 1500)
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			go func() {
				if packet, ok := replyTo(buf[:n], reply); ok {
					c.WriteTo(packet, from)
				}
			}()
		}
	}()
}

func replyTo(question []byte, reply func(*dnsmessage.Message) bool) ([]byte, bool) {
	var m dnsmessage.Message
	if m.Unpack(question) != nil || len(m.Questions) != 1 {
		return nil, false
	}
	m.Response, m.RecursionAvailable = true, true
	if !reply(&m) {
		return nil, false
	}
	packet, err := m.Pack()
	return packet, err == nil
}

// lookUp asks for three names, of each resolver in turn until one answers,
// twice over, as a stub resolver does.
func (w *world) lookUp(resolvers ...netip.Addr) {
	for _, name := range []string{"ingest.contoso.example.", "login.contoso.example.", "storage.contoso.example."} {
		w.ask(name, resolvers...)
	}
}

const patience = 3 * time.Second

func (w *world) ask(name string, resolvers ...netip.Addr) (m dnsmessage.Message, ok bool) {
	w.t.Helper()
	for range 2 {
		for _, r := range resolvers {
			if m, ok = w.askOne(name, r); ok && m.RCode != dnsmessage.RCodeServerFailure && !m.Truncated {
				return m, true
			}
		}
	}
	return m, ok
}

var questions = make(chan uint16)

func init() {
	go func() {
		for id := uint16(0x1001); ; id += 0x0101 {
			questions <- id
		}
	}()
}

func (w *world) askOne(name string, resolver netip.Addr) (m dnsmessage.Message, ok bool) {
	w.t.Helper()
	// Connected, as resolvers' sockets are: an ICMP error ends the wait.
	c := w.client.dialPackets(at(resolver, 53))
	defer c.Close()
	if _, err := c.Write(question(w.t.Fatal, name)); err != nil {
		return m, false
	}
	c.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, 1500)
	n, err := c.Read(buf)
	return m, err == nil && m.Unpack(buf[:n]) == nil
}

func question(fatal func(...any), name string) []byte {
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: <-questions, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	packet, err := m.Pack()
	if err != nil {
		fatal(err)
	}
	return packet
}

// askByTCP asks as RFC 1035, 4.2.2 says: a length, then the message.
func (w *world) askByTCP(name string, resolver netip.Addr) {
	w.t.Helper()
	c := w.client.connect(at(resolver, 53))
	defer c.Close()
	q := question(w.t.Fatal, name)
	c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(q))), q...))
	c.SetReadDeadline(time.Now().Add(patience))
	if _, err := c.Read(make([]byte, 1500)); err != nil {
		w.t.Fatal(err)
	}
}

// resolverByTCP answers one question of each connection.
func (w *world) resolverByTCP(reply func(*dnsmessage.Message) bool) {
	w.t.Helper()
	w.server.serve(at(resolverAddr, 53), func(c *net.TCPConn) {
		buf := make([]byte, 1500)
		n, err := c.Read(buf)
		if err != nil || n < 2 {
			return
		}
		if packet, ok := replyTo(buf[2:n], reply); ok {
			c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...))
			c.Read(buf) // the client closes first
		}
	})
}
