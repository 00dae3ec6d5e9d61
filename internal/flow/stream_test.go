package flow_test

import (
	"strings"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/flow"
)

func TestStream(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		want         string // the client's
		gaps         int
	}{
		{"in_order", handshake + `20 > A 1 501 data=ab
			21 > A 3 501 data=cd`, "abcd", 0},
		{"resent", handshake + `20 > A 1 501 data=ab
			21 > A 1 501 data=ab
			22 > A 3 501 data=cd`, "abcd", 0},
		{"resent_with_more", handshake + `20 > A 1 501 data=ab
			21 > A 1 501 data=abcd`, "abcd", 0},
		{"early", handshake + `20 > A 3 501 data=cd
			21 > A 5 501 data=ef
			22 > A 1 501 data=ab`, "abcdef", 0},
		{"early_and_overlapping", handshake + `20 > A 3 501 data=cde
			21 > A 4 501 data=defg
			22 > A 1 501 data=abc`, "abcdefg", 0},
		{"overlap_cannot_rewrite", handshake + `20 > A 1 501 data=abcd
			21 > A 3 501 data=XXef`, "abcdef", 0},
		{"first_byte_missing", handshake + `20 > A 2 501 data=b
			21 > A 3 501 data=c`, "", 0},
		{"missing_for_good", handshake + `20 > A 1 501 data=a
			21 > A 3 501 data=c
			22 > A 4 501 data=d
			23 > A 5 501 data=e
			30 < A 501 6
			40 > A 6 501 data=f
			50 > A 7 501 data=g`, "a", 1},
		{"cut_by_the_capture", handshake + `20 > A 1 501 data=abcd cut=2
			21 > A 5 501 data=ef
			22 > A 7 501 data=gh`, "ab", 1},
		{"with_the_syn", `0 > S 0 0 data=ab
			1 < SA 500 3
			2 > A 3 501 data=cd`, "abcd", 0},
		{"midstream", `0 > A 70 1 data=ab
			1 > A 72 1 data=cd`, "abcd", 0},
		{"keep_alive_is_no_payload", handshake + `20 > A 1 501 data=ab
			30 < A 501 3
			9000 > A 2 501 data=x
			9001 > A 3 501 data=cd`, "abcd", 0},
		{"wraps_around", `0 > S 4294967294 0
			1 > A 4294967295 1 data=ab
			2 > A 1 1 data=cd`, "abcd", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := play(t, tt.script, nil)
			if got.streams[client] != tt.want || got.gaps != tt.gaps {
				t.Errorf("stream = %q with %d gaps, want %q with %d", got.streams[client], got.gaps, tt.want, tt.gaps)
			}
		})
	}
}

// feed sends n bytes in segments of size and lets consume act on each.
func feed(t *testing.T, limits flow.Limits, n, size int, consume func(*flow.Table, *flow.Segment)) int {
	t.Helper()
	table := flow.NewTable(limits)
	p := packets(t, `0 > A 1 1 len=1`)[0]
	p.Payload, p.SegmentLength = make([]byte, size), size
	got := 0
	for range n / size {
		s := table.Add(&p)
		for _, chunk := range s.Stream {
			got += len(chunk)
		}
		if consume != nil && len(s.Stream) > 0 {
			consume(table, s)
		}
		p.Seq += uint32(size)
	}
	return got
}

func TestPrologue(t *testing.T) {
	const n, size = 1 << 20, 1000
	for _, tt := range []struct {
		name    string
		consume func(*flow.Table, *flow.Segment)
		want    int
	}{
		{"ends", nil, 17_000}, // the segment that crosses 16 KiB is delivered whole
		{"goes_on", func(t *flow.Table, s *flow.Segment) { t.Extend(s.Conn, s.From) }, 66_000},
		{"goes_on_at_the_last_moment", func() func(t *flow.Table, s *flow.Segment) {
			seen := 0
			return func(t *flow.Table, s *flow.Segment) {
				if seen++; seen == 17 {
					t.Extend(s.Conn, s.From)
				}
			}
		}(), 66_000},
		{"followed", func(t *flow.Table, s *flow.Segment) { t.Follow(s.Conn, s.From) }, n / size * size},
		{"stopped", func(t *flow.Table, s *flow.Segment) { t.Stop(s.Conn, s.From) }, size},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := feed(t, flow.Limits{}, n, size, tt.consume); got != tt.want {
				t.Errorf("%d bytes, want %d", got, tt.want)
			}
		})
	}
}

func TestFollow(t *testing.T) {
	table := flow.NewTable(flow.Limits{})
	var got strings.Builder
	for _, p := range packets(t, handshake+`
		20 > A 1 501 data=ab
		21 > A 5 501 data=ef
		22 > A 3 501 data=cd
		23 > A 7 501 data=gh cut=1
		24 > A 9 501 data=ij`) {
		s := table.Add(&p)
		if s.Gap {
			got.WriteString("|")
		}
		for _, chunk := range s.Stream {
			got.Write(chunk)
			table.Follow(s.Conn, s.From)
		}
	}
	if want := "ab|efg|ij"; got.String() != want {
		t.Errorf("followed %q, want %q", got.String(), want)
	}
}

// TestReassemblyLimit has connections whose first byte never comes.
func TestReassemblyLimit(t *testing.T) {
	table := flow.NewTable(flow.Limits{Reassembly: 10_000})
	for i := range 50 {
		for _, p := range packets(t, `0 > S 0 0
			1 > A 2 501 len=999`) {
			p.SrcPort += uint16(i)
			table.Add(&p)
		}
	}
	if got := table.Drops().Reassembly; got != 40 {
		t.Errorf("%d directions given up, want 40", got)
	}
}

// TestBufferedOnce makes sure that what waits is a copy: a decoder uses its
// buffer again.
func TestBufferedOnce(t *testing.T) {
	table := flow.NewTable(flow.Limits{})
	var got []byte
	for _, p := range packets(t, handshake+`20 > A 3 501 data=cd
		21 > A 1 501 data=ab`) {
		s := table.Add(&p)
		for _, chunk := range s.Stream {
			got = append(got, chunk...)
		}
		clear(p.Payload)
	}
	if string(got) != "abcd" {
		t.Errorf("stream = %q, want abcd", got)
	}
}
