package capture_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/alert"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	local "github.com/pcapwarden/pcapwarden/internal/local/arm"
)

// TestSoak is a day with two thousand alerts, an Azure that refuses every
// thirtieth request and never keeps a limit by itself, and a process that dies
// every hour: no capture outlives its limit and what a stop may take, no
// record is lost, nothing piles up.
func TestSoak(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	const alerts, machines = 2000, 60
	w := shop()
	w.VMs = nil
	for n := range machines {
		w.VMs = append(w.VMs, vm(fmt.Sprintf("node%02d", n)))
	}
	store := newMemory()
	r := newRigIn(t, w, 100_000, store)
	r.agent.deaf = true
	random := rand.New(rand.NewPCG(1, 2))
	faults := []local.Fault{
		{Status: 429, Code: "TooManyRequests", RetryAfter: 30 * time.Second},
		{Status: 429, Code: "RetryableErrorDueToAnotherOperation"},
		{Status: 409, Code: "Conflict", Message: "An error occurred."},
		{Status: 409, Code: "Conflict", AfterEffect: true},
	}
	chance := rand.New(rand.NewPCG(3, 4)) // the server's own: it asks under its lock
	r.setFault(func(*http.Request) *local.Fault {
		if chance.IntN(30) == 0 {
			return &faults[chance.IntN(len(faults))]
		}
		return nil
	})
	a := r.app()
	var fired []alert.Alert
	memory := func() int64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc) - store.bytes()
	}
	var early int64
	for minute := range 24 * 60 {
		for len(fired) < alerts*(minute+1)/(24*60) {
			al := r.fired(fmt.Sprint("alert", len(fired)), []string{"tls", "dns"}[random.IntN(2)], vms+fmt.Sprintf("node%02d", random.IntN(machines)))
			fired = append(fired, al)
			r.fire(a, al)
			if a.life.over() { // nobody answered: it is sent again
				a = r.app()
				r.fire(a, al)
			}
		}
		if random.IntN(3) == 0 && len(fired) > 5 {
			r.fire(a, resolved(fired[len(fired)-1-random.IntN(5)]))
		}
		if minute%60 == 30 {
			a.life.endAfter(random.IntN(50))
		}
		r.pass(a, time.Minute)
		if a.life.over() || minute%60 == 32 {
			a = r.app()
		}
		if minute == 4*60 {
			early = memory()
		}
	}
	if grown := memory() - early; grown > 32<<20 {
		t.Errorf("memory grew by %d bytes in twenty hours, its records apart", grown)
	}
	r.setFault(nil)
	a = r.app()
	r.pass(a, 40*time.Minute)

	// Its limit, the grace, the patience with a stop, and a few sweeps that
	// were throttled.
	if most := 5*time.Minute + 2*time.Minute + 5*time.Minute + 5*time.Minute; r.agent.longest > most {
		t.Errorf("a capture ran for %v, at most %v are allowed", r.agent.longest, most)
	}
	if got := r.agent.targets(); len(got) > 0 || r.agent.most > 2 {
		t.Errorf("captures on %q are left, %d were on one machine at once", got, r.agent.most)
	}
	states := map[capture.State]int{}
	for c, err := range a.Ledger.ClosedCases(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		states[c.State]++
	}
	// A resolution that overtook its alert, or met it half-way, is a record too.
	for _, al := range fired {
		if _, err := a.Ledger.Incident(t.Context(), capture.IncidentID(al.ID)); err != nil {
			t.Errorf("alert %s: %v", al.ID, err)
		}
	}
	if open := store.count("open/"); open > 0 {
		t.Errorf("%d cases are left", open)
	}
	r.verified()
	t.Logf("%v, longest capture %v, %d notices, %d records", states, r.agent.longest, len(r.notices), store.count(""))
}
