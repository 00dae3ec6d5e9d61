package capture

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/alert"
	"github.com/pcapwarden/pcapwarden/internal/failpoint"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
)

// resolve stops what an alert started. A resolution that overtakes its alert
// leaves a record, so that the alert starts nothing when it comes; where the
// alert would start nothing anyway, there is none.
func (s *Starter) resolve(ctx context.Context, a alert.Alert, now time.Time) (Result, error) {
	r := Result{Incident: IncidentID(a.ID)}
	_, err := s.Ledger.Incident(ctx, r.Incident)
	if errors.Is(err, ledger.ErrNotFound) {
		fired := a
		fired.Condition = alert.Fired
		if d := s.Policy.Decide(fired, now); len(d.Allowed)+len(d.Awaiting) == 0 {
			return r, nil
		}
	} else if err != nil {
		return r, fmt.Errorf("read incident %s: %w", r.Incident, err)
	}
	a, refusal, err := s.verify(ctx, a)
	if err != nil {
		return r, fmt.Errorf("verify alert: %w", err)
	}
	if refusal != nil {
		r.Refused = append(r.Refused, *refusal)
		return r, nil
	}
	_, fresh, err := s.Ledger.OpenIncident(ctx, Incident{ID: r.Incident, Alert: ref(&a), Received: now, Resolved: now})
	if err != nil {
		return r, fmt.Errorf("record incident %s: %w", r.Incident, err)
	}
	if fresh {
		return r, nil
	}
	r.Known = true
	i, err := s.Ledger.ChangeIncident(ctx, r.Incident, func(i *Incident) error {
		if !i.Resolved.IsZero() {
			return ledger.ErrUnchanged
		}
		i.Resolved = now
		return nil
	})
	if err != nil {
		return r, fmt.Errorf("record that incident %s is resolved: %w", r.Incident, err)
	}
	failpoint.Here("resolution-recorded")
	s.Log.InfoContext(ctx, "alert resolved", "incident", i.ID, "rule", a.Rule, "cases", len(i.Cases))
	cases, err := s.Ledger.Cases(ctx, i)
	if err != nil {
		return r, fmt.Errorf("list cases of incident %s: %w", r.Incident, err)
	}
	for _, c := range cases {
		if c.State.Done() && c.State != Joined {
			continue
		}
		c, err := s.over(ctx, c.ref(), a.ID, now)
		if err != nil {
			return r, err
		}
		if c.State == Capturing && !c.Resolved.IsZero() && c.StopAsked.IsZero() {
			if stopped, err := s.stop(ctx, c, actorSelf, "the alert is resolved"); err != nil {
				s.Log.WarnContext(ctx, "capture not stopped yet", "incident", c.Incident, "capture", c.ID, "err", err)
			} else {
				c = stopped
			}
		}
		r.Cases = append(r.Cases, c)
	}
	return r, nil
}

// overtaken tells cases that their alert was resolved while they were recorded.
func (s *Starter) overtaken(ctx context.Context, i Incident, cases []Case) error {
	if i.Resolved.IsZero() {
		return nil
	}
	for n, c := range cases {
		var err error
		if cases[n], err = s.over(ctx, c.ref(), i.Alert.ID, i.Resolved); err != nil {
			return err
		}
	}
	return nil
}

// over records with a case, and with the one that it joined, that an alert is
// resolved; it returns the one that captures.
func (s *Starter) over(ctx context.Context, at CaseRef, alertID string, now time.Time) (Case, error) {
	c, err := s.Ledger.Change(ctx, at.Incident, at.Case, func(c *Case) error {
		if !c.resolve(alertID, now) {
			return ledger.ErrUnchanged
		}
		return nil
	})
	if err != nil {
		return c, fmt.Errorf("record that the alert of case %s is resolved: %w", at.Case, err)
	}
	if c.State == Joined && c.JoinedTo != nil && *c.JoinedTo != at {
		return s.over(ctx, *c.JoinedTo, alertID, now)
	}
	return c, nil
}
