package capture_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/policy"
)

// remembered are the keys of records, but for the audit log and the budget.
func (r *rig) remembered() (keys []string) {
	r.Helper()
	for k, err := range r.store.List(context.Background(), "") {
		if err != nil {
			r.Fatal(err)
		}
		if !strings.HasPrefix(k, "audit/") && !strings.HasPrefix(k, "budget/") {
			keys = append(keys, k)
		}
	}
	return keys
}

// TestForgotten: what was done is remembered until its evidence is gone for as
// long as the policy says, and not longer. The audit log keeps why.
func TestForgotten(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		a := r.app()
		c := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
		held := r.one(a, r.fire(a, r.fired("b", "tls", vms+"web2")))
		r.fire(a, r.fired("c", "asked", vms+"gone"))
		r.pass(a, 10*time.Minute)
		if _, err := a.desk.Hold(t.Context(), held.ID, capture.Person{Name: "ana", Reason: "lawsuit"}); err != nil {
			t.Fatal(err)
		}
		for range 8 {
			r.clock.turn(24 * time.Hour)
			r.pass(a, time.Minute)
		}
		r.want(r.now(a, c), capture.Expired, "")
		r.clock.turn(policy.DefaultRetention - 2*24*time.Hour)
		r.pass(a, 2*time.Minute)
		r.want(r.now(a, c), capture.Expired, "")

		r.clock.turn(3 * 24 * time.Hour)
		r.pass(a, 2*time.Minute)
		for _, k := range r.remembered() {
			if !strings.Contains(k, held.ID) && !strings.Contains(k, held.Incident) &&
				!strings.HasPrefix(k, "paths/") && !strings.HasPrefix(k, "machines/") {
				t.Errorf("%s is remembered", k)
			}
		}
		r.want(r.now(a, held), capture.Held, "")
		forgotten := slices.DeleteFunc(r.verified(), func(e audit.Entry) bool { return e.Action != audit.Forget || e.Case != c.ID })
		if len(forgotten) != 2 || forgotten[0].Phase != audit.Before || forgotten[1].Outcome != audit.Done {
			t.Errorf("the audit log has %+v; want that it is forgotten, before and after", forgotten)
		}

		if _, err := a.desk.Release(t.Context(), held.ID, capture.Person{Name: "ana", Reason: "settled"}); err != nil {
			t.Fatal(err)
		}
		r.pass(a, 2*time.Minute)
		r.want(r.now(a, held), capture.Expired, "")
		r.clock.turn(policy.DefaultRetention + 2*24*time.Hour)
		r.pass(a, 2*time.Minute)
		if left := r.remembered(); len(left) != 0 {
			t.Errorf("%q are remembered", left)
		}
	})
}

// TestResolutionOfNothing: what resolves without ever having fired leaves a
// record only if its alert would start something, and for a day.
func TestResolutionOfNothing(t *testing.T) {
	t.Parallel()
	r, store := newMemoryRig(t)
	a := r.app()
	r.fire(a, resolved(r.fired("a", "nobody's", vms+"web1")))
	r.fire(a, resolved(r.fired("b", "tls", strings.Replace(vms, "/shop/", "/bank/", 1)+"web1")))
	if n := store.count("incidents/"); n != 0 {
		t.Errorf("%d records of alerts that start nothing", n)
	}
	r.fire(a, resolved(r.fired("c", "tls", vms+"web1")))
	if n := store.count("incidents/"); n != 1 {
		t.Errorf("%d records, want the one that keeps a late alert from starting", n)
	}
	r.clock.turn(25 * time.Hour)
	r.pass(a, time.Minute)
	if left := r.remembered(); len(left) != 0 {
		t.Errorf("%q are remembered", left)
	}
}

// TestKilledWhileForgetting kills the process before and after each effect:
// nothing is left over, and what is forgotten is in the audit log.
func TestKilledWhileForgetting(t *testing.T) {
	t.Parallel()
	for n := 0; ; n++ {
		r, _ := newMemoryRig(t)
		a := r.app()
		c := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
		r.pass(a, 10*time.Minute)
		r.clock.turn(c.DeleteAfter.Sub(r.clock.Now()) + 2*time.Minute)
		r.pass(a, time.Minute)
		r.clock.turn(policy.DefaultRetention + 2*24*time.Hour)
		r.pass(a, time.Minute) // postponed until its date, which was not known before
		r.clock.turn(24 * time.Hour)
		a.life.endAfter(n)
		_ = r.sweep(a)
		died := a.life.over()
		r.pass(r.app(), 3*time.Minute)
		if left := r.remembered(); len(left) != 0 {
			t.Fatalf("killed at step %d: %q are remembered", n, left)
		}
		if !slices.ContainsFunc(r.verified(), func(e audit.Entry) bool { return e.Action == audit.Forget && e.Phase == audit.Before }) {
			t.Fatalf("killed at step %d: forgotten, and the audit log does not say so", n)
		}
		if !died {
			return
		}
	}
}
