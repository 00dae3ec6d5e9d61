package analyzecapture_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/controlplane"
	"github.com/pcapwarden/pcapwarden/internal/local/folder"
)

// rules is a source with one answer to everything: the group lets nothing
// pass, or there is no answer.
type rules struct{ err error }

func (r rules) Interfaces(context.Context, controlplane.Subject) ([]controlplane.Interface, error) {
	return []controlplane.Interface{{ID: "nic", Addresses: []netip.Addr{netip.MustParseAddr("10.70.1.10")}}}, r.err
}
func (r rules) Access(context.Context, controlplane.Question) (controlplane.Access, error) {
	return controlplane.Access{Rule: "no-web", Group: "/nsg/nsg-front"}, r.err
}
func (r rules) NextHop(context.Context, controlplane.Question) (controlplane.Hop, error) {
	return controlplane.Hop{Type: controlplane.HopNetwork}, r.err
}
func (r rules) Rules(context.Context, controlplane.Subject, string) ([]controlplane.Rule, error) {
	return nil, r.err
}
func (r rules) Names(context.Context, controlplane.Subject, []controlplane.Interface) ([]controlplane.Name, error) {
	return nil, r.err
}
func (r rules) Tags(context.Context, controlplane.Subject, []netip.Addr) ([]controlplane.Name, error) {
	return nil, r.err
}

// TestRulesExplainFindings: what the rules say is in the analysis, the message
// and the record; and without an answer, all that is there as well.
func TestRulesExplainFindings(t *testing.T) {
	content, err := os.ReadFile("../../internal/analysis/testdata/lab/syn-dropped-on-the-way.pcap")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		rules  controlplane.Source
		says   string // in the message
		gap    string
		silent bool // the analysis has no context
	}{
		{"the group denies it", rules{}, "NSG rule no-web of nsg-front denies", "", false},
		{"nobody answers", rules{errors.New("HTTP 500")}, "connect-blocked", "HTTP 500", false},
		{"throttled", rules{controlplane.ErrThrottled}, "connect-blocked", "no more requests", false},
		{"nobody is asked", nil, "connect-blocked", "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, err := folder.OpenFiles(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			b := newBench(t, l, nil)
			b.analyzer.Rules = tt.rules
			if status := b.deliver(b.put(t, content).ETag); status != http.StatusOK {
				t.Fatalf("answered %d", status)
			}
			b.checkOnly(t, content)
			message := only(t, filepath.Join(b.dir, "incidents", "*.json"))
			if !strings.Contains(string(message), tt.says) {
				t.Errorf("the message does not say %q:\n%.2000s", tt.says, message)
			}
			var a analysis.Analysis
			c, err := b.ledger.Case(t.Context(), "inc-one", "pc-one")
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(only(t, filepath.Join(b.dir, "reports", c.Files[0].Analysis)), &a); err != nil {
				t.Fatal(err)
			}
			if (a.Context == nil) != tt.silent {
				t.Fatalf("context %+v", a.Context)
			}
			if tt.silent {
				return
			}
			var gaps []string
			for _, g := range a.Context.Gaps {
				gaps = append(gaps, g.Reason)
			}
			if got := strings.Join(gaps, "\n"); (got == "") != (tt.gap == "") || !strings.Contains(got, tt.gap) {
				t.Errorf("gaps %q, want %q", got, tt.gap)
			}
			if c.Files[0].Culprit != string(a.Verdict.Culprit) {
				t.Errorf("the record blames %s, the verdict %s", c.Files[0].Culprit, a.Verdict.Culprit)
			}
		})
	}
}

func only(t *testing.T, pattern string) []byte {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v, %v; want one file", pattern, found, err)
	}
	text, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return text
}
