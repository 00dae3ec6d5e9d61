package capture

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"path"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/failpoint"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
	"github.com/pcapwarden/pcapwarden/internal/telemetry"
)

// Delete is the action of deleting evidence whose date has come; Keep that of
// keeping it because of a hold.
const (
	Delete Action = "expire"
	Keep   Action = "hold"
)

// dueFormat makes keys that sort by time.
const dueFormat = "20060102t1504"

// heldAgain is when evidence that is held is looked at again.
const heldAgain = 24 * time.Hour

// overdueGrace is how long evidence may be kept from deletion by anything but
// a hold before a person hears of it.
const overdueGrace = 24 * time.Hour

// expireOn remembers that a case may have evidence, and when it has to go. It
// is written before there is any, so that none is forgotten.
func (l *Ledger) expireOn(ctx context.Context, c Case, at time.Time) error {
	// The minute after, so that nothing goes early.
	k := at.UTC().Add(time.Minute).Format(dueFormat) + "/" + key(c.Incident, c.ID)
	if err := l.due.Create(ctx, k, c.ref()); err != nil && !errors.Is(err, ledger.ErrExists) {
		return fmt.Errorf("record when the evidence of capture %s has to go: %w", c.ID, err)
	}
	return nil
}

// expire deletes the evidence whose date has come.
func (s *Sweeper) expire(ctx context.Context, deadline time.Time, t *tally) error {
	st := s.Starter
	now := st.Now().UTC()
	due, err := dueBy(st.Ledger.due.List(ctx, ""), now, math.MaxInt)
	if err != nil {
		return fmt.Errorf("list evidence that is due: %w", err)
	}
	overdue := 0
	for _, k := range due {
		if date, _, _ := strings.Cut(k, "/"); date < now.Add(-overdueGrace).Format(dueFormat) {
			overdue++ // what is held was given another date
		}
	}
	telemetry.ExpiryOverdue.Set(ctx, float64(overdue))
	s.eachDue(ctx, due, deadline, t, func(k string) (Action, error) {
		action, err := s.expireOne(ctx, k, now)
		if err != nil {
			err = fmt.Errorf("delete evidence of capture %s: %w", path.Base(k), err)
		}
		return action, err
	})
	return nil
}

// dueBy returns the keys, at most that many, whose date has come. Keys begin
// with it and are listed in their order.
func dueBy(keys iter.Seq2[string, error], now time.Time, most int) (due []string, err error) {
	for k, err := range keys {
		if err != nil {
			return nil, err
		}
		if date, _, _ := strings.Cut(k, "/"); date > now.Format(dueFormat) || len(due) == most {
			break
		}
		due = append(due, k)
	}
	return due, nil
}

// eachDue does what is due, until the deadline: the rest is the next sweep's.
func (s *Sweeper) eachDue(ctx context.Context, due []string, deadline time.Time, t *tally, do func(k string) (Action, error)) {
	each(due, func(n int) bool {
		if ctx.Err() != nil || !s.Starter.Now().Before(deadline) {
			return false
		}
		t.add(do(due[n]))
		return true
	})
}

func (s *Sweeper) expireOne(ctx context.Context, k string, now time.Time) (Action, error) {
	l := s.Starter.Ledger
	at, err := l.due.Read(ctx, k)
	if errors.Is(err, ledger.ErrNotFound) {
		return "", nil // another sweep was faster
	}
	if err != nil {
		return "", err
	}
	c, err := l.Case(ctx, at.Incident, at.Case)
	if err != nil {
		return "", err
	}
	switch {
	case !c.Deleted.IsZero():
		return Delete, l.due.Delete(ctx, k)
	case now.Before(c.DeleteAfter): // the clock is not the one that wrote the date
		return Keep, nil
	case c.Hold != nil:
		return Keep, s.keep(ctx, c, k, now, fmt.Sprintf("held by %s: %s", c.Hold.By, c.Hold.Reason))
	}
	_, err = s.erase(ctx, c, actorSelf, "its date has come: "+c.DeleteAfter.UTC().Format(time.RFC3339))
	if errors.Is(err, evidence.ErrHeld) {
		const why = "a hold or retention policy of the storage keeps it"
		return Keep, errors.Join(s.keep(ctx, c, k, now, why), s.late(ctx, c, now, errors.New(why)))
	}
	if err != nil {
		return Delete, errors.Join(err, s.late(ctx, c, now, err))
	}
	return Delete, l.due.Delete(ctx, k)
}

// erase deletes the evidence of a case, with an entry in the audit log before
// and after: without the log nothing is deleted.
func (s *Sweeper) erase(ctx context.Context, c Case, actor, reason string) (Case, error) {
	st := s.Starter
	if err := st.log(ctx, c, audit.Expire, audit.Before, actor, reason, ""); err != nil {
		return c, err
	}
	if err := s.Expire(ctx, c); err != nil {
		_ = st.log(ctx, c, audit.Expire, audit.After, actor, reason, err.Error()) // it will be tried again
		return c, err
	}
	failpoint.Here("evidence-deleted")
	now := st.Now().UTC()
	done := audit.Entry{
		At: now, Actor: actor, Action: audit.Expire, Phase: audit.After,
		Incident: c.Incident, Case: c.ID, Target: c.Target, Reason: reason, Outcome: audit.Done,
	}
	var err error
	if s.Certify != nil {
		if done.File, done.SHA256, err = s.Certify(ctx, c, actor, reason); err != nil {
			return c, fmt.Errorf("certify the deletion: %w", err)
		}
		failpoint.Here("deletion-certified")
	}
	if err := st.Audit.Append(ctx, done); err != nil {
		return c, err
	}
	c, err = st.Ledger.Change(ctx, c.Incident, c.ID, func(c *Case) error {
		if c.State == Closed || c.State == Held || !c.State.Done() {
			c.State = Expired
		}
		c.Deleted, c.Reason = now, "evidence deleted: "+reason
		c.Note(now, "evidence deleted: %s", reason)
		return nil
	})
	if err == nil {
		st.Log.InfoContext(ctx, "evidence deleted", "incident", c.Incident, "capture", c.ID, "files", len(c.Files), "reason", reason)
	}
	return c, err
}

// keep looks at held evidence again tomorrow.
func (s *Sweeper) keep(ctx context.Context, c Case, k string, now time.Time, reason string) error {
	l := s.Starter.Ledger
	if err := l.expireOn(ctx, c, now.Add(heldAgain)); err != nil {
		return err
	}
	if _, err := l.Change(ctx, c.Incident, c.ID, func(c *Case) error {
		if c.State != Closed {
			return ledger.ErrUnchanged
		}
		c.State, c.Reason = Held, reason
		c.Note(now, "due for deletion, and %s", reason)
		return nil
	}); err != nil {
		return err
	}
	return l.due.Delete(ctx, k)
}

// late tells a person about evidence that outlives its date.
func (s *Sweeper) late(ctx context.Context, c Case, now time.Time, cause error) error {
	if now.Sub(c.DeleteAfter) <= overdueGrace {
		return nil
	}
	return s.Starter.Notify(ctx, Notice{
		Kind: Trouble, Case: c, Title: "evidence can't be deleted",
		Reason: fmt.Sprintf("it should be gone since %s: %v", c.DeleteAfter.UTC().Format(time.RFC3339), cause),
	})
}
