package capture_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
	local "github.com/pcapwarden/pcapwarden/internal/local/arm"
)

// only strikes requests of one method, or whose path ends so.
func only(what string, f *local.Fault) func(*http.Request) *local.Fault {
	return func(r *http.Request) *local.Fault {
		if r.Method == what || strings.HasSuffix(strings.ToLower(r.URL.Path), what) {
			return f
		}
		return nil
	}
}

func TestF1AlertTwice(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		a := r.app()
		al := r.fired("a", "tls", vms+"web1")
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if _, err := a.Start(context.Background(), &al, ""); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if again := r.fire(a, al); !again.Known || len(again.Cases) != 1 {
			t.Errorf("the alert again: %+v", again)
		}
		if r.puts() != 1 || r.agent.most != 1 {
			t.Errorf("%d sessions asked for, %d at once", r.puts(), r.agent.most)
		}
	})
}

func TestF2RefiresJoin(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		a := r.app()
		first := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
		r.clock.turn(time.Minute)
		second := r.one(a, r.fire(a, r.fired("b", "tls", strings.ToUpper(vms)+"WEB1")))
		r.want(second, capture.Joined, first.ID)
		first = r.now(a, first)
		if len(first.OtherAlerts) != 1 || first.OtherAlerts[0].ID != "b" {
			t.Errorf("the running case knows the alerts %+v", first.OtherAlerts)
		}
		// It runs as long as one of its alerts does.
		r.fire(a, resolved(r.fired("a", "tls", vms+"web1")))
		if len(r.agent.targets()) != 1 {
			t.Error("it was stopped while an alert that joined it is not resolved")
		}
		r.fire(a, resolved(r.fired("b", "tls", vms+"web1")))
		if len(r.agent.targets()) != 0 {
			t.Error("it runs although both of its alerts are resolved")
		}
		// Another profile captures something else; a third is one too many.
		r.want(r.one(a, r.fire(a, r.fired("c", "dns", vms+"web2"))), capture.Capturing, "")
		r.want(r.one(a, r.fire(a, r.fired("d", "tls", vms+"web2"))), capture.Capturing, "")
		r.want(r.one(a, r.fire(a, r.fired("e", "asked", vms+"web2"))), capture.Declined, "limits.activePerVM is 2")
	})
}

func TestF3ResolvedFirst(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		a := r.app()
		al := r.fired("a", "tls", vms+"web1")
		r.fire(a, resolved(al))
		if result := r.fire(a, al); len(result.Cases) != 0 || r.puts() != 0 {
			t.Errorf("%d cases, %d sessions", len(result.Cases), r.puts())
		}
	})
}

func TestF4LedgerDown(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		a := r.app()
		a.life.endAfter(0)
		al := r.fired("a", "tls", vms+"web1")
		if _, err := a.Start(t.Context(), &al, ""); err == nil {
			t.Error("no error, so nobody sends the alert again")
		}
		if r.puts() != 0 {
			t.Error("something was started that is not recorded")
		}
	})
}

// TestF5F6F23KilledAnywhere kills the process before and after each effect of
// an alert, a sweep and an end, and starts another: there is one capture, and
// it ends (F5, F6, F23, F38). On Azurite, which takes a while, it is killed at
// every tenth of these steps.
func TestF5F6F23KilledAnywhere(t *testing.T) {
	killedAt(t, 10, func(t *testing.T, r *rig, n int) (died bool) {
		a := r.app()
		a.life.endAfter(n)
		al := r.fired("a", "tls", vms+"web1")
		r.fire(a, al)
		_ = r.sweep(a)
		died = a.life.over()
		b := r.app()
		c := r.one(b, r.fire(b, al)) // action groups send again
		r.pass(b, 12*time.Minute)
		c = r.now(b, c)
		r.want(c, capture.Closed, "")
		if r.puts() != 1 || r.agent.total[strings.ToLower(c.Target)] != 1 {
			t.Errorf("killed at step %d: %d sessions", n, r.puts())
		}
		if !died && n < 10 {
			t.Errorf("only %d steps", n)
		}
		return died
	})
}

// killedAt has play end the process at step after step of its, until it does
// not die any more: at every one in memory, at every so many on Azurite.
func killedAt(t *testing.T, stride int, play func(t *testing.T, r *rig, n int) (died bool)) {
	t.Helper()
	t.Parallel()
	for _, s := range []struct {
		name   string
		open   func(testing.TB) ledger.Store
		stride int
	}{
		{"memory", func(testing.TB) ledger.Store { return newMemory() }, 1},
		{"Azurite", openAzurite, stride},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for n := 0; ; n += s.stride {
				r := newRigIn(t, shop(), 100, s.open(t))
				died := play(t, r, n)
				r.verified()
				if t.Failed() {
					t.Fatalf("killed at step %d", n)
				}
				if !died {
					return
				}
			}
		})
	}
}

func TestF7ProvisioningFails(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		r.setFault(only("PUT", &local.Fault{FailOperation: "the disk of the machine is full"}))
		a := r.app()
		c := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
		r.pass(a, time.Minute)
		r.want(r.now(a, c), capture.Lost, "the disk of the machine is full")
		if r.noticed(capture.Failure, "disk of the machine is full") != 1 {
			t.Errorf("notices %v", r.notices)
		}
	})
}

func TestF9Throttled(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		r.setFault(only("PUT", &local.Fault{Status: 429, Code: "TooManyRequests", RetryAfter: 2 * time.Minute}))
		a := r.app()
		result := r.fire(a, r.fired("a", "tls", vms+"web1", vms+"web2", vms+"web3"))
		asked := r.puts()
		calls := 0
		r.setFault(func(*http.Request) *local.Fault { calls++; return nil })
		r.pass(r.app(), time.Minute) // another process knows, too
		if calls != 0 {
			t.Errorf("%d requests although Azure asked to wait", calls)
		}
		r.pass(r.app(), 2*time.Minute)
		for _, c := range result.Cases {
			r.want(r.now(a, c), capture.Capturing, "")
		}
		if asked > 3 || len(r.agent.targets()) != 3 {
			t.Errorf("%d sessions asked for at first, %q run in the end", asked, r.agent.targets())
		}
	})
}

func TestF10Busy(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		r.setFault(func(req *http.Request) *local.Fault {
			if req.Method == http.MethodPut && strings.Contains(string(req.URL.Path), "/packetCaptures/") && r.asked[req.URL.Path] < 4 {
				return &local.Fault{Status: 429, Code: "RetryableErrorDueToAnotherOperation", RetryAfter: time.Minute}
			}
			return nil
		})
		a := r.app()
		c := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
		r.want(c, capture.Asked, "another operation")
		r.fire(a, r.fired("b", "dns", vms+"web2")) // the subscription is not throttled
		r.pass(a, 2*time.Minute)
		r.want(r.now(a, c), capture.Capturing, "")
	})
}

func TestF11RoleRemoved(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		a := r.app()
		running := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
		r.setFault(func(*http.Request) *local.Fault {
			return &local.Fault{Status: 403, Code: "AuthorizationFailed", Message: "no"}
		})
		c := r.one(a, r.fire(a, r.fired("b", "tls", vms+"web2")))
		r.want(c, capture.Lost, "denied")
		if r.noticed(capture.Failure, "denied") != 1 {
			t.Errorf("notices %v", r.notices)
		}
		r.pass(a, 6*time.Minute) // Azure ends it by itself
		if len(r.agent.targets()) != 0 {
			t.Error("it runs past its limit")
		}
		r.want(r.now(a, running), capture.Analysed, "")
		r.setFault(nil)
		r.pass(a, 2*time.Minute)
		r.want(r.now(a, running), capture.Closed, "")
	})
}

func TestF12UnknownOutcome(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		r.setFault(only("PUT", &local.Fault{AfterEffect: true, Drop: true}))
		a := r.app()
		c := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
		r.setFault(nil)
		r.pass(a, time.Minute)
		r.want(r.now(a, c), capture.Capturing, "")
		if r.puts() != 1 || r.agent.total[strings.ToLower(c.Target)] != 1 {
			t.Errorf("%d names, %v sessions", r.puts(), r.agent.total)
		}
	})
}

func TestF13MachineGone(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		a := r.app()
		c := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
		if err := r.server.Update(func(w *local.World) { w.VMs = w.VMs[1:] }); err != nil {
			t.Fatal(err)
		}
		r.pass(a, 3*time.Minute)
		c = r.now(a, c)
		if !strings.Contains(strings.Join(c.AgentErrors, " "), "does not exist or is in stopped state") || len(c.Files) != 1 {
			t.Errorf("%s, Azure's words %q, %d files; want its words kept and the evidence so far", c.State, c.AgentErrors, len(c.Files))
		}
	})
}

func TestF17PartialFailure(t *testing.T) {
	w := shop()
	w.VMs = nil
	var targets []string
	for n := range 40 {
		v := vm(fmt.Sprintf("node%02d", n))
		if n%7 == 0 {
			v.AgentType = ""
		}
		w.VMs = append(w.VMs, v)
		targets = append(targets, v.ID)
	}
	onStoresIn(t, w, func(t *testing.T, r *rig) {
		a := r.app()
		counts := map[capture.State]int{}
		for _, c := range r.fire(a, r.fired("a", "tls", targets...)).Cases {
			counts[c.State]++
		}
		if counts[capture.Capturing] != 34 || counts[capture.Declined] != 6 {
			t.Errorf("states %v, want 34 capturing and 6 declined", counts)
		}
	})
}

// TestF8OperationGone: what Azure does after its first answer is read from the
// session itself, so that an operation which nobody can follow any more is no
// loss.
func TestF8OperationGone(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		followed := 0
		r.setFault(func(req *http.Request) *local.Fault {
			if strings.Contains(strings.ToLower(req.URL.Path), "/operation") {
				followed++
				return &local.Fault{Status: 404, Code: "OperationNotFound"}
			}
			return nil
		})
		a := r.app()
		c := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
		r.want(c, capture.Capturing, "")
		r.pass(r.app(), 10*time.Minute)
		r.want(r.now(a, c), capture.Closed, "")
		if followed > 0 {
			t.Errorf("%d operations were followed, want none", followed)
		}
	})
}

func TestF18StoppedEarly(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		a := r.app()
		c := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
		r.agent.end(strings.ToLower(c.SessionID), "") // as Azure does at the size limit
		r.pass(a, time.Minute)
		c = r.now(a, c)
		if !strings.Contains(fmt.Sprint(c.History), "no reason given") && c.State != capture.Analysed && c.State != capture.Closed {
			t.Errorf("%s, %v", c.State, c.History)
		}
	})
}
