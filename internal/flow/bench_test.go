package flow_test

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// mixed is ordinary traffic: connections with requests and answers of up to
// 40 segments, some loss, some UDP, a few dozen at a time.
func mixed(packets int) []packet.Packet {
	var all []packet.Packet
	payload := make([]byte, 1448)
	now := pcap.Timestamp(1e18)
	type open struct {
		client, server netip.AddrPort
		seq, ack       uint32
		step, last     int
	}
	conns := make([]open, 48)
	for n := 0; len(all) < packets; n++ {
		c := &conns[n%len(conns)]
		if c.step == c.last {
			*c = open{
				client: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 16), byte(n >> 8)}), uint16(20000+n%40000)),
				server: netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(n % 7)}), 443),
				seq:    uint32(n) * 2654435761, ack: uint32(n) * 40503, last: 8 + n%60,
			}
		}
		now += 3e4
		p := packet.Packet{
			Number: int64(len(all) + 1), Time: now, IPVersion: 4, TTL: 64, IPID: uint16(n), Protocol: packet.ProtocolTCP, Transport: true,
			Src: c.client.Addr(), SrcPort: c.client.Port(), Dst: c.server.Addr(), DstPort: c.server.Port(),
			Seq: c.seq, Ack: c.ack, Flags: packet.ACK, Window: 501, WindowScale: -1,
		}
		reply := func() {
			p.Src, p.Dst, p.SrcPort, p.DstPort = p.Dst, p.Src, p.DstPort, p.SrcPort
			p.Seq, p.Ack = p.Ack, p.Seq
		}
		switch {
		case c.step == 0:
			p.Flags, p.Ack, p.WindowScale, p.MSS = packet.SYN, 0, 7, 1460
			c.seq++
		case c.step == 1:
			reply()
			p.Flags, p.WindowScale, p.MSS = packet.SYN|packet.ACK, 7, 1460
			c.ack++
		case c.step == c.last-1:
		case c.step == c.last-2:
			reply()
			c.ack++
			p.Flags |= packet.FIN
		case c.step == c.last-3:
			c.seq++
			p.Flags |= packet.FIN
		case c.step%13 == 4:
			p.Payload, p.SegmentLength = payload[:300], 300
			c.seq += 300
		case c.step%3 == 2:
		default:
			reply()
			p.Payload, p.SegmentLength = payload, len(payload)
			c.ack += uint32(len(payload))
			if n%97 == 5 {
				p.Seq -= 2896 // sent again
			}
		}
		c.step++
		all = append(all, p)
	}
	return all
}

func BenchmarkMixed(b *testing.B) {
	packets := mixed(200_000)
	b.ReportAllocs()
	for b.Loop() {
		table := flow.NewTable(flow.Limits{})
		for i := range packets {
			table.Add(&packets[i])
		}
		table.Finish()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(packets)), "ns/packet")
}

// BenchmarkSYNFlood is the worst case for the state: no two packets belong
// together.
func BenchmarkSYNFlood(b *testing.B) {
	const syns = 1 << 21
	for b.Loop() {
		table := flow.NewTable(flow.Limits{})
		flood(table, syns)
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.Sys)/(1<<20), "MB-sys")
		if got := table.Finish().SYNNoReplyAtAllStreams; got != syns {
			b.Fatalf("unanswered = %d, want %d", got, syns)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/syns, "ns/packet")
}

// flood adds n SYNs from n clients to table.
func flood(table *flow.Table, n int) {
	p := packet.Packet{
		IPVersion: 4, TTL: 64, Protocol: packet.ProtocolTCP, Transport: true,
		Dst: netip.AddrFrom4([4]byte{203, 0, 113, 80}), DstPort: 443,
		Flags: packet.SYN, Window: 1024, WindowScale: -1,
	}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
	var src [4]byte
	for i := range n {
		binary.BigEndian.PutUint32(src[:], uint32(i))
		p.Number, p.Time = int64(i+1), pcap.Timestamp(start+int64(i)*1000)
		p.Src, p.SrcPort, p.Seq = netip.AddrFrom4(src), uint16(1024+i%60000), uint32(i)*2654435761
		table.Add(&p)
	}
}
