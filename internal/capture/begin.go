package capture

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/failpoint"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
	"github.com/pcapwarden/pcapwarden/internal/telemetry"
)

// actorSelf is who acts where no person asked.
const actorSelf = "pcapwarden"

// errPaused says that Azure wants no requests now.
var errPaused = errors.New("the subscription is throttled by Azure")

// Begin starts a case that is Asked: it consults Azure, acts, and records.
// Killed anywhere in between, it finds what it did by the session's name. The
// returned case is as far as it came; an error is worth another try.
func (s *Starter) Begin(ctx context.Context, c Case) (_ Case, err error) {
	ctx, span := traced(ctx, c, "begin capture")
	defer func() { telemetry.End(span, err) }()
	now := s.Now().UTC()
	if until, err := s.Ledger.paused(ctx, c.subscription(), now); err != nil {
		return c, err
	} else if !until.IsZero() {
		return c, fmt.Errorf("start capture %s: %w until %s", c.ID, errPaused, until.Format(time.RFC3339))
	}
	if c.Target == "" {
		target, no, err := s.find(ctx, c)
		if err != nil {
			return s.postpone(ctx, c, err)
		}
		if no != "" {
			return s.decline(ctx, c, string(no))
		}
		if c, err = s.Ledger.Change(ctx, c.Incident, c.ID, func(c *Case) error {
			c.Target = target
			c.Note(now, "%q is %s", c.Sought, target)
			return nil
		}); err != nil {
			return c, fmt.Errorf("record the machine of capture %s: %w", c.ID, err)
		}
	}
	m, err := s.Watcher.Machine(ctx, c.Target)
	switch {
	case errors.Is(err, ErrNotFound):
		return s.decline(ctx, c, "the machine does not exist: was it deleted, or is this a test alert?")
	case err != nil:
		return s.postpone(ctx, c, err)
	}
	if m.flexible() {
		return s.split(ctx, c, m)
	}
	c.Region, c.VMID, c.Addresses = m.Region, m.VMID, m.Addresses
	return s.start(ctx, c, m)
}

// start begins a capture on a machine that was found.
func (s *Starter) start(ctx context.Context, c Case, m Machine) (Case, error) {
	session, err := s.Watcher.Find(ctx, c.subscription(), c.Region, c.ID)
	switch {
	case err == nil: // who started it was killed
		return s.adopt(ctx, c, session)
	case errors.Is(err, ErrNoWatcher):
		return s.decline(ctx, c, fmt.Sprintf("the region %s has no Network Watcher: enable it, it is not created here", c.Region))
	case !errors.Is(err, ErrNotFound):
		return s.postpone(ctx, c, err)
	}
	if s.Off {
		return s.decline(ctx, c, "starting captures is switched off (PCAPWARDEN_STARTS=off)")
	}
	storage, no, err := s.qualify(ctx, m, c)
	if err != nil {
		return s.postpone(ctx, c, err)
	}
	c.StorageID = storage
	if no == "" && c.TargetType == AzureVMSS {
		chosen, why := choose(m.Instances, c.NamedInstances, max(1, c.MaxInstances))
		c.Instances, c.InstancesReason = nil, why
		for _, i := range chosen {
			c.Instances = append(c.Instances, i.ID)
		}
		if len(chosen) == 0 {
			no = blocker(why)
		}
	}
	if no != "" {
		return s.decline(ctx, c, string(no))
	}
	now := s.Now().UTC()
	if !c.Resolved.IsZero() {
		return s.decline(ctx, c, "the alert was resolved before the capture could start")
	}
	claim, err := s.Ledger.claim(ctx, c, s.Policy.Limits.ActivePerVM, now)
	switch {
	case err != nil:
		return s.postpone(ctx, c, err)
	case claim.joined != nil:
		return s.joined(ctx, c, *claim.joined)
	case claim.full != "":
		return s.decline(ctx, c, claim.full)
	}
	failpoint.Here("machine-claimed")
	// An earlier try may have chosen others, and a session may run for them.
	c.Instances, c.InstancesReason = claim.holder.Instances, claim.holder.Reason
	if c.Approval.open() {
		return s.await(ctx, c)
	}
	switch ok, err := s.Ledger.spend(ctx, c, s.Policy.Limits.StartsPerHour, now); {
	case err != nil:
		return s.postpone(ctx, c, err)
	case !ok:
		return s.overBudget(ctx, c)
	}
	return s.put(ctx, c)
}

// put asks Azure for the session. The audit log comes first: without it there
// is no capture.
func (s *Starter) put(ctx context.Context, c Case) (Case, error) {
	if err := s.log(ctx, c, audit.Start, audit.Before, actorSelf, "alert rule "+c.Alert.Rule+", profile "+c.Profile, ""); err != nil {
		return s.postpone(ctx, c, err)
	}
	session, err := s.Watcher.Start(ctx, c.spec())
	if exists, ok := errors.AsType[*ExistsError](err); ok { // another instance was faster
		session, err = exists.Session, nil
	}
	if err != nil {
		// Best effort: whether it runs all the same, the next sweep sees.
		_ = s.log(ctx, c, audit.Start, audit.After, actorSelf, "", err.Error())
		return s.postpone(ctx, c, err)
	}
	failpoint.Here("capture-started")
	return s.adopt(ctx, c, session)
}

// adopt records a session that runs.
func (s *Starter) adopt(ctx context.Context, c Case, session Session) (Case, error) {
	if !strings.EqualFold(session.Target, c.Target) {
		return s.fail(ctx, c, fmt.Sprintf("a session of its name captures on another machine, %q", session.Target))
	}
	if err := s.log(ctx, c, audit.Start, audit.After, actorSelf, "", audit.Done); err != nil {
		return c, err
	}
	// The date first: once its path is recorded, a file may be analysed, and
	// nobody comes by here again.
	if err := s.Ledger.expireOn(ctx, c, c.DeleteAfter); err != nil {
		return c, err
	}
	if session.StoragePath != "" {
		if err := s.Ledger.ExpectAt(ctx, session.StoragePath, c); err != nil {
			return c, fmt.Errorf("record where capture %s lands: %w", c.ID, err)
		}
	}
	failpoint.Here("path-recorded")
	if c.TargetType == AzureVMSS && len(c.Instances) == 0 { // chosen by a process that is gone
		claim, err := s.Ledger.claim(ctx, c, s.Policy.Limits.ActivePerVM, s.Now().UTC())
		if err != nil {
			return c, err
		}
		c.Instances, c.InstancesReason = claim.holder.Instances, claim.holder.Reason
	}
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
		c.Instances, c.InstancesReason = found.Instances, found.InstancesReason
		if c.InstancesReason != "" {
			c.Note(now, "%s", c.InstancesReason)
		}
		c.Note(now, "capture started")
		return nil
	})
	if err != nil {
		return c, fmt.Errorf("record capture %s: %w", c.ID, err)
	}
	s.Log.InfoContext(ctx, "capture started", "incident", c.Incident, "capture", c.ID, "target", c.Target,
		"profile", c.Profile, "limit", c.TimeLimit.String(), "bytes", c.TotalBytes,
		"delete_after", c.DeleteAfter.UTC().Format(time.RFC3339))
	return c, nil
}

// postpone leaves a case to a later try, or gives up where waiting does not
// help.
func (s *Starter) postpone(ctx context.Context, c Case, cause error) (Case, error) {
	if _, ok := errors.AsType[*DeniedError](cause); ok {
		return s.fail(ctx, c, cause.Error())
	}
	now := s.Now().UTC()
	var paused error
	region := c.Region
	throttled, _ := errors.AsType[*ThrottledError](cause)
	if throttled != nil {
		paused = s.Ledger.pause(ctx, c.subscription(), now, throttled.RetryAfter)
	}
	c, err := s.Ledger.Change(ctx, c.Incident, c.ID, func(c *Case) error {
		if c.State != Asked {
			return ledger.ErrUnchanged
		}
		c.Attempts++
		c.Reason = cause.Error()
		c.Region = cmp.Or(c.Region, region) // where to look whether it started all the same
		if throttled != nil {
			c.NotBefore = now.Add(min(throttled.RetryAfter, maxPause))
		}
		return nil
	})
	return c, errors.Join(cause, err, paused)
}
