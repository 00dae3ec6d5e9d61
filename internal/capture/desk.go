package capture

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
)

// A Desk is where people decide about captures. Every decision has a person
// and a reason, and both are recorded with the case and in the audit log. Who
// may decide what is for the caller to check.
type Desk struct {
	Sweeper *Sweeper
}

// A Person is who decides, and why.
type Person struct {
	Name   string // as the directory has it; never empty
	Reason string // never empty
}

// Bounds of what a person writes, in bytes.
const (
	maxPerson = 200
	maxWhy    = 1000
)

func (p Person) check() error {
	switch {
	case strings.TrimSpace(p.Name) == "" || len(p.Name) > maxPerson:
		return fmt.Errorf("a decision needs a person's name of at most %d bytes", maxPerson)
	case strings.TrimSpace(p.Reason) == "" || len(p.Reason) > maxWhy:
		return fmt.Errorf("a decision needs a reason of at most %d bytes", maxWhy)
	}
	return nil
}

// A Query picks cases; a zero field picks all.
type Query struct {
	Incident string
	State    State
	Target   string // part of the machine's ID, without case
	Profile  string
	Since    time.Time // asked for at or after
	Closed   bool      // those that are Done, too
	Most     int       // at most that many; 0: 1000
}

func (q Query) matches(c Case) bool {
	return (q.State == "" || c.State == q.State) &&
		(q.Target == "" || strings.Contains(strings.ToLower(c.Target), strings.ToLower(q.Target))) &&
		(q.Profile == "" || c.Profile == q.Profile) &&
		(q.Since.IsZero() || !c.Asked.Before(q.Since))
}

// List returns the cases of a query, the latest first. A record that can't be
// read is left out, and its error returned with the rest.
func (d *Desk) List(ctx context.Context, q Query) ([]Case, error) {
	l := d.Sweeper.Starter.Ledger
	if q.Incident != "" && ledger.CheckKey(q.Incident) != nil {
		return nil, fmt.Errorf("incident %.80q: %w", q.Incident, ledger.ErrNotFound)
	}
	var found []Case
	var errs []error
	for c, err := range l.OpenCases(ctx, q.Incident) {
		if err != nil {
			errs = append(errs, err)
		} else if q.matches(c) {
			found = append(found, c)
		}
	}
	if q.Closed || q.State.Done() {
		for c, err := range l.ClosedCases(ctx, q.Incident) {
			if err != nil {
				errs = append(errs, err)
			} else if q.matches(c) {
				found = append(found, c)
			}
		}
	}
	slices.SortStableFunc(found, func(a, b Case) int { return cmp.Or(b.Asked.Compare(a.Asked), cmp.Compare(a.ID, b.ID)) })
	return found[:min(len(found), cmp.Or(q.Most, 1000))], errors.Join(errs...)
}

// Show returns a case by its ID: ledger.ErrNotFound.
func (d *Desk) Show(ctx context.Context, id string) (Case, error) {
	return d.Sweeper.Starter.Ledger.ByName(ctx, id)
}

// Approve has a case that awaits approval start: at once if it can be, or else
// by the next sweep. ErrState if it does not wait.
func (d *Desk) Approve(ctx context.Context, id string, p Person) (Case, error) {
	c, err := d.decide(ctx, id, p, audit.Approve, (*Case).approve)
	if err != nil {
		return c, err
	}
	st := d.Sweeper.Starter
	begun, err := st.Begin(ctx, c)
	if err != nil {
		st.Log.WarnContext(ctx, "capture not started yet", "incident", c.Incident, "capture", c.ID, "err", err)
		return c, nil // the sweep goes on
	}
	return begun, nil
}

// Reject ends a case that awaits approval: ErrState.
func (d *Desk) Reject(ctx context.Context, id string, p Person) (Case, error) {
	return d.decide(ctx, id, p, audit.Reject, (*Case).reject)
}

// Hold keeps the evidence of a case past its date: ErrState.
func (d *Desk) Hold(ctx context.Context, id string, p Person) (Case, error) {
	return d.decide(ctx, id, p, audit.Hold, (*Case).hold)
}

// Release ends a hold: evidence whose date has come is deleted by the next
// sweep. ErrState.
func (d *Desk) Release(ctx context.Context, id string, p Person) (Case, error) {
	c, err := d.decide(ctx, id, p, audit.Release, (*Case).release)
	if err != nil {
		return c, err
	}
	return c, d.Sweeper.Starter.Ledger.expireOn(ctx, c, c.DeleteAfter)
}

// decide records a decision: in the audit log, with the case, and in the
// audit log again.
func (d *Desk) decide(ctx context.Context, id string, p Person, action audit.Action, change func(*Case, Decision) error) (Case, error) {
	if err := p.check(); err != nil {
		return Case{}, err
	}
	st := d.Sweeper.Starter
	c, err := d.Show(ctx, id)
	if err != nil {
		return c, err
	}
	decision := Decision{By: p.Name, At: st.Now().UTC(), Reason: p.Reason}
	if try := c; change(&try, decision) != nil { // what is not possible is not logged
		return c, change(&c, decision)
	}
	if err := st.log(ctx, c, action, audit.Before, p.Name, p.Reason, ""); err != nil {
		return c, err
	}
	changed, err := st.Ledger.Change(ctx, c.Incident, c.ID, func(c *Case) error { return change(c, decision) })
	outcome := audit.Done
	if err != nil {
		outcome = err.Error()
	} else {
		c = changed
	}
	return c, errors.Join(err, st.log(ctx, c, action, audit.After, p.Name, p.Reason, outcome))
}

// Stop ends a capture that runs, or one that has not begun: ErrState.
func (d *Desk) Stop(ctx context.Context, id string, p Person) (Case, error) {
	if err := p.check(); err != nil {
		return Case{}, err
	}
	st := d.Sweeper.Starter
	c, err := d.Show(ctx, id)
	if err != nil {
		return c, err
	}
	switch c.State {
	case Capturing:
		return st.stop(ctx, c, p.Name, p.Reason)
	case Asked, Awaiting: // a session that runs and is not recorded yet is adopted, then stopped
		return d.decide(ctx, id, p, audit.Stop, func(c *Case, decision Decision) error {
			if c.State != Asked && c.State != Awaiting {
				return fmt.Errorf("stop capture %s: %w: it is %s by now; stop it again", c.ID, ErrState, c.State)
			}
			c.Resolved, c.StopReason = decision.At, fmt.Sprintf("%s did not want it any more: %s", decision.By, decision.Reason)
			c.Note(decision.At, "%s", c.StopReason)
			return nil
		})
	}
	return c, fmt.Errorf("stop capture %s: %w: it is %s", c.ID, ErrState, c.State)
}

// Delete deletes the evidence of a case before its date: ErrState while it
// runs or is held, evidence.ErrHeld if the storage keeps it.
func (d *Desk) Delete(ctx context.Context, id string, p Person) (Case, error) {
	if err := p.check(); err != nil {
		return Case{}, err
	}
	c, err := d.Show(ctx, id)
	if err != nil {
		return c, err
	}
	switch {
	case !c.State.Done():
		return c, fmt.Errorf("delete the evidence of capture %s: %w: it is %s; stop it, and wait until it is closed", c.ID, ErrState, c.State)
	case c.Hold != nil:
		return c, fmt.Errorf("delete the evidence of capture %s: %w: it is held by %s", c.ID, ErrState, c.Hold.By)
	case !c.Deleted.IsZero():
		return c, nil
	}
	return d.Sweeper.erase(ctx, c, p.Name, p.Reason)
}

// ExportSchema is the version of an export.
const ExportSchema = "pcapwarden.export/v1"

// An Export is everything that is recorded of a case, for the incident's file:
// what was asked and allowed, who decided what, and who had the evidence.
type Export struct {
	Schema   string        `json:"schema"`
	Exported time.Time     `json:"exported"`
	By       string        `json:"by"`
	Reason   string        `json:"reason"`
	Case     Case          `json:"case"`
	Incident Incident      `json:"incident"`
	Audit    []audit.Entry `json:"audit"`
}

// Export returns the record of a case. Without the audit log there is none.
func (d *Desk) Export(ctx context.Context, id string, p Person) (Export, error) {
	if err := p.check(); err != nil {
		return Export{}, err
	}
	st := d.Sweeper.Starter
	c, err := d.Show(ctx, id)
	if err != nil {
		return Export{}, err
	}
	if err := st.log(ctx, c, audit.Export, audit.Before, p.Name, p.Reason, ""); err != nil {
		return Export{}, err
	}
	e := Export{Schema: ExportSchema, Exported: st.Now().UTC(), By: p.Name, Reason: p.Reason, Case: c, Audit: []audit.Entry{}}
	if e.Incident, err = st.Ledger.Incident(ctx, c.Incident); err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return Export{}, err
	}
	for entry, err := range st.Audit.All(ctx) {
		if err != nil {
			return Export{}, err
		}
		if entry.Case == c.ID {
			e.Audit = append(e.Audit, entry)
		}
	}
	return e, st.log(ctx, c, audit.Export, audit.After, p.Name, p.Reason, audit.Done)
}
