package capture

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/alert"
	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/failpoint"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
	"github.com/pcapwarden/pcapwarden/internal/policy"
)

// atOnce is how many cases are worked on at once. Azure allows some 200
// writes a minute and subscription; each start is one, with a few reads.
const atOnce = 16

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
		return s.resolve(ctx, a, now)
	}
	d := s.Policy.Decide(*a, now)
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

// resolve stops what an alert started. A resolution that overtakes its alert
// leaves a record, so that the alert starts nothing when it comes.
func (s *Starter) resolve(ctx context.Context, a *alert.Alert, now time.Time) (Result, error) {
	r := Result{Incident: IncidentID(a.ID)}
	_, fresh, err := s.Ledger.OpenIncident(ctx, Incident{ID: r.Incident, Alert: ref(a), Received: now, Resolved: now})
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

func ref(a *alert.Alert) AlertRef {
	return AlertRef{
		ID: a.ID, Rule: a.Rule, Severity: a.Severity, Fired: a.Fired.UTC(),
		WindowStart: a.WindowStart, WindowEnd: a.WindowEnd,
	}
}

func newCase(i Incident, p policy.Plan, profile, hash string, now time.Time) Case {
	c := Case{
		Schema: CaseSchema, Incident: i.ID, State: Asked,
		Alert: i.Alert, Profile: profile, Role: string(p.Role), PolicyHash: hash,
		Approval: Approval{
			Mode: string(p.Approval.Mode), Reason: p.Approval.Reason, Owner: p.Approval.Owner,
			Approver: p.Approval.Approver, Expires: p.Approval.Expires,
		},
		Target: p.Target.String(), TargetType: p.TargetType, MaxInstances: p.Instances, NamedInstances: p.Only,
		Filters: slices.Clone(p.Filters), TimeLimit: p.TimeLimit, TotalBytes: p.TotalBytes, BytesPerPacket: p.BytesPerPacket,
		Retention: p.Retention, Asked: now, DeleteAfter: now.Add(p.Retention),
	}
	if p.Lookup != "" {
		c.Target, c.SoughtBy, c.Sought = "", p.Lookup, cmp.Or(p.Name, p.Target.String())
	}
	c.ID = Name(i.ID, cmp.Or(c.Target, string(c.SoughtBy)+" "+c.Sought), profile)
	c.Note(now, "asked for by alert rule %q, profile %s", i.Alert.Rule, profile)
	return c
}

func (c Case) spec() Spec {
	return Spec{
		Name: c.ID, Target: c.Target, TargetType: c.TargetType, Instances: c.Instances, Region: c.Region,
		StorageID: c.StorageID, Filters: c.Filters, TimeLimit: c.TimeLimit, TotalBytes: c.TotalBytes, BytesPerPacket: c.BytesPerPacket,
	}
}

// subscription is the subscription that a case is in, as far as it is known:
// that of its machine, or of what leads to it.
func (c Case) subscription() string {
	return cmp.Or(subscription(c.Target), subscription(c.Sought))
}

// subscription is the subscription of a resource ID that was parsed before.
func subscription(id string) string {
	if parts := strings.Split(id, "/"); len(parts) > 2 {
		return strings.ToLower(parts[2])
	}
	return ""
}
