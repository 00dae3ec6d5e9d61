package ledgertest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/ledger"
)

func oneHolder(t *testing.T, p Place) {
	ctx := t.Context()
	taken := make(chan ledger.Lease, 8)
	var all sync.WaitGroup
	for n := range cap(taken) {
		s := []ledger.Store{p.One, p.Other}[n%2]
		all.Go(func() {
			lease, err := s.Lease(ctx, "sweep/westeurope", 30*time.Second)
			switch {
			case err == nil:
				taken <- lease
			case !errors.Is(err, ledger.ErrLeased):
				t.Errorf("Lease = %v, want ErrLeased", err)
			}
		})
	}
	all.Wait()
	if len(taken) != 1 {
		t.Fatalf("%d hold the lease, want 1", len(taken))
	}
	lease := <-taken
	if err := lease.Renew(ctx); err != nil {
		t.Errorf("Renew: %v", err)
	}
	if _, err := p.Other.Lease(ctx, "sweep/westeurope", 30*time.Second); !errors.Is(err, ledger.ErrLeased) {
		t.Errorf("Lease of a renewed one = %v, want ErrLeased", err)
	}
	other, err := p.Other.Lease(ctx, "sweep", 30*time.Second)
	if err != nil {
		t.Errorf("Lease of another key: %v", err)
	}
	if err := lease.Release(ctx); err != nil {
		t.Errorf("Release: %v", err)
	}
	if err := lease.Release(ctx); err != nil {
		t.Errorf("second Release: %v", err)
	}
	if err := lease.Renew(ctx); !errors.Is(err, ledger.ErrLeased) {
		t.Errorf("Renew of a released lease = %v, want ErrLeased", err)
	}
	again, err := p.Other.Lease(ctx, "sweep/westeurope", time.Minute)
	if err != nil {
		t.Fatalf("Lease of a released one: %v", err)
	}
	if err := lease.Release(ctx); err != nil {
		t.Errorf("Release of a lease that is another's by now: %v", err)
	}
	if _, err := p.One.Lease(ctx, "sweep/westeurope", time.Minute); !errors.Is(err, ledger.ErrLeased) {
		t.Errorf("Lease after the old holder released = %v, want ErrLeased", err)
	}
	for _, l := range []ledger.Lease{again, other} {
		if err := l.Release(ctx); err != nil {
			t.Error(err)
		}
	}
	for _, d := range []time.Duration{0, -1, 14 * time.Second, 61 * time.Second, time.Hour} {
		if _, err := p.One.Lease(ctx, "other", d); err == nil || errors.Is(err, ledger.ErrLeased) {
			t.Errorf("Lease for %v = %v, want an error about the duration", d, err)
		}
	}
}

func leaseEnds(t *testing.T, p Place) {
	if p.Pass == nil {
		if testing.Short() {
			t.Skip("short run: a lease lasts 15 s at least")
		}
		p.Pass = time.Sleep
	}
	ctx := t.Context()
	dead, err := p.One.Lease(ctx, "sweep", 15*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	p.Pass(16 * time.Second)
	alive, err := p.Other.Lease(ctx, "sweep", 15*time.Second)
	if err != nil {
		t.Fatalf("Lease of a dead holder's: %v", err)
	}
	if err := dead.Renew(ctx); !errors.Is(err, ledger.ErrLeased) {
		t.Errorf("Renew of a lost lease = %v, want ErrLeased", err)
	}
	if err := dead.Release(ctx); err != nil {
		t.Errorf("Release of a lost lease: %v", err)
	}
	if err := alive.Renew(ctx); err != nil {
		t.Errorf("the dead holder took the lease with it: %v", err)
	}
}

func leaseIsNoRecord(t *testing.T, p Place) {
	ctx := t.Context()
	lease, err := p.One.Lease(ctx, "a", 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	etag, err := p.Other.Create(ctx, "a", []byte("1"))
	if err != nil {
		t.Fatalf("Create of a record called as a lease: %v", err)
	}
	if etag, err = p.Other.Update(ctx, "a", etag, []byte("2")); err != nil {
		t.Errorf("Update of a record called as a lease: %v", err)
	}
	if diff := cmp.Diff([]string{"a"}, listed(t, p.Other, "")); diff != "" {
		t.Errorf("List shows more than records (-want +got):\n%s", diff)
	}
	if err := p.Other.Delete(ctx, "a", etag); err != nil {
		t.Errorf("Delete of a record called as a lease: %v", err)
	}
	if _, err := p.Other.Lease(ctx, "a", 30*time.Second); !errors.Is(err, ledger.ErrLeased) {
		t.Errorf("Lease = %v: it went with the record", err)
	}
	if err := lease.Release(ctx); err != nil {
		t.Error(err)
	}
}
