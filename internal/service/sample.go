package service

import "time"

// samples is how many measurements of one sort and service are kept for the
// median.
const samples = 128

// A sample keeps a fair choice of what was measured.
type sample struct {
	n        int
	min, max float64
	kept     []float64
}

// add takes a duration; one of 0 was not measured.
func (s *sample) add(d time.Duration, c *Collector) {
	if d > 0 {
		s.put(round(float64(d)/1e6), c)
	}
}

func (s *sample) put(v float64, c *Collector) {
	if s.n == 0 {
		s.min, s.max = v, v
	}
	s.n++
	s.min, s.max = min(s.min, v), max(s.max, v)
	if len(s.kept) < samples {
		s.kept = append(s.kept, v)
	} else if i := c.random() % uint64(s.n); i < samples {
		s.kept[i] = v
	}
}

// random is SplitMix64 from a fixed seed: the same capture gives the same
// analysis.
func (c *Collector) random() uint64 {
	c.seed += 0x9e3779b97f4a7c15
	z := c.seed
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (s *sample) spread() Spread {
	return Spread{N: s.n, Min: s.min, Median: median(s.kept), Max: s.max, kept: s.kept}
}
