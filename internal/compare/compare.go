// Package compare knows what differs between two captures of the same service
// or role: a healthy and a slow node, before and after a change, instances of
// a scale set.
package compare

import (
	"cmp"
	"slices"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/service"
)

// Schema names the document.
const Schema = "pcapwarden.comparison/v1"

// Bounds of the document.
const (
	MaxPairs = 100
	MaxAlone = 50
)

// A Comparison is two captures side by side.
type Comparison struct {
	Schema      string       `json:"schema"`
	Baseline    Side         `json:"baseline"`
	Capture     Side         `json:"capture"`
	Summary     string       `json:"summary"`     // what matters, first
	Differences []Difference `json:"differences"` // what matters most first
	Services    []Pair       `json:"services"`    // on both sides, the most used first
	// What only one side has, the most used first.
	OnlyBaseline []service.Service `json:"onlyBaseline"`
	OnlyCapture  []service.Service `json:"onlyCapture"`
	Notes        []string          `json:"notes,omitempty"` // what to bear in mind
}

// A Side is one capture.
type Side struct {
	File     string           `json:"file"`
	Name     string           `json:"name"` // what sentences call it
	Readable bool             `json:"readable"`
	Error    string           `json:"error,omitempty"`
	SHA256   string           `json:"sha256,omitempty"`
	Packets  int64            `json:"packets"`
	First    time.Time        `json:"firstPacket,omitzero"`
	Last     time.Time        `json:"lastPacket,omitzero"`
	Vantage  analysis.Vantage `json:"vantage"`
	Verdict  analysis.Verdict `json:"verdict"`

	services []service.Service
	findings []finding.Finding
}

// Span is how long the capture lasted.
func (s *Side) Span() time.Duration { return s.Last.Sub(s.First) }

// minutes is what rates are reckoned by; a capture of one packet lasted a
// second.
func (s *Side) minutes() float64 { return max(s.Span(), time.Second).Minutes() }

// A Difference is one thing that one side has, or has more of.
type Difference struct {
	Service string `json:"service"` // as people call it
	Metric  string `json:"metric"`  // of the pair, the kind of a finding, or "only here"
	Worse   string `json:"worse"`   // baseline or capture; "": neither
	Summary string `json:"summary"`
	weight  float64
}

// A Pair is one service on both sides.
type Pair struct {
	Name      string           `json:"name"`
	MatchedBy string           `json:"matchedBy"` // address, name (SNI), or port
	Baseline  *service.Service `json:"baseline"`
	Capture   *service.Service `json:"capture"`
	Metrics   []Metric         `json:"metrics"`
}

// Captures compares an analysis with that of a baseline.
func Captures(baseline, capture *analysis.Analysis) *Comparison {
	return Named(baseline, capture, "", "")
}

// Named is Captures for sides that have names, which its sentences call them
// by. Two that are empty, or alike, are none.
func Named(baseline, capture *analysis.Analysis, baselineName, captureName string) *Comparison {
	c := &Comparison{Schema: Schema, Baseline: side(baseline), Capture: side(capture), Differences: []Difference{}}
	c.name()
	if baselineName != "" && captureName != "" && baselineName != captureName {
		c.Baseline.Name, c.Capture.Name = baselineName, captureName
	}
	c.pair()
	if !c.Baseline.Readable || !c.Capture.Readable {
		c.Summary = "There is nothing to compare: a file could not be read."
		return c
	}
	c.notes()
	for i := range c.Services {
		c.measure(&c.Services[i])
	}
	c.alone()
	slices.SortStableFunc(c.Differences, func(a, b Difference) int { return cmp.Compare(b.weight, a.weight) })
	c.Summary = c.first()
	return c
}

func side(a *analysis.Analysis) Side {
	return Side{
		File: a.Capture.File, Readable: a.Capture.Readable, Error: a.Capture.Error, SHA256: a.Capture.SHA256, Packets: a.Capture.Packets,
		First: a.Capture.FirstPacket, Last: a.Capture.LastPacket, Vantage: a.Vantage, Verdict: a.Verdict,
		services: a.Services, findings: a.Findings,
	}
}

// name calls the sides by their machines, where those are known and differ.
func (c *Comparison) name() {
	c.Baseline.Name, c.Capture.Name = "the baseline", "the capture"
	b, n := c.Baseline.Vantage, c.Capture.Vantage
	if b.Known() && n.Known() && b.Machine() != n.Machine() {
		c.Baseline.Name, c.Capture.Name = b.Machine(), n.Machine()
	}
}

func (c *Comparison) notes() {
	b, n := c.Baseline.Span(), c.Capture.Span()
	if short, long := min(b, n), max(b, n); long > 4*short && long > time.Minute {
		c.Notes = append(c.Notes, "One capture is much longer than the other: what is rare may be in the longer one only.")
	}
	for _, s := range []*Side{&c.Baseline, &c.Capture} {
		if s.Verdict.Cause == analysis.NoTraffic || s.Verdict.Cause == analysis.Inconclusive {
			c.Notes = append(c.Notes, "What "+s.Name+" shows is not enough to judge it by: "+s.Verdict.Summary)
		}
	}
}
