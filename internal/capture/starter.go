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
	"github.com/pcapwarden/pcapwarden/internal/failpoint"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
	"github.com/pcapwarden/pcapwarden/internal/policy"
)

// starts is how many sessions are started at once. Azure allows some 200
// writes a minute and subscription; each start is one, with a few reads.
const starts = 8

// A Starter answers alerts with captures.
type Starter struct {
	Watcher Watcher
	Ledger  *Ledger
	Policy  *policy.Policy
	Notify  Notify
	Now     func() time.Time
	Log     *slog.Logger
}

// Notify tells a person, through the incident queue, that a capture will not
// come. Telling the same again is no second message.
type Notify func(ctx context.Context, c Case, title, reason string) error

// A Result is what came of an alert.
type Result struct {
	Incident string
	Profile  string
	Known    bool // the alert had come before
	Cases    []Case
	Refused  []policy.Refusal
}

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
	r := Result{Incident: IncidentID(a.ID), Profile: d.Profile, Refused: d.Refused}
	if len(d.Allowed) == 0 {
		return r, nil
	}
	i := Incident{ID: r.Incident, Alert: ref(a), Received: now}
	var cases []Case
	for _, p := range d.Allowed {
		c := newCase(i, p, d.Profile, s.Policy.Hash, now)
		c.TraceParent = traceparent
		cases = append(cases, c)
		i.Cases = append(i.Cases, c.ID)
	}
	for _, refused := range d.Refused {
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
	for _, c := range cases {
		c, _, err := s.Ledger.Open(ctx, c)
		if err != nil {
			return r, fmt.Errorf("record case %s: %w", c.ID, err)
		}
		r.Cases = append(r.Cases, c)
	}
	failpoint.Here("cases-recorded")

	var wg sync.WaitGroup
	slots := make(chan struct{}, starts)
	for n := range r.Cases {
		if r.Cases[n].State != Asked {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			c, err := s.Begin(ctx, r.Cases[n])
			if err != nil {
				// The case is recorded: the next sweep begins it.
				s.Log.WarnContext(ctx, "capture not started yet", "incident", c.Incident, "capture", c.ID, "target", c.Target, "err", err)
			}
			r.Cases[n] = c
		})
	}
	wg.Wait()
	return r, nil
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
	if _, err := s.Ledger.ChangeIncident(ctx, r.Incident, func(i *Incident) error {
		if !i.Resolved.IsZero() {
			return ledger.ErrUnchanged
		}
		i.Resolved = now
		return nil
	}); err != nil {
		return r, fmt.Errorf("record that incident %s is resolved: %w", r.Incident, err)
	}
	failpoint.Here("resolution-recorded")
	for c, err := range s.Ledger.OpenCases(ctx, r.Incident) {
		if err != nil {
			return r, fmt.Errorf("list cases of incident %s: %w", r.Incident, err)
		}
		c, err := s.Ledger.Change(ctx, c.Incident, c.ID, func(c *Case) error {
			if !c.Resolved.IsZero() {
				return ledger.ErrUnchanged
			}
			c.Resolved = now
			c.Note(now, "alert resolved")
			return nil
		})
		if err != nil {
			return r, fmt.Errorf("record that case %s is resolved: %w", c.ID, err)
		}
		if c.State == Capturing && c.StopAsked.IsZero() {
			if stopped, err := s.stop(ctx, c, "the alert is resolved"); err != nil {
				s.Log.WarnContext(ctx, "capture not stopped yet", "incident", c.Incident, "capture", c.ID, "err", err)
			} else {
				c = stopped
			}
		}
		r.Cases = append(r.Cases, c)
	}
	return r, nil
}

// stop asks Azure to end a session, then records that it did: stopping twice
// is harmless, a stop that was recorded and never asked for is not.
func (s *Starter) stop(ctx context.Context, c Case, reason string) (Case, error) {
	if err := s.Watcher.Stop(ctx, c.SessionID); err != nil && !errors.Is(err, ErrNotFound) {
		return c, fmt.Errorf("stop capture %s: %w", c.ID, err)
	}
	failpoint.Here("capture-stopped")
	s.Log.InfoContext(ctx, "capture stopped", "incident", c.Incident, "capture", c.ID, "target", c.Target, "reason", reason)
	now := s.Now().UTC()
	return s.Ledger.Change(ctx, c.Incident, c.ID, func(c *Case) error {
		if !c.StopAsked.IsZero() {
			return ledger.ErrUnchanged
		}
		c.StopAsked = now
		c.Note(now, "asked to stop: %s", reason)
		return nil
	})
}

// Begin starts a case that is Asked: it consults Azure, acts, and records.
// Killed anywhere in between, it finds what it did by the session's name. The
// returned case is as far as it came; an error is worth another try.
func (s *Starter) Begin(ctx context.Context, c Case) (Case, error) {
	m, err := s.Watcher.Machine(ctx, c.Target)
	switch {
	case errors.Is(err, ErrNotFound):
		return s.decline(ctx, c, "the machine does not exist: was it deleted, or is this a test alert?")
	case err != nil:
		return s.postpone(ctx, c, err)
	}
	storage, blocker := s.qualify(m, c)
	if blocker != "" {
		return s.decline(ctx, c, blocker)
	}
	c.Region, c.VMID, c.Addresses, c.StorageID = m.Region, m.VMID, m.Addresses, storage
	session, err := s.Watcher.Find(ctx, subscription(c.Target), c.Region, c.ID)
	switch {
	case errors.Is(err, ErrNoWatcher):
		return s.decline(ctx, c, fmt.Sprintf("the region %s has no Network Watcher: enable it, it is not created here", c.Region))
	case errors.Is(err, ErrNotFound):
		session, err = s.Watcher.Start(ctx, c.spec())
		if exists, ok := errors.AsType[*ExistsError](err); ok { // another instance was faster
			session, err = exists.Session, nil
		}
	}
	if err != nil {
		return s.postpone(ctx, c, err)
	}
	failpoint.Here("capture-started")
	if !strings.EqualFold(session.Target, c.Target) {
		return s.fail(ctx, c, fmt.Sprintf("a session of its name captures on another machine, %q", session.Target))
	}
	return s.adopt(ctx, c, session)
}

// qualify says why a machine cannot be captured on, in words that say what to
// do; or else where its captures land.
func (s *Starter) qualify(m Machine, c Case) (storageID, blocker string) {
	landing, refusal := s.Policy.CheckMachine(m.Tags, m.Region)
	switch {
	case refusal != nil:
		return "", refusal.Message
	case m.ManagedBy != "":
		return "", fmt.Sprintf("the machine is managed by %s, which does not allow the Network Watcher agent; on AKS use Retina", m.ManagedBy)
	case m.Type == AzureVM && m.Power != "" && m.Power != "running":
		return "", fmt.Sprintf("the machine is %s, not running: start it first", m.Power)
	case m.Type == AzureVM && !m.Agent.Present:
		return "", "the machine has no Network Watcher agent: install the extension of publisher Microsoft.Azure.NetworkWatcher"
	case m.Type == AzureVM && m.Agent.ProvisioningState != "Succeeded":
		return "", fmt.Sprintf("the machine's Network Watcher agent is in state %q, not Succeeded: repair the extension", m.Agent.ProvisioningState)
	case c.TargetType == AzureVMSS && len(c.Instances) == 0:
		return "", "capturing on scale sets needs a list of instances, and none is known"
	}
	return landing.String(), ""
}

// adopt records a session that runs.
func (s *Starter) adopt(ctx context.Context, c Case, session Session) (Case, error) {
	if session.StoragePath != "" {
		if err := s.Ledger.ExpectAt(ctx, session.StoragePath, c); err != nil {
			return c, fmt.Errorf("record where capture %s lands: %w", c.ID, err)
		}
	}
	failpoint.Here("path-recorded")
	now := s.Now().UTC()
	found := c
	c, err := s.Ledger.Change(ctx, c.Incident, c.ID, func(c *Case) error {
		if c.State != Asked {
			return ledger.ErrUnchanged
		}
		c.State, c.Reason = Capturing, ""
		c.SessionID, c.StoragePath, c.Started = session.ID, session.StoragePath, now
		c.Region = cmp.Or(found.Region, session.Region)
		c.VMID, c.StorageID, c.Addresses = found.VMID, found.StorageID, found.Addresses
		c.Note(now, "capture started")
		return nil
	})
	if err != nil {
		return c, fmt.Errorf("record capture %s: %w", c.ID, err)
	}
	s.Log.InfoContext(ctx, "capture started", "incident", c.Incident, "capture", c.ID, "target", c.Target,
		"profile", c.Profile, "limit", c.TimeLimit.String(), "bytes", c.TotalBytes)
	return c, nil
}

// postpone leaves a case to a later sweep, or gives up where waiting does not
// help.
func (s *Starter) postpone(ctx context.Context, c Case, cause error) (Case, error) {
	if _, ok := errors.AsType[*DeniedError](cause); ok {
		return s.fail(ctx, c, cause.Error())
	}
	now := s.Now().UTC()
	throttled, _ := errors.AsType[*ThrottledError](cause)
	c, err := s.Ledger.Change(ctx, c.Incident, c.ID, func(c *Case) error {
		if c.State != Asked {
			return ledger.ErrUnchanged
		}
		c.Attempts++
		c.Reason = cause.Error()
		if throttled != nil {
			c.NotBefore = now.Add(throttled.RetryAfter)
		}
		return nil
	})
	return c, errors.Join(cause, err)
}

func (s *Starter) decline(ctx context.Context, c Case, reason string) (Case, error) {
	return s.end(ctx, c, Declined, reason)
}

func (s *Starter) fail(ctx context.Context, c Case, reason string) (Case, error) {
	return s.end(ctx, c, Lost, reason)
}

// end tells a person, then records: a message that is sent again is the same
// message, one that is never sent is lost.
func (s *Starter) end(ctx context.Context, c Case, state State, reason string) (Case, error) {
	title := "capture failed"
	if state == Declined {
		title = "capture declined"
	}
	if err := s.Notify(ctx, c, title, reason); err != nil {
		return c, fmt.Errorf("report that capture %s is %s: %w", c.ID, state, err)
	}
	failpoint.Here("failure-reported")
	now := s.Now().UTC()
	s.Log.WarnContext(ctx, title, "incident", c.Incident, "capture", c.ID, "target", c.Target, "reason", reason)
	return s.Ledger.Change(ctx, c.Incident, c.ID, func(c *Case) error {
		if c.State.Done() {
			return ledger.ErrUnchanged
		}
		c.State, c.Reason = state, reason
		c.Note(now, "%s: %s", title, reason)
		return nil
	})
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
		Target: p.Target.String(), TargetType: p.TargetType, Instances: p.Only,
		Filters: slices.Clone(p.Filters), TimeLimit: p.TimeLimit, TotalBytes: p.TotalBytes, BytesPerPacket: p.BytesPerPacket,
		Retention: p.Retention, Asked: now, DeleteAfter: now.Add(p.Retention),
	}
	c.ID = Name(i.ID, c.Target, profile)
	c.Note(now, "asked for by alert rule %q, profile %s", i.Alert.Rule, profile)
	return c
}

func (c Case) spec() Spec {
	return Spec{
		Name: c.ID, Target: c.Target, TargetType: c.TargetType, Instances: c.Instances, Region: c.Region,
		StorageID: c.StorageID, Filters: c.Filters, TimeLimit: c.TimeLimit, TotalBytes: c.TotalBytes, BytesPerPacket: c.BytesPerPacket,
	}
}

// subscription is the subscription of a resource ID that was parsed before.
func subscription(id string) string {
	if parts := strings.Split(id, "/"); len(parts) > 2 {
		return strings.ToLower(parts[2])
	}
	return ""
}
