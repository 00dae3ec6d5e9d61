package analyzecapture

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/custody"
	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
	"github.com/pcapwarden/pcapwarden/internal/report"
)

const (
	// maxCompared bounds how many captures are on an incident's page: each one
	// that comes has the page written anew.
	maxCompared = 24
	// maxRewrites bounds how often it is written because others came meanwhile.
	maxRewrites = 8
)

// summarise writes the pages of an incident: all its captures, compared. They
// are written anew when another capture of it is analysed. Whoever writes
// looks again afterwards, so that the last one to write has seen all.
func (a *Analyzer) summarise(ctx context.Context, c capture.Case) error {
	for range maxRewrites {
		pages, members, err := a.members(ctx, c)
		if err != nil {
			return fmt.Errorf("summarise incident %s: %w", c.Incident, err)
		}
		if len(members) == 0 {
			return nil
		}
		sum := sha256.Sum256(fmt.Append(nil, members))
		written := false
		for _, page := range []struct {
			suffix string
			write  func(*bytes.Buffer) error
		}{
			{".html", func(b *bytes.Buffer) error { return report.Incident(b, pages) }},
			{".md", func(b *bytes.Buffer) error { return report.IncidentMarkdown(b, pages) }},
		} {
			var text bytes.Buffer
			if err := page.write(&text); err != nil {
				return err
			}
			changed, err := a.replace(ctx, capture.IncidentPage(c.Incident)+page.suffix, text.Bytes(), hex.EncodeToString(sum[:16]))
			if err != nil {
				return fmt.Errorf("store the page of incident %s: %w", c.Incident, err)
			}
			written = written || changed
		}
		if !written {
			return nil
		}
	}
	return nil
}

// members are the captures of an incident, those that are analysed with their
// analysis; and the names of the latter.
func (a *Analyzer) members(ctx context.Context, c capture.Case) (pages []report.Page, members []string, err error) {
	i, err := a.Ledger.Incident(ctx, c.Incident)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, nil, nil // a case by itself
	}
	if err != nil {
		return nil, nil, err
	}
	cases, err := a.Ledger.Cases(ctx, i)
	if err != nil {
		return nil, nil, err
	}
	slices.SortStableFunc(cases, func(a, b capture.Case) int { return cmp.Compare(a.ID, b.ID) })
	for _, c := range cases {
		if c.State == capture.Joined || c.State == capture.Expired {
			continue
		}
		shown := false
		for _, f := range c.Files {
			if f.Analysis == "" || len(members) == maxCompared {
				continue
			}
			text, err := evidence.Load(ctx, a.Reports, f.Analysis, maxDocument)
			if errors.Is(err, evidence.ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, nil, err
			}
			found, err := report.ReadJSON(bytes.NewReader(text))
			if err != nil {
				return nil, nil, fmt.Errorf("analysis %q: %w", f.Analysis, err)
			}
			of := about(c)
			of.Report = f.Report
			sealed, err := a.sealed(ctx, f)
			if err != nil {
				return nil, nil, err
			}
			pages, members, shown = append(pages, report.Page{Analysis: found, Case: of, Custody: sealed, Context: found.Context}), append(members, f.Analysis), true
		}
		if !shown {
			of := about(c)
			of.State = cmp.Or(c.Reason, string(c.State))
			pages = append(pages, report.Page{Case: of})
		}
	}
	return pages, members, nil
}

// sealed is the custody manifest of a file as it was signed, or nil: a page says
// nothing of custody that no trusted key vouches for.
func (a *Analyzer) sealed(ctx context.Context, f capture.File) (*custody.Manifest, error) {
	if f.Manifest == "" {
		return nil, nil
	}
	envelope, err := evidence.Load(ctx, a.Vault, f.Manifest, maxDocument)
	if errors.Is(err, evidence.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("manifest %q: %w", f.Manifest, err)
	}
	keys, err := a.Signer.Trusted(ctx)
	if err != nil {
		return nil, err
	}
	m, err := custody.OpenManifest(envelope, keys)
	if err != nil || custody.Digest(envelope) != f.ManifestSHA256 {
		a.Log.WarnContext(ctx, "manifest is not the one that was sealed: the incident's page leaves it out", "manifest", f.Manifest, "err", err)
		return nil, nil
	}
	return &m, nil
}

// replace stores a document in place of an older one, unless that is of the
// same members. Another writer in between makes it begin anew; a writer that
// is killed between the two steps is followed by the next delivery.
func (a *Analyzer) replace(ctx context.Context, name string, text []byte, members string) (changed bool, err error) {
	for range maxRewrites {
		f, err := a.Reports.Open(ctx, name)
		if err == nil && f.Info().Tags["members"] == members {
			return false, nil
		}
		if err == nil {
			err = a.Reports.Delete(ctx, name, f.Info().ETag)
		}
		if err != nil && !errors.Is(err, evidence.ErrNotFound) && !errors.Is(err, evidence.ErrChanged) {
			return false, err
		}
		_, err = a.Reports.Create(ctx, name, bytes.NewReader(text), map[string]string{"members": members})
		if !errors.Is(err, evidence.ErrExists) {
			return err == nil, err
		}
	}
	return false, fmt.Errorf("%q is written by too many at once", name)
}
