package report

import (
	"fmt"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

// Sizes of the time line, in CSS pixels. Positions along it are shares of its
// width, so that its text keeps its size on any screen.
const (
	markHeight    = 22
	rowHeight     = 34
	barBelow      = 21 // the middle of a row's bar, below the row's top
	axisHeight    = 26
	maxTimeRows   = 12
	maxBarsPerRow = 200
	thinnest      = 0.006 // share of the width that a moment takes
)

// A timeline shows when what was found happened, over the capture's span.
type timeline struct {
	Title, Description string
	Caption            string
	Height, Axis       int
	Window             *band // what the alert measured
	Fired              *mark // when it fired
	Rows               []timeRow
	Steps              []tick // packets of the ladders
	StepsLabel         timeLabel
	Strips             []strip
	Ticks              []tick
	Stretches          []stretch  // the strips as a table
	Facts              []timeFact // all of it as a table
	Notes              []string
}

// A timeLabel is text at a place of the time line.
type timeLabel struct {
	X, Anchor, Text string
	Y               int
}

type mark struct {
	X     string
	Label timeLabel
}

type band struct {
	X, Width string
	Label    timeLabel
}

type timeRow struct {
	Label timeLabel
	Bars  []bar
}

type bar struct {
	X1, X2, Severity string
	Y                int
}

type tick struct {
	X           string
	Top, Bottom int
	Key         bool
	Label       timeLabel
}

// A timeFact is a row of the table.
type timeFact struct{ What, Severity, Times, First, Last string }

// scale maps moments to shares of the width.
type scale struct{ start, end time.Time }

func (s scale) at(t time.Time) float64 {
	total := s.end.Sub(s.start)
	if total <= 0 {
		return 0
	}
	return min(max(float64(t.Sub(s.start))/float64(total), 0), 1)
}

// include widens the scale to t unless that would make the capture itself
// less than half of it.
func (s scale) include(t time.Time, capture time.Duration) (scale, bool) {
	wider := scale{earlier(s.start, t), later(s.end, t)}
	if wider.end.Sub(wider.start) > 2*capture {
		return s, false
	}
	return wider, true
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func newTimeline(a *analysis.Analysis, about About) *timeline {
	c := a.Capture
	t := &timeline{Title: "Time line of the capture"}
	s := scale{c.FirstPacket, later(c.FirstPacket, c.LastPacket)}
	length := s.end.Sub(s.start)
	if length == 0 {
		t.Notes = append(t.Notes, "All packets carry the same time.")
	}
	windowed := !about.WindowStart.IsZero() && about.WindowEnd.After(about.WindowStart)
	var firedIn, windowIn bool
	if !about.Fired.IsZero() {
		s, firedIn = s.include(about.Fired, length)
		if !firedIn {
			t.Notes = append(t.Notes, "The alert fired "+beside(about.Fired, c)+".")
		}
	}
	if windowed {
		s, windowIn = s.include(about.WindowStart, length)
		s, _ = s.include(about.WindowEnd, length)
		windowIn = windowIn || about.WindowEnd.After(s.start) && about.WindowStart.Before(s.end)
		if !windowIn {
			t.Notes = append(t.Notes, "What the alert measured ended "+beside(about.WindowEnd, c)+".")
		}
	}

	y := 0
	if windowIn {
		from, to := s.at(about.WindowStart), s.at(about.WindowEnd)
		t.Window = &band{X: percent(from), Width: percent(max(to-from, thinnest)), Label: label(from, to, y+13, "the alert measured this")}
		t.Facts = append(t.Facts, timeFact{What: "what the alert measured", First: clock(about.WindowStart, c), Last: clock(about.WindowEnd, c)})
		y += markHeight
	}
	if firedIn {
		x := s.at(about.Fired)
		t.Fired = &mark{percent(x), label(x, x, y+13, "the alert fired")}
		t.Facts = append(t.Facts, timeFact{What: "the alert fired", First: clock(about.Fired, c), Last: clock(about.Fired, c)})
		y += markHeight
	}
	if s.end.Sub(s.start) > length {
		y = t.addCapture(c, s, y)
	}
	y = t.addRows(a, s, y)
	y = t.addSteps(a, s, y)
	y = t.addStrips(a, s, y)
	t.Axis = y + 8
	t.Height = t.Axis + axisHeight
	t.Ticks = ticks(s, c.FirstPacket, t.Axis)
	t.Caption = "The capture is " + period(c.FirstPacket, later(c.FirstPacket, c.LastPacket)) + ", " + span(length) + "."
	t.Description = fmt.Sprintf("%s from %s. %s of findings", span(length), period(c.FirstPacket, later(c.FirstPacket, c.LastPacket)), times(len(t.Rows), "row"))
	for _, l := range t.Strips {
		t.Description += "; " + l.Label.Text
	}
	t.Description += ". The tables after the picture say the same."
	return t
}

// addCapture draws when there were packets, where that is a part of the
// picture.
func (t *timeline) addCapture(c analysis.Capture, s scale, y int) int {
	from, to := s.at(c.FirstPacket), s.at(later(c.FirstPacket, c.LastPacket))
	t.Rows = append(t.Rows, timeRow{Label: label(from, to, y+12, "the capture"), Bars: []bar{{percent(from), percent(max(to, from+thinnest)), "info", y + barBelow}}})
	t.Facts = append(t.Facts, timeFact{What: "the capture", Times: times(c.Packets, "packet"), First: clock(c.FirstPacket, c), Last: clock(c.LastPacket, c)})
	return y + rowHeight
}

// addRows draws a row for each kind of finding, a bar for each finding.
func (t *timeline) addRows(a *analysis.Analysis, s scale, y int) int {
	kinds := byKind(a.Findings)
	for i, k := range kinds {
		first, last := k.findings[0].First, k.findings[0].Last
		for _, f := range k.findings {
			first, last = earlier(first, f.First), later(last, later(f.First, f.Last))
		}
		t.Facts = append(t.Facts, timeFact{k.kind, k.severity.String(), times(len(k.findings), "finding"), clock(first, a.Capture), clock(last, a.Capture)})
		if i >= maxTimeRows {
			continue
		}
		r := timeRow{}
		from, to := 1.0, 0.0
		for _, f := range k.findings[:min(len(k.findings), maxBarsPerRow)] {
			x1, x2 := bounds(s, f)
			from, to = min(from, x1), max(to, x2)
			r.Bars = append(r.Bars, bar{percent(x1), percent(x2), f.Severity.String(), y + barBelow})
		}
		text := k.kind + ", " + k.severity.String()
		if n := len(k.findings); n > 1 {
			text += fmt.Sprintf(", %d findings", n)
		}
		r.Label = label(from, to, y+12, text)
		t.Rows = append(t.Rows, r)
		y += rowHeight
	}
	if n := len(kinds) - maxTimeRows; n > 0 {
		t.Notes = append(t.Notes, times(n, "more kind")+" of findings in the table.")
	}
	return y
}

func bounds(s scale, f *finding.Finding) (x1, x2 float64) {
	x1, x2 = s.at(f.First), s.at(later(f.First, f.Last))
	if x2-x1 < thinnest {
		x1 = min(x1, 1-thinnest)
		x2 = x1 + thinnest
	}
	return x1, x2
}

// addSteps draws the packets of the ladders, so that one sees where in the
// capture those are.
func (t *timeline) addSteps(a *analysis.Analysis, s scale, y int) int {
	from, to := 1.0, 0.0
	var first, last time.Time
	for _, l := range a.Ladders {
		for _, step := range l.Steps {
			x := s.at(step.Time)
			from, to = min(from, x), max(to, x)
			if first.IsZero() || step.Time.Before(first) {
				first = step.Time
			}
			last = later(last, step.Time)
			k := tick{X: percent(x), Top: y + barBelow - 3, Bottom: y + barBelow + 3, Key: step.Key}
			if k.Key {
				k.Top, k.Bottom = k.Top-3, k.Bottom+3
			}
			t.Steps = append(t.Steps, k)
		}
	}
	if len(t.Steps) == 0 {
		return y
	}
	t.StepsLabel = label(from, to, y+12, "packets drawn below")
	t.Facts = append(t.Facts, timeFact{"packets drawn below", "", times(len(t.Steps), "packet"),
		clock(first, a.Capture), clock(last, a.Capture)})
	return y + rowHeight
}

// tickStep is the smallest round step that makes at most six of total.
func tickStep(total time.Duration) time.Duration {
	const most = 6
	for unit := time.Nanosecond; unit < 10*time.Second; unit *= 10 {
		for _, m := range []time.Duration{1, 2, 5} {
			if step := m * unit; step < time.Minute && total/step <= most {
				return step
			}
		}
	}
	for _, step := range []time.Duration{
		15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	} {
		if total/step <= most {
			return step
		}
	}
	const day = 24 * time.Hour
	step := day
	for total/step > most {
		step *= 2
	}
	return step
}

// label puts text at what it names: from its left end, or in the right half of
// the picture up to its right end.
func label(from, to float64, y int, text string) timeLabel {
	if from <= .5 {
		return timeLabel{percent(from), "start", text, y}
	}
	return timeLabel{percent(to), "end", text, y}
}

// clock leaves the date out where it is that of the first packet.
func clock(t time.Time, c analysis.Capture) string {
	if t.UTC().Format(time.DateOnly) == c.FirstPacket.UTC().Format(time.DateOnly) {
		return t.UTC().Format(clockLayout)
	}
	return t.UTC().Format(momentLayout)
}

// beside says how far out of the capture a moment is.
func beside(t time.Time, c analysis.Capture) string {
	if t.Before(c.FirstPacket) {
		return span(c.FirstPacket.Sub(t)) + " before the first packet"
	}
	return span(t.Sub(c.LastPacket)) + " after the last packet"
}
