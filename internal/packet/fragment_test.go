package packet

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// A piece is bytes from..to of the datagram.
type piece struct{ from, to int }

var datagramBody = frame(strings.Repeat("0123456789abcdef", 6), web) // 116 bytes

func fragment4(p piece) []byte {
	offset := p.from / 8
	if p.to < len(datagramBody) {
		offset |= 0x2000
	}
	return frame(string(datagramBody[p.from:p.to]), eth(0x800), ip4With(6, innerA, innerB, offset, 0, -1))
}

func fragment6(p piece) []byte {
	return frame(string(datagramBody[p.from:p.to]), eth(0x86dd), ip6(44, sixA, sixB), frag6(6, p.from, p.to < len(datagramBody), 7))
}

func TestReassembly(t *testing.T) {
	const end = 116
	tests := []struct {
		name     string
		pieces   []piece
		complete int // index of the piece that completes it, -1: none
	}{
		{"in_order", []piece{{0, 40}, {40, 80}, {80, end}}, 2},
		{"last_first", []piece{{80, end}, {0, 40}, {40, 80}}, 2},
		{"middle_missing", []piece{{0, 40}, {80, end}}, -1},
		{"start_missing", []piece{{40, 80}, {80, end}}, -1},
		{"end_missing", []piece{{0, 40}, {40, 80}}, -1},
		{"repeated", []piece{{0, 40}, {0, 40}, {40, end}}, 2},
		{"overlapping", []piece{{0, 40}, {16, 80}, {64, end}}, 2},
		{"teardrop", []piece{{0, 80}, {24, 32}, {80, end}}, 2},
		{"again_after_completion", []piece{{0, 40}, {40, end}, {0, 40}}, 1},
	}
	for _, test := range tests {
		for version, build := range map[string]func(piece) []byte{"4": fragment4, "6": fragment6} {
			t.Run(test.name+"_ipv"+version, func(t *testing.T) {
				var d Decoder
				var p Packet
				for i, piece := range test.pieces {
					data := build(piece)
					d.Decode(&pcap.Record{Time: 1e9, Length: len(data), LinkType: 1, Data: data}, &p)
					whole := i == test.complete
					if p.Reassembled != whole || p.Fragment == whole || p.Transport != whole {
						t.Fatalf("piece %d: reassembled %t, fragment %t, transport %t; want whole = %t", i, p.Reassembled, p.Fragment, p.Transport, whole)
					}
					if whole {
						if want := datagramBody[20:]; !bytes.Equal(p.Payload, want) || p.SegmentLength != len(want) {
							t.Errorf("payload = %q (segment %d), want %q", p.Payload, p.SegmentLength, want)
						}
					}
				}
			})
		}
	}
}

func TestFragmentsThatAreNotReassembled(t *testing.T) {
	tests := []struct {
		name string
		data []byte
		cut  int
		want Counters
	}{
		{name: "cut_by_the_capture", data: fragment4(piece{0, 40}), cut: 8, want: Counters{Fragments: 1, FragmentsCut: 1}},
		{name: "length_no_multiple_of_8", data: fragment4(piece{0, 41}), want: Counters{Fragments: 1, FragmentsDropped: 1}},
		{name: "beyond_64_KiB", data: frame("0123456789abcdef", eth(0x800), ip4With(6, innerA, innerB, 0x1fff, 0, -1)), want: Counters{Fragments: 1, FragmentsDropped: 1}},
		{name: "waiting", data: fragment4(piece{0, 40}), want: Counters{Fragments: 1, FragmentsWaiting: 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var d Decoder
			var p Packet
			d.Decode(&pcap.Record{Length: len(test.data), LinkType: 1, Data: test.data[:len(test.data)-test.cut]}, &p)
			if !p.Fragment || p.Transport || p.Payload != nil {
				t.Errorf("fragment %t, transport %t, %d bytes of payload; want a fragment alone", p.Fragment, p.Transport, len(p.Payload))
			}
			if diff := cmp.Diff(test.want, d.Counters()); diff != "" {
				t.Errorf("Counters(-want +got):\n%s", diff)
			}
		})
	}
}

// TestFragmentFlood begins many more datagrams than are remembered.
func TestFragmentFlood(t *testing.T) {
	const flood = 20 * maxDatagrams
	var d Decoder
	var p Packet
	data := fragment4(piece{40, 80})
	for i := range flood {
		copy(data[18:], u16(i)) // IP identification
		d.Decode(&pcap.Record{Time: 1, Length: len(data), LinkType: 1, Data: data}, &p)
	}
	got := d.Counters()
	want := Counters{Fragments: flood, FragmentsDropped: flood - maxDatagrams, FragmentsPushed: flood - maxDatagrams, FragmentsWaiting: maxDatagrams}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Counters(-want +got):\n%s", diff)
	}
	if n := len(d.fragments.byKey) + len(d.fragments.free) + len(d.fragments.done); n > maxDatagrams+1 {
		t.Errorf("the table holds %d datagrams, want at most %d", n, maxDatagrams+1)
	}

	// The flood does not keep a datagram that arrives whole from completing.
	for _, part := range []piece{{0, 40}, {40, 116}} {
		data := fragment4(part)
		copy(data[18:], []byte{0xff, 0xff})
		d.Decode(&pcap.Record{Time: 2, Length: len(data), LinkType: 1, Data: data}, &p)
	}
	if !p.Reassembled {
		t.Error("a whole datagram after the flood was not reassembled")
	}

	late := fragment4(piece{0, 40})
	d.Decode(&pcap.Record{Time: pcap.Timestamp(time.Hour), Length: len(late), LinkType: 1, Data: late}, &p)
	if got := d.Counters().FragmentsWaiting; got != 1 {
		t.Errorf("an hour later %d fragments wait, want 1", got)
	}
}

// TestNestedFragments reassembles a tunnel whose content is fragmented again.
func TestNestedFragments(t *testing.T) {
	var d Decoder
	var p Packet
	decode := func(data []byte) {
		d.Decode(&pcap.Record{Time: 1, Length: len(data), LinkType: 1, Data: data}, &p)
	}
	for i, part := range []piece{{0, 40}, {40, 116}} {
		inner := fragment4(part)[14:]
		half := 24
		for j, outer := range []wrap{ip4With(4, outerA, outerB, 0x2000, 0, -1), ip4With(4, outerA, outerB, half/8, 0, -1)} {
			b := [][]byte{inner[:half], inner[half:]}[j]
			data := frame(string(b), eth(0x800), outer)
			data[18] = byte(i) // its own identification
			decode(data)
		}
	}
	if !p.Reassembled || !bytes.Equal(p.Payload, datagramBody[20:]) || p.Tunnel != TunnelIPIP {
		t.Errorf("reassembled %t, tunnel %q, payload %q", p.Reassembled, p.Tunnel, p.Payload)
	}
}

// TestReassemblyAgainstModel puts random cuts in random order together.
func TestReassemblyAgainstModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var d Decoder
	var p Packet
	for round := range 500 {
		var parts []piece
		for from := 0; from < len(datagramBody); {
			to := min(len(datagramBody), from+8*(1+rng.IntN(5)))
			parts = append(parts, piece{from, to})
			from = to
		}
		if len(parts) == 1 {
			continue
		}
		rng.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		for i, part := range slices.Concat(parts) {
			data := fragment4(part)
			copy(data[18:], u16(round))
			d.Decode(&pcap.Record{Time: 1, Length: len(data), LinkType: 1, Data: data}, &p)
			if whole := i == len(parts)-1; p.Reassembled != whole {
				t.Fatalf("round %d: after piece %d of %d reassembled = %t", round, i+1, len(parts), p.Reassembled)
			}
		}
		if !bytes.Equal(p.Payload, datagramBody[20:]) {
			t.Fatalf("round %d: payload differs", round)
		}
	}
}
