package report

import (
	"fmt"
	"math"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/series"
)

// Sizes of the distributions, in CSS pixels.
const (
	spreadHeight = 58 // of one row: its label, its bars
	spreadBars   = 30
	spreadLabel  = 16
)

// A latencyView is how long things took: a histogram for each, under one
// another on one logarithmic scale, so that one sees which of them is long.
type latencyView struct {
	Description  string
	Height, Axis int
	Rows         []spreadRow
	Ticks        []tick
	Silences     string // what was never answered
}

type spreadRow struct {
	Name, Meaning         string
	N, Median, P95        string
	Min, Max              string
	Label, Figures        timeLabel
	Blocks                []block
	Base                  int
	MedianX               string
	MedianTop, MedianBase int
}

// newLatencies returns nil where nothing was measured.
func newLatencies(a *analysis.Analysis) *latencyView {
	if a.Series == nil {
		return nil
	}
	s := a.Series
	all := []struct {
		name, meaning string
		h             *series.Histogram
	}{
		{"TCP handshakes", "last SYN to the first ACK, one for each connection", &s.Handshakes},
		{"Acknowledged by servers", "payload of clients to its acknowledgement", &s.ServerAcks},
		{"Acknowledged by clients", "payload of servers to its acknowledgement", &s.ClientAcks},
		{"Answers of servers", "the slowest of each connection, from the question's last byte", &s.Answers},
		{"DNS answers", "first query to the response", &s.DNSAnswers},
	}
	v := &latencyView{}
	if s.DNSSilences > 0 {
		v.Silences = verb(s.DNSSilences, "DNS question", "was", "were") + " never answered."
	}
	shortest, longest := time.Duration(math.MaxInt64), time.Duration(0)
	for _, x := range all {
		if usable(x.h) {
			shortest, longest = min(shortest, x.h.Min), max(longest, x.h.Max)
		}
	}
	if longest == 0 {
		if v.Silences == "" {
			return nil
		}
		return v
	}
	sc := newLogScale(shortest, longest)
	y := 0
	for _, x := range all {
		if !usable(x.h) {
			continue
		}
		v.Rows = append(v.Rows, newSpreadRow(x.name, x.meaning, x.h, sc, y))
		y += spreadHeight
	}
	v.Axis = y
	v.Height = y + axisHeight
	for d := sc.from; d <= sc.to; d *= 10 {
		x := sc.at(d)
		anchor := "middle"
		if x < .04 {
			anchor = "start"
		} else if x > .96 {
			anchor = "end"
		}
		v.Ticks = append(v.Ticks, tick{X: percent(x), Top: v.Axis, Bottom: v.Axis + 5, Label: timeLabel{percent(x), anchor, span(d), v.Axis + 20}})
	}
	v.Description = fmt.Sprintf("%s on one logarithmic scale from %s to %s; the table after the picture has their figures.",
		times(len(v.Rows), "histogram"), span(sc.from), span(sc.to))
	return v
}

// usable: a document that we did not write may hold anything.
func usable(h *series.Histogram) bool {
	return h.N > 0 && h.Min > 0 && h.Max >= h.Min && len(h.Buckets) <= 1<<10
}

func newSpreadRow(what, meaning string, h *series.Histogram, sc logScale, y int) spreadRow {
	r := spreadRow{
		Name: what, Meaning: meaning, N: count(h.N), Median: span(h.Median), P95: span(h.P95), Min: span(h.Min), Max: span(h.Max),
		Base: y + spreadLabel + spreadBars, MedianX: percent(sc.at(h.Median)),
	}
	r.MedianTop, r.MedianBase = r.Base-spreadBars, r.Base+4
	r.Label = timeLabel{X: "0%", Anchor: "start", Text: what, Y: y + 12}
	figures := fmt.Sprintf("median %s, 95 %% within %s, n = %s", r.Median, r.P95, r.N)
	switch {
	case h.N == 1:
		figures = span(h.Min) + ", n = 1"
	case h.N < 20:
		figures = fmt.Sprintf("median %s, at most %s, n = %s", r.Median, r.Max, r.N)
	}
	r.Figures = timeLabel{X: "100%", Anchor: "end", Text: figures, Y: y + 12}
	var most int64
	for _, b := range h.Buckets {
		most = max(most, b.N)
	}
	for _, b := range h.Buckets {
		if b.N <= 0 || b.From < 0 || b.To <= b.From {
			continue
		}
		x := min(sc.at(b.From), 1-thinnest)
		tall := max(int(spreadBars*float64(b.N)/float64(most)+.5), 1)
		r.Blocks = append(r.Blocks, block{percent(x), percent(max(sc.at(b.To)-x, thinnest)), r.Base - tall, tall})
	}
	return r
}

// A logScale maps durations to shares of the width, whole decades.
type logScale struct{ from, to time.Duration }

func newLogScale(shortest, longest time.Duration) logScale {
	s := logScale{time.Nanosecond, 10 * time.Nanosecond}
	for s.from <= shortest/10 {
		s.from *= 10
	}
	s.to = s.from * 10
	for s.to < longest && s.to < math.MaxInt64/10 {
		s.to *= 10
	}
	return s
}

func (s logScale) at(d time.Duration) float64 {
	whole := math.Log10(float64(s.to) / float64(s.from))
	return min(max(math.Log10(float64(max(d, s.from))/float64(s.from))/whole, 0), 1)
}
