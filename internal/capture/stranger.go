package capture

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
	"github.com/pcapwarden/pcapwarden/internal/resourceid"
	"github.com/pcapwarden/pcapwarden/internal/telemetry"
)

// strangerGrace is how long a session with our prefix may be unexplained: the
// session of a case that is over is deleted by then, its own deletion included.
const strangerGrace = 10 * time.Minute

// A stranger is a session that no case explains.
type stranger struct {
	Session   string    `json:"session"` // ARM ID
	Target    string    `json:"target"`
	FirstSeen time.Time `json:"firstSeen"`
	Reported  time.Time `json:"reported,omitzero"`
	StopAsked time.Time `json:"stopAsked,omitzero"`
}

// ours is what [Name] makes; nothing else is ever deleted. Two installations
// whose policies cover the same machines would take each other's captures for
// strays: scopes must not overlap.
var ours = regexp.MustCompile(`^` + Prefix + `[a-z2-7]{32}$`)

// Actions about sessions that no case explains.
const (
	Report Action = "report"
	Evict  Action = "evict" // stop and delete a session that bears our name
)

// strangers looks at the sessions on machines in the policy's scope that no
// open case explains. Those of others are reported, once; those with our
// prefix are reported, stopped and deleted after a grace.
func (s *Sweeper) strangers(ctx context.Context, sub string, l *listing, cases []Case, t *tally) error {
	st := s.Starter
	prefix := sub + "/"
	known := map[string]bool{}
	for k, err := range st.Ledger.strangers.List(ctx, prefix) {
		if err != nil {
			return fmt.Errorf("list unexplained sessions of subscription %s: %w", sub, err)
		}
		known[strings.TrimPrefix(k, prefix)] = true
	}
	open := map[string]bool{}
	for _, c := range cases {
		open[c.ID] = true
	}
	var errs []error
	for _, session := range l.all {
		if open[strings.ToLower(session.Name)] {
			continue
		}
		id, err := resourceid.Parse(session.Target)
		if err != nil || st.Policy.CheckTarget(id) != nil {
			continue
		}
		c, err := st.Ledger.ByName(ctx, strings.ToLower(session.Name))
		if err == nil && !c.State.Done() || err != nil && !errors.Is(err, ledger.ErrNotFound) {
			continue // explained, or nobody can say
		}
		k := digest(strings.ToLower(session.ID))
		action, err := s.stranger(ctx, prefix+k, known[k], session, c)
		t.add(action, err)
		if action == Report || action == Evict {
			telemetry.Orphans.Add(ctx, 1, string(action))
		}
		delete(known, k)
	}
	if l.partial {
		return nil
	}
	for k := range known { // gone, or explained by now
		errs = append(errs, st.Ledger.strangers.Delete(ctx, prefix+k))
	}
	return errors.Join(errs...)
}

// stranger deals with one of them; c is the case that is over, if there is one.
func (s *Sweeper) stranger(ctx context.Context, k string, known bool, session Session, c Case) (Action, error) {
	st := s.Starter
	now := st.Now().UTC()
	if !known {
		err := st.Ledger.strangers.Create(ctx, k, stranger{Session: session.ID, Target: session.Target, FirstSeen: now})
		if err != nil && !errors.Is(err, ledger.ErrExists) {
			return "", err
		}
		if ours.MatchString(session.Name) {
			return Wait, nil
		}
	}
	seen, err := st.Ledger.strangers.Read(ctx, k)
	if err != nil {
		return "", err
	}
	mine := ours.MatchString(session.Name)
	if mine && now.Sub(seen.FirstSeen) <= strangerGrace {
		return Wait, nil
	}
	action := Wait
	if seen.Reported.IsZero() && c.ID == "" {
		if err := st.Notify(ctx, describe(session, mine)); err != nil {
			return Report, err
		}
		action = Report
	}
	remember := func(change func(*stranger)) error {
		_, err := st.Ledger.strangers.Change(ctx, k, func(s *stranger) error { change(s); return nil })
		return err
	}
	if seen.Reported.IsZero() {
		if err := remember(func(s *stranger) { s.Reported = now }); err != nil {
			return action, err
		}
	}
	if !mine {
		return action, nil
	}
	if seen.StopAsked.IsZero() { // first, so that its file is completed
		c.SessionID, c.Target = session.ID, session.Target
		_ = st.log(ctx, c, audit.Stop, audit.Before, actorSelf, "no case explains session "+session.Name, "")
		outcome := audit.Done
		err := st.Watcher.Stop(ctx, session.ID)
		if err != nil {
			outcome = err.Error()
		}
		_ = st.log(ctx, c, audit.Stop, audit.After, actorSelf, "no case explains session "+session.Name, outcome)
		return Evict, errors.Join(err, remember(func(s *stranger) { s.StopAsked = now }))
	}
	c.Target = session.Target
	return Evict, s.delete(ctx, c, session, "no case explains session "+session.Name)
}

// describe words the notice about a session.
func describe(session Session, mine bool) Notice {
	n := Notice{Kind: Stranger, Case: Case{Incident: "unknown", Target: session.Target, Region: session.Region}}
	if mine {
		n.Title = "capture that no record explains"
		n.Reason = fmt.Sprintf("session %+.300q bears the name of this app's captures, and no record explains it; it is stopped and deleted: find out who started it", session.ID)
		return n
	}
	n.Title = "capture of somebody else"
	n.Reason = fmt.Sprintf("session %+.300q captures on a machine that this app watches, and this app did not start it: find out who did; it is left alone", session.ID)
	return n
}
