package report

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/series"
)

// position is a place on a page.
func position(t *testing.T, s string) float64 {
	t.Helper()
	var v float64
	if _, err := fmt.Sscanf(s, "%f%%", &v); err != nil || v < 0 || v > 100 {
		t.Errorf("%q is no place on the page", s)
	}
	return v
}

func TestStripsShowTheSeries(t *testing.T) {
	a := healthyCapture() // 5 minutes
	a.Series = overTime(150, 2*time.Second)
	line := newTimeline(a, About{})
	if len(line.Strips) != 2 || line.Strips[0].Class != "traffic" || line.Strips[1].Class != "resent" {
		t.Fatalf("strips = %+v", line.Strips)
	}
	for _, s := range line.Strips {
		tallest := 0
		for _, b := range s.Blocks {
			if x, w := position(t, b.X), position(t, b.Width); x+w > 100.001 || b.Y+b.Height != s.Base || b.Height < 1 {
				t.Errorf("%s: a bar is out of its place: %+v", s.Class, b)
			}
			tallest = max(tallest, b.Height)
		}
		want := map[string]int{"traffic": trafficHeight, "resent": resentHeight}[s.Class]
		if tallest != want {
			t.Errorf("%s: the tallest bar is %d, want %d", s.Class, tallest, want)
		}
		if s.Base > line.Axis {
			t.Errorf("%s lies below the axis", s.Class)
		}
		if !strings.Contains(line.Description, s.Label.Text) {
			t.Errorf("the picture's text does not say %q", s.Label.Text)
		}
	}
	lost := 0
	for _, n := range a.Series.Resent {
		if n > 0 {
			lost++
		}
	}
	if n := len(line.Strips[1].Blocks); n != lost {
		t.Errorf("%d bars of what was sent again, want %d", n, lost)
	}
	if n := len(line.Stretches); n == 0 || n > maxStretches {
		t.Errorf("%d rows in the table", n)
	}
}

func TestStripsAreLeftOut(t *testing.T) {
	short := overTime(3, 2*ms)
	short.Resent = []int64{0, 2, 0}
	ragged := overTime(20, time.Second)
	ragged.Bytes = ragged.Bytes[:7]
	endless := overTime(20, 0)
	for name, tt := range map[string]struct {
		series *series.Series
		note   string
	}{
		"none": {nil, ""}, "short": {short, "TCP segments sent again: 2 of 36 (5.6 %)."}, "ragged": {ragged, ""}, "without length": {endless, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := healthyCapture()
			a.Series = tt.series
			line := newTimeline(a, About{})
			if len(line.Strips) > 0 || len(line.Stretches) > 0 {
				t.Errorf("%d strips, %d rows", len(line.Strips), len(line.Stretches))
			}
			if got := strings.Join(line.Notes, " "); got != tt.note {
				t.Errorf("notes = %q, want %q", got, tt.note)
			}
		})
	}
}

func TestLatenciesShareAScale(t *testing.T) {
	a := healthyCapture()
	a.Series = overTime(20, time.Second)
	v := newLatencies(a)
	if len(v.Rows) != 2 || v.Silences != "3 DNS questions were never answered." {
		t.Fatalf("%d rows, silences %q", len(v.Rows), v.Silences)
	}
	handshakes, dns := v.Rows[0], v.Rows[1]
	if position(t, handshakes.MedianX) <= position(t, dns.MedianX) {
		t.Errorf("the median of 21 ms is at %s, that of 900 µs at %s", handshakes.MedianX, dns.MedianX)
	}
	for _, r := range v.Rows {
		for _, b := range r.Blocks {
			if x, w := position(t, b.X), position(t, b.Width); x+w > 100.001 || b.Height < 1 || b.Height > spreadBars {
				t.Errorf("%s: a bar is out of its place: %+v", r.Name, b)
			}
		}
	}
	// 300 µs to 3 s lie in the decades from 100 µs to 10 s.
	if n := len(v.Ticks); n != 6 || v.Ticks[0].Label.Text != "100 µs" || v.Ticks[n-1].Label.Text != "10 s" {
		t.Errorf("%d ticks, from %s to %s", n, v.Ticks[0].Label.Text, v.Ticks[n-1].Label.Text)
	}
}

// A document that we did not write may hold any numbers.
func TestLatenciesOfAnything(t *testing.T) {
	odd := series.Histogram{
		N: math.MaxInt64, Min: 1, Median: -5, P95: math.MaxInt64, Max: math.MaxInt64,
		Buckets: []series.Bucket{{From: -1, To: 5, N: 3}, {From: 9, To: 2, N: 3}, {From: 0, To: math.MaxInt64, N: -3}, {From: 0, To: math.MaxInt64, N: math.MaxInt64}},
	}
	a := healthyCapture()
	a.Series = &series.Series{Handshakes: odd, DNSAnswers: series.Histogram{N: 5, Min: -3, Max: -9}}
	v := newLatencies(a)
	if len(v.Rows) != 1 || len(v.Ticks) == 0 || len(v.Ticks) > 20 {
		t.Fatalf("%d rows, %d ticks", len(v.Rows), len(v.Ticks))
	}
	for _, b := range v.Rows[0].Blocks {
		position(t, b.X)
		position(t, b.Width)
	}
	a.Series = &series.Series{}
	if newLatencies(a) != nil {
		t.Error("nothing was measured, and it is shown")
	}
}
