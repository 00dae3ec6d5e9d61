package custody

import (
	"context"
	"fmt"
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
		text, err := evidence.Load(ctx, vault, info.Name, maxEnvelope)
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

// Text is the manifest in lines for a terminal of 80 columns; what others chose
// in it is made inert. A word that is longer, such as an ARM ID or a URL, stays
// whole on a line of its own, to be copied.
func (s Shown) Text() string {
	m := s.Manifest
	var b strings.Builder
	line := func(name, format string, args ...any) {
		hang(&b, fmt.Sprintf("%-12s ", name), fmt.Sprintf(format, args...))
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
	line("landed at", "%s", plain(m.Location.LandedAt))
	line("machine", "%s", plain(m.Source.Target))
	line("session", "%s", plain(m.Acquisition.Session))
	line("allowed by", "profile %s, %s: %s", plain(m.Authority.Profile), plain(m.Authority.Mode), plain(m.Authority.Reason))
	line("owner", "%s; approved by %s", plain(m.Authority.Owner), plain(m.Authority.Approver))
	line("alert", "%s, fired %s", plain(m.Trigger.Rule), when(m.Trigger.Fired))
	line("tool", "%s %s, binary sha256 %s", plain(m.Acquisition.Tool.Name), plain(m.Acquisition.Tool.Version), plain(m.Acquisition.Tool.SHA256))
	line("delete after", "%s", when(m.Disposition.DeleteAfter))
	names := m.places()
	for _, t := range m.Custody {
		hang(&b, fmt.Sprintf("%4d  ", t.Sequence), fmt.Sprintf("%s %s by %s", when(t.At), plain(t.Action), plain(t.Actor)))
		for _, w := range []struct{ name, text string }{
			{"from", names(t.From)}, {"to", names(t.To)}, {"because", t.Reason}, {"outcome", t.Outcome},
		} {
			if w.text != "" {
				hang(&b, fmt.Sprintf("        %-8s ", w.name), plain(w.text))
			}
		}
	}
	for _, d := range m.Derived {
		line("made of it", "%s/%s, %s", plain(d.Store), plain(d.Name), plain(string(d.Kind)))
		line("", "sha256 %s", plain(d.SHA256))
		if len(d.Transforms) > 0 {
			line("", "by %s", plain(strings.Join(d.Transforms, ", ")))
		}
	}
	return b.String()
}

// places shortens a place that the manifest spells out elsewhere.
func (m Manifest) places() func(string) string {
	return func(place string) string {
		switch place {
		case "":
			return ""
		case m.Location.LandedAt:
			return "where it landed"
		case m.Location.Store + "/" + m.Location.Name:
			return "where it is kept"
		case m.Source.Target:
			return "the machine"
		case m.Acquisition.Session:
			return "the session"
		}
		return place
	}
}

// columns are those of a terminal that nobody widened.
const columns = 80

// hang writes text after lead, and goes on below the text where a line is full.
func hang(b *strings.Builder, lead, text string) {
	indent := strings.Repeat(" ", len(lead))
	at := len(lead)
	b.WriteString(lead)
	for n, word := range strings.Fields(text) {
		switch {
		case n == 0:
		case at+1+len(word) > columns:
			b.WriteString("\n" + indent)
			at = len(indent)
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += len(word)
	}
	b.WriteByte('\n')
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
