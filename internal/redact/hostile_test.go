package redact

import (
	"bytes"
	"slices"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// TestHostileH53 is about sources that want something to slip through: packets
// that cannot be decoded, checksums that tell of the originals, and addresses
// in places where few look.
func TestHostileH53(t *testing.T) {
	options := Options{Key: referenceKey, HidePlatform: true}
	quote := func(inner ...wrap) []byte {
		return frameOf(secret, append([]wrap{eth(etherIPv4), ip4(1), raw("03 03 beef 0000 0000")}, inner...)...)
	}
	for _, test := range []struct {
		name   string
		data   []byte
		reason Reason // "": it is rewritten
	}{
		{"undecodable_link_layer", frameOf(secret, eth(0x88cc), bytesOf(serverMAC, client4.AsSlice())), Unknown},
		{"undecodable_ip_version", frameOf(secret, eth(etherIPv4), raw("75"), bytesOf(client4.AsSlice())), Malformed},
		{"undecodable_tunnel", frameOf(secret, eth(etherIPv4), ip4(17), udp(40000, 3544), ip6(6), tcp()), Different},
		{"source_route", frameOf(secret, eth(etherIPv4), ip4(6, slices.Concat([]byte{131, 11, 4}, third4.AsSlice(), server4.AsSlice(), []byte{0})...), tcp()), kept},
		{"routing_header", frameOf(secret, eth(etherIPv6), ip6(43), raw("06 02 00 01 00000000"), bytesOf(server6.AsSlice()), tcp()), Extension},
		{"residual_ip_checksum", frameOf(secret, eth(etherIPv4), ip4(6), tcp()), kept},
		{"residual_udp_checksum", frameOf(secret, eth(etherIPv6), ip6(17), udp(40000, 9999)), kept},
		{"quoted_addresses", quote(ip4(17), udp(40000, 53)), kept},
		{"quoted_checksums", quote(ip4(6), tcp()), kept},
		{"quoted_options", quote(ip4(6, slices.Concat([]byte{7, 11, 12}, server4.AsSlice(), third4.AsSlice(), []byte{0})...), tcp()), kept},
		{"quoted_quote", quote(ip4(1), raw("0303 beef 0000 0000"), ip4(6), tcp()), kept},
		{"quoted_in_a_tunnel", frameOf(secret, eth(etherIPv4), ip4(17), udp(50000, 4789), raw("08000000 00002a00"), eth(etherIPv4), ip4(1), raw("03 03 beef 0000 0000"), ip4(6), tcp()), kept},
		{"quoted_ipv6", frameOf(secret, eth(etherIPv6), ip6(58), raw("01 00 beef 00000000"), ip6(17), udp(40000, 53)), kept},
		{"redirect_gateway", frameOf("", eth(etherIPv4), ip4(1), raw("05 01 beef"), bytesOf(third4.AsSlice()), ip4(17), udp(1, 2)), kept},
		{"neighbour_address", frameOf(secret, eth(etherIPv6), ip6(58), raw("88 00 beef 60000000"), bytesOf(server6.AsSlice(), []byte{2, 1}, clientMAC)), kept},
		{"multipath_address", frameOf(secret, eth(etherIPv4), ip4(6), tcp(slices.Concat([]byte{30, 8, 0x30, 1}, server4.AsSlice())...)), kept},
		{"trailer", append(frameOf("", eth(etherIPv4), ip4(6), tcp()), secret...), kept},
	} {
		for _, names := range []bool{false, true} {
			t.Run(test.name, func(t *testing.T) {
				o := options
				o.HashNames = names
				out, record := redactFrames(t, ethernet, o, test.data)
				if test.reason != kept {
					if len(out) != 0 || record.Dropped[test.reason] != 1 || record.Output.Packets != 0 {
						t.Fatalf("%d packets kept, dropped: %v; want it dropped and counted: %s", len(out), record.Dropped, test.reason)
					}
					return
				}
				if len(out) != 1 {
					t.Fatalf("dropped: %v", record.Dropped)
				}
				for _, o := range append(originals, []byte{0xbe, 0xef}) {
					if i := bytes.Index(out[0].Data, o); i >= 0 {
						t.Errorf("%x is still there, at %d of %x", o, i, out[0].Data)
					}
				}
			})
		}
	}
}

// What the file itself tells, beside its packets, is left out: comments, names
// of interfaces, hosts and machines (draft-ietf-opsawg-pcapng).
func TestHostileH53FileTells(t *testing.T) {
	const tells = "vm-contoso-7"
	var in bytes.Buffer
	w, err := pcap.NewNGWriter(&in, pcap.Section{Comment: tells, Hardware: tells, Application: tells, Interface: tells}, 0)
	if err != nil {
		t.Fatal(err)
	}
	data := frameOf(secret, eth(etherIPv4), ip4(6), tcp())
	if err := w.WritePacket(1700000000e9, ethernet, len(data), data, tells); err != nil {
		t.Fatal(err)
	}
	// A name resolution block and decryption secrets, of which no reader of
	// ours knows more than their length.
	for _, kind := range []byte{4, 10} {
		in.Write(slices.Concat([]byte{kind, 0, 0, 0, 24, 0, 0, 0}, []byte(tells), []byte{24, 0, 0, 0}))
	}
	if n := bytes.Count(in.Bytes(), []byte(tells)); n != 7 {
		t.Fatalf("the source tells %d times, want 7", n)
	}
	var out bytes.Buffer
	record, err := Run(t.Context(), bytes.NewReader(in.Bytes()), &out, Options{Key: referenceKey, HashNames: true})
	if err != nil || record.Output.Packets != 1 {
		t.Fatalf("%+v, %v", record, err)
	}
	if bytes.Contains(out.Bytes(), []byte("contoso")) {
		t.Error("the derivative tells, too")
	}
}
