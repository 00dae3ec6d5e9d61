package redact

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

type rewriteTest struct {
	name   string
	link   pcap.LinkType
	data   []byte
	kept   int // bytes
	reason Reason
}

const ethernet = pcap.LinkTypeEthernet

var rewriteTests = []rewriteTest{
	{name: "tcp", link: ethernet, data: frameOf(secret, eth(etherIPv4), ip4(6), tcp()), kept: 54},
	{name: "tcp_options_that_are_numbers", link: ethernet, kept: 54 + 24,
		data: frameOf(secret, eth(etherIPv4), ip4(6), tcp(2, 4, 5, 0xb4, 4, 2, 3, 3, 7, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1, 0, 0))},
	{name: "tcp_option_with_an_address", link: ethernet, kept: 54 + 8, // MPTCP ADD_ADDR
		data: frameOf(secret, eth(etherIPv4), ip4(6), tcp(slices.Concat([]byte{30, 8, 0x30, 1}, server4.AsSlice())...))},
	{name: "tcp_option_that_runs_over", link: ethernet, kept: 54 + 8,
		data: frameOf(secret, eth(etherIPv4), ip4(6), tcp(slices.Concat([]byte{30, 99, 1, 1}, server4.AsSlice())...))},
	{name: "tcp_after_the_end_of_options", link: ethernet, kept: 54 + 8,
		data: frameOf(secret, eth(etherIPv4), ip4(6), tcp(slices.Concat([]byte{0, 0, 0, 0}, server4.AsSlice())...))},
	{name: "udp", link: ethernet, data: frameOf(secret, eth(etherIPv4), ip4(17), udp(40000, 53)), kept: 42},
	{name: "trailer", link: ethernet, data: append(frameOf("", eth(etherIPv4), ip4(6), tcp()), secret...), kept: 54},
	{name: "unknown_ip_protocol", link: ethernet, data: frameOf(secret, eth(etherIPv4), ip4(89)), kept: 34},
	{name: "record_route", link: ethernet, kept: 66,
		data: frameOf(secret, eth(etherIPv4), ip4(6, slices.Concat([]byte{7, 11, 12}, server4.AsSlice(), third4.AsSlice(), []byte{0})...), tcp())},
	{name: "vlan", link: ethernet, data: frameOf(secret, eth(etherQinQ), raw("0064 8100"), raw("00c8 0800"), ip4(6), tcp()), kept: 62},
	{name: "ipv6", link: ethernet, data: frameOf(secret, eth(etherIPv6), ip6(6), tcp()), kept: 74},
	{name: "ipv6_options", link: ethernet, data: frameOf(secret, eth(etherIPv6), ip6(0), optionWith(60), optionWith(6), tcp()), kept: 122},
	{name: "ipv6_routing_header", link: ethernet, reason: Extension,
		data: frameOf(secret, eth(etherIPv6), ip6(43), raw("06 02 00 01 00000000"), bytesOf(server6.AsSlice()), tcp())},
	{name: "ipsec_check_value", link: ethernet, kept: 34 + 16 + 20,
		data: frameOf(secret, eth(etherIPv4), ip4(51), raw("06 02 0000 00000001 00000002"), bytesOf(server4.AsSlice()), tcp())},
	{name: "first_fragment", link: ethernet, data: frameOf(secret, eth(etherIPv4), fragment4(0x2000), ip4(6), tcp()), kept: 54 + len(secret)},
	{name: "later_fragment", link: ethernet, data: frameOf(secret, eth(etherIPv4), fragment4(0x2003), ip4(6)), kept: 34 + len(secret)},
	{name: "later_fragment_ipv6", link: ethernet, data: frameOf(secret, eth(etherIPv6), ip6(44), raw("06 00 0019 00000001")), kept: 62 + len(secret)},
	{name: "icmp_error", link: ethernet, data: frameOf(secret, eth(etherIPv4), ip4(1), raw("03 04 beef 0000 0578"), ip4(6), tcp()), kept: 14 + 20 + 8 + 40},
	{name: "icmp_error_quotes_8_bytes", link: ethernet, kept: 14 + 20 + 8 + 28,
		data: frameOf("", eth(etherIPv4), ip4(1), raw("03 01 beef 0000 0000"), ip4(17), raw("9c40 0035 0008 beef"))},
	{name: "icmp_error_quotes_udp_payload", link: ethernet, data: frameOf(secret, eth(etherIPv4), ip4(1), raw("03 03 beef 0000 0000"), ip4(17), udp(40000, 53)), kept: 14 + 20 + 8 + 28},
	{name: "icmp_error_that_quotes_nonsense", link: ethernet, data: frameOf("/"+secret, eth(etherIPv4), ip4(1), raw("03 03 beef 0000 0000")), kept: 14 + 20 + 8},
	{name: "icmp_error_that_quotes_half_a_header", link: ethernet, data: frameOf(secret, eth(etherIPv4), ip4(1), raw("03 03 beef 0000 0000 4f")), reason: Different},
	{name: "icmp_redirect", link: ethernet, kept: 14 + 20 + 8 + 28,
		data: frameOf("", eth(etherIPv4), ip4(1), raw("05 01 beef"), bytesOf(third4.AsSlice()), ip4(17), udp(1, 2))},
	{name: "icmp_echo", link: ethernet, data: frameOf(secret, eth(etherIPv4), ip4(1), raw("08 00 beef 0001 0002")), kept: 42},
	{name: "icmp_that_is_not_known", link: ethernet, data: frameOf("", eth(etherIPv4), ip4(1), raw("2a 00 beef"), bytesOf(server4.AsSlice())), kept: 38},
	{name: "icmp6_error", link: ethernet, data: frameOf(secret, eth(etherIPv6), ip6(58), raw("02 00 beef 00000500"), ip6(6), tcp()), kept: 14 + 40 + 8 + 60},
	{name: "neighbor_solicitation", link: ethernet, kept: 14 + 40 + 24 + 8,
		data: frameOf(secret, eth(etherIPv6), ip6(58), raw("87 00 beef 00000000"), bytesOf(server6.AsSlice(), []byte{1, 1}, clientMAC))},
	{name: "router_advertisement", link: ethernet, kept: 14 + 40 + 16 + 8,
		data: frameOf("", eth(etherIPv6), ip6(58), raw("86 00 beef 40000708 00000000 00000000"), bytesOf([]byte{1, 1}, clientMAC), raw("03 04 40c0 00000000 00000000 00000000"), bytesOf(server6.AsSlice()))},
	{name: "arp", link: ethernet, kept: 42,
		data: frameOf(secret, eth(etherARP), raw("0001 0800 06 04 0001"), bytesOf(clientMAC, client4.AsSlice(), serverMAC, server4.AsSlice()))},
	{name: "arp_of_another_kind", link: ethernet, data: frameOf(secret, eth(etherARP), raw("0006 0800 06 04 0001"), bytesOf(clientMAC, client4.AsSlice(), serverMAC)), reason: Unknown},
	{name: "vxlan", link: ethernet, data: frameOf(secret, eth(etherIPv4), ip4(17), udp(50000, 4789), raw("08000000 00002a00"), eth(etherIPv4), ip4(6), tcp()), kept: 50 + 54},
	{name: "vxlan_gpe", link: ethernet, data: frameOf(secret, eth(etherIPv4), ip4(17), udp(50000, 4790), raw("0c000001 00002a00"), ip4(6), tcp()), kept: 50 + 40},
	{name: "geneve_with_options", link: ethernet, kept: 34 + 8 + 16 + 40,
		data: frameOf(secret, eth(etherIPv4), ip4(17), udp(50000, 6081), raw("02 00 0800 00002a00 0102 03 01"), bytesOf(server4.AsSlice()), ip4(6), tcp())},
	{name: "gre_with_checksum_and_key", link: ethernet, data: frameOf(secret, eth(etherIPv4), ip4(47), raw("a000 0800 beef 0000 00000007"), ip4(6), tcp()), kept: 34 + 12 + 40},
	{name: "gre_routing", link: ethernet, data: frameOf(secret, eth(etherIPv4), ip4(47), raw("4000 0800 0000 0000 0000 0000"), ip4(6), tcp()), reason: Unknown},
	{name: "erspan", link: ethernet, data: frameOf(secret, eth(etherIPv4), ip4(47), raw("1000 88be 00000001 1000 0000 00000000"), eth(etherIPv4), ip4(6), tcp()), kept: 34 + 16 + 54},
	{name: "erspan3_with_a_platform", link: ethernet, kept: 34 + 28 + 54,
		data: frameOf(secret, eth(etherIPv4), ip4(47), raw("1000 22eb 00000001 2000 0000 00000000 00000001"), bytesOf(server4.AsSlice(), client4.AsSlice()), eth(etherIPv4), ip4(6), tcp())},
	{name: "ip_in_ip", link: ethernet, data: frameOf(secret, eth(etherIPv4), ip4(4), ip4(6), tcp()), kept: 34 + 40},
	{name: "ip6_in_ip", link: ethernet, data: frameOf(secret, eth(etherIPv4), ip4(41), ip6(6), tcp()), kept: 34 + 60},
	{name: "mpls", link: ethernet, data: frameOf(secret, eth(etherMPLS), raw("00010040 00020140"), ip4(6), tcp()), kept: 14 + 8 + 40},
	{name: "pppoe", link: ethernet, data: frameOf(secret, eth(etherPPPoE), raw("1100 0001 0042 0021"), ip4(6), tcp()), kept: 14 + 8 + 40},
	{name: "snap", link: ethernet, data: frameOf(secret, eth(8+40+len(secret)), raw("aaaa03000000 0800"), ip4(6), tcp()), kept: 22 + 40},
	{name: "cooked", link: pcap.LinkTypeLinuxSLL, data: frameOf(secret, raw("0000 0001 0006"), bytesOf(clientMAC), raw("7172 0800"), ip4(6), tcp()), kept: 56},
	{name: "cooked_with_an_odd_address", link: pcap.LinkTypeLinuxSLL, data: frameOf(secret, raw("0000 0001 0008"), bytesOf(server6.AsSlice()[8:]), raw("0800"), ip4(6), tcp()), kept: 56},
	{name: "cooked2", link: pcap.LinkTypeLinuxSLL2, data: frameOf(secret, raw("0800 0000 00000002 0001 00 06"), bytesOf(clientMAC), raw("7172"), ip4(6), tcp()), kept: 60},
	{name: "raw_ip", link: pcap.LinkTypeRaw, data: frameOf(secret, ip4(6), tcp()), kept: 40},
	{name: "loopback", link: pcap.LinkTypeNull, data: frameOf(secret, raw("02000000"), ip4(6), tcp()), kept: 44},

	{name: "another_link_type", link: pcap.LinkTypeRadiotap, data: frameOf(secret, ip4(6), tcp()), reason: LinkType},
	{name: "not_a_packet", link: pcap.LinkTypeNone, reason: LinkType},
	{name: "neighbours_names", link: ethernet, data: frameOf(secret, eth(0x88cc)), reason: Unknown},
	{name: "spanning_tree", link: ethernet, data: frameOf(secret, eth(38), raw("424203"), bytesOf(serverMAC)), reason: Unknown},
	{name: "cut_ip_header", link: ethernet, data: frameOf("", eth(etherIPv4), ip4(6))[:30], reason: Truncated},
	{name: "impossible_header_length", link: ethernet, data: frameOf(secret, eth(etherIPv4), raw("41")), reason: Malformed},
	{name: "impossible_tcp_length", link: ethernet, data: frameOf(secret, eth(etherIPv4), ip4(6), raw("9c4001bb 00000001 00000001 1018 0200 beef 0000")), reason: Malformed},
	{name: "impossible_udp_length", link: ethernet, data: frameOf(secret, eth(etherIPv4), ip4(17), raw("9c40 0035 0003 beef")), reason: Malformed},
	{name: "tunnel_that_is_not_rewritten", link: ethernet, data: frameOf(secret, eth(etherIPv4), ip4(17), udp(40000, 3544), ip6(6), tcp()), reason: Different},
	{name: "nested_without_end", link: ethernet, data: frameOf(secret, append([]wrap{eth(etherIPv4)}, slices.Repeat([]wrap{ip4(4)}, 40)...)...), reason: TooDeep},
}

// redactFrames runs frames of one link type through Run.
func redactFrames(t testing.TB, link pcap.LinkType, o Options, frames ...[]byte) ([]pcap.Record, *Record) {
	t.Helper()
	var in, out bytes.Buffer
	w, err := pcap.NewWriter(&in, link, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range frames {
		if err := w.WritePacket(pcap.Timestamp(1700000000e9)+pcap.Timestamp(i), len(f), f); err != nil {
			t.Fatal(err)
		}
	}
	record, err := Run(t.Context(), &in, &out, o)
	if err != nil {
		t.Fatal(err)
	}
	return packets(out.Bytes()), record
}

func TestRewrite(t *testing.T) {
	for _, test := range rewriteTests {
		t.Run(test.name, func(t *testing.T) {
			out, record := redactFrames(t, test.link, Options{Key: referenceKey}, test.data)
			if test.reason != kept {
				if len(out) != 0 || record.Dropped[test.reason] != 1 {
					t.Fatalf("%d packets kept, dropped: %v; want none, %s", len(out), record.Dropped, test.reason)
				}
				return
			}
			if len(out) != 1 {
				t.Fatalf("dropped: %v", record.Dropped)
			}
			got := out[0].Data
			if len(got) != test.kept || out[0].Length != len(test.data) {
				t.Errorf("%d of %d bytes kept, want %d of %d", len(got), out[0].Length, test.kept, len(test.data))
			}
			for _, o := range originals {
				if i := bytes.Index(got, o); i >= 0 {
					t.Errorf("%x is still there, at %d of %x", o, i, got)
				}
			}
			if bytes.Contains(got, []byte{0xbe, 0xef}) {
				t.Errorf("a checksum of the original is still there: %x", got)
			}
		})
	}
}

// Whatever is cut off a frame, what is kept stays free of originals.
func TestRewriteOfBeginnings(t *testing.T) {
	m := newMapper(Options{Key: referenceKey})
	for _, test := range rewriteTests {
		for n := range test.data {
			f := &frame{m: m}
			rec := pcap.Record{Number: 1, Time: 1, Length: len(test.data), LinkType: test.link, Data: test.data[:n:n]}
			if f.rewrite(&rec) != kept {
				continue
			}
			for _, o := range originals {
				if bytes.Contains(f.b[:f.at], o) {
					t.Errorf("%s, cut to %d bytes: %x is still there", test.name, n, o)
				}
			}
		}
	}
}

// The checksums hold for the packet as it is kept, filled up with zeros.
func TestChecksums(t *testing.T) {
	for _, test := range []struct {
		name   string
		data   []byte
		offset []int // of IP headers
		segment,
		length int // of what the transport's checksum covers
		addresses []int // from, to
		protocol  int
	}{
		{"tcp", frameOf(secret, eth(etherIPv4), ip4(6), tcp()), []int{14}, 34, 20 + len(secret), []int{26, 34}, 6},
		{"tcp_of_odd_length", frameOf("x", eth(etherIPv4), ip4(6), tcp()), []int{14}, 34, 21, []int{26, 34}, 6},
		{"udp", frameOf(secret, eth(etherIPv4), ip4(17), udp(1, 53)), []int{14}, 34, 8 + len(secret), []int{26, 34}, 17},
		{"udp_around_a_tunnel", frameOf(secret, eth(etherIPv4), ip4(17), udp(50000, 4789), raw("0800000000002a00"), eth(etherIPv4), ip4(6), tcp()),
			[]int{14, 64}, 34, 16 + 54 + len(secret), []int{26, 34}, 17},
		{"tcp_in_a_tunnel", frameOf(secret, eth(etherIPv4), ip4(17), udp(50000, 4789), raw("0800000000002a00"), eth(etherIPv4), ip4(6), tcp()),
			[]int{14, 64}, 84, 20 + len(secret), []int{76, 84}, 6},
		{"icmp", frameOf(secret, eth(etherIPv4), ip4(1), raw("0304beef00000578"), ip4(6), tcp()), []int{14, 42}, 34, 48 + len(secret), nil, 0},
		{"icmp6", frameOf("", eth(etherIPv6), ip6(58), raw("8700beef00000000"), bytesOf(server6.AsSlice())), nil, 54, 24, []int{22, 54}, 58},
		{"tcp_ipv6", frameOf(secret, eth(etherIPv6), ip6(0), optionWith(6), tcp()), nil, 78, 20 + len(secret), []int{22, 54}, 6},
	} {
		// sums returns what the headers and the transport sum up to: zero, if
		// their checksums are right.
		sums := func(b []byte) (all []uint16) {
			for _, at := range test.offset {
				all = append(all, internet(sum(b[at:at+20])))
			}
			s := sum(b[test.segment : test.segment+test.length])
			if test.addresses != nil {
				s += (&pseudo{test.addresses[0], test.addresses[1], uint8(test.protocol), test.length}).sum(b)
			}
			return append(all, internet(s))
		}
		fields := []int{test.segment + map[int]int{6: 16, 17: 6, 58: 2, 0: 2}[test.protocol]}
		for _, at := range test.offset {
			fields = append([]int{at + 10}, fields...)
		}
		right := bytes.Clone(test.data)
		for i := len(test.offset) - 1; i >= 0; i-- { // the innermost header first
			binary.BigEndian.PutUint16(right[test.offset[i]+10:], 0)
			binary.BigEndian.PutUint16(right[test.offset[i]+10:], internet(sum(right[test.offset[i]:test.offset[i]+20])))
		}
		field := fields[len(fields)-1]
		binary.BigEndian.PutUint16(right[field:], 0)
		all := sums(right)
		binary.BigEndian.PutUint16(right[field:], all[len(all)-1])
		for _, isRight := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s_right=%v", test.name, isRight), func(t *testing.T) {
				data := right
				if !isRight {
					data = test.data
				}
				out, record := redactFrames(t, ethernet, Options{Key: referenceKey}, data)
				if len(out) != 1 {
					t.Fatalf("dropped: %v", record.Dropped)
				}
				whole := append(out[0].Data, make([]byte, out[0].Length-len(out[0].Data))...)
				for i, s := range sums(whole) {
					if (s == 0) != isRight {
						t.Errorf("sum %d is %#x", i, s)
					}
				}
				for _, at := range fields {
					if got := whole[at : at+2]; bytes.Equal(got, data[at:at+2]) {
						t.Errorf("the original's checksum %x is still there", got)
					}
				}
				if record.Output.WrongChecksums == 0 && !isRight {
					t.Error("the record says that no checksum was wrong")
				}
			})
		}
	}
}

// A checksum that was left to the network card is still zero.
func TestChecksumThatWasNotMade(t *testing.T) {
	data := frameOf("", eth(etherIPv4), ip4(6), tcp())
	clear(data[24:26])
	clear(data[50:52])
	out, record := redactFrames(t, ethernet, Options{Key: referenceKey}, data)
	if got := out[0].Data; !bytes.Equal(got[24:26], []byte{0, 0}) || !bytes.Equal(got[50:52], []byte{0, 0}) || record.Output.WrongChecksums != 1 {
		t.Errorf("checksums %x and %x, %d packets with wrong ones", got[24:26], got[50:52], record.Output.WrongChecksums)
	}
}

func TestSum(t *testing.T) {
	b := make([]byte, 300)
	for i := range b {
		b[i] = byte(255 - i*7%5)
	}
	for n := range b {
		var want uint64
		for i, c := range b[:n] {
			want += uint64(c) << (8 * (1 - i%2))
		}
		if got := internet(sum(b[:n])); got != internet(want) {
			t.Errorf("sum of %d bytes: %#x, want %#x", n, got, internet(want))
		}
	}
}

func TestUDPWithoutChecksum(t *testing.T) {
	data := frameOf(secret, eth(etherIPv4), ip4(17), udp(1, 53))
	copy(data[40:], []byte{0, 0})
	out, _ := redactFrames(t, ethernet, Options{Key: referenceKey}, data)
	if got := binary.BigEndian.Uint16(out[0].Data[40:]); got != 0 {
		t.Errorf("checksum %#x, want still none", got)
	}
}

// Packets that lie in fragments are put together as before.
func TestFragmentsAreReassembled(t *testing.T) {
	segment := frameOf(secret+"....", tcp())
	first := frameOf(string(segment[:24]), eth(etherIPv4), fragment4(0x2000), ip4(6))
	second := frameOf(string(segment[24:]), eth(etherIPv4), fragment4(3), ip4(6))
	out, record := redactFrames(t, ethernet, Options{Key: referenceKey}, first, second)
	if len(out) != 2 {
		t.Fatalf("dropped: %v", record.Dropped)
	}
	var d packet.Decoder
	var p packet.Packet
	for i := range out {
		d.Decode(&out[i], &p)
	}
	if !p.Reassembled || p.DstPort != 443 || p.SegmentLength != len(secret)+4 {
		t.Errorf("reassembled: %v, port %d, %d bytes", p.Reassembled, p.DstPort, p.SegmentLength)
	}
	if len(bytes.Trim(p.Payload, "\x00")) > 0 {
		t.Errorf("payload %q, want zeros", p.Payload)
	}
}

// FuzzRun redacts any bytes: as a frame, and as a file.
func FuzzRun(f *testing.F) {
	for _, test := range rewriteTests {
		f.Add(uint32(test.link), test.data)
	}
	f.Fuzz(func(t *testing.T, link uint32, data []byte) {
		if len(data) > 4096 {
			return
		}
		Run(t.Context(), bytes.NewReader(data), io.Discard, Options{Key: referenceKey})
		m := newMapper(Options{Key: referenceKey})
		fr := &frame{m: m}
		rec := pcap.Record{Number: 1, Time: 1, Length: len(data), LinkType: pcap.LinkType(link), Data: data}
		if fr.rewrite(&rec) != kept {
			return
		}
		if fr.at > len(data) {
			t.Fatalf("%d bytes kept of %d", fr.at, len(data))
		}
		// Nothing that the decoder calls payload is in what is kept.
		var d packet.Decoder
		var p packet.Packet
		rec.Data = fr.b[:fr.at]
		d.Decode(&rec, &p)
		switch p.Protocol {
		case packet.ProtocolTCP, packet.ProtocolUDP:
			if p.Tunnel == 0 && !p.Fragment && len(p.Payload) > 0 && p.DstPort != portVXLAN && p.SrcPort != portVXLAN &&
				p.DstPort != portVXLANGPE && p.SrcPort != portVXLANGPE && p.DstPort != portGeneve && p.SrcPort != portGeneve {
				t.Fatalf("%d bytes of payload are kept: %x", len(p.Payload), p.Payload)
			}
		}
	})
}
