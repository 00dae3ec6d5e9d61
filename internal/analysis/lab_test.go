package analysis_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/analysis/analysistest"
)

const lab = "testdata/lab"

// Faults that the lab (test/lab) made on real TCP stacks, and healthy
// traffic: the analysis names each by its cause, its culprit and the packets
// that prove it, and says nothing about what is in order.
func TestRecordedFaults(t *testing.T) {
	recordings, err := analysistest.Load(lab)
	if err != nil {
		t.Fatal(err)
	}
	healthy := 0
	for _, r := range recordings {
		if r.Want.Calm {
			healthy++
		}
		t.Run(r.Name, func(t *testing.T) {
			a := analyze(t, &r)
			for _, m := range r.Mistakes(a) {
				t.Error(m)
			}
			if t.Failed() {
				t.Logf("%s\nverdict: %s", r.Doc, a.Verdict.Summary)
				for _, f := range a.Findings {
					t.Logf("%-8s %s: %s %v", f.Severity, f.Kind, f.Summary, f.Packets)
				}
			}
		})
	}
	if faults := len(recordings) - healthy; faults < 40 || healthy < 10 {
		t.Errorf("%d faults and %d healthy recordings are too few to trust", faults, healthy)
	}
}

// The list and the files are the same recordings.
func TestRecordingsAreListed(t *testing.T) {
	recordings, err := analysistest.Load(lab)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(lab, "*.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := filepath.Base(f)
		if !slices.ContainsFunc(recordings, func(r analysistest.Recording) bool { return r.Name+".pcap" == name }) {
			t.Errorf("%s is not listed in the manifest", name)
		}
	}
}

func analyze(t *testing.T, r *analysistest.Recording) *analysis.Analysis {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(lab, r.Name+".pcap"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := r.Analyze(t.Context(), bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return a
}
