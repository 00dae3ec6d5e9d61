package flow_test

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"unsafe"

	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// TestFlood has many more clients than there is room for: the totals are
// right, and a connection that carries data survives.
func TestFlood(t *testing.T) {
	const syns = 200_000
	table := flow.NewTable(flow.Limits{Connections: 1000})
	ended, evicted := 0, 0
	table.End = func(c *flow.Conn, why flow.Reason) {
		ended++
		if why == flow.Evicted {
			evicted++
		}
		if c.Stream == 0 && (why != flow.CaptureEnded || c.State() != "S1") {
			t.Errorf("the open connection ended as %s: %v", c.State(), why)
		}
	}
	for _, p := range packets(t, handshake+`20 > A 1 501 len=10`) {
		table.Add(&p)
	}
	flood(table, syns)
	got := table.Finish()
	if got.Streams != syns+1 || got.SYNNoReplyAtAllStreams != syns || got.SYNPacketsInUnanswered != syns || got.HandshakeCompleteStreams != 1 {
		t.Errorf("counters = %+v", got)
	}
	if ended != syns+1 || evicted != syns+1-1000 {
		t.Errorf("%d connections ended, %d of them evicted", ended, evicted)
	}
	if d := table.Drops(); d.Connections != int64(evicted) || d.HalfOpen != d.Connections {
		t.Errorf("drops = %+v", d)
	}
}

// TestEvictionOrder fills a table and looks who has to go.
func TestEvictionOrder(t *testing.T) {
	table := flow.NewTable(flow.Limits{Connections: 4})
	var gone []int64
	table.End = func(c *flow.Conn, why flow.Reason) {
		if why == flow.Evicted {
			gone = append(gone, c.Stream)
		}
	}
	add := func(port uint16, script string) {
		for _, p := range packets(t, script) {
			if p.SrcPort == 40000 {
				p.SrcPort = port
			} else {
				p.DstPort = port
			}
			table.Add(&p)
		}
	}
	add(1, handshake)                       // 0: open, silent the longest
	add(2, handshake)                       // 1: open
	add(3, handshake+"20 > R 1 501")        // 2: closed
	add(4, "0 > S 0 0")                     // 3: half open
	add(5, handshake)                       // needs a place
	add(6, handshake)                       // another one
	add(7, handshake+"90 > A 1 501 len=10") // and a third
	if want := []int64{2, 3, 0}; len(gone) != 3 || gone[0] != want[0] || gone[1] != want[1] {
		t.Errorf("evicted %v, want the closed and the half-open one first", gone)
	}
}

// TestYoungHalfOpen: a connection that is just being opened, between ports that
// were used before, is not pushed out while there are closed ones.
func TestYoungHalfOpen(t *testing.T) {
	table := flow.NewTable(flow.Limits{Connections: 64})
	number := int64(0)
	add := func(port uint16, seq uint32, script string) {
		for _, p := range packets(t, script) {
			if number++; p.SrcPort == 40000 {
				p.SrcPort = port
				p.Seq += seq
			} else {
				p.DstPort = port
				p.Ack += seq
			}
			p.Number = number
			table.Add(&p)
		}
	}
	for port := range uint16(64) {
		add(port, 0, "0 > S 0 0\n1 < RA 0 1")
	}
	add(1, 5000, "0 > S 0 0")
	for port := range uint16(4) {
		add(100+port, 0, "0 > S 0 0\n1 < RA 0 1")
	}
	if d := table.Drops(); d.Connections != 4 || d.Closed != 4 {
		t.Errorf("drops = %+v, want 4 closed ones", d)
	}
}

// TestSteadyState makes sure that a table whose connections are known
// allocates nothing, and that a full table does not either.
func TestSteadyState(t *testing.T) {
	t.Run("known_connections", func(t *testing.T) {
		table := flow.NewTable(flow.Limits{})
		sent := packets(t, handshake+`20 > A 1 501 len=1000
			25 < A 501 1001
			30 < A 501 1001 len=1000
			31 < A 1501 1001 len=500
			32 > A 1001 2001`)
		for i := range sent {
			table.Add(&sent[i])
		}
		n := uint32(0)
		got := testing.AllocsPerRun(5000, func() {
			for _, p := range sent[3:] {
				n += 1000
				p.Seq, p.Ack = p.Seq+n, p.Ack+n
				p.Time += pcap.Timestamp(n) * 1000
				table.Add(&p)
			}
		})
		if got != 0 {
			t.Errorf("%v allocations a round, want none", got)
		}
	})
	t.Run("full_table", func(t *testing.T) {
		table := flow.NewTable(flow.Limits{Connections: 64})
		p := packets(t, `0 > S 0 0`)[0]
		p.Src = addr("10.9.9.9")
		i := uint32(0)
		next := func() {
			i++
			p.SrcPort, p.Seq, p.Number = uint16(i), i, int64(i)
			table.Add(&p)
		}
		for range 1000 {
			next()
		}
		if got := testing.AllocsPerRun(5000, next); got > 0 {
			t.Errorf("%v allocations a packet, want none", got)
		}
	})
}

// TestMemory bounds the state of the worst flood: 15 million SYNs cost no more
// than this one.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("adds 300,000 packets")
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	table := flow.NewTable(flow.Limits{})
	flood(table, 300_000)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := int64(after.HeapAlloc) - int64(before.HeapAlloc); got > 64<<20 {
		t.Errorf("the table holds %d MB", got>>20)
	}
	if got := unsafe.Sizeof(flow.Conn{}); got > 640 {
		t.Errorf("a connection takes %d bytes", got)
	}
	runtime.KeepAlive(table)
}

func TestConversations(t *testing.T) {
	table := flow.NewTable(flow.Limits{Conversations: 3})
	var states []string
	var drops int
	table.EndConversation = func(c *flow.Conversation, why flow.Reason) {
		states = append(states, c.State())
		if why == flow.Evicted {
			drops++
		}
	}
	for i, port := range []uint16{1, 2, 2, 3, 4, 5} {
		p := packets(t, `0 > . 0 0`)[0]
		p.Protocol, p.SrcPort, p.Number, p.Payload = packet.ProtocolUDP, port, int64(i+1), []byte("question")
		if i == 2 {
			p.Src, p.Dst, p.SrcPort, p.DstPort = p.Dst, p.Src, p.DstPort, p.SrcPort
		}
		s := table.Add(&p)
		if s.Conversation == nil || s.Conn != nil {
			t.Fatalf("packet %d: %+v", i, s)
		}
		if i == 2 && (s.New || s.From == s.Conversation.Initiator || s.Conversation.Bytes != [2]uint64{8, 8}) {
			t.Errorf("an answer is %+v", s)
		}
	}
	table.Finish()
	if len(states) != 5 || drops != 2 || table.Drops().Conversations != 2 {
		t.Errorf("ended as %v, %d evicted", states, drops)
	}
}

func TestNoConversation(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*packet.Packet)
	}{
		{"not_ip", func(p *packet.Packet) { p.IPVersion = 0 }},
		{"fragment", func(p *packet.Packet) { p.Fragment = true }},
		{"header_cut", func(p *packet.Packet) { p.Transport = false }},
		{"other_protocol", func(p *packet.Packet) { p.Protocol = 89 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := packets(t, `0 > S 0 0`)[0]
			tt.change(&p)
			table := flow.NewTable(flow.Limits{})
			if s := table.Add(&p); s.Conn != nil || s.Conversation != nil {
				t.Errorf("Add = %+v, want nothing", s)
			}
		})
	}
}

// FuzzTable adds packets made of arbitrary bytes, with consumers that do as
// they like, to a small table.
func FuzzTable(f *testing.F) {
	f.Add([]byte("SYN, SYN-ACK and what not, as long as it is long enough for a few packets of sixteen bytes"), uint64(1))
	random := rand.New(rand.NewPCG(7, 7))
	for seed := range uint64(4) {
		b := make([]byte, 1600)
		for i := range b {
			b[i] = byte(random.Uint32() & 0x1f)
		}
		f.Add(b, seed)
	}
	payload := make([]byte, 256)
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 0))
		limits := flow.Limits{Connections: 8, Conversations: 4, Prologue: 300, LongPrologue: 600, Reassembly: 500, Events: 40, EventsPerConnection: 8}
		table := flow.NewTable(limits)
		open, streams := 0, int64(0)
		table.End = func(c *flow.Conn, _ flow.Reason) {
			open--
			_, _, _, _ = c.State(), c.History(), c.Latency(), c.RTT()
			if n := len(table.Events(c)); n > limits.EventsPerConnection+12 {
				t.Fatalf("%d events", n)
			}
		}
		number := int64(0)
		for ; len(b) >= 16; b = b[16:] {
			number++
			p := packet.Packet{
				Number: number, Time: pcap.Timestamp(int8(b[0])) * 1e8 * pcap.Timestamp(number), IPVersion: 4, Transport: true, TTL: b[1],
				IPID: uint16(b[2]), Src: addr("10.0.0.1"), Dst: addr("10.0.0.2"), SrcPort: uint16(b[3] & 15), DstPort: 7, Protocol: packet.ProtocolTCP,
				Seq: uint32(int8(b[4])) * uint32(b[5]), Ack: uint32(int8(b[6])) * uint32(b[7]), Flags: packet.TCPFlags(b[8]), Window: uint16(b[9]),
				SegmentLength: int(b[10]), Payload: payload[:b[11]], WindowScale: int8(b[12]%17) - 1, SACK: b[13]&1 != 0, PartialHeader: b[13]&0xfc == 4,
				Fragment: b[13]&0xfc == 8,
			}
			if b[14]&1 != 0 {
				p.Src, p.Dst, p.SrcPort, p.DstPort = p.Dst, p.Src, p.DstPort, p.SrcPort
			}
			if b[14]&0xf0 == 0xf0 {
				p.Protocol = packet.ProtocolUDP
			}
			s := table.Add(&p)
			if s.Conn == nil {
				continue
			}
			if s.New {
				open++
			}
			if open > limits.Connections {
				t.Fatalf("%d connections in a table for %d", open, limits.Connections)
			}
			streams = max(streams, s.Conn.Stream+1)
			for _, act := range []func(*flow.Conn, flow.Direction){table.Extend, table.Follow, table.Stop} {
				if random.IntN(8) == 0 {
					act(s.Conn, s.From)
				}
			}
			s.Conn.SawHandshake(s.From, b[15])
			if random.IntN(4) == 0 {
				table.Note(s.Conn, s.From, s.Conn.Last, "something")
			}
		}
		got := table.Finish()
		if open != 0 || got.Streams != streams || got.Packets > number {
			t.Fatalf("%d connections left open, %d streams of %d, %d packets of %d", open, got.Streams, streams, got.Packets, number)
		}
	})
}
