package traffic

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// Mixed writes bytes of what a few hundred machines do: web, databases,
// shells, transfers, calls, lookups, and a little that goes wrong.
func Mixed(w io.Writer, bytes int64) error {
	m := newMaker(1)
	return play(w, func() *session {
		m.wait(8 * time.Millisecond)
		switch share := m.Float64() * 100; {
		case share < 64:
			return m.lookup(m.names[m.IntN(hostNames)])
		case share < 84:
			return m.web(9000)
		case share < 91:
			return m.plainWeb()
		case share < 93.5:
			return m.database()
		case share < 94.2:
			return m.shell()
		case share < 95:
			return m.transfer()
		case share < 96.4:
			return m.media(200 + m.IntN(500))
		case share < 98:
			return m.ping()
		}
		to := m.inside(byte(70+m.IntN(3)), 8443)
		return m.dial(m.client(to.Addr()), to).unanswered(m.one(50))
	}, bytes)
}

// Lookups writes n DNS lookups, most of names that come once.
func Lookups(w io.Writer, n int) error {
	m := newMaker(2)
	i := 0
	return play(w, func() *session {
		if i == n {
			return nil
		}
		m.wait(200 * time.Microsecond)
		i++
		name := m.names[m.IntN(hostNames)]
		if m.one(70) {
			name = fmt.Sprintf("id-%08x.%s", m.Uint32(), name)
		}
		return m.lookup(name)
	}, 0)
}

// ShortTLS writes n connections with a handshake, one request and one answer.
func ShortTLS(w io.Writer, n int) error {
	m := newMaker(3)
	i := 0
	return play(w, func() *session {
		if i == n {
			return nil
		}
		m.wait(time.Millisecond)
		i++
		to := m.services[m.IntN(sites)]
		d := m.dial(m.client(to.Addr()), to)
		d.open()
		say := d.tls(to)
		say(client, 300)
		d.pass(time.Millisecond)
		say(server, 600)
		return d.close()
	}, 0)
}

// Steady writes what a fixed number of connections and streams exchange for as
// many rounds: more rounds, more packets, and nothing else that is new.
func Steady(w io.Writer, rounds int) error {
	m := newMaker(4)
	var all []*session
	for i := range 20 {
		m.wait(50 * time.Millisecond)
		to := m.services[i%sites]
		d := m.dial(m.client(to.Addr()), to)
		d.open()
		say := d.tls(to)
		for range rounds {
			say(client, 500)
			say(server, 20_000)
			d.pass(20 * time.Millisecond)
		}
		all = append(all, d.close(), m.media(50*rounds))
	}
	slices.SortStableFunc(all, func(a, b *session) int { return cmp.Compare(a.at(), b.at()) })
	return play(w, func() *session {
		if len(all) == 0 {
			return nil
		}
		s := all[0]
		all = all[1:]
		return s
	}, 0)
}

// Crowd writes a connection of each of n clients, none of which is in order:
// segments are lost, answers come late, silences end in a RST.
func Crowd(w io.Writer, n int) error {
	m := newMaker(5)
	i := uint32(0)
	return play(w, func() *session {
		if i == uint32(n) {
			return nil
		}
		i++
		m.wait(time.Millisecond)
		from := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		d := m.dial(from, m.inside(byte(60+i%3), 9871))
		if i%7 == 0 {
			return d.unanswered(i%2 == 0)
		}
		d.loss = 100
		d.open()
		d.say(client, d.bytes(400))
		d.pass(time.Duration(i%4) * time.Second)
		d.say(server, d.bytes(20_000))
		if i%3 == 0 {
			d.pass(250 * time.Second)
			d.add(d.now, client, packet.ACK|packet.PSH, d.seq[client], d.seq[server], d.bytes(100))
			d.pass(time.Second)
			d.add(d.now, server, packet.RST, d.seq[server], 0, nil)
			return d.end()
		}
		return d.close()
	}, 0)
}

// SYNs writes n SYNs to one service, from n clients that exist no more than
// once.
func SYNs(w io.Writer, n int) error {
	buffered := bufio.NewWriterSize(w, 1<<20)
	out, err := pcap.NewWriter(buffered, pcap.LinkTypeEthernet, 0)
	if err != nil {
		return err
	}
	s := session{protocol: packet.ProtocolTCP, ttl: [2]uint8{64, 64}}
	s.ends[server] = netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, 80}), 443)
	var from [4]byte
	var frame []byte
	for i := range uint32(n) {
		spread := i * 2654435761 // odd, so that no two are the same
		binary.BigEndian.PutUint32(from[:], spread)
		s.ends[client] = netip.AddrPortFrom(netip.AddrFrom4(from), uint16(1024+spread%60000))
		p := planned{at: start + pcap.Timestamp(i)*4000, flags: packet.SYN, seq: spread ^ i, window: 64240}
		frame = s.frame(frame[:0], &p)
		if err := out.WritePacket(p.at, len(frame), frame); err != nil {
			return err
		}
	}
	return buffered.Flush()
}
