package capture

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/failpoint"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
)

// act does what a verdict says.
func (s *Sweeper) act(ctx context.Context, c Case, o Observation, action Action, reason string, now time.Time) error {
	st := s.Starter
	var err error
	switch action {
	case Wait:
	case Begin:
		_, err = st.Begin(ctx, c)
	case Adopt:
		// What only the machine can tell is nice to have, no more.
		if m, err := st.Watcher.Machine(ctx, c.Target); err == nil {
			c.VMID, c.Addresses = m.VMID, m.Addresses
		}
		c.Region = o.Session.Region
		_, err = st.adopt(ctx, c, o.Session)
	case Watch:
		err = s.note(ctx, c, now, reason, func(c *Case) {
			if c.OddSince.IsZero() {
				c.OddSince = now
			} else {
				c.OddSince = time.Time{}
			}
		})
	case Halt:
		_, err = st.stop(ctx, c, actorSelf, reason)
	case Settle:
		ended := false
		_, err = st.Ledger.Change(ctx, c.Incident, c.ID, func(c *Case) error {
			if ended = c.State == Capturing; !ended { // the file was faster
				return ledger.ErrUnchanged
			}
			c.State, c.Stopped = Ended, now
			c.StopReason, c.AgentErrors = o.Status.StopReason, o.Status.Errors
			c.Note(now, "capture ended: %s", reason)
			return nil
		})
		if err == nil && ended {
			st.Log.InfoContext(ctx, "capture ended", "incident", c.Incident, "capture", c.ID, "target", c.Target, "reason", reason)
		}
	case Search:
		st.Log.WarnContext(ctx, "looking for the file of a capture", "incident", c.Incident, "capture", c.ID, "reason", reason)
		err = s.search(ctx, c, o, reason, now)
	case Accept:
		err = s.note(ctx, c, now, reason, func(c *Case) { c.State, c.Reason = Analysed, reason })
	case Discard:
		err = s.discard(ctx, c, o, reason, now)
	case Close:
		err = s.note(ctx, c, now, "closed", func(c *Case) {
			if !c.State.Done() {
				c.State = Closed
			}
		})
		if err == nil && !c.State.Done() {
			st.Log.InfoContext(ctx, "case closed", "incident", c.Incident, "capture", c.ID, "reason", reason)
		}
	case Fail:
		err = s.giveUp(ctx, c, o, reason)
	case Decline:
		_, err = st.decline(ctx, c, reason)
	default:
		err = fmt.Errorf("no such action: %s", action)
	}
	return err
}

// note changes a case that is still in the same state, and says why.
func (s *Sweeper) note(ctx context.Context, c Case, now time.Time, reason string, change func(*Case)) error {
	was := c.State
	_, err := s.Starter.Ledger.Change(ctx, c.Incident, c.ID, func(c *Case) error {
		if c.State != was {
			return ledger.ErrUnchanged
		}
		change(c)
		c.Note(now, "%s", reason)
		return nil
	})
	return err
}

// search looks for the files of a session whose event did not come.
func (s *Sweeper) search(ctx context.Context, c Case, o Observation, reason string, now time.Time) error {
	found, err := s.Recover(ctx, c)
	switch {
	case err != nil:
		return err
	case found == 0 && len(c.Files) > 0:
		return s.note(ctx, c, now, fmt.Sprintf("%d of %d files came", len(c.Files), max(1, len(c.Instances))), func(c *Case) { c.State = Analysed })
	case found == 0:
		return s.giveUp(ctx, c, o, reason)
	}
	return s.note(ctx, c, now, fmt.Sprintf("%d files found without their event: events raised again", found), func(c *Case) {
		c.Stopped = now // wait as long again
		c.Searches++
	})
}

// giveUp deletes the session first: a failed case is not looked at again.
func (s *Sweeper) giveUp(ctx context.Context, c Case, o Observation, reason string) error {
	if o.Found && strings.EqualFold(o.Session.Target, c.Target) {
		if err := s.delete(ctx, c, o.Session, reason); err != nil {
			return err
		}
	}
	_, err := s.Starter.fail(ctx, c, reason)
	return err
}

// delete removes a session. It is in the audit log before and after, or it
// does not happen.
func (s *Sweeper) delete(ctx context.Context, c Case, session Session, reason string) error {
	st := s.Starter
	if err := st.log(ctx, c, audit.Delete, audit.Before, actorSelf, reason, ""); err != nil {
		return err
	}
	if err := st.Watcher.Delete(ctx, session.ID); err != nil {
		_ = st.log(ctx, c, audit.Delete, audit.After, actorSelf, reason, err.Error()) // it will be tried again
		return s.throttled(ctx, c, s.stuck(ctx, c, err))
	}
	failpoint.Here("session-deleted")
	return st.log(ctx, c, audit.Delete, audit.After, actorSelf, reason, audit.Done)
}

// stuck tells a person about a capture that Azure neither stops nor deletes.
func (s *Sweeper) stuck(ctx context.Context, c Case, cause error) error {
	if c.State == Capturing && s.Starter.Now().Sub(c.StopAsked) > 2*stopPatience {
		if err := s.Starter.Notify(ctx, Notice{
			Kind: Trouble, Case: c, Title: "capture can't be ended",
			Reason: fmt.Sprintf("Azure neither stops nor deletes session %s; it ends at its own limits of %v and %d bytes: delete it in the portal", c.SessionID, c.TimeLimit, c.TotalBytes),
		}); err != nil {
			return fmt.Errorf("%w; and nobody could be told: %w", cause, err)
		}
	}
	return cause
}

// discard deletes a session and records it. A case that was still capturing
// waits for its file as if the session had ended by itself.
func (s *Sweeper) discard(ctx context.Context, c Case, o Observation, reason string, now time.Time) error {
	if err := s.delete(ctx, c, o.Session, reason); err != nil {
		return err
	}
	s.Starter.Log.InfoContext(ctx, "session deleted", "incident", c.Incident, "capture", c.ID, "reason", reason)
	return s.note(ctx, c, now, "session deleted: "+reason, func(c *Case) {
		if c.Stopped.IsZero() {
			c.Stopped, c.StopReason, c.AgentErrors = now, o.Status.StopReason, o.Status.Errors
		}
		switch c.State {
		case Capturing:
			c.State = Ended
		case Analysed:
			c.State = Closed
		}
	})
}
