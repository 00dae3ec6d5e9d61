package capture_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
	local "github.com/pcapwarden/pcapwarden/internal/local/arm"
)

// TestF19StopFails: a stop that fails for good falls through to deletion,
// whatever Azure answers, and without the audit log too (F46).
func TestF19StopFails(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		r.agent.deaf = true
		a := r.app()
		c := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
		r.setFault(only("/stop", &local.Fault{Status: 409, Code: "Conflict", Message: "An error occurred."}))
		r.pass(a, 9*time.Minute)
		if c := r.now(a, c); c.StopError == "" || len(r.agent.targets()) != 1 {
			t.Errorf("stop error %q, captures on %q", c.StopError, r.agent.targets())
		}
		r.pass(a, 8*time.Minute)
		if len(r.agent.targets()) != 0 {
			t.Error("it still runs")
		}
	})
}

func TestF20UnknownState(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		r.agent.deaf = true
		a := r.app()
		c := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
		r.setFault(only("/querystatus", &local.Fault{Status: 400, Code: "Odd", Message: "what?"}))
		r.pass(a, 8*time.Minute)
		if c := r.now(a, c); c.StopAsked.IsZero() {
			t.Errorf("nobody asked it to stop: %v", c.History)
		}
		if len(r.agent.targets()) != 0 {
			t.Error("it still runs")
		}
	})
}

func TestF21Overlap(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		a := r.app()
		if _, err := capture.NewLedger(r.store).Lease(t.Context(), "sweep-"+sub, 30*time.Second); err != nil {
			t.Fatal(err)
		}
		a.Ledger = capture.NewLedger(r.store) // one that takes leases
		calls := 0
		r.setFault(func(*http.Request) *local.Fault { calls++; return nil })
		if err := r.sweep(a); err != nil || calls != 0 {
			t.Errorf("the loser's sweep: %v, %d requests; want none", err, calls)
		}
	})
}

func TestF22ThreeHoursLate(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		r.agent.deaf = true
		a := r.app()
		c := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
		r.clock.turn(3 * time.Hour)
		if err := r.sweep(a); err != nil {
			t.Fatal(err)
		}
		if len(r.agent.targets()) != 0 {
			t.Error("one sweep does not catch up")
		}
		r.pass(a, 3*time.Minute)
		r.want(r.now(a, c), capture.Closed, "")
	})
}

func TestF27EventLost(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		a := r.app()
		c := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
		var lost []string
		a.sweeper.Recover = func(context.Context, capture.Case) (int, error) {
			r.landed, lost = append(r.landed, lost...), nil
			return 1, nil
		}
		r.clock.turn(5 * time.Minute)
		r.agent.tick()
		lost, r.landed = r.landed, nil
		r.pass(a, 30*time.Minute)
		r.want(r.now(a, c), capture.Closed, "")
	})
}

func TestF27NoFile(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		r.agent.mute = true
		a := r.app()
		c := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
		r.pass(a, 30*time.Minute)
		r.want(r.now(a, c), capture.Lost, "no file has come")
		if left, _ := r.arm.List(t.Context(), sub); len(left) != 0 {
			t.Errorf("%d sessions are left", len(left))
		}
	})
}

// TestF37Held: a hold of the storage, or of a person, keeps evidence; it is
// tried again each day.
func TestF37Held(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		a := r.app()
		c := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
		r.pass(a, 10*time.Minute)
		r.keep[c.ID] = fmt.Errorf("delete: %w", evidence.ErrHeld)
		r.clock.turn(c.DeleteAfter.Sub(r.clock.Now()) - time.Minute)
		r.pass(a, 3*time.Minute)
		r.want(r.now(a, c), capture.Held, "keeps it")
		delete(r.keep, c.ID)
		r.pass(a, time.Hour)
		r.want(r.now(a, c), capture.Held, "")
		if _, err := a.desk.Hold(t.Context(), c.ID, capture.Person{Name: "ana", Reason: "lawsuit"}); err != nil {
			t.Fatal(err)
		}
		r.clock.turn(25 * time.Hour)
		r.pass(a, time.Minute)
		if r.expired[c.ID] != 0 {
			t.Error("evidence was deleted in spite of a person's hold")
		}
		if _, err := a.desk.Release(t.Context(), c.ID, capture.Person{Name: "ana", Reason: "settled"}); err != nil {
			t.Fatal(err)
		}
		r.pass(a, 2*time.Minute)
		r.want(r.now(a, c), capture.Expired, "its date has come")
		if r.expired[c.ID] != 1 {
			t.Errorf("deleted %d times", r.expired[c.ID])
		}
	})
}

func TestF39NeverEarly(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		a := r.app()
		c := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
		r.pass(a, 10*time.Minute)
		r.clock.turn(c.DeleteAfter.Sub(r.clock.Now()) - 2*time.Minute)
		r.pass(a, time.Minute)
		if r.expired[c.ID] != 0 {
			t.Error("evidence was deleted before its date")
		}
		r.pass(a, 3*time.Minute)
		if r.expired[c.ID] != 1 {
			t.Error("evidence was not deleted on its date")
		}
	})
}

// unreachable is a store behind a name that does not resolve.
type unreachable struct{ ledger.Store }

func (unreachable) Create(context.Context, string, []byte) (string, error) {
	return "", &net.DNSError{Err: "no such host", Name: "evidence.blob.core.windows.net"}
}

// TestF41StorageUnreachable: who sent the alert hears that it should come
// again, and Azure hears nothing.
func TestF41StorageUnreachable(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		a := r.app()
		a.Ledger = capture.NewLedger(unreachable{r.store})
		al := r.fired("a", "tls", vms+"web1")
		if _, err := a.Start(t.Context(), &al, ""); err == nil || !strings.Contains(err.Error(), "no such host") {
			t.Errorf("Start = %v, want what keeps it from its storage", err)
		}
		if r.puts() != 0 {
			t.Error("something was started that is not recorded")
		}
		b := r.app()
		r.want(r.one(b, r.fire(b, al)), capture.Capturing, "")
	})
}

// TestF42PolicyChanges: what runs keeps to the policy that started it.
func TestF42PolicyChanges(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		a := r.app()
		c := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
		changed := *r.policy
		changed.Profiles = changed.Profiles[1:]
		r.policy = &changed
		r.pass(r.app(), 20*time.Minute)
		r.want(r.now(a, c), capture.Closed, "")
	})
}

func TestF45CorruptRecord(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		a := r.app()
		for key, body := range map[string]string{"open/inc-x/pc-bad.json": "{", "open/inc-y/pc-new.json": `{"schema":"pcapwarden.case/v9"}`} {
			if _, err := r.store.Create(t.Context(), key, []byte(body)); err != nil {
				t.Fatal(err)
			}
		}
		c := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
		if err := r.sweep(a); !errors.Is(err, ledger.ErrCorrupt) {
			t.Errorf("sweep = %v, want ErrCorrupt", err)
		}
		r.pass(a, 20*time.Minute)
		r.want(r.now(a, c), capture.Closed, "")
		if n := r.noticed(capture.Trouble, "can't be read"); n != 2 {
			t.Errorf("%d notices, want one for each record", n)
		}
	})
}

// noAudit refuses to write the audit log.
type noAudit struct{ ledger.Store }

func (s noAudit) Create(ctx context.Context, key string, body []byte) (string, error) {
	if strings.HasPrefix(key, "audit/") {
		return "", errors.New("the disk is full")
	}
	return s.Store.Create(ctx, key, body)
}

// TestF46NoAuditLog: nothing starts, nothing is exported or deleted; what runs
// is stopped.
func TestF46NoAuditLog(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		r.agent.deaf = true
		a := r.app()
		running := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
		a.Audit = audit.New(noAudit{r.store})
		r.want(r.one(a, r.fire(a, r.fired("b", "tls", vms+"web2"))), capture.Asked, "audit log")
		if _, err := a.desk.Export(t.Context(), running.ID, capture.Person{Name: "ana", Reason: "court"}); err == nil {
			t.Error("exported")
		}
		r.pass(a, 8*time.Minute)
		if got := r.agent.targets(); len(got) != 0 {
			t.Errorf("captures on %q", got)
		}
		if left, _ := r.arm.List(t.Context(), sub); len(left) != 1 {
			t.Errorf("%d sessions are left, want the one that may not be deleted", len(left))
		}
		a.Audit = audit.New(r.store)
		r.pass(a, 2*time.Minute)
		r.want(r.now(a, running), capture.Closed, "")
		r.verified()
	})
}
