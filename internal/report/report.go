// Package report writes an analysis for people and programs: as text for a
// terminal, as JSON, and as one self-contained HTML page.
package report

import (
	"encoding/json"
	"io"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
)

// About is what the case knows of a capture, for the page. Its zero value is
// a file that somebody analysed by hand.
type About struct {
	Incident, Case  string
	Target, Region  string
	Alert, Severity string
	Fired           time.Time
	Profile         string
	Reason          string // why it was allowed
	Owner, Approver string
	Filters         []string
	Started         time.Time
	TimeLimit       time.Duration
	TotalBytes      int64
	DeleteAfter     time.Time
}

// JSON writes one document for one analysis, and an array for several.
func JSON(w io.Writer, all ...*analysis.Analysis) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if len(all) == 1 {
		return enc.Encode(all[0])
	}
	return enc.Encode(all)
}
