package packet

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// traffic is a capture of about 10 MB of ordinary frames: 880 bytes on
// average, four of five of them TCP.
func traffic(tb testing.TB) []byte {
	tb.Helper()
	var file bytes.Buffer
	w, err := pcap.NewWriter(&file, pcap.LinkTypeEthernet, 0)
	if err != nil {
		tb.Fatal(err)
	}
	large, small := strings.Repeat("x", 1400), strings.Repeat("y", 80)
	timestamps := []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}
	frames := [][]byte{
		frame(large, eth(0x800), inner4, tcp(40000, 443, ACK, timestamps...)),
		frame("", eth(0x800), inner4, tcp(443, 40000, ACK, timestamps...)),
		frame(large, eth(0x86dd), inner6, tcp(40000, 443, ACK)),
		frame(small, eth(0x800), ip4(17, innerA, innerB), udp(50000, 53)),
		frame(large, eth(0x8100), raw("0064 0800"), inner4, tcp(40000, 443, PSH|ACK)),
	}
	for i := range 11400 {
		data := frames[i%len(frames)]
		if err := w.WritePacket(pcap.Timestamp(i)*1e6, len(data), data); err != nil {
			tb.Fatal(err)
		}
	}
	return file.Bytes()
}

func BenchmarkReadAndDecode(b *testing.B) {
	file := traffic(b)
	b.SetBytes(int64(len(file)))
	var d Decoder
	var p Packet
	packets := 0
	for b.Loop() {
		r, err := pcap.NewReader(bytes.NewReader(file))
		if err != nil {
			b.Fatal(err)
		}
		for {
			rec, err := r.Next()
			if err == io.EOF {
				break
			}
			d.Decode(rec, &p)
			packets++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(packets), "ns/packet")
}

func BenchmarkDecode(b *testing.B) {
	tests := []struct {
		name string
		data []byte
	}{
		{"tcp4", frame("hello", eth(0x800), inner4, web)},
		{"tcp6", frame("hello", eth(0x86dd), inner6, web)},
		{"udp4", frame("hello", eth(0x800), outer4(17), udp(50000, 53))},
		{"vxlan", frame("hello", eth(0x800), outer4(17), udp(50000, 4789), raw("0800 0000 000064 00"), eth(0x800), inner4, web)},
		{"fragments", fragment4(piece{0, 40})},
	}
	for _, test := range tests {
		b.Run(test.name, func(b *testing.B) {
			var d Decoder
			var p Packet
			rec := pcap.Record{Length: len(test.data), LinkType: 1, Data: test.data}
			b.SetBytes(int64(len(test.data)))
			for b.Loop() {
				d.Decode(&rec, &p)
			}
		})
	}
}

func TestDecodeAllocatesNothing(t *testing.T) {
	var d Decoder
	var p Packet
	for _, test := range decodeTests {
		rec := pcap.Record{Length: len(test.data), LinkType: test.link, Data: test.data}
		d.Decode(&rec, &p) // a first fragment makes the table
		if n := testing.AllocsPerRun(100, func() { d.Decode(&rec, &p) }); n != 0 {
			t.Errorf("%s: %v allocations a packet, want 0", test.name, n)
		}
	}
	first, last := fragment4(piece{0, 40}), fragment4(piece{40, 116})
	n := testing.AllocsPerRun(100, func() {
		d.Decode(&pcap.Record{Length: len(first), LinkType: 1, Data: first}, &p)
		d.Decode(&pcap.Record{Length: len(last), LinkType: 1, Data: last}, &p)
	})
	if n != 0 || !p.Reassembled {
		t.Errorf("%v allocations to reassemble a datagram (reassembled %t), want 0", n, p.Reassembled)
	}
}
