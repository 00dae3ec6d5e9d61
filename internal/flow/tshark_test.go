package flow_test

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
	"github.com/pcapwarden/pcapwarden/test/tshark"
)

// TestTshark holds the verdict on every packet, of the scripts and of random
// traffic that obeys no rule, against tshark itself.
func TestTshark(t *testing.T) {
	version, err := exec.CommandContext(t.Context(), "tshark", "--version").Output()
	if err != nil || !strings.Contains(string(version), " 4.0.") {
		t.Skip("no tshark 4.0 here; later ones judge differently")
	}
	t.Run("scripts", func(t *testing.T) {
		var all []packet.Packet
		for i, tt := range judgeTests { // a connection for each
			t.Logf("packets from %d on: %s", len(all)+1, tt.name)
			for _, p := range packets(t, tt.script) {
				if p.SrcPort == 443 {
					p.DstPort += uint16(i)
				} else {
					p.SrcPort += uint16(i)
				}
				all = append(all, p)
			}
		}
		compareWithTshark(t, all)
	})
	t.Run("random", func(t *testing.T) {
		for seed := range uint64(3) {
			compareWithTshark(t, chaos(rand.New(rand.NewPCG(seed, 1)), 3000))
		}
	})
}

// tsharkFields are tshark's classes in the order of our bits.
var tsharkFields = []string{"retransmission", "fast_retransmission", "spurious_retransmission", "out_of_order", "duplicate_ack", "lost_segment",
	"ack_lost_segment", "zero_window", "zero_window_probe", "zero_window_probe_ack", "window_full", "window_update", "keep_alive", "keep_alive_ack",
	"reused_ports"}

func compareWithTshark(t *testing.T, sent []packet.Packet) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "script.pcap")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	w, err := pcap.NewWriter(f, pcap.LinkTypeEthernet, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range sent {
		b := frame(&sent[i])
		if err := w.WritePacket(sent[i].Time, len(b), b); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	fields := []string{"tcp.stream"}
	for _, name := range tsharkFields {
		fields = append(fields, "tcp.analysis."+name)
	}
	frames, complaint := tshark.Fields(t, file, fields)
	if complaint != "" {
		t.Fatalf("tshark: %s", complaint)
	}
	table := flow.NewTable(flow.Limits{})
	wrong := 0
	for i, columns := range frames {
		var want flow.Analysis
		for bit, column := range columns[1:] {
			if column != "" {
				want |= 1 << bit
			}
		}
		s := table.Add(&sent[i])
		got := s.Analysis &^ (flow.Resent | flow.Late | flow.Overtaken | flow.Duplicated)
		if got.Has(flow.FastRetransmission | flow.SpuriousRetransmission) {
			got |= flow.Retransmission
		}
		if stream := strconv.FormatInt(s.Conn.Stream, 10); got != want || stream != columns[0] {
			if wrong++; wrong <= 5 {
				t.Errorf("packet %d: stream %s %q; tshark: stream %s %q", i+1, stream, classes(got), columns[0], classes(want))
			}
		}
	}
}

// frame is p as it would lie in a capture.
func frame(p *packet.Packet) []byte {
	var options []byte
	if p.MSS != 0 {
		options = append(options, 2, 4, byte(p.MSS>>8), byte(p.MSS))
	}
	if p.WindowScale >= 0 {
		options = append(options, 1, 3, 3, byte(p.WindowScale))
	}
	b := append(make([]byte, 12), 8, 0)
	src, dst := p.Src.As4(), p.Dst.As4()
	b = append(b, 0x45, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(40+len(options)+p.SegmentLength))
	b = binary.BigEndian.AppendUint16(b, p.IPID)
	b = append(b, 0, 0, p.TTL, packet.ProtocolTCP, 0, 0)
	b = append(append(b, src[:]...), dst[:]...)
	b = binary.BigEndian.AppendUint16(b, p.SrcPort)
	b = binary.BigEndian.AppendUint16(b, p.DstPort)
	b = binary.BigEndian.AppendUint32(b, p.Seq)
	b = binary.BigEndian.AppendUint32(b, p.Ack)
	b = binary.BigEndian.AppendUint16(b, uint16(5+len(options)/4)<<12|uint16(p.Flags))
	b = binary.BigEndian.AppendUint16(b, p.Window)
	b = append(append(b, 0, 0, 0, 0), options...)
	return append(b, make([]byte, p.SegmentLength)...)
}

// pick returns one of list.
func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// chaos is traffic of a few connections whose numbers, windows and flags are
// anything, near enough to each other for every rule to apply.
func chaos(r *rand.Rand, n int) []packet.Packet {
	type end struct{ next, lastAck, first, window uint32 }
	var conns [20][2]end
	for i := range conns {
		for d := range conns[i] {
			conns[i][d].first = pick(r, 0, 1, 100, 1<<32-1, 1<<32-16, r.Uint32())
			conns[i][d].next = conns[i][d].first
			conns[i][d].window = pick[uint32](r, 0, 10, 100, 8192)
		}
	}
	all := make([]packet.Packet, 0, n)
	now := epoch
	for i := range n {
		which, d := r.IntN(len(conns)), r.IntN(2)
		if len(all) > 0 && r.IntN(4) > 0 {
			which = int(all[i-1].SrcPort+all[i-1].DstPort) % 1000
		}
		now += pick[pcap.Timestamp](r, 0, 5e5, 1e6, 2e6, 4e6, 15e6, 19999e3, 20e6, 50e6, 3e8, 11e8)
		p := packet.Packet{
			Number: int64(i + 1), Time: now - pick[pcap.Timestamp](r, 0, 0, 0, 0, 0, 0, 0, 1e7, 1e8),
			IPVersion: 4, TTL: 64, Protocol: packet.ProtocolTCP, Transport: true, IPID: uint16(i), Flags: packet.ACK, WindowScale: -1,
		}
		roll := r.IntN(100)
		switch {
		case roll < 6:
			d, p.Flags = 0, packet.SYN
		case roll < 12:
			d, p.Flags = 1, packet.SYN|packet.ACK
		}
		me, peer := &conns[which][d], &conns[which][1-d]
		if p.Flags&packet.SYN != 0 {
			if r.IntN(3) == 0 {
				me.first = pick(r, 0, 1, 100, 1<<32-1, r.Uint32())
				me.next = me.first
			}
			p.Seq = me.first
			p.WindowScale = pick[int8](r, -1, -1, 0, 1, 2, 7, 14)
			p.SegmentLength = pick(r, 0, 0, 0, 0, 5)
		} else {
			p.Seq = pick(r, me.next, me.next, me.next, me.next-10, me.next-11, me.next-1, me.next+1, me.next+20, peer.lastAck)
			p.Flags ^= pick(r, 0, 0, 0, 0, 0, 0, 0, 0, 0, packet.FIN, packet.RST, packet.ACK)
			p.SegmentLength = pick(r, 0, 0, 0, 1, 1, 10, 10, 10, 20, 50)
			if full := peer.lastAck + peer.window - p.Seq; r.IntN(12) == 0 && full < 1200 {
				p.SegmentLength = int(full)
			}
		}
		p.Ack = pick(r, me.lastAck, me.lastAck, me.lastAck, peer.next, peer.next, peer.next-10, peer.next+10)
		if r.IntN(4) == 0 {
			me.window = pick[uint32](r, 0, 0, 1, 10, 20, 50, 100, 8192, 65535)
		}
		p.Window = uint16(me.window)
		me.lastAck = p.Ack
		if next := p.Seq + uint32(p.SegmentLength) + uint32(p.Flags&packet.SYN>>1|p.Flags&packet.FIN); int32(next-me.next) > 0 {
			me.next = next
		}
		ends := [2]uint16{uint16(20000 + which), 3000}
		addrs := [2]string{"10.0.0.1", "10.0.0.2"}
		p.SrcPort, p.DstPort = ends[d], ends[1-d]
		p.Src, p.Dst = addr(addrs[d]), addr(addrs[1-d])
		all = append(all, p)
	}
	return all
}
