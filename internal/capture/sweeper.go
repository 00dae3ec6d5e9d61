package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/failpoint"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
)

// sweepLease keeps two sweeps off the same subscription. A sweep that is
// killed holds it that long; one that is slow may meet another, which is harmless.
const sweepLease = 20 * time.Second

// A Sweeper compares what should be with what is, and mends the difference.
// It looks at states, never at events: what a trigger missed, the next sweep
// finds.
type Sweeper struct {
	Starter *Starter
	// Recover looks for the file of a case whose event was lost, and raises
	// the event again: false if there is none.
	Recover func(ctx context.Context, c Case) (bool, error)
}

// Totals is what a sweep did, by action.
type Totals map[Action]int

// LogValue makes the totals one group of a log line.
func (t Totals) LogValue() slog.Value {
	var attrs []slog.Attr
	for _, a := range slices.Sorted(maps.Keys(t)) {
		attrs = append(attrs, slog.Int(string(a), t[a]))
	}
	return slog.GroupValue(attrs...)
}

// Sweep looks at every case that is not Done, and at the sessions of their
// subscriptions. One bad record never stops the rest: its error is returned
// with the others' at the end.
func (s *Sweeper) Sweep(ctx context.Context) (Totals, error) {
	totals := Totals{}
	var errs []error
	cases := map[string][]Case{} // by subscription
	for c, err := range s.Starter.Ledger.OpenCases(ctx, "") {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		sub := subscription(c.Target)
		cases[sub] = append(cases[sub], c)
	}
	for _, sub := range slices.Sorted(maps.Keys(cases)) {
		if err := s.subscription(ctx, sub, cases[sub], totals); err != nil {
			errs = append(errs, err)
		}
	}
	return totals, errors.Join(errs...)
}

func (s *Sweeper) subscription(ctx context.Context, sub string, cases []Case, totals Totals) error {
	lease, err := s.Starter.Ledger.Lease(ctx, "sweep-"+sub, sweepLease)
	if errors.Is(err, ledger.ErrLeased) {
		return nil // another instance sweeps it
	}
	if err != nil {
		return fmt.Errorf("sweep subscription %s: %w", sub, err)
	}
	defer func() {
		if err := lease.Release(context.WithoutCancel(ctx)); err != nil {
			s.Starter.Log.WarnContext(ctx, "lease not released, it will run out", "subscription", sub, "err", err)
		}
	}()
	sessions, err := s.Starter.Watcher.List(ctx, sub)
	if err != nil {
		return fmt.Errorf("list packet captures of subscription %s: %w", sub, err)
	}
	byName := map[string]Session{}
	for _, session := range sessions {
		byName[strings.ToLower(session.Name)] = session
	}
	var errs []error
	renewed := s.Starter.Now()
	for _, c := range cases {
		if now := s.Starter.Now(); now.Sub(renewed) > sweepLease/3 {
			if err := lease.Renew(ctx); err != nil {
				return errors.Join(append(errs, fmt.Errorf("sweep subscription %s: %w", sub, err))...)
			}
			renewed = now
		}
		action, err := s.sweep(ctx, c, byName)
		totals[action]++
		if err != nil {
			errs = append(errs, fmt.Errorf("%s capture %s: %w", action, c.ID, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Sweeper) sweep(ctx context.Context, c Case, sessions map[string]Session) (Action, error) {
	// What was listed may be old by now; what is acted upon should not be.
	c, err := s.Starter.Ledger.Case(ctx, c.Incident, c.ID)
	if err != nil {
		return Wait, err
	}
	var o Observation
	o.Session, o.Found = sessions[c.ID]
	if o.Found && c.State == Capturing {
		if o.Status, err = s.Starter.Watcher.Status(ctx, o.Session.ID); err != nil && !errors.Is(err, ErrNotFound) {
			return Wait, err
		}
	}
	now := s.Starter.Now().UTC()
	action, reason := Verdict(c, o, now)
	return action, s.act(ctx, c, o, action, reason, now)
}

func (s *Sweeper) act(ctx context.Context, c Case, o Observation, action Action, reason string, now time.Time) error {
	st := s.Starter
	switch action {
	case Wait:
		return nil
	case Begin:
		_, err := st.Begin(ctx, c)
		return err
	case Adopt:
		_, err := st.Begin(ctx, c) // it finds the session by its name
		return err
	case Halt:
		_, err := st.stop(ctx, c, reason)
		return err
	case Settle:
		_, err := st.Ledger.Change(ctx, c.Incident, c.ID, func(c *Case) error {
			if c.State != Capturing { // the file was faster
				return ledger.ErrUnchanged
			}
			c.State, c.Stopped = Ended, now
			c.StopReason, c.AgentErrors = o.Status.StopReason, o.Status.Errors
			c.Note(now, "capture ended: %s", reason)
			return nil
		})
		return err
	case Search:
		found, err := s.Recover(ctx, c)
		if err != nil {
			return err
		}
		if !found {
			return s.giveUp(ctx, c, o, reason)
		}
		_, err = st.Ledger.Change(ctx, c.Incident, c.ID, func(c *Case) error {
			c.Stopped = now // wait as long again
			c.Note(now, "file found without its event: event raised again")
			return nil
		})
		return err
	case Discard:
		return s.discard(ctx, c, o, reason, now)
	case Close:
		_, err := st.Ledger.Change(ctx, c.Incident, c.ID, func(c *Case) error {
			if !c.State.Done() {
				c.State = Closed
				c.Note(now, "closed")
			}
			return nil
		})
		return err
	case Fail:
		return s.giveUp(ctx, c, o, reason)
	case Decline:
		_, err := st.decline(ctx, c, reason)
		return err
	}
	return fmt.Errorf("no such action: %s", action)
}

// giveUp deletes the session first: a failed case is not looked at again.
func (s *Sweeper) giveUp(ctx context.Context, c Case, o Observation, reason string) error {
	if o.Found && strings.EqualFold(o.Session.Target, c.Target) {
		if err := s.Starter.Watcher.Delete(ctx, o.Session.ID); err != nil {
			return err
		}
	}
	_, err := s.Starter.fail(ctx, c, reason)
	return err
}

// discard deletes a session and records it. A case that was still capturing
// waits for its file as if the session had ended by itself.
func (s *Sweeper) discard(ctx context.Context, c Case, o Observation, reason string, now time.Time) error {
	if err := s.Starter.Watcher.Delete(ctx, o.Session.ID); err != nil {
		return err
	}
	failpoint.Here("session-deleted")
	s.Starter.Log.InfoContext(ctx, "session deleted", "incident", c.Incident, "capture", c.ID, "reason", reason)
	_, err := s.Starter.Ledger.Change(ctx, c.Incident, c.ID, func(c *Case) error {
		switch c.State {
		case Capturing:
			c.State, c.Stopped = Ended, now
		case Analysed:
			c.State = Closed
		}
		c.Note(now, "session deleted: %s", reason)
		return nil
	})
	return err
}
