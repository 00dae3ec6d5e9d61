package flow

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// A Summary describes a set of durations.
type Summary struct {
	N                int // how many
	Min, Median, Max time.Duration
}

// perSide is how many round trips are kept of one side of a connection.
const perSide = 8

// A sample keeps the number and extremes of durations and a fair choice of
// them in microseconds.
type sample struct {
	n        uint32
	min, max uint32
	kept     [perSide]uint32
}

func (s *sample) add(d time.Duration, random *rand.Rand) {
	us := uint32(min(max(d/time.Microsecond, 0), math.MaxUint32))
	if s.n == 0 {
		s.min, s.max = us, us
	}
	s.min, s.max = min(s.min, us), max(s.max, us)
	if i := s.n; i < perSide {
		s.kept[i] = us
	} else if i := random.Uint32N(s.n + 1); i < perSide {
		s.kept[i] = us
	}
	s.n++
}

func (s *sample) summary() Summary {
	if s.n == 0 {
		return Summary{}
	}
	kept := s.kept // a copy
	return Summary{
		N:      int(s.n),
		Min:    time.Duration(s.min) * time.Microsecond,
		Median: time.Duration(median(kept[:min(s.n, perSide)])) * time.Microsecond,
		Max:    time.Duration(s.max) * time.Microsecond,
	}
}

// inAll is how many durations a reservoir keeps: the median's rank is then
// off by 1 % or so at worst.
const inAll = 8192

// A reservoir is a sample for a whole capture, in nanoseconds.
type reservoir struct {
	n        int64
	min, max int64
	kept     []int64
}

func (r *reservoir) add(d time.Duration, random *rand.Rand) {
	ns := int64(d)
	if r.n == 0 {
		r.min, r.max = ns, ns
	}
	r.min, r.max = min(r.min, ns), max(r.max, ns)
	if len(r.kept) < inAll {
		r.kept = append(r.kept, ns)
	} else if i := random.Int64N(r.n + 1); i < inAll {
		r.kept[i] = ns
	}
	r.n++
}

// spread returns nil for nothing, as the counters have null then.
func (r *reservoir) spread() *Spread {
	if r.n == 0 {
		return nil
	}
	ms := func(ns int64) float64 { return math.Round(float64(ns)/1e3) / 1e3 }
	return &Spread{N: r.n, Min: ms(r.min), Median: ms(median(slices.Clone(r.kept))), Max: ms(r.max)}
}

// median sorts values, of which there is at least one.
func median[T uint32 | int64](values []T) T {
	slices.Sort(values)
	m := len(values) / 2
	if len(values)%2 == 1 {
		return values[m]
	}
	return values[m-1] + (values[m]-values[m-1])/2
}
