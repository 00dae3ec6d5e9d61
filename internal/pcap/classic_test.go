package pcap

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestClassic(t *testing.T) {
	for _, o := range both {
		tests := []struct {
			name string
			file []byte
			want []string
			sum  Summary
		}{
			{
				name: "microseconds",
				file: slices.Concat(header(o, magicMicroseconds, 2, 4, 65535, 1), classicPacket(o, 5, 6, 3, 60, 0, "abc"), classicPacket(o, 5, 7, 0, 0, 0, "")),
				want: []string{`1 5000006000 ethernet 60 "abc"`, `2 5000007000 ethernet 0 ""`, "end"},
				sum:  Summary{SnapLength: 65535, Resolution: time.Microsecond, Packets: 2},
			},
			{
				name: "nanoseconds",
				file: slices.Concat(header(o, magicNanoseconds, 2, 4, 96, 101), classicPacket(o, 0xffffffff, 999999999, 3, 3, 0, "abc")),
				want: []string{`1 4294967295999999999 raw 3 "abc"`, "end"},
				sum:  Summary{SnapLength: 96, Resolution: 1, Packets: 1, LinkTypes: []LinkType{101}},
			},
			{
				name: "modified",
				file: slices.Concat(header(o, magicModified, 2, 4, 96, 1), classicPacket(o, 5, 6, 3, 3, 8, "abc"), classicPacket(o, 5, 7, 2, 2, 8, "de")),
				want: []string{`1 5000006000 ethernet 3 "abc"`, `2 5000007000 ethernet 2 "de"`, "end"},
				sum:  Summary{SnapLength: 96, Resolution: time.Microsecond, Packets: 2},
			},
			{
				name: "modified_990915",
				file: slices.Concat(header(o, magicModified, 2, 4, 96, 1), classicPacket(o, 5, 6, 3, 3, 12, "abc"), classicPacket(o, 5, 7, 2, 2, 12, "de"), classicPacket(o, 5, 8, 1, 1, 12, "f")),
				want: []string{`1 5000006000 ethernet 3 "abc"`, `2 5000007000 ethernet 2 "de"`, `3 5000008000 ethernet 1 "f"`, "end"},
				sum:  Summary{SnapLength: 96, Resolution: time.Microsecond, Packets: 3},
			},
			{
				name: "version_2_1_swaps_lengths",
				file: slices.Concat(header(o, magicMicroseconds, 2, 1, 96, 1), classicPacket(o, 5, 6, 60, 3, 0, "abc")),
				want: []string{`1 5000006000 ethernet 60 "abc"`, "end"},
				sum:  Summary{SnapLength: 96, Resolution: time.Microsecond, Packets: 1},
			},
			{
				name: "version_2_3_swaps_lengths_at_times",
				file: slices.Concat(header(o, magicMicroseconds, 2, 3, 96, 1), classicPacket(o, 5, 6, 60, 3, 0, "abc"), classicPacket(o, 5, 6, 3, 60, 0, "def")),
				want: []string{`1 5000006000 ethernet 60 "abc"`, `2 5000006000 ethernet 60 "def"`, "end"},
				sum:  Summary{SnapLength: 96, Resolution: time.Microsecond, Packets: 2},
			},
			{
				name: "longer_than_snap_length",
				file: slices.Concat(header(o, magicMicroseconds, 2, 4, 2, 1), classicPacket(o, 5, 6, 3, 3, 0, "abc")),
				want: []string{`1 5000006000 ethernet 3 "abc"`, "end"},
				sum:  Summary{SnapLength: 2, Resolution: time.Microsecond, Packets: 1},
			},
			{
				name: "frame_check_sequence_bits",
				file: slices.Concat(header(o, magicMicroseconds, 2, 4, 0xffffffff, 0x44000001), classicPacket(o, 5, 6, 3, 3, 0, "abc")),
				want: []string{`1 5000006000 ethernet 3 "abc"`, "end"},
				sum:  Summary{Resolution: time.Microsecond, Packets: 1},
			},
			{
				name: "absurd_microseconds",
				file: slices.Concat(header(o, magicMicroseconds, 2, 4, 0, 1), classicPacket(o, 0xffffffff, 0xffffffff, 0, 0, 0, "")),
				want: []string{`1 4294971589967295000 ethernet 0 ""`, "end"},
				sum:  Summary{Resolution: time.Microsecond, Packets: 1, BadTimestamps: 1},
			},
			{
				name: "absurd_length_on_the_wire",
				file: slices.Concat(header(o, magicMicroseconds, 2, 4, 0, 1), classicPacket(o, 1, 0, 1, 0xffffffff, 0, "a")),
				want: []string{`1 1000000000 ethernet 2147483647 "a"`, "end"},
				sum:  Summary{Resolution: time.Microsecond, Packets: 1},
			},
			{
				name: "absurd_captured_length",
				file: slices.Concat(header(o, magicMicroseconds, 2, 4, 0, 1), classicPacket(o, 1, 0, 1, 1, 0, "a"), classicPacket(o, 1, 0, 0x80000000, 1, 0, "b")),
				want: []string{`1 1000000000 ethernet 1 "a"`, "damaged"},
				sum:  Summary{Resolution: time.Microsecond, Packets: 1},
			},
			{
				name: "cut_in_a_packet",
				file: slices.Concat(header(o, magicMicroseconds, 2, 4, 0, 1), classicPacket(o, 1, 0, 1, 1, 0, "a"), classicPacket(o, 1, 0, 3, 3, 0, "bc")),
				want: []string{`1 1000000000 ethernet 1 "a"`, "end"},
				sum:  Summary{Resolution: time.Microsecond, Packets: 1, CutShort: true},
			},
			{
				name: "cut_in_a_packet_header",
				file: slices.Concat(header(o, magicMicroseconds, 2, 4, 0, 1), classicPacket(o, 1, 0, 1, 1, 0, "a"), words(o, 1)),
				want: []string{`1 1000000000 ethernet 1 "a"`, "end"},
				sum:  Summary{Resolution: time.Microsecond, Packets: 1, CutShort: true},
			},
			{name: "header_alone", file: header(o, magicMicroseconds, 2, 4, 0, 1), want: []string{"end"}, sum: Summary{Resolution: time.Microsecond}},
			{name: "header_cut", file: header(o, magicMicroseconds, 2, 4, 0, 1)[:23], want: []string{"unrecognised"}},
			{name: "version_1", file: header(o, magicMicroseconds, 1, 4, 0, 1), want: []string{"unrecognised"}},
		}
		for _, test := range tests {
			t.Run(test.name+"_"+o.String(), func(t *testing.T) {
				got, sum := dump(bytes.NewReader(test.file))
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("packets(-want +got):\n%s", diff)
				}
				if got[0] == "unrecognised" {
					return
				}
				test.sum.Format = FormatPcap
				test.sum.Bytes = int64(len(test.file))
				if test.sum.LinkTypes == nil {
					test.sum.LinkTypes = []LinkType{LinkTypeEthernet}
				}
				if diff := cmp.Diff(test.sum, sum); diff != "" {
					t.Errorf("Summary(-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestWriter(t *testing.T) {
	var file bytes.Buffer
	w, err := NewWriter(&file, LinkTypeLinuxSLL2, 4)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WritePacket(1234567890123456789, 900, []byte("abcdef")); err != nil {
		t.Fatal(err)
	}
	if err := w.WritePacket(2e9, 0, []byte("ab")); err != nil {
		t.Fatal(err)
	}
	for _, impossible := range []Timestamp{-1, 1 << 62} {
		if err := w.WritePacket(impossible, 1, []byte("a")); err == nil {
			t.Errorf("WritePacket(%d) succeeded, want an error: the format cannot hold it", impossible)
		}
	}
	got, sum := dump(&file)
	want := []string{`1 1234567890123456789 linux-sll2 900 "abcd"`, `2 2000000000 linux-sll2 2 "ab"`, "end"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("packets(-want +got):\n%s", diff)
	}
	if sum.SnapLength != 4 || sum.Resolution != 1 {
		t.Errorf("snap length %d, resolution %v; want 4, 1ns", sum.SnapLength, sum.Resolution)
	}
}

func TestLargestPacket(t *testing.T) {
	largest := strings.Repeat("x", MaxPacketLength)
	got, _ := dump(bytes.NewReader(mustWrite(t, LinkTypeRaw, largest, "a", largest, "b")))
	if len(got) != 5 || got[4] != "end" || !strings.HasSuffix(got[2], largest+`"`) || !strings.HasSuffix(got[3], `"b"`) {
		t.Errorf("%d lines, want 4 packets and the end", len(got))
	}
}
