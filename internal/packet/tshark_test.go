package packet

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/pcapwarden/pcapwarden/test/tshark"
)

// TestTshark holds the table of TestDecode against Wireshark's view of the
// same frames: is it TCP, between whom, and how long.
func TestTshark(t *testing.T) {
	tshark.Need(t)
	tests := slices.Clone(decodeTests)
	tests = slices.DeleteFunc(tests, func(test decodeTest) bool { return test.odd != "" })
	answers := askTshark(t, pcapng(tests))
	if len(answers) != len(tests) {
		t.Fatalf("tshark sees %d frames, want %d", len(answers), len(tests))
	}
	for i, got := range answers {
		want := ""
		if tcp := tests[i].want; strings.HasSuffix(tcp.Src, ":40000") {
			want = tcp.Src + " " + tcp.Dst + " " + strconv.Itoa(tcp.Segment)
		}
		if diff := gocmp.Diff(got, want); diff != "" {
			t.Errorf("%s (-tshark +table):\n%s", tests[i].name, diff)
		}
	}
}

// pcapng writes the frames into one file: each has an interface of its own,
// for its link type, and is far from the others, lest fragments and
// conversations mix.
func pcapng(tests []decodeTest) []byte {
	le := binary.LittleEndian
	var file []byte
	block := func(kind int, body ...[]byte) {
		b := slices.Concat(body...)
		b = append(b, make([]byte, -len(b)&3)...)
		total := uint32(12 + len(b))
		file = le.AppendUint32(le.AppendUint32(file, uint32(kind)), total)
		file = le.AppendUint32(append(file, b...), total)
	}
	words := func(words ...int) (b []byte) {
		for _, w := range words {
			b = le.AppendUint32(b, uint32(w))
		}
		return b
	}
	block(0x0a0d0d0a, words(0x1a2b3c4d, 1, -1, -1))
	for _, test := range tests {
		block(1, words(int(test.link), 0))
	}
	for i, test := range tests {
		at := (1 + i) * 1e9
		block(6, words(i, at>>32, at, len(test.data), len(test.data)), test.data)
	}
	return file
}

// askTshark returns a line for each frame: source, destination and segment
// length of its TCP, or nothing.
func askTshark(t *testing.T, capture []byte) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "frames.pcapng")
	if err := os.WriteFile(file, capture, 0o600); err != nil {
		t.Fatal(err)
	}
	fields := []string{"frame.protocols", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "tcp.srcport", "tcp.dstport", "tcp.stream", "tcp.len"}
	frames, complaint := tshark.Fields(t, file, fields, "-E", "occurrence=l")
	if complaint != "" {
		t.Fatalf("tshark: %s", complaint)
	}
	var answers []string
	for _, f := range frames {
		protocols := strings.Split(f[0], ":")
		slices.Reverse(protocols)
		src, dst := f[1], f[2]
		if six, four := slices.Index(protocols, "ipv6"), slices.Index(protocols, "ip"); four < 0 || six >= 0 && six < four {
			src, dst = f[3], f[4]
		}
		if f[7] == "" { // tcp.stream
			answers = append(answers, "")
			continue
		}
		answers = append(answers, addrPort(src, f[5])+" "+addrPort(dst, f[6])+" "+cmp.Or(f[8], "0"))
	}
	return answers
}

func addrPort(address, port string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	n, _ := strconv.Atoi(port)
	return netip.AddrPortFrom(a, uint16(n)).String()
}
