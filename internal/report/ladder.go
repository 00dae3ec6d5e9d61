package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

// Sizes of a ladder, in CSS pixels. The lanes stand at shares of the width.
const (
	stepHeight = 36
	gapHeight  = 30
	lineBelow  = 25 // a step's arrow, below the step's top
	textBelow  = 18 // its label
	// partHeight is how much of a ladder is one picture. Paper is filled with
	// whole pictures, so they are about a third of a page.
	partHeight = 310
	// maxLabel is how long a label is in the picture; the table has it all.
	maxLabel = 42
	// waited is from when on a pause is drawn: TCP's shortest retransmission
	// timeout on Linux and Windows is about this, so that somebody waited.
	waited = 200 * time.Millisecond
)

// A ladderView is a sequence diagram in parts, and the same as a table.
type ladderView struct {
	ID, Title string
	Heading   []piece // the title
	Number    int     // of the finding that it proves, from 1, or 0
	Kind      string  // its kind
	Wide      bool    // more than two lanes
	Parts     []ladderPart
	Rows      []ladderRow
	Cut       bool // the connection went on
}

type ladderPart struct {
	ID, Title, Description string
	Height                 int
	Heads                  []laneHead
	Bands                  []stripe
	Lives                  []lifeline
	Arrows                 []arrow
	Pauses                 []timeLabel
}

// laneHead is the name over a lane, up to three lines.
type laneHead struct {
	X     string
	Role  string
	Lines []timeLabel
}

type stripe struct{ Y, Height int }

type lifeline struct {
	X           string
	Top, Bottom int
	Pause       bool
}

type arrow struct {
	X1, X2, Middle   string
	Y, TextY         int
	Label            string
	Packet, Time     string
	Key, Self, Known bool
	Foreign          bool // the label has a name from a packet
}

type ladderRow struct {
	Packet, Clock, Elapsed, Delta, Label string
	What                                 []piece  // the label
	From, To                             []string // in pieces that a line may break between
	Key                                  bool
}

func newLadder(number int, a *analysis.Analysis, r reader) *ladderView {
	l := &a.Ladders[number-1]
	heading := r.prose(l.Title)
	v := &ladderView{
		ID: "ladder-" + strconv.Itoa(number), Title: join(heading), Heading: heading, Wide: len(l.Lanes) > 2,
		Cut: len(l.Steps) >= analysis.MaxLadderSteps,
	}
	var proves *finding.Finding
	if l.Finding >= 0 && l.Finding < len(a.Findings) {
		proves = &a.Findings[l.Finding]
		v.Kind = printable(string(proves.Kind))
		if carded(a, l.Finding) {
			v.Number = l.Finding + 1
		}
	}
	if len(l.Steps) == 0 {
		return v
	}
	v.Rows = ladderRows(l, r)
	d := &drawing{view: v, ladder: l}
	d.begin()
	d.heads(proves)
	for i := range l.Steps {
		d.step(i)
	}
	d.end()
	return v
}

func ladderRows(l *analysis.Ladder, r reader) []ladderRow {
	rows := make([]ladderRow, len(l.Steps))
	start, previous := l.Steps[0].Time, l.Steps[0].Time
	decimals := elapsedDecimals(l)
	for i, s := range l.Steps {
		what := r.prose(s.Label)
		rows[i] = ladderRow{
			Packet: strconv.FormatInt(s.Packet, 10), Clock: s.Time.UTC().Format("15:04:05.000000"),
			Elapsed: strconv.FormatFloat(s.Time.Sub(start).Seconds(), 'f', decimals, 64),
			Delta:   span(s.Time.Sub(previous)), From: lane(l, s.From), To: lane(l, s.To), Label: join(what), What: what, Key: s.Key,
		}
		previous = s.Time
	}
	rows[0].Delta = "–"
	return rows
}

func elapsedDecimals(l *analysis.Ladder) int {
	switch total := l.Steps[len(l.Steps)-1].Time.Sub(l.Steps[0].Time); {
	case total < time.Second:
		return 6
	case total < 10*time.Second:
		return 4
	case total < 1000*time.Second:
		return 3
	}
	return 1
}

func lane(l *analysis.Ladder, i int) []string {
	if i < 0 || i >= len(l.Lanes) {
		return []string{"–"}
	}
	return endpointLines(l.Lanes[i])
}

// shortLabel leaves out whole messages where it can.
func shortLabel(s string) string {
	short := shorten(s, maxLabel)
	if short == s {
		return s
	}
	if at := strings.LastIndex(short, ", "); at > len(short)/2 {
		return short[:at+2] + "…"
	}
	return short
}

// A drawing lays a ladder out from top to bottom, part by part.
type drawing struct {
	view   *ladderView
	ladder *analysis.Ladder
	part   *ladderPart
	y      int
	first  int // step of the part
	next   int
}

func (d *drawing) begin() {
	d.view.Parts = append(d.view.Parts, ladderPart{})
	d.part = &d.view.Parts[len(d.view.Parts)-1]
	d.part.ID = fmt.Sprintf("%s-part-%d", d.view.ID, len(d.view.Parts))
	d.y, d.first = 0, d.next
}

func (d *drawing) end() {
	p := d.part
	p.Height = d.y + 6
	d.lives(d.y, p.Height, false)
	p.Title = d.view.Title
	if d.first > 0 || d.next < len(d.ladder.Steps) {
		p.Title += fmt.Sprintf(", steps %d to %d", d.first+1, d.next)
	}
	p.Description = fmt.Sprintf("Sequence diagram, %s between %d endpoints.", times(d.next-d.first, "packet"), len(d.ladder.Lanes))
	var key []string
	for _, r := range d.view.Rows[d.first:d.next] {
		if r.Key && len(key) < 6 {
			key = append(key, fmt.Sprintf("packet %s from %s to %s: %s", r.Packet, strings.Join(r.From, ""), strings.Join(r.To, ""), r.Label))
		}
	}
	if len(key) > 0 {
		p.Description += " Key: " + strings.Join(key, "; ") + "."
	}
	p.Description += " The table after it lists all."
}

// x is where a lane stands, as a share of the width.
func (d *drawing) x(lane int) float64 {
	n := len(d.ladder.Lanes)
	if n == 1 {
		return .5
	}
	margin := .22
	if n > 2 {
		margin = .4 / float64(n)
	}
	return margin + (1-2*margin)*float64(lane)/float64(n-1)
}

func (d *drawing) lives(top, bottom int, pause bool) {
	for i := range d.ladder.Lanes {
		d.part.Lives = append(d.part.Lives, lifeline{percent(d.x(i)), top, bottom, pause})
	}
}

// heads writes who stands over which lane.
func (d *drawing) heads(proves *finding.Finding) {
	lines := 1
	for i, e := range d.ladder.Lanes {
		h := laneHead{X: percent(d.x(i)), Role: role(i, e, proves)}
		for n, s := range endpointLines(e) {
			h.Lines = append(h.Lines, timeLabel{X: h.X, Text: s, Y: 32 + 15*n})
			lines = max(lines, n+1)
		}
		d.part.Heads = append(d.part.Heads, h)
	}
	d.y = 32 + 15*lines
	d.lives(d.y-6, d.y, false)
}

// role is who a lane is: the finding knows, or else who asks stands left.
func role(i int, e finding.Endpoint, proves *finding.Finding) string {
	server := "server"
	if proves != nil && strings.HasPrefix(string(proves.Kind), "dns.") {
		server = "resolver"
	}
	if proves != nil && proves.Flow != nil {
		switch {
		case e == proves.Flow.Server:
			return server
		case e.Addr() == proves.Flow.Client.Addr():
			return "client"
		}
	}
	if i == 0 {
		return "client"
	}
	return server
}

// endpointLines breaks a long IPv6 address near its middle.
func endpointLines(e finding.Endpoint) []string {
	s := e.String()
	if len(s) <= 24 {
		return []string{s}
	}
	at := len(s) / 2
	for at < len(s)-1 && s[at-1] != ':' {
		at++
	}
	return []string{s[:at], s[at:]}
}

func (d *drawing) step(i int) {
	s := &d.ladder.Steps[i]
	var pause time.Duration
	if i > 0 {
		pause = s.Time.Sub(d.ladder.Steps[i-1].Time)
	}
	need := stepHeight
	if pause >= waited {
		need += gapHeight
	}
	if d.y+need > partHeight {
		d.end()
		d.begin()
	}
	if pause >= waited {
		d.lives(d.y, d.y+gapHeight, true)
		d.part.Pauses = append(d.part.Pauses, timeLabel{X: "50%", Y: d.y + gapHeight/2 + 4, Text: span(pause) + " later"})
		d.y += gapHeight
	}
	d.lives(d.y, d.y+stepHeight, false)
	row := &d.view.Rows[i]
	a := arrow{
		Y: d.y + lineBelow, TextY: d.y + textBelow, Label: shortLabel(row.Label),
		Packet: row.Packet, Time: row.Elapsed, Key: s.Key,
		Foreign: slices.ContainsFunc(row.What, func(p piece) bool { return p.Foreign }),
	}
	lanes := len(d.ladder.Lanes)
	if from, to := s.From, s.To; from >= 0 && from < lanes && to >= 0 && to < lanes {
		x1, x2 := d.x(from), d.x(to)
		a.X1, a.X2, a.Middle = percent(x1), percent(x2), percent((x1+x2)/2)
		a.Known, a.Self = true, from == to
	} else {
		a.Middle = "50%" // a document that we did not write
	}
	if s.Key {
		d.part.Bands = append(d.part.Bands, stripe{d.y, stepHeight})
	}
	d.part.Arrows = append(d.part.Arrows, a)
	d.y += stepHeight
	d.next = i + 1
}
