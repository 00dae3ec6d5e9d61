package capture

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/failpoint"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
)

// Prune is the action of deleting the records of an incident whose evidence is
// gone for as long as the policy keeps them. The audit log keeps its entries.
const Prune Action = "forget"

// forgetSoon is when an incident is first looked at: one without a case, such
// as a resolution that overtook its alert, is of no use any more by then.
const forgetSoon = 24 * time.Hour

// forgets bounds the incidents that one sweep looks at.
const forgets = 100

// forgetOn remembers when to look whether an incident can be forgotten.
func (l *Ledger) forgetOn(ctx context.Context, incident string, at time.Time) error {
	k := at.UTC().Add(time.Minute).Format(dueFormat) + "/" + incident
	if err := l.forget.Create(ctx, k, incident); err != nil && !errors.Is(err, ledger.ErrExists) {
		return fmt.Errorf("record when to forget incident %s: %w", incident, err)
	}
	return nil
}

// forget deletes the records whose date has come.
func (s *Sweeper) forget(ctx context.Context, deadline time.Time, t *tally) error {
	st := s.Starter
	now := st.Now().UTC()
	due, err := dueBy(st.Ledger.forget.List(ctx, ""), now, forgets)
	if err != nil {
		return fmt.Errorf("list records that are due: %w", err)
	}
	s.eachDue(ctx, due, deadline, t, func(k string) (Action, error) {
		action, err := s.forgetOne(ctx, k, now)
		if err != nil {
			err = fmt.Errorf("forget incident %s: %w", path.Base(k), err)
		}
		return action, err
	})
	return nil
}

func (s *Sweeper) forgetOne(ctx context.Context, k string, now time.Time) (Action, error) {
	l := s.Starter.Ledger
	i, err := l.Incident(ctx, path.Base(k))
	if errors.Is(err, ledger.ErrNotFound) {
		return "", l.forget.Delete(ctx, k)
	}
	if err != nil {
		return "", err
	}
	cases, err := l.Cases(ctx, i)
	if err != nil {
		return "", err
	}
	until := i.Received.Add(forgetSoon)
	for _, c := range cases {
		until = latest(until, c.forgettable(s.Starter.Policy.Records.Retention, now))
	}
	if now.Before(until) {
		if err := l.forgetOn(ctx, i.ID, until); err != nil {
			return "", err
		}
		return "", l.forget.Delete(ctx, k)
	}
	for _, c := range cases {
		if err := s.forgetCase(ctx, c); err != nil {
			return Prune, err
		}
	}
	if err := l.incidents.Delete(ctx, i.ID); err != nil {
		return Prune, err
	}
	if len(cases) > 0 {
		s.Starter.Log.InfoContext(ctx, "incident forgotten", "incident", i.ID, "cases", len(cases))
	}
	return Prune, l.forget.Delete(ctx, k)
}

// forgettable is from when on nobody needs the record of a case: never before
// its evidence is gone, nor before its date.
func (c *Case) forgettable(retention time.Duration, now time.Time) time.Time {
	evidence := c.SessionID != "" || len(c.Files) > 0
	if !c.State.Done() || evidence && c.Deleted.IsZero() {
		return latest(now, c.DeleteAfter).Add(forgetSoon)
	}
	return latest(c.DeleteAfter, c.Deleted).Add(retention)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// forgetCase deletes the record of a case, last of all that leads to it. The
// audit log says so first: without it nothing is forgotten.
func (s *Sweeper) forgetCase(ctx context.Context, c Case) error {
	st, l := s.Starter, s.Starter.Ledger
	reason := fmt.Sprintf("the records of a capture that is %s are kept for %v", c.State, st.Policy.Records.Retention)
	if err := st.log(ctx, c, audit.Forget, audit.Before, actorSelf, reason, ""); err != nil {
		return err
	}
	if c.StoragePath != "" {
		if err := l.paths.Delete(ctx, pathKey(c.StoragePath)); err != nil {
			return err
		}
	}
	if c.Target != "" {
		if err := l.vacate(ctx, c); err != nil {
			return err
		}
	}
	if err := l.names.Delete(ctx, c.ID); err != nil {
		return err
	}
	failpoint.Here("name-forgotten")
	if err := errors.Join(l.open.Delete(ctx, key(c.Incident, c.ID)), l.closed.Delete(ctx, key(c.Incident, c.ID))); err != nil {
		return err
	}
	return st.log(ctx, c, audit.Forget, audit.After, actorSelf, reason, audit.Done)
}

// vacate deletes the record of a case's machine, unless another case is on it.
func (l *Ledger) vacate(ctx context.Context, c Case) error {
	return l.machines.DeleteIf(ctx, digest(strings.ToLower(c.Target)), func(r machineRecord) bool {
		for _, h := range r.Holders {
			if h.CaseRef != c.ref() {
				if _, err := l.Case(ctx, h.Incident, h.Case); !errors.Is(err, ledger.ErrNotFound) {
					return false
				}
			}
		}
		return true
	})
}
