package report

import (
	"fmt"
	"time"
)

// An incidentTime shows when which capture ran, beside the alert.
type incidentTime struct {
	Description  string
	Height, Axis int
	Window       *band
	Fired        *mark
	Rows         []timeRow
	Ticks        []tick
	Caption      string
}

// newIncidentTime returns nil where no capture has a time.
func newIncidentTime(in *incidentOf) *incidentTime {
	var s scale
	for _, m := range in.members {
		if m.Analysis == nil || m.Analysis.Capture.FirstPacket.IsZero() {
			continue
		}
		c := m.Analysis.Capture
		if s.start.IsZero() {
			s = scale{c.FirstPacket, c.FirstPacket}
		}
		s.start, s.end = earlier(s.start, c.FirstPacket), later(s.end, later(c.FirstPacket, c.LastPacket))
	}
	if s.start.IsZero() {
		return nil
	}
	t := &incidentTime{}
	about := in.about()
	zero, length := s.start, s.end.Sub(s.start)
	var fired, windowed bool
	if !about.Fired.IsZero() {
		s, fired = s.include(about.Fired, length)
	}
	if !about.WindowStart.IsZero() && about.WindowEnd.After(about.WindowStart) {
		s, windowed = s.include(about.WindowStart, length)
		s, _ = s.include(about.WindowEnd, length)
	}
	y := 0
	if windowed {
		from, to := s.at(about.WindowStart), s.at(about.WindowEnd)
		t.Window = &band{X: percent(from), Width: percent(max(to-from, thinnest)), Label: label(from, to, y+13, "the alert measured this")}
		y += markHeight
	}
	if fired {
		x := s.at(about.Fired)
		t.Fired = &mark{percent(x), label(x, x, y+13, "the alert fired")}
		y += markHeight
	}
	for _, m := range in.members {
		if m.Analysis == nil || m.Analysis.Capture.FirstPacket.IsZero() {
			continue
		}
		c := m.Analysis.Capture
		from, to := s.at(c.FirstPacket), s.at(later(c.FirstPacket, c.LastPacket))
		if to-from < thinnest {
			from = min(from, 1-thinnest)
			to = from + thinnest
		}
		t.Rows = append(t.Rows, timeRow{
			Label: label(from, to, y+12, m.name+", "+headlineWord(m)),
			Bars:  []bar{{percent(from), percent(to), string(m.tone), y + barBelow}},
		})
		y += rowHeight
	}
	t.Axis = y + 8
	t.Height = t.Axis + axisHeight
	t.Ticks = ticks(s, zero, t.Axis)
	t.Caption = fmt.Sprintf("Time since the first packet of the first capture, %s.", zero.UTC().Format(momentLayout)+" UTC")
	t.Description = fmt.Sprintf("%s over %s; the table of captures says the same.", times(len(t.Rows), "capture"), span(s.end.Sub(s.start)))
	return t
}

func headlineWord(m *member) string {
	switch m.tone {
	case fault:
		return "fault"
	case warning:
		return "warning"
	case healthy:
		return "healthy"
	}
	return "no verdict"
}

// ticks label an axis with the time since zero.
func ticks(s scale, zero time.Time, axis int) []tick {
	total := s.end.Sub(s.start)
	if total <= 0 {
		return []tick{{X: "0%", Top: axis, Bottom: axis + 5, Label: label(0, 0, axis+20, "0")}}
	}
	var all []tick
	step := tickStep(total)
	// Durations end at 292 years and forged times do not, so the ticks are
	// counted, and one whose product wraps around is not in the picture.
	first := s.start.Sub(zero) / step
	for n := first; n <= first+total/step+1; n++ {
		at := zero.Add(n * step)
		if at.Before(s.start) || at.After(s.end) {
			continue
		}
		text := "0"
		if n > 0 {
			text = "+" + span(n*step)
		} else if n < 0 {
			text = "−" + span(-n*step)
		}
		x := s.at(at)
		anchor := "middle"
		if x < .04 {
			anchor = "start"
		} else if x > .96 {
			anchor = "end"
		}
		all = append(all, tick{X: percent(x), Top: axis, Bottom: axis + 5, Label: timeLabel{percent(x), anchor, text, axis + 20}})
	}
	return all
}
