package capture

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/alert"
	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/failpoint"
	"github.com/pcapwarden/pcapwarden/internal/policy"
)

// atOnce is how many cases an invocation works on at once. Azure answers a
// request within some 100 ms, and allows a burst of 200 writes and ten more a
// second to each subscription; each start is one write after three reads.
// https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling
const atOnce = 32

// startBudget is how long an alert's invocation begins captures before it
// leaves the rest to the sweep: whoever sent the alert waits for an answer.
const startBudget = 30 * time.Second

// rounds is how often an invocation tries a case: once more helps against a
// hiccup, more is for the sweep.
const rounds = 3

// A Starter answers alerts with captures.
type Starter struct {
	Watcher   Watcher
	Directory Directory
	Ledger    *Ledger
	Policy    *policy.Policy
	Audit     *audit.Log
	Notify    Notify
	Now       func() time.Time
	Log       *slog.Logger
	// Off is the kill switch: nothing is started. What runs is stopped and
	// deleted as ever.
	Off bool
}

// A Result is what came of an alert.
type Result struct {
	Incident string
	Profile  string
	Known    bool // the alert had come before
	Cases    []Case
	Refused  []policy.Refusal // but for those that await approval: they are cases
}

// SwitchedOff is the reason of refusals while the kill switch is set.
const SwitchedOff policy.Reason = "switched-off"

// Start does for an alert what the policy allows: it records the incident and
// its cases, and starts what can be started at once. What can't be is left to
// the sweep, so an error means only that the records could not be written:
// then nothing was started that is not recorded, and the alert should come
// again.
func (s *Starter) Start(ctx context.Context, a *alert.Alert, traceparent string) (Result, error) {
	now := s.Now().UTC()
	if a.Condition == alert.Resolved {
		return s.resolve(ctx, *a, now)
	}
	d := s.Policy.Decide(*a, now)
	if len(d.Allowed)+len(d.Awaiting) > 0 { // what comes to nothing is not worth a question
		genuine, refusal, err := s.verify(ctx, *a)
		switch {
		case err != nil:
			return Result{}, fmt.Errorf("verify alert: %w", err)
		case refusal != nil:
			return Result{Incident: IncidentID(a.ID), Refused: []policy.Refusal{*refusal}}, nil
		}
		a, d = &genuine, s.Policy.Decide(genuine, now)
	}
	r := Result{Incident: IncidentID(a.ID), Profile: d.Profile}
	for _, refused := range d.Refused {
		if refused.Reason != policy.AwaitingApproval {
			r.Refused = append(r.Refused, refused)
		}
	}
	plans := slices.Concat(d.Allowed, d.Awaiting)
	if len(plans) == 0 {
		return r, nil
	}
	if s.Off {
		r.Refused = append(r.Refused, policy.Refusal{
			Reason: SwitchedOff, Message: "starting captures is switched off (PCAPWARDEN_STARTS=off); switch it on and let the alert fire again",
		})
		return r, nil
	}
	i := Incident{ID: r.Incident, Alert: ref(a), Received: now}
	var cases []Case
	for _, p := range plans {
		c := newCase(i, p, d.Profile, s.Policy.Hash, now)
		c.TraceParent = traceparent
		cases = append(cases, c)
		i.Cases = append(i.Cases, c.ID)
	}
	for _, refused := range r.Refused {
		i.Refused = append(i.Refused, Refused{refused.Target, string(refused.Reason), refused.Message})
	}
	known, fresh, err := s.Ledger.OpenIncident(ctx, i)
	if err != nil {
		return r, fmt.Errorf("record incident %s: %w", i.ID, err)
	}
	failpoint.Here("incident-recorded")
	r.Known = !fresh
	if !known.Resolved.IsZero() {
		r.Refused = append(r.Refused, policy.Refusal{
			Reason: policy.NotFired, Message: "the alert was resolved before it was received as fired; nothing is started",
		})
		return r, nil
	}
	var mu sync.Mutex
	var failed error
	each(cases, func(n int) bool {
		c, _, err := s.Ledger.Open(ctx, cases[n])
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			failed = cmp.Or(failed, fmt.Errorf("record case %s: %w", cases[n].ID, err))
		}
		cases[n] = c
		return failed == nil
	})
	if failed != nil {
		return r, failed
	}
	failpoint.Here("cases-recorded")
	s.Log.InfoContext(ctx, "alert accepted", "incident", i.ID, "rule", a.Rule, "profile", d.Profile,
		"cases", len(cases), "refused", len(r.Refused), "known", r.Known)
	r.Cases = cases
	// Whoever resolves the alert looks for cases after it recorded so: one of
	// the two sees the other.
	if known, err = s.Ledger.Incident(ctx, i.ID); err != nil {
		return r, fmt.Errorf("read incident %s: %w", i.ID, err)
	}
	if err := s.overtaken(ctx, known, r.Cases); err != nil {
		return r, err
	}
	s.beginAll(ctx, &r, now.Add(startBudget))
	return r, nil
}

// beginAll begins the cases that are Asked, until the deadline; a case that
// does not work out at once gets another chance in the next round. Cases that
// came up meanwhile, such as the machines of a flexible scale set, are added.
func (s *Starter) beginAll(ctx context.Context, r *Result, deadline time.Time) {
	for round := range rounds {
		each(r.Cases, func(n int) bool {
			if r.Cases[n].State != Asked {
				return true
			}
			if !s.Now().Before(deadline) || ctx.Err() != nil {
				return false
			}
			c, err := s.Begin(ctx, r.Cases[n])
			if err != nil && round == rounds-1 && !errors.Is(err, errPaused) {
				// The case is recorded: the next sweep begins it.
				s.Log.WarnContext(ctx, "capture not started yet", "incident", c.Incident, "capture", c.ID, "target", c.Target, "err", err)
			}
			r.Cases[n] = c
			return true
		})
		if slices.ContainsFunc(r.Cases, func(c Case) bool { return c.State == Joined && c.JoinedTo == nil }) {
			for c, err := range s.Ledger.OpenCases(ctx, r.Incident) {
				if err == nil && !slices.ContainsFunc(r.Cases, func(known Case) bool { return known.ID == c.ID }) {
					r.Cases = append(r.Cases, c)
				}
			}
		}
		asked := slices.ContainsFunc(r.Cases, func(c Case) bool { return c.State == Asked })
		if !asked || ctx.Err() != nil || !s.Now().Before(deadline) {
			return
		}
	}
}

// each calls f with every index of all, atOnce at a time, and no more after
// one of them returned false.
func each[T any](all []T, f func(n int) bool) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	stop := make(chan struct{})
	var once sync.Once
	for n := range all {
		slots <- struct{}{}
		select {
		case <-stop:
			<-slots
		default:
			wg.Go(func() {
				defer func() { <-slots }()
				if !f(n) {
					once.Do(func() { close(stop) })
				}
			})
			continue
		}
		break
	}
	wg.Wait()
}
