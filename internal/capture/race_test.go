package capture_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
	local "github.com/pcapwarden/pcapwarden/internal/local/arm"
)

// meanwhile lets something happen once, right after a record was created.
type meanwhile struct {
	ledger.Store
	prefix string
	once   *sync.Once
	do     func()
}

func (m meanwhile) Create(ctx context.Context, key string, body []byte) (string, error) {
	etag, err := m.Store.Create(ctx, key, body)
	if strings.HasPrefix(key, m.prefix) {
		m.once.Do(m.do)
	}
	return etag, err
}

// TestResolvedMeanwhile has the alert be resolved at each point of its start:
// nothing is left running.
func TestResolvedMeanwhile(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"incidents/", "names/", "open/", "machines/", "budget/", "due/", "paths/"} {
		for _, target := range []string{vms + "web1", flexID} {
			r, _ := newMemoryRig(t)
			other := r.app()
			al := r.fired("a", "tls", target)
			a := r.app()
			happened := false
			a.Ledger = capture.NewLedger(meanwhile{r.store, prefix, new(sync.Once), func() {
				happened = true
				over := resolved(al)
				if _, err := other.Start(context.Background(), &over, ""); err != nil {
					t.Error(err)
				}
			}})
			r.fire(a, al)
			r.pass(other, 2*time.Minute)
			if !happened {
				t.Errorf("nothing was written to %s", prefix)
			}
			if got := r.agent.targets(); len(got) > 0 {
				t.Errorf("resolved after %s was written: captures on %q", prefix, got)
			}
		}
	}
}

// TestF40NoToken: an identity that has no token is not taken for a verdict
// about the machine.
func TestF40NoToken(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		a := r.app()
		a.Watcher = silent{a.Watcher}
		c := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
		r.want(c, capture.Asked, "identity endpoint")
		r.pass(r.app(), time.Minute)
		r.want(r.now(a, c), capture.Capturing, "")
	})
}

type silent struct{ capture.Watcher }

func (silent) Machine(context.Context, string) (capture.Machine, error) {
	return capture.Machine{}, errors.New("the identity endpoint answered 500")
}

// TestF38KilledWhileExpiring kills the process before and after each effect of
// the deletion of evidence: it is deleted, and recorded as deleted.
func TestF38KilledWhileExpiring(t *testing.T) {
	killedAt(t, 3, func(t *testing.T, r *rig, n int) (died bool) {
		a := r.app()
		c := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
		r.pass(a, 10*time.Minute)
		r.clock.turn(c.DeleteAfter.Sub(r.clock.Now()) + 2*time.Minute)
		a.life.endAfter(n)
		_ = r.sweep(a)
		died = a.life.over()
		r.pass(r.app(), 2*time.Minute)
		c = r.now(r.app(), c)
		r.want(c, capture.Expired, "its date has come")
		due := 0
		for range r.store.List(t.Context(), "due/") {
			due++
		}
		if r.expired[c.ID] == 0 || due != 0 {
			t.Fatalf("killed at step %d: deleted %d times, %d due", n, r.expired[c.ID], due)
		}
		return died
	})
}

// TestListingDenied: a right that is missing is something for a person.
func TestListingDenied(t *testing.T) {
	t.Parallel()
	r, _ := newMemoryRig(t)
	r.setFault(only("/packetcaptures", &local.Fault{Status: 403, Code: "AuthorizationFailed"}))
	a := r.app()
	r.pass(a, 3*time.Minute)
	if n := r.noticed(capture.Trouble, "can't be listed"); n != 1 {
		t.Errorf("%d notices, want 1: %v", n, r.notices)
	}
}
