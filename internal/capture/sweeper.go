package capture

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/ledger"
	"github.com/pcapwarden/pcapwarden/internal/telemetry"
)

// sweepLease keeps two sweeps off the same subscription. A sweep that is
// killed holds it that long; one that is slow may meet another, which is harmless.
const sweepLease = 20 * time.Second

// sweepBudget is how long one sweep begins work; the next goes on.
const sweepBudget = 4 * time.Minute

// A Sweeper compares what should be with what is, and mends the difference.
// It looks at states, never at events: what a trigger missed, the next sweep
// finds.
type Sweeper struct {
	Starter *Starter
	// Recover looks for files of a case whose event was lost, and raises the
	// events again: how many.
	Recover func(ctx context.Context, c Case) (int, error)
	// Expire deletes the evidence of a case: its files where they landed, in
	// the vault, and their reports. What is gone is no error; what a hold or
	// a retention policy keeps is evidence.ErrHeld.
	Expire func(ctx context.Context, c Case) error
	// Certify stores the certificate of a deletion, and says where and with
	// which hash. A repetition returns the first one. Nil: there is none.
	Certify func(ctx context.Context, c Case, by, reason string) (name, sha256 string, err error)
	// Chores are what else has to be done time and again. One that fails
	// keeps none of the others.
	Chores []func(ctx context.Context, deadline time.Time) error

	glances glances
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

// A tally counts from several goroutines.
type tally struct {
	mu     sync.Mutex
	totals Totals
	errs   []error
}

func (t *tally) add(a Action, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a != "" {
		t.totals[a]++
	}
	if err != nil {
		t.errs = append(t.errs, err)
	}
}

// Sweep looks at every case that is not Done, at the sessions of the policy's
// subscriptions, and at the evidence whose date has come. One bad record never
// stops the rest: its error is returned with the others' at the end.
func (s *Sweeper) Sweep(ctx context.Context) (Totals, error) {
	t := &tally{totals: Totals{}}
	began, active := time.Now(), 0
	defer func() { observe(ctx, t.totals, active, time.Since(began)) }()
	deadline := s.Starter.Now().Add(sweepBudget)
	cases := map[string][]Case{} // by subscription
	for _, sub := range s.Starter.Policy.Scope.Subscriptions {
		cases[strings.ToLower(sub)] = nil
	}
	for c, err := range s.Starter.Ledger.OpenCases(ctx, "") {
		if err != nil {
			t.add("", s.unreadable(ctx, c, err))
			continue
		}
		// A case that only has a computer's name is swept with the first.
		sub := cmp.Or(c.subscription(), strings.ToLower(s.Starter.Policy.Scope.Subscriptions[0]))
		cases[sub] = append(cases[sub], c)
		if c.State == Capturing {
			active++
		}
	}
	for _, sub := range slices.Sorted(maps.Keys(cases)) {
		t.add("", s.subscription(ctx, sub, cases[sub], deadline, t))
	}
	t.add("", s.expire(ctx, deadline, t))
	t.add("", s.forget(ctx, deadline, t))
	for _, chore := range s.Chores {
		t.add("", chore(ctx, deadline))
	}
	return t.totals, errors.Join(t.errs...)
}

// unreadable tells a person about a record, once, and goes on.
func (s *Sweeper) unreadable(ctx context.Context, c Case, cause error) error {
	if !errors.Is(cause, ledger.ErrCorrupt) {
		return cause
	}
	err := s.Starter.Notify(ctx, Notice{
		Kind: Trouble, Case: c, Title: "case record can't be read",
		Reason: fmt.Sprintf("%v: its capture is not looked after, and ends at the limits that Azure keeps; mend the record or delete it", cause),
	})
	return errors.Join(cause, err)
}

// urgency is the order of a sweep: what should end comes first, then what
// should begin, and a look at what simply runs last. So neither a crowd of new
// captures keeps an old one from being stopped, nor a crowd of old ones a new
// one from its start, when Azure lets few requests through.
func urgency(c Case, now time.Time) int {
	switch c.State {
	case Capturing:
		if due(c, now) {
			return 0
		}
		return 3
	case Asked:
		return 2
	case Awaiting:
		return 4
	}
	return 1
}

func (s *Sweeper) subscription(ctx context.Context, sub string, cases []Case, deadline time.Time, t *tally) error {
	st := s.Starter
	if until, err := st.Ledger.paused(ctx, sub, st.Now().UTC()); err != nil || !until.IsZero() {
		return err // Azure keeps the limits of what runs
	}
	lease, err := st.Ledger.Lease(ctx, "sweep-"+sub, sweepLease)
	if errors.Is(err, ledger.ErrLeased) {
		return nil // another instance sweeps it
	}
	if err != nil {
		return fmt.Errorf("sweep subscription %s: %w", sub, err)
	}
	defer func() {
		if err := lease.Release(context.WithoutCancel(ctx)); err != nil {
			st.Log.WarnContext(ctx, "lease not released, it will run out", "subscription", sub, "err", err)
		}
	}()
	l, err := s.list(ctx, sub)
	if err != nil && l == nil {
		return err
	}
	t.add("", err)
	if denied, ok := errors.AsType[*DeniedError](err); ok {
		t.add("", st.Notify(ctx, Notice{
			Kind: Trouble, Case: Case{Incident: "unknown"}, Title: "captures can't be listed",
			Reason: fmt.Sprintf("subscription %s: %v: give the app's identity the right, or take the subscription out of the policy", sub, denied),
		}))
	}
	now := st.Now().UTC()
	slices.SortStableFunc(cases, func(a, b Case) int { return urgency(a, now) - urgency(b, now) })
	var renewing sync.Mutex
	renewed := time.Now()
	each(cases, func(n int) bool {
		renewing.Lock()
		if time.Since(renewed) > sweepLease/3 {
			if err := lease.Renew(ctx); err != nil {
				t.add("", fmt.Errorf("sweep subscription %s: %w", sub, err))
			}
			renewed = time.Now()
		}
		renewing.Unlock()
		if ctx.Err() != nil || !st.Now().Before(deadline) {
			return false
		}
		c := cases[n]
		action, err := s.sweep(ctx, c, l)
		if errors.Is(err, errPaused) {
			return true // all the others will be, too
		}
		if err != nil {
			err = fmt.Errorf("%s capture %s: %w", action, c.ID, err)
		}
		t.add(action, err)
		return true
	})
	return s.strangers(ctx, sub, l, cases, t)
}

// A listing is the sessions of a subscription.
type listing struct {
	all     []Session
	byName  map[string]Session // lower case; names of others may be there twice
	partial bool               // some regions did not answer: what is not here may exist
}

// list reads what runs; nil if Azure wants no requests now, or said nothing at all.
func (s *Sweeper) list(ctx context.Context, sub string) (*listing, error) {
	sessions, err := s.Starter.Watcher.List(ctx, sub)
	if err != nil {
		err = fmt.Errorf("list packet captures of subscription %s: %w", sub, err)
		if t, ok := errors.AsType[*ThrottledError](err); ok {
			err = errors.Join(err, s.Starter.Ledger.pause(ctx, sub, s.Starter.Now().UTC(), t.RetryAfter))
			return nil, err
		}
	}
	l := &listing{all: sessions, byName: map[string]Session{}, partial: err != nil}
	for _, session := range sessions {
		l.byName[strings.ToLower(session.Name)] = session
	}
	return l, err
}

// sweep looks at one case, and does what the verdict says.
func (s *Sweeper) sweep(ctx context.Context, c Case, l *listing) (Action, error) {
	// What was listed may be old by now; what is acted upon should not be.
	c, err := s.Starter.Ledger.Case(ctx, c.Incident, c.ID)
	if err != nil {
		return Wait, err
	}
	o, err := s.observe(ctx, c, l)
	if err != nil {
		return Wait, err
	}
	now := s.Starter.Now().UTC()
	action, reason := Verdict(c, o, now)
	if action == Wait {
		return action, nil
	}
	ctx, span := traced(ctx, c, "sweep: "+string(action))
	err = s.act(ctx, c, o, action, reason, now)
	telemetry.End(span, err)
	return action, err
}

// throttled leaves the whole subscription alone for as long as Azure asks.
func (s *Sweeper) throttled(ctx context.Context, c Case, err error) error {
	if t, ok := errors.AsType[*ThrottledError](err); ok {
		return errors.Join(err, s.Starter.Ledger.pause(ctx, c.subscription(), s.Starter.Now().UTC(), t.RetryAfter))
	}
	return err
}
