package packet

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

func decodeEthernet(data []byte, length int) (Packet, Counters) {
	var d Decoder
	p := Packet{MSS: 1, SACK: true, Fragment: true, PartialHeader: true, ICMP: ICMP{Quoted: true}} // what an earlier frame left
	d.Decode(&pcap.Record{Number: 7, Time: 8, Length: length, LinkType: pcap.LinkTypeEthernet, Data: data}, &p)
	return p, d.Counters()
}

// TestFields looks at everything that a packet says.
func TestFields(t *testing.T) {
	a, b := netip.MustParseAddr(innerA), netip.MustParseAddr(innerB)
	a6, b6 := netip.MustParseAddr(sixA), netip.MustParseAddr(sixB)
	router := netip.MustParseAddr("192.0.2.254")
	base := Packet{Number: 7, Time: 8, IPVersion: 4, TTL: 64, IPID: 0x1234, DontFragment: true, Src: a, Dst: b, WindowScale: -1}
	with := func(change func(*Packet)) Packet { p := base; change(&p); return p }
	quoted := frame("\x9c\x40\x01\xbb\x00\x00\x03\xe8", ip4With(6, innerA, innerB, 0, 0, 1500)) // an IP header and 8 bytes

	tests := []struct {
		name   string
		data   []byte
		length int // on the wire, if more was sent
		want   Packet
	}{
		{
			name: "syn",
			data: frame("", eth(0x800), inner4, tcp(40000, 443, SYN|ECE|CWR, 2, 4, 5, 0xb4, 1, 3, 3, 7, 4, 2, 0, 0)),
			want: with(func(p *Packet) {
				p.Protocol, p.Transport, p.IPPayloadLength = ProtocolTCP, true, 32
				p.SrcPort, p.DstPort, p.Seq, p.Ack, p.Window = 40000, 443, 1000, 2000, 512
				p.Flags, p.MSS, p.WindowScale, p.SACKPermitted = SYN|ECE|CWR, 1460, 7, true
			}),
		},
		{
			name: "sack_and_absurd_window_scale",
			data: frame("", eth(0x800), inner4, tcp(40000, 443, ACK, 3, 3, 200, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0)),
			want: with(func(p *Packet) {
				p.Protocol, p.Transport, p.IPPayloadLength = ProtocolTCP, true, 36
				p.SrcPort, p.DstPort, p.Seq, p.Ack, p.Window = 40000, 443, 1000, 2000, 512
				p.Flags, p.WindowScale, p.SACK = ACK, 14, true
			}),
		},
		{
			name:   "payload_cut_by_the_capture",
			data:   frame("hel", eth(0x800), ip4With(6, innerA, innerB, 0x4000, 0, 20+20+1000), web),
			length: 14 + 1040,
			want: with(func(p *Packet) {
				p.Protocol, p.Transport, p.IPPayloadLength = ProtocolTCP, true, 1020
				p.SrcPort, p.DstPort, p.Seq, p.Ack, p.Window = 40000, 443, 1000, 2000, 512
				p.Flags, p.SegmentLength, p.Payload = PSH|ACK, 1000, []byte("hel")
			}),
		},
		{
			name:   "header_cut_by_the_capture",
			data:   frame("", eth(0x800), ip4With(6, innerA, innerB, 0x4000, 0, 20+20+1000), web)[:50],
			length: 14 + 1040,
			want: with(func(p *Packet) {
				p.Protocol, p.Transport, p.IPPayloadLength = ProtocolTCP, true, 1020
				p.SrcPort, p.DstPort, p.Seq, p.Ack, p.Window = 40000, 443, 1000, 2000, 512
				p.Flags, p.SegmentLength, p.PartialHeader = PSH|ACK, 1000, true
			}),
		},
		{
			name: "header_longer_than_the_packet",
			data: frame("", eth(0x800), inner4, raw("9c40 01bb 000003e8 000007d0 8010 0200 0000 0000")),
			want: with(func(p *Packet) {
				p.Protocol, p.Transport, p.IPPayloadLength = ProtocolTCP, true, 20
				p.SrcPort, p.DstPort, p.Seq, p.Ack, p.Window = 40000, 443, 1000, 2000, 512
				p.Flags, p.PartialHeader = ACK, true
			}),
		},
		{
			name: "echo_request",
			data: frame("ping", eth(0x800), ip4(1, innerA, innerB), raw("0800 0000 0001 0002")),
			want: with(func(p *Packet) {
				p.Protocol, p.Transport, p.IPPayloadLength = ProtocolICMP, true, 12
				p.ICMP, p.Payload = ICMP{Type: 8}, []byte("ping")
			}),
		},
		{
			name: "fragmentation_needed",
			data: frame(string(quoted), eth(0x800), ip4(1, "192.0.2.254", innerA), raw("0304 0000 0000 0546")),
			want: with(func(p *Packet) {
				p.Src, p.Dst = router, a
				p.Protocol, p.Transport, p.IPPayloadLength, p.Payload = ProtocolICMP, true, 36, quoted
				p.ICMP = ICMP{Type: 3, Code: 4, MTU: 1350, Quoted: true, QuotedProtocol: ProtocolTCP, QuotedSrc: a, QuotedDst: b, QuotedSrcPort: 40000, QuotedDstPort: 443, QuotedSeq: 1000}
			}),
		},
		{
			name: "quote_of_a_later_fragment",
			data: frame("\x9c\x40\x01\xbb\x00\x00\x03\xe8", eth(0x800), ip4(1, "192.0.2.254", innerA), raw("0301 0000 0000 0000"), ip4With(17, innerA, innerB, 100, 0, 1500)),
			want: with(func(p *Packet) {
				p.Src, p.Dst = router, a
				p.Protocol, p.Transport, p.IPPayloadLength, p.Payload = ProtocolICMP, true, 36, nil
				p.ICMP = ICMP{Type: 3, Code: 1, Quoted: true, QuotedProtocol: ProtocolUDP, QuotedSrc: a, QuotedDst: b}
			}),
		},
		{
			name: "quote_is_rubbish",
			data: frame("\xff\xff", eth(0x800), ip4(1, "192.0.2.254", innerA), raw("0301 0000 0000 0000")),
			want: with(func(p *Packet) {
				p.Src, p.Dst = router, a
				p.Protocol, p.Transport, p.IPPayloadLength = ProtocolICMP, true, 10
				p.ICMP = ICMP{Type: 3, Code: 1}
			}),
		},
		{
			name: "packet_too_big",
			data: frame("\x9c\x40\x01\xbb\x00\x00\x03\xe8", eth(0x86dd), ip6(58, sixB, sixA), raw("0200 0000 0000 0500"), ip6(44, sixA, sixB), frag6(17, 0, true, 7)),
			want: with(func(p *Packet) {
				p.IPVersion, p.IPID, p.DontFragment, p.Src, p.Dst = 6, 0, false, b6, a6
				p.Protocol, p.Transport, p.IPPayloadLength = ProtocolICMPv6, true, 64
				p.ICMP = ICMP{Type: 2, MTU: 1280, Quoted: true, QuotedProtocol: ProtocolUDP, QuotedSrc: a6, QuotedDst: b6, QuotedSrcPort: 40000, QuotedDstPort: 443}
			}),
		},
		{
			name: "other_protocol",
			data: frame("esp", eth(0x800), ip4(50, innerA, innerB)),
			want: with(func(p *Packet) { p.Protocol, p.IPPayloadLength = 50, 3 }),
		},
		{
			name: "arp",
			data: frame("\x00\x01\x08\x00", eth(0x806)),
			want: Packet{Number: 7, Time: 8, WindowScale: -1},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, _ := decodeEthernet(test.data, max(test.length, len(test.data)))
			test.want.Length, test.want.CapturedLength = max(test.length, len(test.data)), len(test.data)
			if test.want.ICMP.Quoted && test.want.Payload == nil {
				got.Payload = nil // is the quote
			}
			if test.name == "quote_is_rubbish" {
				test.want.Payload = []byte("\xff\xff")
			}
			got.HeaderLength = 0 // see TestHeaderLength
			if diff := cmp.Diff(test.want, got, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("Decode(-want +got):\n%s", diff)
			}
		})
	}
}

// The headers end where the payload begins, or what is not decoded.
func TestHeaderLength(t *testing.T) {
	for _, test := range []struct {
		name string
		data []byte
		want int
	}{
		{"tcp", frame("hello", eth(0x800), inner4, web), 54},
		{"tcp_without_payload", frame("", eth(0x800), inner4, web), 54},
		{"tcp_options", frame("", eth(0x800), inner4, tcp(40000, 443, SYN, 2, 4, 5, 0xb4)), 58},
		{"trailer", frame("", trailer(6), eth(0x800), inner4, web), 54},
		{"cut_tcp_header", frame("hello", eth(0x800), inner4, web)[:52], 52},
		{"udp", frame("hello", eth(0x8100), raw("2064 0800"), ip4(17, innerA, innerB), udp(50000, 9999)), 46},
		{"tunnel", frame("hello", eth(0x800), outer4(17), udp(50000, 4789), raw("0800000000000100"), eth(0x800), inner4, web), 104},
		{"no_tunnel_after_all", frame("\x00\x00hello wor", eth(0x800), ip4(17, innerA, innerB), udp(50000, 3544)), 42},
		{"icmp", frame("hello", eth(0x800), ip4(1, innerA, innerB), raw("08000000 00000000")), 42},
		{"unknown_protocol", frame("hello", eth(0x800), ip4(89, innerA, innerB)), 34},
		{"not_ip", frame("hello", eth(0x88cc)), 14},
		{"last_fragment", fragment4(piece{0, 40}), 34},
	} {
		if p, _ := decodeEthernet(test.data, max(60, len(test.data))); p.HeaderLength != test.want {
			t.Errorf("%s: %d bytes of headers, want %d", test.name, p.HeaderLength, test.want)
		}
	}
}

func TestCounters(t *testing.T) {
	tests := []struct {
		name string
		data []byte
		want Counters
	}{
		{"good", frame("hello", eth(0x800), inner4, web), Counters{}},
		{"arp_is_good", frame("\x00\x01\x08\x00", eth(0x806)), Counters{}},
		{"frame_cut", frame("", raw("000d")), Counters{Undecodable: 1}},
		{"ip_version_9", frame("\x90", eth(0x800)), Counters{Undecodable: 1}},
		{"ip_header_cut", frame("", eth(0x800), inner4)[:30], Counters{Undecodable: 1}},
		{"udp_header_cut", frame("1234", eth(0x800), ip4(17, innerA, innerB)), Counters{Undecodable: 1}},
		{"ipv6_extension_over_the_end", frame("", eth(0x86dd), ip6(0, sixA, sixB), raw("06ff000000000000")), Counters{Undecodable: 1}},
		{"mpls_without_bottom", frame("", eth(0x8847), raw("00064040 00064040")), Counters{Undecodable: 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, got := decodeEthernet(test.data, len(test.data))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("Counters(-want +got):\n%s", diff)
			}
		})
	}
}

// TestDepth nests each header that can hold itself, far beyond what networks
// do, and just as deep as is opened.
func TestDepth(t *testing.T) {
	nests := []struct {
		name  string
		start wrap
		unit  wrap
		end   []wrap
	}{
		{"ip_in_ip", eth(0x800), ip4With(4, outerA, outerB, 0, 0, 0), []wrap{inner4, web}},
		{"vlan", eth(0x8100), raw("00648100"), []wrap{raw("0064 0800"), inner4, web}},
		{"gre", eth(0x800), func(b []byte) []byte {
			return ip4With(47, outerA, outerB, 0, 0, 0)(raw("0000 0800")(b))
		}, []wrap{inner4, web}},
		{"bridged_ethernet", eth(0x6558), eth(0x6558), []wrap{eth(0x800), inner4, web}},
		{"vxlan", eth(0x800), func(b []byte) []byte {
			return ip4With(17, outerA, outerB, 0, 0, 0)(raw("c350 12b5 0000 0000 0800 0000 00000000")(eth(0x800)(b)))
		}, []wrap{inner4, web}},
		{"mpls", eth(0x8847), raw("00064140 000000000000000000000000 8847"), []wrap{raw("00064140"), inner4, web}},
		{"nsh", eth(0x894f), raw("0fc2 0103 00000164 000000000000000000000000 894f"), []wrap{raw("0fc2 0101 00000164"), inner4, web}},
	}
	for _, nest := range nests {
		t.Run(nest.name, func(t *testing.T) {
			build := func(n int) []byte {
				return frame("hello", slices.Concat([]wrap{nest.start}, slices.Repeat([]wrap{nest.unit}, n), nest.end)...)
			}
			p, counters := decodeEthernet(build(3), len(build(3)))
			if !p.Transport || p.DstPort != 443 || counters.DepthCapped != 0 {
				t.Errorf("nested 3 deep: %s, %+v", briefly(&p).Dst, counters)
			}
			deep := build(2000)
			p, counters = decodeEthernet(deep, len(deep))
			if p.Transport || p.Payload != nil || counters.DepthCapped != 1 {
				t.Errorf("nested 2000 deep: transport %t, %+v; want it given up", p.Transport, counters)
			}
		})
	}
}

func TestTunnelString(t *testing.T) {
	if got := (TunnelVXLAN | TunnelEtherIP).String(); got != "vxlan+etherip" {
		t.Errorf("String() = %q, want %q", got, "vxlan+etherip")
	}
	if got := Tunnel(0).String(); got != "" {
		t.Errorf("String() of none = %q", got)
	}
	all := (Tunnel(1)<<len(tunnelNames) - 1).String()
	if n := strings.Count(all, "+"); n != len(tunnelNames)-1 {
		t.Errorf("%q has %d separators, want %d", all, n, len(tunnelNames)-1)
	}
}
