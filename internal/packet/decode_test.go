package packet

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

const (
	outerA, outerB = "192.0.2.1", "192.0.2.2"
	innerA, innerB = "10.0.0.1", "10.0.0.2"
	sixA, sixB     = "2001:db8::1", "2001:db8::2"
)

var (
	web    = tcp(40000, 443, PSH|ACK)
	inner4 = ip4(ProtocolTCP, innerA, innerB)
	inner6 = ip6(ProtocolTCP, sixA, sixB)
	outer4 = func(protocol int) wrap { return ip4(protocol, outerA, outerB) }
)

// brief is what the table looks at.
type brief struct {
	Src, Dst string // address and port; address alone without a transport header
	Payload  string
	Segment  int
	Tunnel   string
	VLAN     uint16
}

func briefly(p *Packet) brief {
	b := brief{Payload: string(p.Payload), Segment: p.SegmentLength, Tunnel: p.Tunnel.String(), VLAN: p.VLAN}
	switch {
	case p.Transport && p.Protocol != ProtocolICMP && p.Protocol != ProtocolICMPv6:
		b.Src, b.Dst = netip.AddrPortFrom(p.Src, p.SrcPort).String(), netip.AddrPortFrom(p.Dst, p.DstPort).String()
	case p.IPVersion != 0:
		b.Src, b.Dst = p.Src.String(), p.Dst.String()
	}
	return b
}

var (
	toWeb     = brief{Src: innerA + ":40000", Dst: innerB + ":443", Payload: "hello", Segment: 5}
	toWeb6    = brief{Src: "[" + sixA + "]:40000", Dst: "[" + sixB + "]:443", Payload: "hello", Segment: 5}
	throughIt = func(b brief, tunnel string) brief { b.Tunnel = tunnel; return b }
	tagged    = func(b brief, vlan uint16) brief { b.VLAN = vlan; return b }
	outerUDP  = func(src, dst, payload string) brief {
		return brief{Src: outerA + ":" + src, Dst: outerB + ":" + dst, Payload: payload}
	}
)

type decodeTest struct {
	name string
	link pcap.LinkType
	data []byte
	want brief
	odd  string // why tshark judges otherwise
}

// decodeTests hold what tshark 4.0.17 makes of each frame: TestTshark asks it.
var decodeTests = []decodeTest{
	{name: "ethernet_ipv4_tcp", link: 1, data: frame("hello", eth(0x800), inner4, web), want: toWeb},
	{name: "ethernet_ipv6_tcp", link: 1, data: frame("hello", eth(0x86dd), inner6, web), want: toWeb6},
	{name: "padding_is_no_payload", link: 1, data: frame("hello", trailer(6), eth(0x800), inner4, web), want: toWeb},
	{name: "ipv6_padding_is_no_payload", link: 1, data: frame("hello", trailer(6), eth(0x86dd), inner6, web), want: toWeb6},
	{name: "ip_options", link: 1, data: frame("hello", eth(0x800), ip4With(6, innerA, innerB, 0, 12, -1), web), want: toWeb},
	{name: "total_length_0_is_the_frame", link: 1, data: frame("hello", eth(0x800), ip4With(6, innerA, innerB, 0, 0, 0), web), want: toWeb},
	{name: "total_length_beyond_the_frame", link: 1, data: frame("hello", eth(0x800), ip4With(6, innerA, innerB, 0, 0, 900), web), want: toWeb},
	{name: "total_length_below_the_header", link: 1, data: frame("hello", eth(0x800), ip4With(6, innerA, innerB, 0, 0, 19), web), want: brief{}},
	{name: "ipv6_type_holds_ipv4", link: 1, data: frame("hello", eth(0x86dd), inner4, web), want: toWeb, odd: "tshark trusts the type"},
	{name: "ipv4_type_holds_ipv6", link: 1, data: frame("hello", eth(0x800), inner6, web), want: toWeb6},
	{name: "ipv6_extensions", link: 1, data: frame("hello", eth(0x86dd), ip6(0, sixA, sixB), ext(60, 0), ext(43, 1), ext(44, 0), frag6(6, 0, false, 7), web), want: toWeb6},
	{name: "ipv6_payload_length_0", link: 1, data: frame("hello", eth(0x86dd), raw("60000000 0000 06 40 20010db8000000000000000000000001 20010db8000000000000000000000002"), web), want: brief{Src: sixA, Dst: sixB}},
	{name: "ipv6_hop_by_hop_and_destination", link: 1, data: frame("hello", eth(0x86dd), ip6(0, sixA, sixB), ext(60, 0), ext(6, 1), web), want: toWeb6},
	{name: "ipv6_atomic_fragment", link: 1, data: frame("hello", eth(0x86dd), ip6(44, sixA, sixB), frag6(6, 0, false, 7), web), want: toWeb6},
	{name: "ipv6_authentication", link: 1, data: frame("hello", eth(0x86dd), ip6(51, sixA, sixB), raw("0604 0000 00000001 00000001 000000000000000000000000"), web), want: toWeb6},
	{name: "ipv4_authentication", link: 1, data: frame("hello", eth(0x800), ip4(51, innerA, innerB), raw("0604 0000 00000001 00000001 000000000000000000000000"), web), want: toWeb},
	{name: "udp", link: 1, data: frame("hello", eth(0x800), outer4(17), udp(50000, 9999)), want: outerUDP("50000", "9999", "hello")},
	{name: "udp_length_cuts", link: 1, data: frame("trailing", eth(0x800), outer4(17), raw("c350 270f 000c 0000")), want: outerUDP("50000", "9999", "trai")},
	{name: "vlan", link: 1, data: frame("hello", eth(0x8100), raw("2064 0800"), inner4, web), want: tagged(toWeb, 100)},
	{name: "qinq", link: 1, data: frame("hello", eth(0x88a8), raw("0064 8100 00c8 0800"), inner4, web), want: tagged(toWeb, 100)},
	{name: "qinq_old", link: 1, data: frame("hello", eth(0x9100), raw("0064 8100 00c8 0800"), inner4, web), want: tagged(toWeb, 100)},
	{name: "vlan_802_3", link: 1, data: frame("hello", eth(0x8100), raw("0064"), func(b []byte) []byte { return append(u16(len(b)), b...) }, raw("aaaa03 000000 0800"), inner4, web), want: tagged(toWeb, 100)},
	{name: "snap", link: 1, data: frame("hello", length(), raw("aaaa03 000000 0800"), inner4, web), want: toWeb},
	{name: "llc_ip", link: 1, data: frame("hello", length(), raw("060603"), inner4, web), want: toWeb},
	{name: "vn_tag", link: 1, data: frame("hello", eth(0x8926), raw("00000000 0800"), inner4, web), want: toWeb},
	{name: "e_tag", link: 1, data: frame("hello", eth(0x893f), raw("000000000000 0800"), inner4, web), want: toWeb},
	{name: "hsr", link: 1, data: frame("hello", eth(0x892f), raw("0034 0001 0800"), inner4, web), want: toWeb},
	{name: "802_1cb", link: 1, data: frame("hello", eth(0xf1c1), raw("0000 0001 0800"), inner4, web), want: toWeb},
	{name: "cisco_metadata", link: 1, data: frame("hello", eth(0x8909), raw("0101 0001 0005 0800"), inner4, web), want: toWeb},
	{name: "mac_in_mac", link: 1, data: frame("hello", eth(0x88e7), raw("00000001 000d3a030303 000d3a040404 0800"), inner4, web), want: toWeb},
	{name: "mpls", link: 1, data: frame("hello", eth(0x8847), raw("00064 040 00065 140"), inner4, web), want: throughIt(toWeb, "mpls")},
	{name: "mpls_ipv6", link: 1, data: frame("hello", eth(0x8847), raw("00064 140"), inner6, web), want: throughIt(toWeb6, "mpls")},
	{name: "mpls_pseudowire_control_word", link: 1, data: frame("hello", eth(0x8847), raw("00064 140 00000000"), eth(0x800), inner4, web), want: throughIt(toWeb, "mpls")},
	{name: "mpls_pseudowire", link: 1, data: frame("hello", eth(0x8847), raw("00064 140"), eth(0x800), inner4, web), want: throughIt(toWeb, "mpls")},
	{name: "pppoe", link: 1, data: frame("hello", eth(0x8864), raw("1100 0001 002f 0021"), inner4, web), want: throughIt(toWeb, "pppoe")},
	{name: "pppoe_ipv6", link: 1, data: frame("hello", eth(0x8864), raw("1100 0001 0043 0057"), inner6, web), want: throughIt(toWeb6, "pppoe")},
	{name: "nsh", link: 1, data: frame("hello", eth(0x894f), raw("0fc6 0101 00000164 00000000 00000000 00000000 00000000"), inner4, web), want: toWeb},

	{name: "raw", link: 101, data: frame("hello", inner4, web), want: toWeb},
	{name: "raw_ipv6", link: 101, data: frame("hello", inner6, web), want: toWeb6},
	{name: "raw_bsd", link: 12, data: frame("hello", inner4, web), want: toWeb},
	{name: "raw_openbsd", link: 14, data: frame("hello", inner4, web), want: toWeb},
	{name: "ipv4", link: 228, data: frame("hello", inner4, web), want: toWeb},
	{name: "ipv6", link: 229, data: frame("hello", inner6, web), want: toWeb6},
	{name: "null", link: 0, data: frame("hello", raw("02000000"), inner4, web), want: toWeb},
	{name: "null_big_endian", link: 0, data: frame("hello", raw("0000001e"), inner6, web), want: toWeb6},
	{name: "loop", link: 108, data: frame("hello", raw("00000002"), inner4, web), want: toWeb},
	{name: "sll", link: 113, data: frame("hello", raw("0000 0001 0006 000d3a010101 0000 0800"), inner4, web), want: toWeb},
	{name: "sll_vlan", link: 113, data: frame("hello", raw("0000 0001 0006 000d3a010101 0000 8100 0064 0800"), inner4, web), want: tagged(toWeb, 100)},
	{name: "sll2", link: 276, data: frame("hello", raw("86dd 0000 00000002 0001 00 06 000d3a0101010000"), inner6, web), want: toWeb6},
	{name: "ppp", link: 9, data: frame("hello", raw("ff03 0021"), inner4, web), want: toWeb},
	{name: "ppp_compressed", link: 9, data: frame("hello", raw("21"), inner4, web), want: toWeb},
	{name: "ppp_hdlc_cisco", link: 50, data: frame("hello", raw("0f00 0800"), inner4, web), want: toWeb},
	{name: "ppp_with_direction", link: 204, data: frame("hello", raw("00 ff03 0021"), inner4, web), want: toWeb},
	{name: "pppoe_alone", link: 51, data: frame("hello", raw("1100 0001 002f 0021"), inner4, web), want: throughIt(toWeb, "pppoe")},
	{name: "cisco_hdlc", link: 104, data: frame("hello", raw("0f00 0800"), inner4, web), want: toWeb},
	{name: "frame_relay", link: 107, data: frame("hello", raw("1841 03 cc"), inner4, web), want: toWeb},
	{name: "frame_relay_cisco", link: 107, data: frame("hello", raw("1841 0800"), inner4, web), want: toWeb},
	{name: "frame_relay_snap", link: 107, data: frame("hello", raw("1841 03 00 80 000000 0800"), inner4, web), want: toWeb},
	{name: "fddi", link: 10, data: frame("hello", raw("50 000d3a010101 000d3a020202 aaaa03 000000 0800"), inner4, web), want: toWeb},
	{name: "firewire", link: 138, data: frame("hello", raw("0000000000000001 0000000000000002 0800"), inner4, web), want: toWeb},
	{name: "enc", link: 109, data: frame("hello", raw("02000000 00000000 00000000"), inner4, web), want: toWeb},
	{name: "pflog", link: 117, data: frame("hello", raw("3d 02 00 00 656d3000000000000000000000000000 00000000000000000000000000000000 00000000 ffffffff 00000000 ffffffff 00000000 00000000 01 000000"), inner4, web), want: toWeb},
	{name: "nflog", link: 239, data: frame("hello", raw("02 00 0000 0800 0100 0800 0001 3100 0900"), inner4, web), want: toWeb},
	{name: "wlan_to_ds", link: 105, data: frame("hello", raw("0801 0000 000d3a010101 000d3a020202 000d3a030303 0000 aaaa03 000000 0800"), inner4, web), want: toWeb},
	{name: "wlan_qos", link: 105, data: frame("hello", raw("8802 0000 000d3a010101 000d3a020202 000d3a030303 0000 0000 aaaa03 000000 0800"), inner4, web), want: toWeb},
	{name: "wlan_four_addresses", link: 105, data: frame("hello", raw("0803 0000 000d3a010101 000d3a020202 000d3a030303 0000 000d3a040404 aaaa03 000000 0800"), inner4, web), want: toWeb},
	{name: "wlan_encrypted", link: 105, data: frame("hello", raw("0841 0000 000d3a010101 000d3a020202 000d3a030303 0000 aaaa03 000000 0800"), inner4, web), want: brief{}},
	{name: "radiotap_fcs", link: 127, data: frame("hello", trailer(4), raw("0000 0900 02000000 10 0801 0000 000d3a010101 000d3a020202 000d3a030303 0000 aaaa03 000000 0800"), inner4, web), want: toWeb},
	{name: "radiotap_padding", link: 127, data: frame("hello", raw("0000 0900 02000000 20 8802 0000 000d3a010101 000d3a020202 000d3a030303 0000 0000 0000 aaaa03 000000 0800"), inner4, web), want: toWeb},
	{name: "unknown_link_type", link: 147, data: frame("hello", inner4, web), want: brief{}},

	{name: "ip_in_ip", link: 1, data: frame("hello", eth(0x800), outer4(4), inner4, web), want: throughIt(toWeb, "ipip")},
	{name: "6in4", link: 1, data: frame("hello", eth(0x800), outer4(41), inner6, web), want: throughIt(toWeb6, "ipip")},
	{name: "4in6", link: 1, data: frame("hello", eth(0x86dd), ip6(4, sixA, sixB), inner4, web), want: throughIt(toWeb, "ipip")},
	{name: "gre", link: 1, data: frame("hello", eth(0x800), outer4(47), raw("0000 0800"), inner4, web), want: throughIt(toWeb, "gre")},
	{name: "gre_all_options", link: 1, data: frame("hello", eth(0x800), outer4(47), raw("b000 86dd 00000000 00000001 00000002"), inner6, web), want: throughIt(toWeb6, "gre")},
	{name: "gre_routing", link: 1, data: frame("hello", eth(0x800), outer4(47), raw("4000 0800 00000000 0800 0004 c0000201 0000 0000"), inner4, web), want: throughIt(toWeb, "gre")},
	{name: "nvgre", link: 1, data: frame("hello", eth(0x800), outer4(47), raw("2000 6558 00000100"), eth(0x800), inner4, web), want: throughIt(toWeb, "gre")},
	{name: "pptp", link: 1, data: frame("hello", eth(0x800), outer4(47), raw("3081 880b 00310001 00000001 00000002 ff03 0021"), inner4, web), want: throughIt(toWeb, "gre")},
	{name: "gre_mpls", link: 1, data: frame("hello", eth(0x800), outer4(47), raw("0000 8847 00064140"), inner4, web), want: throughIt(toWeb, "gre+mpls")},
	{name: "wccp", link: 1, data: frame("hello", eth(0x800), outer4(47), raw("0000 883e 00000001"), inner4, web), want: throughIt(toWeb, "gre")},
	{name: "erspan_1", link: 1, data: frame("hello", eth(0x800), outer4(47), raw("0000 88be"), eth(0x800), inner4, web), want: throughIt(toWeb, "gre+erspan")},
	{name: "erspan_2", link: 1, data: frame("hello", eth(0x800), outer4(47), raw("1000 88be 00000001 1001 0001 00000000"), eth(0x800), inner4, web), want: throughIt(toWeb, "gre+erspan")},
	{name: "erspan_3", link: 1, data: frame("hello", eth(0x800), outer4(47), raw("1000 22eb 00000001 2001 0001 00000000 0000 0000"), eth(0x800), inner4, web), want: throughIt(toWeb, "gre+erspan")},
	{name: "erspan_3_platform", link: 1, data: frame("hello", eth(0x800), outer4(47), raw("1000 22eb 00000001 2001 0001 00000000 0000 0001 0000000000000000"), eth(0x800), inner4, web), want: throughIt(toWeb, "gre+erspan")},
	{name: "vxlan", link: 1, data: frame("hello", eth(0x800), outer4(17), udp(50000, 4789), raw("0800 0000 000064 00"), eth(0x800), inner4, web), want: throughIt(toWeb, "vxlan")},
	{name: "vxlan_vlan", link: 1, data: frame("hello", eth(0x800), outer4(17), udp(50000, 4789), raw("0800 0000 000064 00"), eth(0x8100), raw("0064 0800"), inner4, web), want: throughIt(tagged(toWeb, 100), "vxlan")},
	{name: "vxlan_holds_arp", link: 1, data: frame("\x00\x01\x08\x00", eth(0x800), outer4(17), udp(50000, 4789), raw("0800 0000 000064 00"), eth(0x806)), want: outerUDP("50000", "4789", string(frame("\x00\x01\x08\x00", raw("0800 0000 000064 00"), eth(0x806))))},
	{name: "vxlan_gpe", link: 1, data: frame("hello", eth(0x800), outer4(17), udp(50000, 4790), raw("0c00 0001 000064 00"), inner4, web), want: throughIt(toWeb, "vxlan")},
	{name: "client_port_4789_asks_dns", link: 1, data: frame("0123456789abcdef0123456789abcdef", eth(0x800), outer4(17), udp(4789, 53)), want: outerUDP("4789", "53", "0123456789abcdef0123456789abcdef")},
	{name: "geneve", link: 1, data: frame("hello", eth(0x800), outer4(17), udp(50000, 6081), raw("0100 6558 000064 00 01020304"), eth(0x800), inner4, web), want: throughIt(toWeb, "geneve")},
	{name: "geneve_ip", link: 1, data: frame("hello", eth(0x800), outer4(17), udp(50000, 6081), raw("0000 0800 000064 00"), inner4, web), want: throughIt(toWeb, "geneve")},
	{name: "teredo", link: 1, data: frame("hello", eth(0x800), outer4(17), udp(50000, 3544), inner6, web), want: throughIt(toWeb6, "teredo")},
	{name: "teredo_indications", link: 1, data: frame("hello", eth(0x800), outer4(17), udp(3544, 50000), raw("0001 0000 0000000000000000 00 0000 3344 556677 88"), inner6, web), want: throughIt(toWeb6, "teredo")},
	{name: "gtp", link: 1, data: frame("hello", eth(0x800), outer4(17), udp(2152, 2152), raw("30ff 002d 00000001"), inner4, web), want: throughIt(toWeb, "gtp")},
	{name: "gtp_extension", link: 1, data: frame("hello", eth(0x800), outer4(17), udp(2152, 2152), raw("34ff 0035 00000001 0000 00 85 01 1001 00"), inner4, web), want: throughIt(toWeb, "gtp")},
	{name: "l2tp", link: 1, data: frame("hello", eth(0x800), outer4(17), udp(1701, 1701), raw("4002 0039 0001 0001 ff03 0021"), inner4, web), want: throughIt(toWeb, "l2tp")},
	{name: "l2tp_offset", link: 1, data: frame("hello", eth(0x800), outer4(17), udp(1701, 1701), raw("0a02 0001 0001 0000 0000 0002 ffff ff03 0021"), inner4, web), want: throughIt(toWeb, "l2tp")},
	{name: "lisp", link: 1, data: frame("hello", eth(0x800), outer4(17), udp(50000, 4341), raw("0000000000000000"), inner4, web), want: throughIt(toWeb, "lisp")},
	{name: "ayiya", link: 1, data: frame("hello", eth(0x800), outer4(17), udp(50000, 5072), raw("4152 1129 00000000 00000000000000000000000000000000 0000000000000000000000000000000000000000"), inner6, web), want: throughIt(toWeb6, "ayiya")},
	{name: "mpls_in_udp", link: 1, data: frame("hello", eth(0x800), outer4(17), udp(50000, 6635), raw("00064140"), inner4, web), want: throughIt(toWeb, "mpls")},
	{name: "mpls_in_ip", link: 1, data: frame("hello", eth(0x800), outer4(137), raw("00064140"), inner4, web), want: throughIt(toWeb, "mpls")},
	{name: "ether_ip", link: 1, data: frame("hello", eth(0x800), outer4(97), raw("3000"), eth(0x800), inner4, web), want: throughIt(toWeb, "etherip")},
	{name: "ethernet_in_ip", link: 1, data: frame("hello", eth(0x86dd), ip6(143, sixA, sixB), eth(0x800), inner4, web), want: throughIt(toWeb, "etherip")},
	{name: "tunnel_in_tunnel", link: 1, data: frame("hello", eth(0x800), outer4(17), udp(50000, 4789), raw("0800 0000 000064 00"), eth(0x800), outer4(47), raw("0000 86dd"), inner6, web), want: throughIt(toWeb6, "vxlan+gre")},

	{name: "tcp_options_reach_over_the_end", link: 1, data: frame("", eth(0x800), inner4, tcp(40000, 443, SYN, 2, 4, 5, 0xb4, 3, 9, 1, 1)), want: brief{Src: innerA + ":40000", Dst: innerB + ":443"}},
	{name: "tcp_header_longer_than_the_packet", link: 1, data: frame("", eth(0x800), inner4, raw("9c40 01bb 000003e8 000007d0 8010 0200 0000 0000")), want: brief{Src: innerA + ":40000", Dst: innerB + ":443"}},
	{name: "tcp_header_length_0", link: 1, data: frame("hello", eth(0x800), inner4, raw("9c40 01bb 000003e8 000007d0 0010 0200 0000 0000")), want: brief{Src: innerA + ":40000", Dst: innerB + ":443", Segment: 25}},
	{name: "tcp_16_bytes", link: 1, data: frame("", eth(0x800), inner4, raw("9c40 01bb 000003e8 000007d0 5010 0200")), want: brief{Src: innerA + ":40000", Dst: innerB + ":443"}},
	{name: "tcp_15_bytes", link: 1, data: frame("", eth(0x800), inner4, raw("9c40 01bb 000003e8 000007d0 5010 02")), want: brief{Src: innerA, Dst: innerB}},
	{name: "first_fragment", link: 1, data: frame("hello", eth(0x800), ip4With(6, innerA, innerB, 0x2000, 0, -1), web), want: brief{Src: innerA, Dst: innerB}},
	{name: "ethernet_cut", link: 1, data: frame("", raw("0000000000")), want: brief{}},
	{name: "nothing", link: 1, data: nil, want: brief{}},
}

func TestDecode(t *testing.T) {
	for _, test := range decodeTests {
		t.Run(test.name, func(t *testing.T) {
			var d Decoder
			var p Packet
			d.Decode(&pcap.Record{Number: 1, Length: len(test.data), LinkType: test.link, Data: test.data}, &p)
			if diff := cmp.Diff(test.want, briefly(&p)); diff != "" {
				t.Errorf("Decode(-want +got):\n%s", diff)
			}
		})
	}
}
