package analyzecapture

import (
	"context"
	"errors"
	"fmt"

	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/custody"
	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/incident"
	"github.com/pcapwarden/pcapwarden/internal/telemetry"
)

// isolate marks a file where it landed as one that nobody may take for
// evidence, and says so in the audit log. One that is gone needs no mark.
func (a *Analyzer) isolate(ctx context.Context, c capture.Case, name string, landing evidence.Landing, reason string) error {
	why := "evidence"
	if c.ID == "" {
		why = "unknown-file"
	}
	telemetry.Quarantined.Add(ctx, 1, why)
	err := landing.SetTags(ctx, name, custody.QuarantineTags(c.Incident, c.ID))
	if errors.Is(err, evidence.ErrNotFound) {
		err = nil
	}
	outcome := audit.Done
	if err != nil {
		outcome = err.Error()
		err = fmt.Errorf("mark a file as quarantined: %w", err)
	}
	return errors.Join(err, a.log(ctx, c, audit.Entry{Action: audit.Quarantine, Phase: audit.After, File: name, Reason: reason, Outcome: outcome}))
}

// quarantine settles a file whose evidence does not hold: nothing is said of
// what it shows, the landed copy stays, nothing is deleted, and a person hears
// of it. It returns the ID of the stored message.
func (a *Analyzer) quarantine(ctx context.Context, c capture.Case, l evidence.Landed, landing evidence.Landing, e *examined, wrong string) (string, error) {
	e.file.Quarantine = wrong
	e.file.Cause, e.file.Culprit = "quarantined", "unknown"
	if err := a.isolate(ctx, c, l.Name, landing, wrong); err != nil {
		a.Log.WarnContext(ctx, "file not marked", "incident", c.Incident, "capture", c.ID, "err", err)
	}
	o := origin(c)
	o.Source, o.Version = a.Source, a.Version
	m, err := incident.Quarantined(o, e.file.Vault, wrong, a.Now())
	if err != nil {
		return "", err
	}
	a.Log.ErrorContext(ctx, "evidence quarantined", "incident", c.Incident, "capture", c.ID, "file", e.file.Vault, "reason", wrong)
	return a.post(ctx, c, l, e.file, m, true)
}

// log appends an entry about a case to the audit log.
func (a *Analyzer) log(ctx context.Context, c capture.Case, e audit.Entry) error {
	e.At, e.Actor, e.Incident, e.Case, e.Target = a.Now().UTC(), actor, c.Incident, c.ID, c.Target
	return a.Audit.Append(ctx, e)
}
