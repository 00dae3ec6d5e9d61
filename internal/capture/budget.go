package capture

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/ledger"
)

// Budgets hold across instances: they are records that change by
// compare-and-swap, and are taken before the effect. Nobody has to give
// anything back: what a process that died had taken is told by its case.

// A machineRecord says which cases capture on a machine.
type machineRecord struct {
	Target  string   `json:"target"`
	Holders []holder `json:"holders"`
}

type holder struct {
	CaseRef
	Profile   string   `json:"profile"`
	Instances []string `json:"instances,omitempty"` // of a scale set
	Reason    string   `json:"reason,omitempty"`    // why these
}

// covers reports whether the holder's capture would show what the other's would.
func (h holder) covers(other holder) bool {
	for _, i := range other.Instances {
		if !slices.Contains(h.Instances, i) {
			return false
		}
	}
	return h.Profile == other.Profile
}

// meets reports whether both capture on the same machine.
func (h holder) meets(other holder) bool {
	return len(other.Instances) == 0 ||
		slices.ContainsFunc(other.Instances, func(i string) bool { return slices.Contains(h.Instances, i) })
}

// errRace is about a record that changed while it was judged.
var errRace = errors.New("the captures on the machine changed meanwhile")

// claims bounds how often a claim begins anew.
const claims = 16

// A claimed is the outcome of a claim: joined, full, or neither.
type claimed struct {
	joined *CaseRef // a running case captures the same there
	full   string   // why there is no room
	holder holder   // what was claimed, possibly by an earlier try
}

// claim makes c one of at most limit captures on its machine. A case of the
// same profile that is there already takes the alert over instead.
func (l *Ledger) claim(ctx context.Context, c Case, limit int, now time.Time) (claimed, error) {
	k := digest(strings.ToLower(c.Target))
	mine := holder{CaseRef: c.ref(), Profile: c.Profile, Instances: c.Instances, Reason: c.InstancesReason}
	for range claims {
		r, err := l.machines.Read(ctx, k)
		if errors.Is(err, ledger.ErrNotFound) {
			err = l.machines.Create(ctx, k, machineRecord{Target: c.Target})
			if err == nil || errors.Is(err, ledger.ErrExists) {
				continue
			}
		}
		if err != nil {
			return claimed{}, fmt.Errorf("claim machine of capture %s: %w", c.ID, err)
		}
		was := r.Holders
		if i := slices.IndexFunc(was, func(h holder) bool { return h.CaseRef == c.ref() }); i >= 0 {
			return claimed{holder: was[i]}, nil
		}
		alive, outcome, err := l.judge(ctx, was, mine, c, limit, now)
		if err != nil || outcome.joined != nil || outcome.full != "" {
			return outcome, err
		}
		_, err = l.machines.Change(ctx, k, func(r *machineRecord) error {
			if !slices.EqualFunc(r.Holders, was, func(a, b holder) bool { return a.CaseRef == b.CaseRef }) {
				return errRace
			}
			r.Holders = append(alive, mine)
			return nil
		})
		if err == nil {
			return claimed{holder: mine}, nil
		}
		if !errors.Is(err, errRace) {
			return claimed{}, fmt.Errorf("claim machine of capture %s: %w", c.ID, err)
		}
	}
	return claimed{}, fmt.Errorf("claim machine of capture %s: %w", c.ID, errRace)
}

// judge tells which holders still capture, and what that means for mine.
func (l *Ledger) judge(ctx context.Context, holders []holder, mine holder, c Case, limit int, now time.Time) (alive []holder, _ claimed, _ error) {
	met := 0
	for _, h := range holders {
		other, err := l.Case(ctx, h.Incident, h.Case)
		switch {
		case errors.Is(err, ledger.ErrNotFound):
			continue
		case errors.Is(err, ledger.ErrCorrupt): // it may well capture
		case err != nil:
			return nil, claimed{}, fmt.Errorf("look at the captures on the machine: %w", err)
		case !other.runs():
			continue
		case h.covers(mine):
			joined := false
			_, err := l.Change(ctx, h.Incident, h.Case, func(other *Case) error {
				before := len(other.OtherAlerts)
				if joined = other.join(c.Alert, now); !joined || len(other.OtherAlerts) == before {
					return ledger.ErrUnchanged
				}
				return nil
			})
			if err != nil {
				return nil, claimed{}, fmt.Errorf("join capture %s: %w", h.Case, err)
			}
			if joined {
				return nil, claimed{joined: &h.CaseRef}, nil
			}
		}
		alive = append(alive, h)
		if h.meets(mine) {
			met++
		}
	}
	if met >= limit {
		return nil, claimed{full: fmt.Sprintf(
			"%d captures run on the machine already, and limits.activePerVM is %d: wait for one to end, or stop one", met, limit)}, nil
	}
	return alive, claimed{}, nil
}

// A startsRecord is the starts of the last hour.
type startsRecord struct {
	Starts []start `json:"starts"`
}

type start struct {
	Case string    `json:"case"`
	At   time.Time `json:"at"`
}

// spend takes one of the starts that any hour has. A case that has taken its
// own takes no second one.
func (l *Ledger) spend(ctx context.Context, c Case, limit int, now time.Time) (ok bool, err error) {
	const k = "starts"
	l.budgeting.Lock()
	defer l.budgeting.Unlock()
	take := func(r *startsRecord) error {
		r.Starts = slices.DeleteFunc(r.Starts, func(s start) bool { return now.Sub(s.At) >= time.Hour })
		if ok = slices.ContainsFunc(r.Starts, func(s start) bool { return s.Case == c.ID }); ok {
			return ledger.ErrUnchanged
		}
		if ok = len(r.Starts) < limit; !ok {
			return ledger.ErrUnchanged
		}
		r.Starts = append(r.Starts, start{c.ID, now})
		return nil
	}
	_, err = l.budget.Change(ctx, k, take)
	if errors.Is(err, ledger.ErrNotFound) {
		if err = l.budget.Create(ctx, k, startsRecord{}); err == nil || errors.Is(err, ledger.ErrExists) {
			_, err = l.budget.Change(ctx, k, take)
		}
	}
	if err != nil {
		return false, fmt.Errorf("count the start of capture %s: %w", c.ID, err)
	}
	return ok, nil
}

// A pauseRecord says until when Azure wants no requests for a subscription.
type pauseRecord struct {
	Until time.Time `json:"until"`
}

// maxPause bounds what one answer of Azure can bring to a halt.
const maxPause = 10 * time.Minute

// pause remembers that Azure throttles a subscription.
func (l *Ledger) pause(ctx context.Context, subscription string, now time.Time, d time.Duration) error {
	if d <= 0 || subscription == "" {
		return nil
	}
	err := put(ctx, l.pauses, subscription, pauseRecord{Until: now.Add(min(d, maxPause))})
	if err != nil {
		return fmt.Errorf("record that subscription %s is throttled: %w", subscription, err)
	}
	return nil
}

// paused returns until when a subscription is to be left alone; zero if it
// is not.
func (l *Ledger) paused(ctx context.Context, subscription string, now time.Time) (time.Time, error) {
	r, err := l.pauses.Read(ctx, subscription)
	if errors.Is(err, ledger.ErrNotFound) || err == nil && !now.Before(r.Until) {
		return time.Time{}, nil
	}
	if err == nil && r.Until.Sub(now) > maxPause { // the clock was set back
		return time.Time{}, nil
	}
	return r.Until, err
}
