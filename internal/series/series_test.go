package series

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

const begin = pcap.Timestamp(1_700_000_000_000_000_000)

func sum(all []int64) (n int64) {
	for _, v := range all {
		n += v
	}
	return n
}

func record(times ...pcap.Timestamp) *Series {
	var r Recorder
	for _, t := range times {
		r.Packet(&packet.Packet{Time: t, Length: 100}, &flow.Segment{})
	}
	return r.Series()
}

func TestBins(t *testing.T) {
	const second = pcap.Timestamp(time.Second)
	tests := []struct {
		name  string
		times []pcap.Timestamp
		bin   time.Duration
		bins  int
		lost  int64 // packets that have no bin
	}{
		{"one", []pcap.Timestamp{begin}, finest, 1, 0},
		{"a_tenth_of_a_second", []pcap.Timestamp{begin, begin + second/10}, finest, 52, 0},
		{"a_minute", []pcap.Timestamp{begin, begin + 60*second}, 500 * time.Millisecond, 121, 0},
		{"five_hours", []pcap.Timestamp{begin, begin + 5*3600*second}, 128 * time.Second, 141, 0},
		{"backwards", []pcap.Timestamp{begin, begin - 3600*second, begin + second}, time.Second / 128, 129, 0},
		{"no_time", []pcap.Timestamp{begin, 0, begin}, finest, 1, 1},
		{"forged", []pcap.Timestamp{math.MinInt64, begin, math.MaxInt64}, finest, 1, 0},
		{"far_apart", []pcap.Timestamp{1, math.MaxInt64 - 1}, finest << 35, 138, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := record(tt.times...)
			if s.Bin != tt.bin || len(s.Packets) != tt.bins {
				t.Errorf("%d bins of %v, want %d of %v", len(s.Packets), s.Bin, tt.bins, tt.bin)
			}
			if got, want := sum(s.Packets), int64(len(tt.times))-tt.lost; got != want || sum(s.Bytes) != 100*want {
				t.Errorf("%d packets with %d bytes, want %d", got, sum(s.Bytes), want)
			}
			if n := len(s.Packets); s.Packets[0] == 0 || s.Packets[n-1] == 0 || len(s.Bytes) != n || len(s.Segments) != n || len(s.Resent) != n {
				t.Errorf("bins begin or end empty, or are not of one length: %+v", s)
			}
		})
	}
	if s := record(0); s != nil {
		t.Errorf("packets without a time make %+v", s)
	}
}

func TestBinsKeepTheirPlace(t *testing.T) {
	var times []pcap.Timestamp
	for i := range 1000 {
		times = append(times, begin+pcap.Timestamp(i)*pcap.Timestamp(time.Second))
	}
	s := record(times...)
	per := int64(s.Bin / time.Second)
	for i, n := range s.Packets[:len(s.Packets)-1] {
		if n != per {
			t.Errorf("bin %d has %d packets, want %d", i, n, per)
		}
	}
	if n := len(s.Packets); n <= MaxBins/2 || n > MaxBins {
		t.Errorf("%d bins", n)
	}
}

func TestResent(t *testing.T) {
	var r Recorder
	conn := &flow.Conn{}
	add := func(length int, flags packet.TCPFlags, a flow.Analysis) {
		r.Packet(&packet.Packet{Time: begin, SegmentLength: length, Flags: flags}, &flow.Segment{Conn: conn, Analysis: a})
	}
	add(0, packet.SYN, 0)
	add(0, packet.SYN, flow.Retransmission) // again
	add(0, packet.ACK, 0)                   // carries nothing
	add(100, packet.ACK, 0)
	add(100, packet.ACK, flow.Resent) // again
	add(100, packet.ACK, flow.Late)   // again: its first copy was lost before it got here
	add(100, packet.ACK, flow.Late|flow.Overtaken|flow.OutOfOrder)
	add(100, packet.ACK, flow.Duplicated)
	if s := r.Series(); sum(s.Segments) != 7 || sum(s.Resent) != 3 {
		t.Errorf("%d of %d segments were sent again, want 3 of 7", sum(s.Resent), sum(s.Segments))
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	var all []time.Duration
	for i := range 1000 {
		d := time.Duration(i+1) * 137 * time.Microsecond
		all = append(all, d)
		h.add(d)
	}
	h.add(0)
	h.add(-time.Second)
	got := h.export()
	if got.N != 1000 || got.Min != all[0] || got.Max != all[999] {
		t.Errorf("%d from %v to %v", got.N, got.Min, got.Max)
	}
	for _, q := range []struct {
		part float64
		got  time.Duration
	}{{.5, got.Median}, {.95, got.P95}} {
		want := all[int(q.part*1000)-1]
		if off := math.Abs(float64(q.got-want)) / float64(want); off > 1./16 {
			t.Errorf("quantile %v is %v, want %v within a sixteenth", q.part, q.got, want)
		}
	}
	var n int64
	for i, b := range got.Buckets {
		n += b.N
		if i > 0 && b.From < got.Buckets[i-1].To || b.N == 0 || b.To <= b.From {
			t.Errorf("bucket %d: %+v", i, b)
		}
	}
	if n != 1000 {
		t.Errorf("the buckets hold %d, want 1000", n)
	}
}

func TestHistogramOfAnything(t *testing.T) {
	for _, d := range []time.Duration{1, 2, 7, 8, 9, 1000, time.Second, math.MaxInt64} {
		if i := step(d); i < 0 || i >= len(histogram{}.steps) || bound(i) > d || d <= longest && d >= perOctave && bound(i+1) <= d {
			t.Errorf("%v is in step %d, from %v to %v", d, i, bound(i), bound(i+1))
		}
		var h histogram
		h.add(d)
		if got := h.export(); got.Min != d || got.Max != d || got.Median != d || len(got.Buckets) != 1 || got.Buckets[0].To < got.Buckets[0].From {
			t.Errorf("of %v alone: %+v", d, got)
		}
	}
}

func TestRecorderDoesNotAllocate(t *testing.T) {
	var r Recorder
	p, s := &packet.Packet{Time: begin, Length: 1500, SegmentLength: 1448}, &flow.Segment{Conn: &flow.Conn{}, HasRTT: true, AckRTT: time.Millisecond}
	if n := testing.AllocsPerRun(1000, func() {
		p.Time += pcap.Timestamp(time.Millisecond)
		r.Packet(p, s)
	}); n != 0 {
		t.Errorf("%v allocations for a packet", n)
	}
	if got := r.Series(); got.ClientAcks.N+got.ServerAcks.N < 1000 || !slices.Contains(got.Bytes, 1500) && sum(got.Bytes) == 0 {
		t.Errorf("%+v", got)
	}
}
