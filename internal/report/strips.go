package report

import (
	"fmt"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/series"
)

// Sizes of the lanes below the rows of the time line, in CSS pixels.
const (
	stripLabel    = 17 // above the bars of a strip
	trafficHeight = 44
	resentHeight  = 22
	stripGap      = 9
	faintest      = .002 // share of the width that a bar takes
	overlap       = .001 // of a bar and its neighbour, so that no seam shows
)

// A strip is a quantity over time: a bar for each stretch of it.
type strip struct {
	Class  string
	Label  timeLabel
	Blocks []block
	Base   int
}

type block struct {
	X, Width  string
	Y, Height int
}

// A stretch is a row of the table that says what the strips show.
type stretch struct{ From, Packets, Bytes, Rate, Segments, Resent string }

// fewest is how many bars show a course: a capture of some milliseconds has
// none.
const fewest = 8

// maxStretches is how many rows the table has at most.
const maxStretches = 24

// addStrips draws what passed, and what was sent again, on the time line's
// scale.
func (t *timeline) addStrips(a *analysis.Analysis, s scale, y int) int {
	v := a.Series
	if v == nil || v.Bin <= 0 || len(v.Bytes) == 0 || len(v.Bytes) != len(v.Packets) || len(v.Segments) != len(v.Packets) || len(v.Resent) != len(v.Packets) {
		return y
	}
	most, total := peak(v.Bytes)
	again, all := peak(v.Resent)
	_, segments := peak(v.Segments)
	resent := fmt.Sprintf("%d of %d (%s)", all, segments, share(all, segments))
	if all == 0 && segments > 0 {
		t.Notes = append(t.Notes, "No TCP segment was sent again.")
	}
	if len(v.Packets) < fewest {
		if all > 0 {
			t.Notes = append(t.Notes, "TCP segments sent again: "+resent+".")
		}
		return y
	}
	y += 4
	y = t.addStrip("traffic", fmt.Sprintf("throughput: %s, at most %s", Bytes(total), rate(most, v.Bin)), v, v.Bytes, s, y, trafficHeight)
	if all > 0 {
		y = t.addStrip("resent", fmt.Sprintf("TCP segments sent again: %s, at most %d in a bar", resent, again), v, v.Resent, s, y, resentHeight)
	}
	t.Notes = append(t.Notes, "A bar is "+span(v.Bin)+".")
	t.Stretches = stretches(v)
	return y
}

func (t *timeline) addStrip(class, text string, v *series.Series, amounts []int64, s scale, y, height int) int {
	l := strip{Class: class, Label: timeLabel{X: "0%", Anchor: "start", Text: text, Y: y + 12}, Base: y + stripLabel + height}
	most, _ := peak(amounts)
	for i, n := range amounts {
		if n <= 0 {
			continue
		}
		from := v.Start.Add(time.Duration(i) * v.Bin)
		x := min(s.at(from), 1-faintest)
		h := max(int(float64(height)*float64(n)/float64(most)+.5), 1)
		l.Blocks = append(l.Blocks, block{percent(x), percent(min(max(s.at(from.Add(v.Bin))-x+overlap, faintest), 1-x)), l.Base - h, h})
	}
	t.Strips = append(t.Strips, l)
	return l.Base + stripGap
}

func peak(all []int64) (most, total int64) {
	for _, n := range all {
		most, total = max(most, n), total+n
	}
	return most, total
}

// rate writes bytes in a time as bits a second.
func rate(n int64, d time.Duration) string {
	units := []string{"bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"}
	v := float64(n) * 8 / d.Seconds()
	i := 0
	for v >= 999.5 && i < len(units)-1 {
		v /= 1000
		i++
	}
	return fmt.Sprintf("%.3g %s", v, units[i])
}

// share writes a part of a whole: "2.4 %".
func share(n, of int64) string {
	v := 100 * float64(n) / float64(max(of, 1))
	switch {
	case n > 0 && v < .1:
		return "< 0.1 %"
	case v < 10:
		return fmt.Sprintf("%.2g %%", v)
	}
	return fmt.Sprintf("%.0f %%", v)
}

// stretches joins bins so that there are few enough to read.
func stretches(v *series.Series) []stretch {
	each := (len(v.Packets) + maxStretches - 1) / maxStretches
	var out []stretch
	for i := 0; i < len(v.Packets); i += each {
		end := min(i+each, len(v.Packets))
		sum := func(all []int64) int64 {
			_, total := peak(all[i:end])
			return total
		}
		n, resent := sum(v.Bytes), sum(v.Resent)
		row := stretch{
			From: "+" + span(time.Duration(i)*v.Bin), Packets: count(sum(v.Packets)), Bytes: Bytes(n),
			Rate: rate(n, time.Duration(end-i)*v.Bin), Segments: count(sum(v.Segments)), Resent: count(resent),
		}
		if i == 0 {
			row.From = "0"
		}
		out = append(out, row)
	}
	return out
}
