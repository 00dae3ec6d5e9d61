package traffic

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// mss is the segment size that is agreed on; timestamps take 12 bytes of it.
const (
	mss     = 1460
	segment = mss - 12
)

// Times on the way, apart from the round trip.
const (
	onWire   = 12 * time.Microsecond // one full frame at 1 Gbit/s
	atOnce   = 30 * time.Microsecond // the client's stack, where the capture is taken
	fullRate = 64                    // segments in flight, at most
)

// A dialog plans a TCP connection, as seen from the client's network card.
type dialog struct {
	*maker
	session *session
	now     pcap.Timestamp
	rtt     time.Duration
	seq     [2]uint32
	rate    [2]int  // segments in flight
	loss    float64 // percent of the bursts that lose a segment
}

// dial plans a connection from an address to a service.
func (m *maker) dial(from netip.Addr, to service) *dialog {
	m.port++
	d := &dialog{
		maker: m, now: m.now, rtt: to.rtt + m.between(0, to.rtt/10+1), loss: 2,
		seq: [2]uint32{m.Uint32(), m.Uint32()}, rate: [2]int{10, 10},
		session: &session{
			protocol: packet.ProtocolTCP, ends: [2]netip.AddrPort{netip.AddrPortFrom(from, 32768+m.port%28000), to.AddrPort},
			ttl: [2]uint8{64, to.ttl}, ipid: [2]uint16{uint16(m.Uint32()), uint16(m.Uint32())},
		},
	}
	return d
}

// add plans a packet.
func (d *dialog) add(at pcap.Timestamp, from int, flags packet.TCPFlags, seq, ack uint32, payload []byte) *planned {
	d.session.plan = append(d.session.plan, planned{at: at, from: from, flags: flags, seq: seq, ack: ack, window: 501, payload: payload})
	return &d.session.plan[len(d.session.plan)-1]
}

func (d *dialog) pass(t time.Duration) { d.now += pcap.Timestamp(t) }

// open shakes hands.
func (d *dialog) open() {
	d.add(d.now, client, packet.SYN, d.seq[client], 0, nil)
	d.pass(d.rtt)
	d.add(d.now, server, packet.SYN|packet.ACK, d.seq[server], d.seq[client]+1, nil)
	d.pass(atOnce)
	d.seq[client]++
	d.seq[server]++
	d.add(d.now, client, packet.ACK, d.seq[client], d.seq[server], nil)
	d.pass(atOnce)
}

// say plans a message and its acknowledgements, in bursts that grow.
func (d *dialog) say(from int, message []byte) {
	peer := 1 - from
	answer := pcap.Timestamp(atOnce) // until an acknowledgement is seen
	if peer == server {
		answer = pcap.Timestamp(d.rtt)
	}
	for len(message) > 0 {
		burst := min(d.rate[from], (len(message)+segment-1)/segment)
		lost := -1
		if burst > 4 && d.one(d.loss) {
			lost = d.IntN(burst - 4)
		}
		var hole, end uint32
		var gone []byte
		for i := range burst {
			part := message[:min(segment, len(message))]
			message = message[len(part):]
			flags := packet.ACK
			if i == burst-1 {
				flags |= packet.PSH
			}
			seq := d.seq[from]
			p := d.add(d.now, from, flags, seq, d.seq[peer], part)
			d.seq[from] += uint32(len(part))
			end = d.seq[from]
			switch {
			case i == lost:
				hole, gone = seq, part
				p.lost = from == server
			case lost >= 0 && i > lost:
				a := d.add(d.now+answer, peer, packet.ACK, d.seq[peer], hole, nil)
				a.sack = [2]uint32{hole + uint32(len(gone)), end}
			case i%2 == 1 || i == burst-1:
				d.add(d.now+answer, peer, packet.ACK, d.seq[peer], end, nil)
			}
			d.pass(onWire)
		}
		d.pass(d.rtt)
		if lost >= 0 {
			d.add(d.now, from, packet.ACK, hole, d.seq[peer], gone)
			d.add(d.now+answer, peer, packet.ACK, d.seq[peer], end, nil)
			d.rate[from] = max(d.rate[from]/2, 4)
			d.pass(d.rtt)
		} else {
			d.rate[from] = min(2*d.rate[from], fullRate)
		}
	}
}

// close ends the connection, mostly in order.
func (d *dialog) close() *session {
	if d.one(4) {
		d.add(d.now, client, packet.RST|packet.ACK, d.seq[client], d.seq[server], nil)
		return d.end()
	}
	d.add(d.now, client, packet.FIN|packet.ACK, d.seq[client], d.seq[server], nil)
	d.pass(d.rtt)
	d.add(d.now, server, packet.FIN|packet.ACK, d.seq[server], d.seq[client]+1, nil)
	d.pass(atOnce)
	d.add(d.now, client, packet.ACK, d.seq[client]+1, d.seq[server]+1, nil)
	return d.end()
}

func (d *dialog) end() *session {
	slices.SortStableFunc(d.session.plan, func(a, b planned) int { return cmp.Compare(a.at, b.at) })
	return d.session
}

// unanswered is a connection that nobody accepts: SYNs, and one RST at most.
func (d *dialog) unanswered(refused bool) *session {
	d.add(d.now, client, packet.SYN, d.seq[client], 0, nil)
	if refused {
		d.pass(d.rtt)
		d.add(d.now, server, packet.RST|packet.ACK, 0, d.seq[client]+1, nil)
		return d.end()
	}
	for wait := time.Second; wait <= 4*time.Second; wait *= 2 {
		d.pass(wait)
		d.add(d.now, client, packet.SYN, d.seq[client], 0, nil)
	}
	return d.end()
}
