package flow_test

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// Scripts are packets as text, one a line:
//
//	time side flags seq ack [len=N] [win=N] [ws=N] [mss=N] [id=N] [ttl=N] [sack] [data=TEXT] [cut=N] [from=PORT]
//
// Time is in milliseconds. Side is > for the client, 10.0.0.1:40000, and < for
// the server, 10.0.0.2:443. Flags are letters of SAFRP, or "." for none. The
// window is 1000 unless said, and data is what was captured of len.
const (
	client = flow.Direction(0)
	server = flow.Direction(1)
)

var epoch = pcap.Timestamp(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano())

// packets reads a script.
func packets(t testing.TB, script string) []packet.Packet {
	t.Helper()
	var all []packet.Packet
	for line := range strings.Lines(script) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		if len(fields) < 5 {
			t.Fatalf("script line %q: want time, side, flags, seq, ack", line)
		}
		ms, err := strconv.ParseFloat(fields[0], 64)
		if err != nil {
			t.Fatalf("script line %q: %v", line, err)
		}
		p := packet.Packet{
			Number: int64(len(all) + 1), Time: epoch + pcap.Timestamp(ms*1e6),
			IPVersion: 4, TTL: 64, Protocol: packet.ProtocolTCP, Transport: true,
			Src: addr("10.0.0.1"), Dst: addr("10.0.0.2"), SrcPort: 40000, DstPort: 443,
			Seq: number(t, fields[3]), Ack: number(t, fields[4]), Window: 1000, WindowScale: -1,
		}
		for _, f := range fields[2] {
			p.Flags |= map[rune]packet.TCPFlags{'S': packet.SYN, 'A': packet.ACK, 'F': packet.FIN, 'R': packet.RST, 'P': packet.PSH}[f]
		}
		for _, option := range fields[5:] {
			name, value, _ := strings.Cut(option, "=")
			switch name {
			case "len":
				p.SegmentLength = int(number(t, value))
				p.Payload = make([]byte, p.SegmentLength)
			case "data":
				p.Payload, p.SegmentLength = []byte(value), len(value)
			case "cut":
				p.Payload = p.Payload[:number(t, value)]
			case "win":
				p.Window = uint16(number(t, value))
			case "ws":
				p.WindowScale = int8(number(t, value))
			case "mss":
				p.MSS = uint16(number(t, value))
			case "id":
				p.IPID = uint16(number(t, value))
			case "ttl":
				p.TTL = uint8(number(t, value))
			case "from":
				p.SrcPort = uint16(number(t, value))
			case "sack":
				p.SACK = true
			default:
				t.Fatalf("script line %q: what is %q?", line, option)
			}
		}
		if fields[1] == "<" {
			p.Src, p.Dst, p.SrcPort, p.DstPort = p.Dst, p.Src, p.DstPort, p.SrcPort
		}
		all = append(all, p)
	}
	return all
}

func number(t testing.TB, s string) uint32 {
	t.Helper()
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}

// handshake opens a connection with the client's next sequence number 1, the
// server's 501, and a round trip of 10 ms.
const handshake = `
	0   > S  0 0
	9   < SA 500 1
	10  > A  1 501
	`

// names are those of the analysis classes, in the order of their bits.
var names = []string{"retransmission", "fast", "spurious", "out-of-order", "dup-ack", "lost", "ack-lost", "zero-window", "probe", "probe-ack",
	"full", "update", "keep-alive", "keep-alive-ack", "reused", "resent", "late", "overtaken", "duplicated"}

func classes(a flow.Analysis) string {
	var list []string
	for i, name := range names {
		if a.Has(1 << i) {
			list = append(list, name)
		}
	}
	return strings.Join(list, " ")
}

// A run is what became of a script.
type run struct {
	classes  []string // of each packet
	streams  [2]string
	gaps     int
	conns    []string // "stream state history" of the ended ones
	counters flow.Counters
}

// play adds a script's packets to a table; each is called for every
// connection at its end.
func play(t testing.TB, script string, each func(*flow.Table, *flow.Conn)) run {
	t.Helper()
	var r run
	table := flow.NewTable(flow.Limits{})
	table.End = func(c *flow.Conn, _ flow.Reason) {
		r.conns = append(r.conns, fmt.Sprintf("%d %s %s", c.Stream, c.State(), c.History()))
		if each != nil {
			each(table, c)
		}
	}
	for _, p := range packets(t, script) {
		s := table.Add(&p)
		r.classes = append(r.classes, classes(s.Analysis))
		for _, chunk := range s.Stream {
			r.streams[s.From] += string(chunk)
		}
		if s.Gap {
			r.gaps++
		}
	}
	r.counters = table.Finish()
	return r
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func timestamp(n int64) pcap.Timestamp { return pcap.Timestamp(n) }
