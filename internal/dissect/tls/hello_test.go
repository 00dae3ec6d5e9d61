package tls

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// hello builds the body of a ClientHello.
func hello(legacy Version, ciphers []uint16, extensions ...[]byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(legacy))
	b = append(b, make([]byte, 32)...)
	b = append(b, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(2*len(ciphers)))
	for _, c := range ciphers {
		b = binary.BigEndian.AppendUint16(b, c)
	}
	b = append(b, 1, 0)
	all := []byte{}
	for _, e := range extensions {
		all = append(all, e...)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(all)))
	return append(b, all...)
}

func extension(t uint16, body ...byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, t)
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	return append(b, body...)
}

func sni(name string) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(name)+3))
	b = append(b, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(name)))
	return extension(extServerName, append(b, name...)...)
}

func alpn(names ...string) []byte {
	var list []byte
	for _, n := range names {
		list = append(append(list, byte(len(n))), n...)
	}
	return extension(extALPN, append(binary.BigEndian.AppendUint16(nil, uint16(len(list))), list...)...)
}

func list16(values ...uint16) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(2*len(values)))
	for _, v := range values {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	return b
}

// The lists of the example in the description of JA4, in another order and
// with GREASE, which must not matter.
var (
	ja4Ciphers = []uint16{
		0x2a2a, 0xcca9, 0xcca8, 0xc030, 0xc02f, 0xc02c, 0xc02b, 0xc014, 0xc013, 0x1303, 0x1302, 0x1301, 0x009d, 0x009c, 0x0035, 0x002f,
	}
	ja4Signatures = []uint16{0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601}
	ja4Extensions = []uint16{0x4469, 0xff01, 0x0033, 0x002d, 0x001b, 0x0017, 0x0015, 0x0012, 0x000b, 0x000a, 0x0005, 0x0023, 0x3a3a}
)

func TestJA4(t *testing.T) {
	example := [][]byte{
		sni("example.test"), alpn("h2", "http/1.1"), extension(extSignatureAlgorithms, list16(ja4Signatures...)...),
		extension(extSupportedVersions, 6, 0x5a, 0x5a, 3, 4, 3, 3),
	}
	for _, e := range ja4Extensions {
		example = append(example, extension(e))
	}
	tests := []struct {
		name string
		body []byte
		via  byte
		want string
	}{
		{"published_example", hello(VersionTLS12, ja4Ciphers, example...), 't', "t13d1516h2_8daaf6152771_e5627efa2ab1"},
		{"quic", hello(VersionTLS12, ja4Ciphers, example...), 'q', "q13d1516h2_8daaf6152771_e5627efa2ab1"},
		{"nothing", hello(VersionTLS10, nil), 't', "t10i000000_000000000000_000000000000"},
		{"alpn_not_text", hello(VersionTLS12, nil, alpn("\xab\xcd")), 't', "t12i0001ad_000000000000_000000000000"},
		{"alpn_one_letter", hello(VersionSSL3, nil, alpn("a")), 't', "ts3i0001aa_000000000000_000000000000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, ok := ParseClientHello(tt.body, tt.via)
			if !ok || h.JA4 != tt.want {
				t.Errorf("JA4 = %q, %v, want %q", h.JA4, ok, tt.want)
			}
		})
	}
}

func TestParseClientHello(t *testing.T) {
	h, ok := ParseClientHello(hello(VersionTLS12, []uint16{0x1301, 0x0a0a, 0xc02f},
		sni("example.test"), alpn("h2"), extension(extSupportedGroups, list16(0x6a6a, 29, 23)...),
		extension(extSupportedVersions, 4, 0x7a, 0x7a, 3, 4), extension(extSessionTicket, 1, 2, 3)), 't')
	if !ok {
		t.Fatal("not understood")
	}
	h.JA4 = ""
	want := &ClientHello{
		Legacy: VersionTLS12, Versions: []Version{VersionTLS13}, CipherSuites: 2, SNI: "example.test", ALPN: []string{"h2"},
		Groups: []uint16{29, 23}, Ticket: true,
	}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Errorf("hello (-want +got):\n%s", diff)
	}
}

func TestHelloLimits(t *testing.T) {
	groups := make([]uint16, 500)
	for i := range groups {
		groups[i] = uint16(i)
	}
	names := make([]string, 40)
	for i := range names {
		names[i] = strings.Repeat("p", 200)
	}
	h, ok := ParseClientHello(hello(VersionTLS12, nil, sni(strings.Repeat("a.", 500)), alpn(names...), extension(extSupportedGroups, list16(groups...)...)), 't')
	if !ok || len(h.SNI) != MaxName || len(h.ALPN) != MaxALPN || len(h.Groups) != MaxGroups {
		t.Errorf("kept %d bytes of a name, %d protocols, %d groups, want %d, %d, %d", len(h.SNI), len(h.ALPN), len(h.Groups), MaxName, MaxALPN, MaxGroups)
	}
	// A length that says more than there is costs nothing.
	if h, ok := ParseClientHello(append(hello(VersionTLS12, nil), extension(extServerName, 0xff, 0xff)...), 't'); !ok || h.SNI != "" {
		t.Errorf("a name out of nothing: %+v", h)
	}
}
