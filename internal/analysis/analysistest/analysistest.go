// Package analysistest holds captures whose faults are known, and judges
// what an analysis makes of them. The fault lab records them on real TCP
// stacks; the tests of the analysis read them everywhere.
package analysistest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

// A Recording is a capture with what is known of it.
type Recording struct {
	Name string `json:"name"` // the file is NAME.pcap
	Doc  string `json:"doc"`  // what was done, in a sentence

	// What the product knows beside the packets.
	Vantage     []netip.Addr `json:"vantage,omitempty"`
	Filtered    bool         `json:"filtered,omitempty"`
	TotalBytes  int64        `json:"totalBytes,omitempty"`
	WindowStart time.Time    `json:"windowStart,omitzero"`
	WindowEnd   time.Time    `json:"windowEnd,omitzero"`

	// Proof are the packets that show the fault, as tshark sees them. The
	// deciding finding names one of them at least, unless it is about the
	// capture rather than the traffic.
	Proof Frames `json:"proof,omitempty"`
	Want  Want   `json:"want"`
}

// Want is what an analysis has to say.
type Want struct {
	Cause    analysis.Cause    `json:"cause"`
	Culprits []finding.Culprit `json:"culprits"` // any of these
	// Kinds are those that the deciding finding may have.
	Kinds []finding.Kind `json:"kinds,omitempty"`
	// Also are kinds that have to be among the findings.
	Also []finding.Kind `json:"also,omitempty"`
	// Calm means that nothing is wrong: no finding is above info.
	Calm bool `json:"calm,omitempty"`
}

// Analyze analyses the capture with what is known of it.
func (r *Recording) Analyze(ctx context.Context, src io.Reader) (*analysis.Analysis, error) {
	return analysis.Run(ctx, src, analysis.Options{File: r.Name + ".pcap", Context: detect.Context{
		Vantage: r.Vantage, Filtered: r.Filtered, TotalBytes: r.TotalBytes, WindowStart: r.WindowStart, WindowEnd: r.WindowEnd,
	}})
}

// Mistakes says what an analysis gets wrong, one sentence each.
func (r *Recording) Mistakes(a *analysis.Analysis) []string {
	var mistakes []string
	wrong := func(format string, args ...any) { mistakes = append(mistakes, fmt.Sprintf(format, args...)) }
	w, v := r.Want, a.Verdict
	if v.Cause != w.Cause {
		wrong("cause %s, want %s", v.Cause, w.Cause)
	}
	if !slices.Contains(w.Culprits, v.Culprit) {
		wrong("culprit %s, want %s", v.Culprit, join(w.Culprits, " or "))
	}
	switch {
	case len(w.Kinds) == 0:
	case len(v.Findings) == 0:
		wrong("no finding decides, want %s", join(w.Kinds, " or "))
	default:
		f := a.Findings[v.Findings[0]]
		if !slices.Contains(w.Kinds, f.Kind) {
			wrong("%s decides, want %s", f.Kind, join(w.Kinds, " or "))
		} else if len(r.Proof) > 0 && f.Culprit != finding.Capture && !slices.ContainsFunc(f.Packets, func(n int64) bool { return slices.Contains(r.Proof, n) }) {
			wrong("%s names packets %v, want one of %v", f.Kind, f.Packets, r.Proof)
		}
	}
	for _, kind := range w.Also {
		if !slices.ContainsFunc(a.Findings, func(f finding.Finding) bool { return f.Kind == kind }) {
			wrong("no %s", kind)
		}
	}
	if w.Calm {
		for _, f := range a.Findings {
			if f.Severity > finding.Info {
				wrong("%s %s: %s", f.Severity, f.Kind, f.Summary)
			}
		}
	}
	return mistakes
}

func join[T ~string](all []T, between string) string {
	var text []string
	for _, s := range all {
		text = append(text, string(s))
	}
	return strings.Join(text, between)
}

const manifest = "manifest.json"

// Load reads the list of the recordings in a folder.
func Load(dir string) ([]Recording, error) {
	text, err := os.ReadFile(filepath.Join(dir, manifest))
	if err != nil {
		return nil, err
	}
	var all []Recording
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("read %s: %w", manifest, err)
	}
	return all, nil
}

// Store writes a list of recordings, which lie in the same folder.
func Store(dir string, all []Recording) error {
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, manifest), append(text, '\n'), 0o644)
}
