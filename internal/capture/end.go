package capture

import (
	"context"
	"errors"
	"fmt"

	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/failpoint"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
	"github.com/pcapwarden/pcapwarden/internal/telemetry"
)

// overBudget declines a case for want of starts. One message says so for all
// machines of the alert.
func (s *Starter) overBudget(ctx context.Context, c Case) (Case, error) {
	reason := fmt.Sprintf("%d captures were started within an hour, which is limits.startsPerHour: raise it, or narrow the alert rules", s.Policy.Limits.StartsPerHour)
	all := c
	all.ID, all.Target = "", ""
	if err := s.Notify(ctx, Notice{Failure, all, "captures declined", reason}); err != nil {
		return c, fmt.Errorf("report that the starts are used up: %w", err)
	}
	return s.settle(ctx, c, Declined, reason)
}

func (s *Starter) decline(ctx context.Context, c Case, reason string) (Case, error) {
	return s.end(ctx, c, Declined, "capture declined", reason)
}

func (s *Starter) fail(ctx context.Context, c Case, reason string) (Case, error) {
	return s.end(ctx, c, Lost, "capture failed", reason)
}

// end tells a person, then records: a message that is sent again is the same
// message, one that is never sent is lost.
func (s *Starter) end(ctx context.Context, c Case, state State, title, reason string) (Case, error) {
	if err := s.Notify(ctx, Notice{Failure, c, title, reason}); err != nil {
		return c, fmt.Errorf("report that capture %s is %s: %w", c.ID, state, err)
	}
	failpoint.Here("failure-reported")
	return s.settle(ctx, c, state, reason)
}

// settle records that a case is over.
func (s *Starter) settle(ctx context.Context, c Case, state State, reason string) (Case, error) {
	now := s.Now().UTC()
	c, err := s.Ledger.Change(ctx, c.Incident, c.ID, func(c *Case) error {
		if c.State.Done() {
			return ledger.ErrUnchanged
		}
		c.State, c.Reason = state, reason
		c.Note(now, "%s: %s", state, reason)
		return nil
	})
	if err == nil {
		s.Log.WarnContext(ctx, "capture "+string(state), "incident", c.Incident, "capture", c.ID, "target", c.Target, "reason", reason)
	}
	return c, err
}

// stop asks Azure to end a session, then records that it did: stopping twice
// is harmless, a stop that was recorded and never asked for is not. It does
// not wait for the audit log: a capture that should end ends.
func (s *Starter) stop(ctx context.Context, c Case, actor, reason string) (_ Case, err error) {
	ctx, span := traced(ctx, c, "stop capture")
	defer func() { telemetry.End(span, err) }()
	if err := s.log(ctx, c, audit.Stop, audit.Before, actor, reason, ""); err != nil {
		s.Log.ErrorContext(ctx, "stop is not in the audit log", "incident", c.Incident, "capture", c.ID, "err", err)
	}
	cause := s.Watcher.Stop(ctx, c.SessionID)
	if errors.Is(cause, ErrNotFound) {
		cause = nil
	}
	failpoint.Here("capture-stopped")
	outcome := audit.Done
	if cause != nil {
		outcome = cause.Error()
	} else {
		s.Log.InfoContext(ctx, "capture stopped", "incident", c.Incident, "capture", c.ID, "target", c.Target, "reason", reason)
	}
	if err := s.log(ctx, c, audit.Stop, audit.After, actor, reason, outcome); err != nil {
		s.Log.ErrorContext(ctx, "stop is not in the audit log", "incident", c.Incident, "capture", c.ID, "err", err)
	}
	now := s.Now().UTC()
	c, err = s.Ledger.Change(ctx, c.Incident, c.ID, func(c *Case) error {
		if cause != nil {
			c.StopError = cause.Error()
		} else {
			c.StopError = ""
		}
		if c.StopAsked.IsZero() { // from the first try on, however it went
			c.StopAsked = now
			c.Note(now, "asked to stop: %s", reason)
		}
		return nil
	})
	if cause != nil {
		if t, ok := errors.AsType[*ThrottledError](cause); ok {
			err = errors.Join(err, s.Ledger.pause(ctx, c.subscription(), now, t.RetryAfter))
		}
		cause = fmt.Errorf("stop capture %s: %w", c.ID, cause)
	}
	return c, errors.Join(cause, err)
}

// log appends one entry about a case to the audit log.
func (s *Starter) log(ctx context.Context, c Case, action audit.Action, phase audit.Phase, actor, reason, outcome string) error {
	return s.Audit.Append(ctx, audit.Entry{
		At: s.Now().UTC(), Actor: actor, Action: action, Phase: phase,
		Incident: c.Incident, Case: c.ID, Target: c.Target, Reason: reason, Outcome: outcome,
	})
}
