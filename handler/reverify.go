package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/custody"
	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/incident"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
	"github.com/pcapwarden/pcapwarden/internal/outbox"
)

const (
	// recheckEvery is how often evidence is verified again.
	recheckEvery = 7 * 24 * time.Hour
	// rechecksASweep and recheckBytes bound what one sweep verifies: the next
	// goes on.
	rechecksASweep = 5
	recheckBytes   = 512 << 20
)

// A reverifier holds evidence against its manifests again, some of it with
// each sweep. What does not match is quarantined, and never hashed anew into
// a record.
type reverifier struct {
	ledger    *capture.Ledger
	rechecks  ledger.Records[outbox.Recheck]
	vault     files
	signer    custody.Signer
	incidents incident.Queue
	audit     *audit.Log
	source    string
	now       func() time.Time
	log       *slog.Logger
}

func (v *reverifier) run(ctx context.Context, deadline time.Time) error {
	now := v.now().UTC()
	var due []string
	for k, err := range v.rechecks.List(ctx, "") {
		if err != nil {
			return fmt.Errorf("list evidence to verify again: %w", err)
		}
		if date, _, _ := strings.Cut(k, "/"); date > now.Format("20060102t1504") || len(due) == rechecksASweep {
			break
		}
		due = append(due, k)
	}
	if len(due) == 0 {
		return nil
	}
	trusted, err := v.signer.Trusted(ctx)
	if err != nil {
		return fmt.Errorf("verify evidence again: %w", err)
	}
	var errs []error
	bytes := int64(0)
	for _, k := range due {
		if ctx.Err() != nil || !v.now().Before(deadline) || bytes > recheckBytes {
			break
		}
		n, err := v.one(ctx, k, trusted)
		bytes += n
		if err != nil {
			errs = append(errs, fmt.Errorf("verify evidence again: %w", err))
		}
	}
	return errors.Join(errs...)
}

// one verifies the file of a record, and plans the next time. It returns how
// many bytes that took.
func (v *reverifier) one(ctx context.Context, k string, trusted []custody.PublicKey) (int64, error) {
	r, err := v.rechecks.Read(ctx, k)
	if errors.Is(err, ledger.ErrNotFound) {
		return 0, nil // another sweep was faster
	}
	if err != nil {
		return 0, err
	}
	c, err := v.ledger.Case(ctx, r.Incident, r.Case)
	if err != nil {
		return 0, err
	}
	f := c.File(r.File)
	if f == nil || f.Manifest == "" || f.Quarantine != "" || !c.Deleted.IsZero() {
		return 0, v.rechecks.Delete(ctx, k)
	}
	wrong, err := custody.Reverify(ctx, v.vault, trusted, f.Vault, f.ManifestSHA256)
	if errors.Is(err, evidence.ErrNotFound) {
		if again, err := v.ledger.Case(ctx, r.Incident, r.Case); err != nil || !again.Deleted.IsZero() || v.now().After(again.DeleteAfter) && again.Hold == nil {
			return 0, err // it is about to go
		}
		wrong, err = "it is gone from the vault", nil
	}
	if err != nil {
		return f.Bytes, err
	}
	if wrong != "" {
		if err := v.quarantine(ctx, c, *f, wrong); err != nil {
			return f.Bytes, err
		}
		return f.Bytes, v.rechecks.Delete(ctx, k)
	}
	err = v.rechecks.Create(ctx, outbox.RecheckKey(v.now().Add(recheckEvery), path.Base(k)), r)
	if err != nil && !errors.Is(err, ledger.ErrExists) {
		return f.Bytes, err
	}
	return f.Bytes, v.rechecks.Delete(ctx, k)
}

// quarantine keeps what does not match as it is, and tells a person.
func (v *reverifier) quarantine(ctx context.Context, c capture.Case, f capture.File, wrong string) error {
	v.log.ErrorContext(ctx, "evidence quarantined", "incident", c.Incident, "capture", c.ID, "file", f.Vault, "reason", wrong)
	now := v.now().UTC()
	if err := v.vault.SetTags(ctx, f.Vault, custody.QuarantineTags(c.Incident, c.ID)); err != nil && !errors.Is(err, evidence.ErrNotFound) {
		v.log.WarnContext(ctx, "file not marked", "incident", c.Incident, "capture", c.ID, "err", err)
	}
	if err := v.audit.Append(ctx, audit.Entry{
		At: now, Actor: "pcapwarden", Action: audit.Quarantine, Phase: audit.After, Incident: c.Incident, Case: c.ID, Target: c.Target,
		File: f.Vault, Reason: wrong, Outcome: audit.Done,
	}); err != nil {
		return err
	}
	m, err := incident.Quarantined(origin(c, v.source), f.Vault, wrong, now)
	if err == nil {
		err = v.incidents.Send(ctx, m)
	}
	if err != nil {
		return fmt.Errorf("report that evidence of capture %s is quarantined: %w", c.ID, err)
	}
	_, err = v.ledger.Change(ctx, c.Incident, c.ID, func(c *capture.Case) error {
		if f := c.File(f.Name); f != nil {
			f.Quarantine = wrong
		}
		if c.Hold == nil {
			c.Hold = &capture.Decision{By: "pcapwarden", At: now, Reason: "quarantined: " + wrong}
		}
		c.Note(now, "quarantined: %s", wrong)
		return nil
	})
	return err
}

// certify stores the certificate of a deletion in the vault.
func certify(vault files, signer custody.Signer, now func() time.Time) func(context.Context, capture.Case, string, string) (string, string, error) {
	return func(ctx context.Context, c capture.Case, by, reason string) (name, sha256 string, err error) {
		certificate := custody.Certificate{
			Schema: custody.CertificateSchema, Incident: c.Incident, Capture: c.ID, Deleted: now().UTC(), DeleteAfter: c.DeleteAfter.UTC(),
			By: by, Reason: reason, Erased: []custody.Erased{}, Tool: custody.ThisTool(buildVersion()),
			Note: "Files, their old versions and snapshots were deleted. Where the storage account has soft delete, it can bring them back until that window is over.",
		}
		for _, f := range c.Files {
			certificate.Erased = append(certificate.Erased, custody.Erased{Store: "vault", Name: f.Vault, Bytes: f.Bytes, SHA256: f.SHA256, Manifest: f.ManifestSHA256})
			for _, d := range append([]string{f.Analysis, f.Report, f.Markdown}, f.Excerpts...) {
				if d != "" {
					certificate.Erased = append(certificate.Erased, custody.Erased{Store: "reports", Name: d})
				}
			}
		}
		text, key, err := custody.Sign(ctx, signer, custody.CertificateType, certificate)
		if err != nil {
			return "", "", err
		}
		name = custody.CertificateName(c.Incident, c.ID)
		_, err = vault.Create(ctx, name, bytes.NewReader(text), map[string]string{"incident": c.Incident, "capture": c.ID, "classification": "restricted"})
		if errors.Is(err, evidence.ErrExists) { // an earlier try's
			text, err = evidence.Load(ctx, vault, name, 1<<20)
		}
		if err == nil {
			err = custody.StoreKey(ctx, vault, key)
		}
		return name, custody.Digest(text), err
	}
}
