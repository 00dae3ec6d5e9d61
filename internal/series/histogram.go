package series

import (
	"math/bits"
	"time"
)

// A Histogram is how often something took how long. Its quantiles are exact to
// a sixteenth.
type Histogram struct {
	N       int64         `json:"n"`
	Min     time.Duration `json:"minNanoseconds"`
	Median  time.Duration `json:"medianNanoseconds"`
	P95     time.Duration `json:"p95Nanoseconds"`
	Max     time.Duration `json:"maxNanoseconds"`
	Buckets []Bucket      `json:"buckets"` // those that are not empty, the shortest first
}

// A Bucket counts what took From or longer, and less than To.
type Bucket struct {
	From time.Duration `json:"fromNanoseconds"`
	To   time.Duration `json:"toNanoseconds"`
	N    int64         `json:"n"`
}

// histogram counts in steps of an eighth of an octave, and shows half octaves.
type histogram struct {
	n        int64
	min, max time.Duration
	steps    [58 * perOctave]int64
}

const (
	perOctave = 8 // a power of two
	stepBits  = 3 // its logarithm
	perBucket = perOctave / 2
)

// add counts d; one of 0 was not measured.
func (h *histogram) add(d time.Duration) {
	if d <= 0 {
		return
	}
	if h.n == 0 || d < h.min {
		h.min = d
	}
	h.n++
	h.max = max(h.max, d)
	h.steps[step(d)]++
}

// longest is nine years; what took longer, a clock took.
const longest = 1<<58 - 1

// step is the octave of d and the three bits that follow its highest.
func step(d time.Duration) int {
	d = min(d, longest)
	octave := bits.Len64(uint64(d)) - 1
	return octave*perOctave + int(uint64(d)<<(63-octave)>>(63-stepBits)&(perOctave-1))
}

// bound is where step i begins.
func bound(i int) time.Duration {
	octave, part := i/perOctave, i%perOctave
	return time.Duration((perOctave + part) << octave / perOctave)
}

// quantile is within the step where part of all that was counted ends.
func (h *histogram) quantile(part float64) time.Duration {
	rank := part * float64(h.n)
	seen := 0.0
	for i, n := range h.steps {
		if n == 0 {
			continue
		}
		if seen+float64(n) >= rank {
			from, to := float64(bound(i)), float64(bound(i+1))
			return min(max(time.Duration(from+(to-from)*(rank-seen)/float64(n)), h.min), h.max)
		}
		seen += float64(n)
	}
	return h.max
}

func (h *histogram) export() Histogram {
	if h.n == 0 {
		return Histogram{}
	}
	out := Histogram{N: h.n, Min: h.min, Median: h.quantile(.5), P95: h.quantile(.95), Max: h.max}
	for i := 0; i < len(h.steps); i += perBucket {
		b := Bucket{From: bound(i), To: bound(i + perBucket)}
		for _, n := range h.steps[i : i+perBucket] {
			b.N += n
		}
		if b.N > 0 {
			out.Buckets = append(out.Buckets, b)
		}
	}
	return out
}
