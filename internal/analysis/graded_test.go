package analysis

import (
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/finding"
)

func TestGraded(t *testing.T) {
	all := []finding.Finding{{Kind: "a.x", Severity: finding.High}, {Kind: "b.x", Severity: finding.Medium}, {Kind: "c.x", Severity: finding.Medium}, {Kind: "a.x", Severity: finding.Low}}
	got := graded(all, map[finding.Kind]finding.Severity{"a.x": finding.Info, "c.x": finding.Critical})
	want := []finding.Finding{{Kind: "c.x", Severity: finding.Critical}, {Kind: "b.x", Severity: finding.Medium}, {Kind: "a.x"}, {Kind: "a.x"}}
	for i := range want {
		if got[i].Kind != want[i].Kind || got[i].Severity != want[i].Severity {
			t.Errorf("finding %d is %s, %s; want %s, %s", i, got[i].Kind, got[i].Severity, want[i].Kind, want[i].Severity)
		}
	}
}
