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

func (d *doubled) connection(c *detect.Connection) {
	again := int64(c.Sides[0].Trouble().Duplicated + c.Sides[1].Trouble().Duplicated)
	data := int64(c.Sides[0].DataSegments + c.Sides[1].DataSegments)
	if again < fewDuplicates || float64(again) <= nearlyAll*float64(data-again) {
		return
	}
	if d.flow == nil {
		d.flow = c.Flow()
	}
	d.duplicates += again
	d.segments += data
	d.Add(c.First.Time, c.First.Frame)
	d.Last = max(d.Last, c.Last.Time)
}

func (d *doubled) report(p *detect.Pass) {
	if d.Count == 0 {
		return
	}
	f := finding.Finding{
		Kind: "capture.duplicated", Severity: finding.Low, Confidence: 0.9, Culprit: finding.Capture,
		Summary: fmt.Sprintf("%d of %s of %s are there twice, within 1 ms: packets were captured twice, which looks like retransmissions and is none.",
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
