// Package report writes an analysis for people and programs: as text for a
// terminal, as JSON, and as one self-contained HTML page.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
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

// maxDocument is above what any analysis of ours comes to.
const maxDocument = 64 << 20

// ReadJSON reads one analysis that JSON wrote.
func ReadJSON(r io.Reader) (*analysis.Analysis, error) {
	a := &analysis.Analysis{}
	if err := json.NewDecoder(io.LimitReader(r, maxDocument)).Decode(a); err != nil {
		return nil, fmt.Errorf("read analysis: %w", err)
	}
	if a.Schema != analysis.Schema {
		return nil, fmt.Errorf("read analysis: schema is %q, want %q", a.Schema, analysis.Schema)
	}
	return a, nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
