package traffic

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// A service is somebody that clients talk to.
type service struct {
	netip.AddrPort
	name         string
	rtt          time.Duration
	ttl          uint8
	certificates []byte
}

const (
	sites     = 24
	hostNames = 2000
)

// makeServices makes up web sites, one of six on IPv6, and names.
func (m *maker) makeServices() {
	for i := range sites {
		s := service{
			AddrPort: netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(i + 1)}), 443),
			name:     fmt.Sprintf("www.site%d.example", i), rtt: m.between(time.Millisecond, 80*time.Millisecond), ttl: uint8(44 + m.IntN(15)),
		}
		if i%6 == 5 {
			s.AddrPort = netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i)}), 443)
		}
		s.certificates = certificates(s.name, int64(i+2))
		m.services = append(m.services, s)
	}
	for i := range hostNames {
		m.names = append(m.names, fmt.Sprintf("host%d.zone%d.example.", i, i%50))
	}
}

// client returns one of a few hundred machines, in the family of an address.
func (m *maker) client(peer netip.Addr) netip.Addr {
	n := m.IntN(300)
	if peer.Is4() {
		return netip.AddrFrom4([4]byte{10, 1, byte(n >> 8), byte(n)})
	}
	return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 1, 14: byte(n >> 8), 15: byte(n)})
}

// inside is a service in the same network.
func (m *maker) inside(host byte, port uint16) service {
	return service{AddrPort: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 2, 0, host}), port), rtt: 300 * time.Microsecond, ttl: 64}
}

// size returns a length around a median, most within a factor of ten, at most
// an eighth of a megabyte.
func (m *maker) size(median float64) int {
	return int(min(median*math.Exp(m.NormFloat64()*1.2), 1<<17))
}

// web is a browser or a client of an API.
func (m *maker) web(mean float64) *session {
	to := m.services[m.IntN(sites)]
	d := m.dial(m.client(to.Addr()), to)
	d.open()
	say := d.tls(to)
	for range 1 + m.IntN(6) {
		say(client, 200+m.IntN(700))
		d.pass(m.between(time.Millisecond, 60*time.Millisecond))
		say(server, m.size(mean))
		d.pass(m.between(5*time.Millisecond, 900*time.Millisecond))
	}
	if d.one(50) {
		say(client, 2)
	}
	return d.close()
}

// plainWeb is HTTP without TLS.
func (m *maker) plainWeb() *session {
	to := m.inside(byte(20+m.IntN(4)), 80)
	d := m.dial(m.client(to.Addr()), to)
	d.open()
	for i := range 1 + m.IntN(5) {
		d.say(client, fmt.Appendf(nil, "GET /api/v1/items/%d?page=%d HTTP/1.1\r\nHost: api.internal.example\r\nUser-Agent: client/1.4\r\nAccept: application/json\r\n\r\n", m.IntN(1000), i))
		d.pass(m.between(time.Millisecond, 20*time.Millisecond))
		n := m.size(6000)
		d.say(server, append(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nServer: origin\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", n), d.bytes(n)...))
		d.pass(m.between(time.Millisecond, 300*time.Millisecond))
	}
	return d.close()
}

// database asks short questions for a while.
func (m *maker) database() *session {
	to := m.inside(40, 5432)
	d := m.dial(m.client(to.Addr()), to)
	d.open()
	for range 10 + m.IntN(60) {
		d.say(client, d.bytes(60+m.IntN(400)))
		d.pass(m.between(200*time.Microsecond, 8*time.Millisecond))
		d.say(server, d.bytes(m.size(900)))
		d.pass(m.between(time.Millisecond, 40*time.Millisecond))
	}
	return d.close()
}

// shell is somebody who types.
func (m *maker) shell() *session {
	to := m.inside(50, 22)
	d := m.dial(m.client(to.Addr()), to)
	d.open()
	d.say(server, []byte("SSH-2.0-OpenSSH_9.6\r\n"))
	d.say(client, []byte("SSH-2.0-OpenSSH_9.6\r\n"))
	for range 20 + m.IntN(80) {
		d.say(client, d.bytes(36))
		d.pass(time.Millisecond)
		d.say(server, d.bytes(36+4*m.IntN(60)))
		d.pass(m.between(50*time.Millisecond, 400*time.Millisecond))
	}
	return d.close()
}

// transfer is a backup or a download, on a port that says nothing.
func (m *maker) transfer() *session {
	to := m.inside(60, 9871)
	d := m.dial(m.client(to.Addr()), to)
	d.loss = 5
	d.open()
	d.say(client, d.bytes(64))
	for range 4 + m.IntN(12) {
		d.say(server, d.bytes(128<<10))
	}
	return d.close()
}

// datagrams plans packets of UDP or ICMP.
func (m *maker) datagrams(protocol uint8, from, to netip.AddrPort) *session {
	return &session{protocol: protocol, ends: [2]netip.AddrPort{from, to}, ttl: [2]uint8{64, 57}}
}

// media is n packets of a call or a stream: UDP at an even rate.
func (m *maker) media(n int) *session {
	s := m.datagrams(packet.ProtocolUDP, netip.AddrPortFrom(m.client(netip.IPv4Unspecified()), uint16(40000+m.IntN(9000))), netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, 7}), 3480))
	at := m.now
	for i := range n {
		s.plan = append(s.plan, planned{at: at, from: i % 2, payload: m.bytes(160 + m.IntN(900))})
		at += pcap.Timestamp(m.between(8*time.Millisecond, 12*time.Millisecond))
	}
	return s
}

// ping asks twice whether somebody is there.
func (m *maker) ping() *session {
	s := m.datagrams(packet.ProtocolICMP, netip.AddrPortFrom(m.client(netip.IPv4Unspecified()), 0), netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 2, 0, 1}), 0))
	for i := range uint32(2) {
		at := m.now + pcap.Timestamp(i)*pcap.Timestamp(time.Second)
		s.plan = append(s.plan, planned{at: at, icmp: 8, seq: i, payload: m.noise[:56]}, planned{at: at + 3e5, from: server, icmp: 0, seq: i, payload: m.noise[:56]})
	}
	return s
}

// lookup is a DNS question, one of a hundred lost and sent again.
func (m *maker) lookup(name string) *session {
	m.port++
	resolver := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 2, 0, byte(2 + m.IntN(2))}), 53)
	s := m.datagrams(packet.ProtocolUDP, netip.AddrPortFrom(m.client(resolver.Addr()), 32768+m.port%28000), resolver)
	kind := dnsmessage.TypeA
	if m.one(30) {
		kind = dnsmessage.TypeAAAA
	}
	q := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: uint16(m.Uint32()), RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}},
	}
	at := m.now
	s.plan = append(s.plan, planned{at: at, payload: pack(&q)})
	if m.one(1) {
		at += pcap.Timestamp(2 * time.Second)
		s.plan = append(s.plan, planned{at: at, payload: s.plan[0].payload})
	}
	q.Response, q.RecursionAvailable = true, true
	head := dnsmessage.ResourceHeader{Name: q.Questions[0].Name, Class: dnsmessage.ClassINET, TTL: 300}
	switch {
	case m.one(3):
		q.RCode = dnsmessage.RCodeNameError
	case kind == dnsmessage.TypeA:
		for i := range 1 + m.IntN(3) {
			q.Answers = append(q.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: [4]byte{203, 0, 113, byte(i)}}})
		}
	default:
		q.Answers = append(q.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: [16]byte{0x20, 1, 0xd, 0xb8}}})
	}
	at += pcap.Timestamp(m.between(300*time.Microsecond, 30*time.Millisecond))
	s.plan = append(s.plan, planned{at: at, from: server, payload: pack(&q)})
	return s
}

func pack(q *dnsmessage.Message) []byte {
	b, err := q.Pack()
	if err != nil {
		panic(fmt.Sprintf("make a DNS message: %v", err)) // names and types are ours
	}
	return b
}
