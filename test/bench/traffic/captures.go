package traffic

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
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
			return m.media()
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
