package report

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

func TestTickStep(t *testing.T) {
	const day = 24 * time.Hour
	tests := []struct{ total, want time.Duration }{
		{1, 1}, {600, 100}, {1300 * time.Microsecond, 200 * time.Microsecond}, {1400 * time.Microsecond, 500 * time.Microsecond}, {17 * time.Second, 5 * time.Second}, {65 * time.Second, 15 * time.Second},
		{5 * time.Minute, time.Minute}, {20 * time.Minute, 5 * time.Minute}, {5 * time.Hour, time.Hour}, {10 * day, 2 * day}, {1<<63 - 1, 1 << 14 * day},
	}
	for _, test := range tests {
		if got := tickStep(test.total); got != test.want {
			t.Errorf("tickStep(%v) = %v, want %v", test.total, got, test.want)
		}
	}
}

func TestTimelineMarksTheAlert(t *testing.T) {
	a := healthyCapture() // 5 minutes
	tests := []struct {
		name   string
		about  About
		marked bool
		note   string
	}{
		{"no alert", About{}, false, ""},
		{"while capturing", About{Fired: after(time.Minute)}, true, ""},
		{"shortly before", About{Fired: after(-time.Minute)}, true, ""},
		{"long before", About{Fired: after(-time.Hour)}, false, "The alert fired 1 h before the first packet."},
		{"long after", About{Fired: after(25 * time.Hour)}, false, "The alert fired 1 d 1 h after the last packet."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			line := newTimeline(a, test.about)
			if got := line.Fired != nil; got != test.marked {
				t.Errorf("marked = %v, want %v", got, test.marked)
			}
			if got := strings.Join(line.Notes, " "); got != test.note {
				t.Errorf("notes = %q, want %q", got, test.note)
			}
		})
	}
}

// Clocks jump, and files are forged: whatever their times say, the picture
// stays a picture.
func TestTimelineOfOddTimes(t *testing.T) {
	far := time.Unix(1<<33, 0)
	for _, c := range []analysis.Capture{
		{FirstPacket: begin, LastPacket: begin},
		{FirstPacket: begin, LastPacket: begin.Add(-time.Hour)},
		{FirstPacket: time.Unix(0, 0), LastPacket: far},
		{FirstPacket: time.Unix(-1<<40, 0), LastPacket: time.Unix(1<<40, 0)},
	} {
		a := &analysis.Analysis{Capture: c, Findings: []finding.Finding{
			{Kind: "tcp.reset", First: time.Unix(-1<<35, 0), Last: far}, {Kind: "tcp.reset", First: far, Last: begin},
		}}
		line := newTimeline(a, About{Fired: far, WindowStart: begin, WindowEnd: far})
		if n := len(line.Ticks); n == 0 || n > 20 {
			t.Errorf("%v to %v: %d ticks", c.FirstPacket, c.LastPacket, n)
		}
		for _, r := range line.Rows {
			for _, b := range r.Bars {
				for _, x := range []string{b.X1, b.X2} {
					var v float64
					if _, err := fmt.Sscanf(x, "%f%%", &v); err != nil || v < 0 || v > 100 {
						t.Errorf("%v to %v: bar at %s", c.FirstPacket, c.LastPacket, x)
					}
				}
			}
		}
	}
}

func TestLadderShowsPausesAndAllSteps(t *testing.T) {
	a, _ := dnsDelay()
	steps := &a.Ladders[0].Steps
	for i := range 57 {
		*steps = append(*steps, analysis.Step{Packet: int64(100 + i), Time: after(5006*ms + time.Duration(i)*ms), From: i % 3, To: (i + 1) % 3, Label: "more"})
	}
	v := newLadder(1, a, newReader(a))
	if len(v.Rows) != 60 || !v.Cut || !v.Wide {
		t.Errorf("%d rows, cut %v, wide %v; want 60, true, true", len(v.Rows), v.Cut, v.Wide)
	}
	drawn := 0
	var pauses []string
	for _, p := range v.Parts {
		drawn += len(p.Arrows)
		for _, pause := range p.Pauses {
			pauses = append(pauses, pause.Text)
		}
		if p.Height > partHeight+6 {
			t.Errorf("part of %d pixels, want at most %d", p.Height, partHeight)
		}
		for _, arrow := range p.Arrows {
			if arrow.Y > p.Height {
				t.Errorf("arrow at %d in a part of %d", arrow.Y, p.Height)
			}
		}
	}
	if drawn != 60 {
		t.Errorf("%d steps are drawn, want 60", drawn)
	}
	if got := strings.Join(pauses, "; "); got != "5 s later" {
		t.Errorf("pauses = %q, want the one of 5 s", got)
	}
	if roles := v.Parts[0].Heads[0].Role + " " + v.Parts[0].Heads[1].Role; roles != "client resolver" {
		t.Errorf("roles = %q", roles)
	}
	if v.Rows[1].Delta != "5 s" || v.Rows[1].Elapsed != "5.0040" {
		t.Errorf("second row = %+v", v.Rows[1])
	}
}

// A verdict may rest on a finding that is far down the list.
func TestDecidingFindingHasACard(t *testing.T) {
	a, about := hostile(200)
	a.Verdict.Findings = []int{180}
	a.Ladders[0].Finding = 180
	p := newView(Page{Analysis: a, Case: about})
	if len(p.Verdict.Proof) != 1 || p.Verdict.Proof[0].Number != 181 {
		t.Errorf("proof = %+v, want finding 181", p.Verdict.Proof)
	}
	last := p.Findings.Cards[len(p.Findings.Cards)-1]
	if last.Number != 181 || p.Ladders[0].Number != 181 {
		t.Errorf("last card is %d, the ladder proves %d; want 181", last.Number, p.Ladders[0].Number)
	}
	if n := len(p.Findings.Cards) + len(p.Findings.Rest) + p.Findings.Left; n != 200 {
		t.Errorf("%d findings on the page, want 200", n)
	}
}

func TestShortLabel(t *testing.T) {
	tests := []struct{ in, want string }{
		{"SYN", "SYN"},
		{"server_hello, certificate, server_key_exchange, server_hello_done", "server_hello, certificate, …"},
		{strings.Repeat("x", 60), strings.Repeat("x", maxLabel-1) + "…"},
	}
	for _, test := range tests {
		if got := shortLabel(test.in); got != test.want {
			t.Errorf("shortLabel(%q) = %q, want %q", test.in, got, test.want)
		}
	}
}
