package pcap

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPcapNG(t *testing.T) {
	for i, o := range both {
		other := both[1-i]
		tests := []struct {
			name  string
			file  []byte
			want  []string
			check func(Summary) bool
		}{
			{
				name: "enhanced_packets",
				file: slices.Concat(section(o), face(o, 1, 96), enhanced(o, 0, 5e6, 60, "abc"), enhanced(o, 0, 6e6, 4, "abcd")),
				want: []string{`1 5000000000 ethernet 60 "abc"`, `2 6000000000 ethernet 4 "abcd"`, "end"},
				check: func(s Summary) bool {
					return s.SnapLength == 96 && s.Resolution == time.Microsecond && cmp.Equal(s.LinkTypes, []LinkType{1})
				},
			},
			{
				name: "several_interfaces",
				file: slices.Concat(section(o), face(o, 1, 96, option(o, 2, 'e', 't', 'h', '0'), option(o, 9, 9)), face(o, 101, 200, option(o, 9, 3)), face(o, 1, 0),
					enhanced(o, 0, 5, 3, "abc"), enhanced(o, 1, 5, 3, "abc"), enhanced(o, 2, 5, 3, "abc")),
				want: []string{`1 5 ethernet 3 "abc"`, `2 5000000 raw 3 "abc"`, `3 5000 ethernet 3 "abc"`, "end"},
				check: func(s Summary) bool {
					return s.SnapLength == 200 && s.Resolution == time.Millisecond && cmp.Equal(s.LinkTypes, []LinkType{1, 101})
				},
			},
			{
				name: "sections_of_both_byte_orders",
				file: slices.Concat(section(o), face(o, 1, 0), enhanced(o, 0, 5, 3, "abc"), section(other), face(other, 101, 0), enhanced(other, 0, 6, 3, "def")),
				want: []string{`1 5000 ethernet 3 "abc"`, `2 6000 raw 3 "def"`, "end"},
			},
			{
				name: "interfaces_end_with_their_section",
				file: slices.Concat(section(o), face(o, 1, 0), section(o), enhanced(o, 0, 5, 3, "abc")),
				want: []string{"damaged"},
			},
			{
				name: "time_offset_and_binary_resolution",
				file: slices.Concat(section(o), face(o, 1, 0, option(o, 9, 0x80|10), option(o, 14, o.AppendUint64(nil, 100)...)), enhanced(o, 0, 1024+512, 3, "abc")),
				want: []string{`1 101500000000 ethernet 3 "abc"`, "end"},
			},
			{
				name:  "time_beyond_2262",
				file:  slices.Concat(section(o), face(o, 1, 0), enhanced(o, 0, math.MaxUint64, 3, "abc")),
				want:  []string{`1 9223372036854775807 ethernet 3 "abc"`, "end"},
				check: func(s Summary) bool { return s.BadTimestamps == 1 },
			},
			{
				name:  "time_before_1970",
				file:  slices.Concat(section(o), face(o, 1, 0, option(o, 14, o.AppendUint64(nil, math.MaxUint64)...)), enhanced(o, 0, 0, 3, "abc")),
				want:  []string{`1 0 ethernet 3 "abc"`, "end"},
				check: func(s Summary) bool { return s.BadTimestamps == 1 },
			},
			{
				name: "finest_resolutions",
				file: slices.Concat(section(o), face(o, 1, 0, option(o, 9, 0x7f)), face(o, 1, 0, option(o, 9, 0xff)), enhanced(o, 0, 5e18, 3, "abc"), enhanced(o, 1, 1<<62, 3, "abc")),
				want: []string{`1 500000000 ethernet 3 "abc"`, `2 500000000 ethernet 3 "abc"`, "end"},
			},
			{
				name: "simple_packets",
				file: slices.Concat(section(o), face(o, 1, 3), block(o, blockSimplePacket, words(o, 60), []byte("abc")), block(o, blockSimplePacket, words(o, 2), []byte("ab"))),
				want: []string{`1 0 ethernet 60 "abc"`, `2 0 ethernet 2 "ab"`, "end"},
			},
			{
				name:  "obsolete_packets",
				file:  slices.Concat(section(o), face(o, 1, 0), block(o, blockPacket, o.AppendUint16(o.AppendUint16(nil, 0), 7), words(o, 0, 5, 3, 60), []byte("abc"))),
				want:  []string{`1 5000 ethernet 60 "abc"`, "end"},
				check: func(s Summary) bool { return s.Dropped == 7 },
			},
			{
				name: "statistics",
				file: slices.Concat(section(o), face(o, 1, 0), face(o, 1, 0),
					block(o, blockInterfaceStatistics, words(o, 0, 0, 0), option(o, 5, o.AppendUint64(nil, 3)...)),
					enhanced(o, 0, 5, 3, "abc", option(o, 4, o.AppendUint64(nil, 2)...)),
					block(o, blockInterfaceStatistics, words(o, 0, 0, 0), option(o, 5, o.AppendUint64(nil, 5)...), option(o, 7, o.AppendUint64(nil, 1)...)),
					block(o, blockInterfaceStatistics, words(o, 1, 0, 0), option(o, 5, o.AppendUint64(nil, 10)...)),
					block(o, blockInterfaceStatistics, words(o, 9, 0, 0), option(o, 5, o.AppendUint64(nil, 99)...))),
				want:  []string{`1 5000 ethernet 3 "abc"`, "end"},
				check: func(s Summary) bool { return s.Dropped == 16 },
			},
			{
				name:  "drops_told_by_packets",
				file:  slices.Concat(section(o), face(o, 1, 0), enhanced(o, 0, 5, 3, "abc", option(o, 1, 'x'), option(o, 4, o.AppendUint64(nil, 2)...)), enhanced(o, 0, 5, 3, "abc", option(o, 4, o.AppendUint64(nil, 3)...))),
				want:  []string{`1 5000 ethernet 3 "abc"`, `2 5000 ethernet 3 "abc"`, "end"},
				check: func(s Summary) bool { return s.Dropped == 5 },
			},
			{
				name: "skipped_and_numbered_blocks",
				file: slices.Concat(section(o), block(o, 10, []byte("CLIENT_RANDOM secret")), block(o, 4, []byte("names")), block(o, 0x7fffffff), block(o, blockCustom, words(o, 32473), []byte("custom")), face(o, 1, 0), enhanced(o, 0, 5, 3, "abc")),
				want: []string{`1 0 none 0 ""`, `2 5000 ethernet 3 "abc"`, "end"},
			},
			{
				name: "huge_block_is_skipped",
				file: slices.Concat(section(o), block(o, 10, make([]byte, 3<<20)), face(o, 1, 0), enhanced(o, 0, 5, 3, "abc")),
				want: []string{`1 5000 ethernet 3 "abc"`, "end"},
			},
			{
				name: "options_run_over_the_block",
				file: slices.Concat(section(o), face(o, 1, 0, o.AppendUint16(o.AppendUint16(nil, 9), 0xffff)), enhanced(o, 0, 5, 3, "abc", o.AppendUint16(o.AppendUint16(nil, 4), 0xffff))),
				want: []string{`1 5000 ethernet 3 "abc"`, "end"},
			},
			{name: "block_of_length_0", file: slices.Concat(section(o), words(o, 1, 0, 0, 0)), want: []string{"damaged"}},
			{name: "block_of_length_8", file: slices.Concat(section(o), words(o, 1, 8, 0, 0)), want: []string{"damaged"}},
			{name: "block_of_4_GB", file: slices.Concat(section(o), words(o, 1, 0xfffffffc, 0, 0)), want: []string{"damaged"}},
			{name: "packet_block_of_2_MB", file: slices.Concat(section(o), block(o, blockEnhancedPacket, make([]byte, 2<<20))), want: []string{"damaged"}},
			{name: "lengths_differ", file: slices.Concat(section(o), words(o, 1, 20, 1, 0, 24)), want: []string{"damaged"}},
			{name: "lengths_of_a_skipped_block_differ", file: slices.Concat(section(o), words(o, 77, 20, 1, 0, 24)), want: []string{"damaged"}},
			{name: "no_interface", file: slices.Concat(section(o), enhanced(o, 0, 5, 3, "abc")), want: []string{"damaged"}},
			{name: "captured_more_than_the_block", file: slices.Concat(section(o), face(o, 1, 0), block(o, blockEnhancedPacket, words(o, 0, 0, 0, 0xffffffff, 1), []byte("abc"))), want: []string{"damaged"}},
			{name: "short_interface", file: slices.Concat(section(o), block(o, blockInterfaceDescription, words(o, 1))), want: []string{"damaged"}},
			{name: "short_packet", file: slices.Concat(section(o), face(o, 1, 0), block(o, blockEnhancedPacket, words(o, 1))), want: []string{"damaged"}},
			{name: "short_simple_packet", file: slices.Concat(section(o), face(o, 1, 0), block(o, blockSimplePacket, words(o, 60), []byte("abc"))), want: []string{"damaged"}},
			{name: "second_section_has_no_mark", file: slices.Concat(section(o), block(o, blockSectionHeader, words(o, 1, 2, 3, 4))), want: []string{"damaged"}},
			{name: "second_section_has_version_9", file: slices.Concat(section(o), block(o, blockSectionHeader, words(o, byteOrderMagic), o.AppendUint16(o.AppendUint16(nil, 9), 0), make([]byte, 8))), want: []string{"damaged"}},
			{name: "cut_in_a_block_header", file: slices.Concat(section(o), words(o, 1)), want: []string{"end"}, check: func(s Summary) bool { return s.CutShort }},
			{name: "cut_in_a_packet", file: slices.Concat(section(o), face(o, 1, 0), enhanced(o, 0, 5, 3, "abc")[:30]), want: []string{"end"}, check: func(s Summary) bool { return s.CutShort }},
			{name: "cut_in_a_skipped_block", file: slices.Concat(section(o), block(o, 10, make([]byte, 100))[:50]), want: []string{"end"}, check: func(s Summary) bool { return s.CutShort }},
			{name: "cut_in_the_first_header", file: section(o)[:11], want: []string{"unrecognised"}},
			{name: "no_byte_order_mark", file: words(o, blockSectionHeader, 28, 1, 2, 3, 4, 28), want: []string{"unrecognised"}},
		}
		for _, test := range tests {
			t.Run(test.name+"_"+o.String(), func(t *testing.T) {
				got, sum := dump(bytes.NewReader(test.file))
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("packets(-want +got):\n%s", diff)
				}
				if test.check != nil && !test.check(sum) {
					t.Errorf("Summary() = %+v", sum)
				}
				if test.check == nil && sum.CutShort {
					t.Errorf("the file is said to be cut short")
				}
			})
		}
	}
}

// TestMillionInterfaces declares more interfaces than any machine has.
func TestMillionInterfaces(t *testing.T) {
	o := both[0]
	var file bytes.Buffer
	file.Write(section(o))
	file.Write(bytes.Repeat(face(o, 1, 96), 1_000_000))
	got, sum := dump(&file)
	if want := []string{"damaged"}; !cmp.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if len(sum.LinkTypes) != 1 {
		t.Errorf("%d link types, want 1", len(sum.LinkTypes))
	}
}

// TestUncountedPadding reads what some writers make: a length that leaves out
// the padding.
func TestUncountedPadding(t *testing.T) {
	o := both[0]
	packet := enhanced(o, 0, 5, 3, "abc")
	for _, offset := range []int{4, len(packet) - 4} {
		o.PutUint32(packet[offset:], uint32(len(packet)-1))
	}
	got, _ := dump(bytes.NewReader(slices.Concat(section(o), face(o, 1, 0), packet, enhanced(o, 0, 6, 3, "def"))))
	if want := []string{`1 5000 ethernet 3 "abc"`, `2 6000 ethernet 3 "def"`, "end"}; !cmp.Equal(got, want) {
		t.Errorf("%s, want %s", strings.Join(got, "; "), want)
	}
}
