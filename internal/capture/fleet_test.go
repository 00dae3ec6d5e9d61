package capture_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/capture"
	local "github.com/pcapwarden/pcapwarden/internal/local/arm"
)

// TestFleet has one alert hit 300 machines while Azure throttles every tenth
// request and the process is killed twice: each machine is captured on, once.
func TestFleet(t *testing.T) {
	t.Parallel()
	w := shop()
	w.VMs = nil
	var targets []string
	for n := range 300 {
		v := vm(fmt.Sprintf("node%03d", n))
		w.VMs = append(w.VMs, v)
		targets = append(targets, v.ID)
	}
	r := newRig(t, w, 1000)
	var calls, throttled atomic.Int64
	r.setFault(func(*http.Request) *local.Fault {
		if calls.Add(1)%10 == 0 {
			throttled.Add(1)
			return &local.Fault{Status: 429, Code: "TooManyRequests", RetryAfter: time.Second}
		}
		return nil
	})
	al := r.fired("a", "tls", targets...)
	a := r.app()
	a.life.endAfter(900) // while the cases are recorded
	r.fire(a, al)
	if !a.life.over() {
		t.Fatal("nobody was killed")
	}
	b := r.app()
	r.fire(b, al)
	b.life.endAfter(40) // while the sweep starts them
	for !b.life.over() {
		r.clock.turn(time.Second)
		_ = r.sweep(b)
	}
	c := r.app()
	for len(r.agent.targets()) < 300 && r.clock.Now().Sub(t0) < time.Minute {
		r.clock.turn(time.Second)
		_ = r.sweep(c)
	}
	r.setFault(nil)
	r.clock.turn(time.Second)
	if err := r.sweep(c); err != nil {
		t.Error(err)
	}
	if r.puts() != 300 || len(r.agent.targets()) != 300 {
		t.Errorf("%d sessions asked for, %d run, want 300", r.puts(), len(r.agent.targets()))
	}
	for target, n := range r.agent.total {
		if n != 1 {
			t.Errorf("%d sessions on %s", n, target)
		}
	}
	for c, err := range a.Ledger.OpenCases(t.Context(), "") {
		if err == nil && c.State != capture.Capturing {
			t.Errorf("%s is %s", c.Target, c.State)
		}
	}
	t.Logf("%d requests, %d throttled, %v of the simulated time", calls.Load(), throttled.Load(), r.clock.Now().Sub(t0))
	r.verified()
}

// TestInFlight: never more requests at once than the cases that are worked on.
func TestInFlight(t *testing.T) {
	t.Parallel()
	w := shop()
	w.VMs = nil
	var targets []string
	for n := range 60 {
		v := vm(fmt.Sprintf("node%03d", n))
		w.VMs = append(w.VMs, v)
		targets = append(targets, v.ID)
	}
	r := newRig(t, w, 1000)
	var now, most atomic.Int64
	r.setFault(func(req *http.Request) *local.Fault {
		if strings.Contains(req.URL.Path, "/virtualMachines/") {
			n := now.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
		}
		if req.Method == http.MethodPut {
			now.Add(-1)
		}
		return nil
	})
	a := r.app()
	r.fire(a, r.fired("a", "tls", targets...))
	if len(r.agent.targets()) != 60 || most.Load() > 32 {
		t.Errorf("%d captures, %d starts at once", len(r.agent.targets()), most.Load())
	}
}
