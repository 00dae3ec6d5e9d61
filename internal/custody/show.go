package custody

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/evidence"
)

// Shown is a manifest to read.
type Shown struct {
	Name     string   `json:"name"`              // in the vault
	Problem  string   `json:"problem,omitempty"` // why it is not to be believed
	Manifest Manifest `json:"manifest"`
}

// Show reads the manifests of an incident, or all with "".
func Show(ctx context.Context, vault evidence.Vault, incident string, trusted []PublicKey) ([]Shown, error) {
	prefix := ""
	if incident != "" {
		prefix = incident + "/"
	}
	var all []Shown
	for info, err := range vault.List(ctx, prefix) {
		if err != nil {
			return nil, fmt.Errorf("list the vault: %w", err)
		}
		if !isManifest(info.Name) {
			continue
		}
		text, err := readAll(ctx, vault, info.Name, maxEnvelope)
		if err != nil {
			return nil, fmt.Errorf("read manifest: %w", err)
		}
		s := Shown{Name: info.Name}
		if s.Manifest, err = OpenManifest(text, trusted); err != nil {
			s.Problem = err.Error()
		}
		all = append(all, s)
	}
	return all, nil
}

// Text is the manifest in lines; what others chose in it is quoted.
func (s Shown) Text() string {
	m := s.Manifest
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	if s.Problem != "" {
		line("DO NOT TRUST", "%s", plain(s.Problem))
	}
	line("evidence", "%s, %s", plain(m.Identity.EvidenceID), plain(string(m.Identity.Kind)))
	line("incident", "%s, capture %s", plain(m.Identity.Incident), plain(m.Identity.Capture))
	line("file", "%s", plain(m.Identity.File))
	line("bytes", "%d", m.Integrity.Bytes)
	line("sha256", "%s", plain(m.Integrity.SHA256))
	line("merkle root", "%s over %d blocks of %d bytes", plain(m.Integrity.Merkle), len(m.Integrity.Blocks), m.Integrity.BlockSize)
	line("kept in", "%s/%s", plain(m.Location.Store), plain(m.Location.Name))
	line("machine", "%s", plain(m.Source.Target))
	line("allowed by", "profile %s, %s: %s", plain(m.Authority.Profile), plain(m.Authority.Mode), plain(m.Authority.Reason))
	line("owner", "%s; approved by %s", plain(m.Authority.Owner), plain(m.Authority.Approver))
	line("alert", "%s, fired %s", plain(m.Trigger.Rule), when(m.Trigger.Fired))
	line("tool", "%s %s, binary sha256 %s", plain(m.Acquisition.Tool.Name), plain(m.Acquisition.Tool.Version), plain(m.Acquisition.Tool.SHA256))
	line("delete after", "%s", when(m.Disposition.DeleteAfter))
	for _, t := range m.Custody {
		words := []string{plain(t.Action), "by " + plain(t.Actor)}
		for _, w := range []struct{ before, text string }{{"from ", t.From}, {"to ", t.To}, {"because ", t.Reason}, {"outcome ", t.Outcome}} {
			if w.text != "" {
				words = append(words, w.before+plain(w.text))
			}
		}
		line(fmt.Sprintf("  %d", t.Sequence), "%s %s", when(t.At), strings.Join(words, ", "))
	}
	for _, d := range m.Derived {
		line("  made of it", "%s/%s, %s, sha256 %s", plain(d.Store), plain(d.Name), plain(string(d.Kind)), plain(d.SHA256))
		if len(d.Transforms) > 0 {
			line("", "by %s", plain(strings.Join(slices.Clone(d.Transforms), ", ")))
		}
	}
	return b.String()
}

func when(t time.Time) string {
	if t.IsZero() {
		return "unknown"
	}
	return t.UTC().Format(time.RFC3339)
}

// plain makes text inert on a terminal.
func plain(s string) string {
	quoted := fmt.Sprintf("%+.1000q", s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
