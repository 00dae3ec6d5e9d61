package packet

import (
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// FuzzDecode decodes anything, and every beginning of it: what is cut off can
// take headers away but never add any.
func FuzzDecode(f *testing.F) {
	for _, test := range decodeTests {
		f.Add(uint32(test.link), test.data)
	}
	f.Add(uint32(1), fragment4(piece{0, 40}))
	f.Add(uint32(1), fragment6(piece{40, 116}))
	f.Fuzz(func(t *testing.T, link uint32, data []byte) {
		if len(data) > 4096 {
			return
		}
		var d Decoder
		var whole, cut Packet
		rec := pcap.Record{Number: 1, Time: 1, Length: len(data), LinkType: pcap.LinkType(link), Data: data}
		d.Decode(&rec, &whole)
		check(t, &whole, data)
		if d.Decode(&rec, &whole); whole.Number != 1 {
			t.Fatal("the frame number is lost")
		}
		n := len(data) / 2
		rec.Data = data[:n:n]
		var fresh Decoder
		fresh.Decode(&rec, &cut)
		check(t, &cut, rec.Data)
		if cut.IPVersion != 0 && whole.IPVersion == 0 {
			t.Fatalf("half of the frame has an IP header, the whole has none")
		}
	})
}

// check holds what is true of every packet.
func check(t *testing.T, p *Packet, data []byte) {
	t.Helper()
	switch {
	case p.IPVersion != 0 && p.IPVersion != 4 && p.IPVersion != 6:
		t.Fatalf("IP version %d", p.IPVersion)
	case p.IPVersion != 0 && (p.Src.Is4() != (p.IPVersion == 4) || !p.Dst.IsValid()):
		t.Fatalf("IPv%d between %v and %v", p.IPVersion, p.Src, p.Dst)
	case p.Transport && (p.IPVersion == 0 || p.Fragment):
		t.Fatal("a transport header without an IP header")
	case !p.Transport && (p.SrcPort != 0 || p.DstPort != 0 || p.Payload != nil || p.ICMP != ICMP{}):
		t.Fatal("no transport header, but what it says")
	case p.SegmentLength < 0 || p.IPPayloadLength < 0:
		t.Fatalf("segment of %d, IP payload of %d bytes", p.SegmentLength, p.IPPayloadLength)
	case p.Protocol == ProtocolTCP && !p.PartialHeader && len(p.Payload) > p.SegmentLength:
		t.Fatalf("%d bytes of a segment of %d", len(p.Payload), p.SegmentLength)
	case p.HeaderLength < 0 || p.HeaderLength > len(data):
		t.Fatalf("%d bytes of headers in %d of data", p.HeaderLength, len(data))
	case !p.Reassembled && len(p.Payload) > 0 && p.Tunnel == 0 && &data[p.HeaderLength] != &p.Payload[0]:
		t.Fatalf("the headers do not end where the payload begins, but after %d bytes", p.HeaderLength)
	case !p.Reassembled && len(p.Payload) > len(data):
		t.Fatal("more payload than data")
	}
}
