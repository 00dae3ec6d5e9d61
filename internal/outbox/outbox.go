// Package outbox keeps each message from before it is sent until everything
// that follows is done: the case says so, and the copy of the evidence is gone
// from where it landed. Whoever is killed in between loses nothing and sends
// nothing twice; the next delivery, or the next sweep, goes on.
package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/failpoint"
	"github.com/pcapwarden/pcapwarden/internal/incident"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
	"github.com/pcapwarden/pcapwarden/internal/telemetry"
)

// Schema is the version of an [Entry].
const Schema = "pcapwarden.outbox/v1"

// late is the age at which a message that waits is worth a warning.
const late = 15 * time.Minute

// An Entry is a message about a file, and what is left to do about both. It is
// called by the message's ID.
type Entry struct {
	Schema   string           `json:"schema"`
	Incident string           `json:"incident"`
	Case     string           `json:"case"`
	File     capture.File     `json:"file"`    // as the case is to have it
	Account  string           `json:"account"` // storage account where it landed
	Keep     bool             `json:"keep"`    // the landed copy stays: somebody has to look at it
	Message  incident.Message `json:"message"`
	Stored   time.Time        `json:"stored"`
	Sent     time.Time        `json:"sent,omitzero"`

	TraceParent string `json:"traceparent,omitempty"` // of who stored it
}

// A Box is the outbox in the records.
type Box struct {
	Ledger  *capture.Ledger
	Queue   incident.Queue
	Landing func(account string) (evidence.Landing, error)
	Audit   *audit.Log
	Now     func() time.Time
	Log     *slog.Logger

	entries  ledger.Records[Entry]
	rechecks ledger.Records[Recheck]
}

// New returns the outbox in a store.
func New(s ledger.Store, b Box) *Box {
	b.entries, b.rechecks = ledger.In[Entry](s, "outbox/"), Rechecks(s)
	return &b
}

// Put stores an entry before anything of it is done. One that an earlier try
// stored stays as it is.
func (b *Box) Put(ctx context.Context, e Entry) error {
	e.Schema, e.Stored, e.TraceParent = Schema, b.Now().UTC(), telemetry.TraceParent(ctx)
	err := e.Message.Check()
	if err == nil {
		err = b.entries.Create(ctx, e.Message.ID, e)
	}
	if err != nil && !errors.Is(err, ledger.ErrExists) {
		return fmt.Errorf("store message %s: %w", e.Message.ID, err)
	}
	return nil
}

// Deliver does what is left to do about the entry with that message ID. An
// entry that is not there has been dealt with.
func (b *Box) Deliver(ctx context.Context, id string) (err error) {
	e, err := b.entries.Read(ctx, id)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil
	}
	if err == nil && e.Schema != Schema {
		err = fmt.Errorf("message %s: %w: schema is %.40q, want %q", id, ledger.ErrCorrupt, e.Schema, Schema)
	}
	if err != nil {
		return err
	}
	ctx, span := telemetry.Resume(ctx, e.TraceParent, "deliver message")
	defer func() { telemetry.End(span, err) }()
	if err := b.admit(ctx, e); err != nil {
		return err
	}
	failpoint.Here("file-recorded")
	if e.Sent.IsZero() {
		if err := b.Queue.Send(ctx, e.Message); err != nil {
			return fmt.Errorf("send message of capture %s: %w", e.Case, err)
		}
		failpoint.Here("message-sent")
		now := b.Now().UTC()
		telemetry.LandedSealed.Record(ctx, now.Sub(e.File.Landed))
		if e, err = b.entries.Change(ctx, id, func(e *Entry) error { e.Sent = now; return nil }); err != nil {
			return err
		}
		failpoint.Here("message-marked")
	}
	// A landing account that does not let its file go keeps no case from going on.
	cleared, notCleared := false, error(nil)
	if !e.Keep {
		cleared, notCleared = b.clear(ctx, e)
		failpoint.Here("landing-cleared")
	}
	if err := errors.Join(b.record(ctx, e, cleared), notCleared); err != nil {
		return err
	}
	failpoint.Here("findings-recorded")
	if e.File.Manifest != "" {
		r := Recheck{CaseRef: capture.CaseRef{Incident: e.Incident, Case: e.Case}, File: e.File.Name}
		if err := b.rechecks.Create(ctx, RecheckKey(e.Stored.Add(firstRecheck), id), r); err != nil && !errors.Is(err, ledger.ErrExists) {
			return fmt.Errorf("plan to verify the evidence of capture %s again: %w", e.Case, err)
		}
	}
	return b.entries.Delete(ctx, id)
}

// A Recheck is evidence that is verified again when its time has come.
type Recheck struct {
	capture.CaseRef
	File string `json:"file"`
}

// firstRecheck is how long after it was sealed evidence is verified again.
const firstRecheck = 24 * time.Hour

// Rechecks are the records of evidence to verify again, in the order of time.
func Rechecks(s ledger.Store) ledger.Records[Recheck] { return ledger.In[Recheck](s, "recheck/") }

// RecheckKey is the record of evidence that is to be verified again at that
// time.
func RecheckKey(at time.Time, id string) string { return at.UTC().Format("20060102t1504") + "/" + id }

// Flush delivers everything that waits, until the deadline.
func (b *Box) Flush(ctx context.Context, deadline time.Time) error {
	var errs []error
	oldest := time.Duration(0)
	defer func() { telemetry.OutboxAge.Set(ctx, oldest.Seconds()) }()
	for id, err := range b.entries.List(ctx, "") {
		if err != nil {
			return errors.Join(append(errs, fmt.Errorf("list messages that wait: %w", err))...)
		}
		if ctx.Err() != nil || !b.Now().Before(deadline) {
			break
		}
		e, err := b.entries.Read(ctx, id)
		age := b.Now().Sub(e.Stored)
		if err == nil && e.Sent.IsZero() {
			oldest = max(oldest, age)
		}
		if err == nil && age < grace {
			continue // whoever stored it is about to send it
		} else if err == nil && e.Sent.IsZero() && age > late {
			b.Log.WarnContext(ctx, "message waits to be sent", "incident", e.Incident, "capture", e.Case, "message", id, "age", age)
		}
		errs = append(errs, b.Deliver(ctx, id))
	}
	return errors.Join(errs...)
}

// grace leaves a message to the invocation that stored it.
const grace = 5 * time.Second

// admit puts the file into the case: from here on its event is known.
func (b *Box) admit(ctx context.Context, e Entry) error {
	_, err := b.Ledger.Change(ctx, e.Incident, e.Case, func(c *capture.Case) error {
		if c.File(e.File.Name) != nil {
			return ledger.ErrUnchanged
		}
		f := e.File
		f.MessageID = e.Message.ID
		c.Files = append(c.Files, f)
		if f.Quarantine != "" && c.Hold == nil {
			c.Hold = &capture.Decision{By: actor, At: e.Stored, Reason: "quarantined: " + f.Quarantine}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("record the file of capture %s: %w", e.Case, err)
	}
	return nil
}

// actor is the program, in the audit log.
const actor = "pcapwarden"

// record says in the case that the message is sent.
func (b *Box) record(ctx context.Context, e Entry, cleared bool) error {
	now := b.Now().UTC()
	c, err := b.Ledger.Change(ctx, e.Incident, e.Case, func(c *capture.Case) error {
		f := c.File(e.File.Name)
		if f == nil || f.MessageID != e.Message.ID {
			return ledger.ErrUnchanged
		}
		if cleared && f.Cleared.IsZero() {
			f.Cleared = now
		}
		if f.Sent.IsZero() {
			f.Sent = e.Sent
			if f.Quarantine != "" {
				c.Note(e.Sent, "quarantined: %s", f.Quarantine)
			} else {
				c.Note(e.Sent, "analysed: %s, culprit %s", f.Cause, f.Culprit)
			}
		}
		sent := 0
		for _, f := range c.Files {
			if !f.Sent.IsZero() {
				sent++
			}
		}
		if !c.State.Done() && sent >= max(1, len(c.Instances)) {
			c.State, c.Reason = capture.Analysed, ""
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("record findings of capture %s: %w", e.Case, err)
	}
	b.Log.InfoContext(ctx, "findings sent", "incident", c.Incident, "capture", c.ID,
		"cause", e.File.Cause, "culprit", e.File.Culprit, "message", e.Message.ID, "bytes", e.File.Bytes)
	return nil
}

// clear deletes the copy where it landed: the version that was read, and no
// other. What somebody wrote over it meanwhile stays, and has an event of its
// own.
func (b *Box) clear(ctx context.Context, e Entry) (cleared bool, err error) {
	landing, err := b.Landing(e.Account)
	if err != nil {
		return false, err
	}
	entry := audit.Entry{
		Actor: actor, Action: audit.Clear, Incident: e.Incident, Case: e.Case, File: e.File.Name,
		Reason: "the vault's copy was read back and sealed",
	}
	if err := b.log(ctx, entry, audit.Before, ""); err != nil {
		return false, err
	}
	outcome := audit.Done
	err = landing.Delete(ctx, e.File.Name, e.File.ETag)
	switch {
	case errors.Is(err, evidence.ErrNotFound):
		err = nil // by an earlier try
	case errors.Is(err, evidence.ErrChanged):
		outcome, err = "another version is there by now, and stays", nil
	case errors.Is(err, evidence.ErrHeld):
		outcome, err = "a hold or retention policy of the landing account keeps it: expiry tries again", nil
	case err != nil:
		outcome = err.Error()
	}
	if err := errors.Join(err, b.log(ctx, entry, audit.After, outcome)); err != nil {
		return false, fmt.Errorf("clear the landed copy of capture %s: %w", e.Case, err)
	}
	return outcome == audit.Done, nil
}

func (b *Box) log(ctx context.Context, e audit.Entry, phase audit.Phase, outcome string) error {
	e.At, e.Phase, e.Outcome = b.Now().UTC(), phase, outcome
	return b.Audit.Append(ctx, e)
}
