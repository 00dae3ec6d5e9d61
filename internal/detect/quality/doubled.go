package quality

import (
	"fmt"
	"math"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

const (
	fewDuplicates = 5
	nearlyAll     = 0.9
)

// doubled are the connections whose data is there twice.
type doubled struct {
	detect.Tally
	flow                 *finding.Flow
	duplicates, segments int64
}

// connection judges each direction by itself: a sender whose packets all bear
// the same IP identification shows no duplicates.
func (d *doubled) connection(c *detect.Connection) {
	doubled := false
	for i := range c.Sides {
		again, data := int64(c.Sides[i].Trouble().Duplicated), int64(c.Sides[i].DataSegments)
		if again < fewDuplicates || float64(again) <= nearlyAll*float64(data-again) {
			continue
		}
		doubled = true
		d.duplicates += again
		d.segments += data
	}
	if !doubled {
		return
	}
	if d.flow == nil {
		d.flow = c.Flow()
	}
	d.Add(c.First.Time, c.First.Frame)
	d.Last = max(d.Last, c.Last.Time)
}

func (d *doubled) report(p *detect.Pass) {
	if d.Count == 0 {
		return
	}
	f := finding.Finding{
		Kind: "capture.duplicated", Severity: finding.Low, Confidence: 0.9, Culprit: finding.Capture,
		Summary: fmt.Sprintf("%d of %s of %s repeat the one before within 1 ms: packets were captured more than once, which looks like retransmissions and is none.",
			d.duplicates, detect.Count(int(d.segments), "data segment"), detect.Count(d.Count, "connection")),
		Detail: map[string]any{
			"duplicates": d.duplicates, "segments": d.segments, "share": round(float64(d.duplicates) / float64(d.segments)), "connections": d.Count,
		},
	}
	if d.Count == 1 {
		f.Flow = d.flow
	}
	p.Report(d.Into(f))
}

func round(v float64) float64 { return math.Round(v*1000) / 1000 }
