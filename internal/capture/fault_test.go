package capture_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/evidence"
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
	t.Parallel()
	r := newRig(t, shop(), 100)
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
}

func TestF2RefiresJoin(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(), 100)
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
}

func TestF3ResolvedFirst(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(), 100)
	a := r.app()
	al := r.fired("a", "tls", vms+"web1")
	r.fire(a, resolved(al))
	if result := r.fire(a, al); len(result.Cases) != 0 || r.puts() != 0 {
		t.Errorf("%d cases, %d sessions", len(result.Cases), r.puts())
	}
}

func TestF4LedgerDown(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(), 100)
	a := r.app()
	a.life.endAfter(0)
	al := r.fired("a", "tls", vms+"web1")
	if _, err := a.Start(t.Context(), &al, ""); err == nil {
		t.Error("no error, so nobody sends the alert again")
	}
	if r.puts() != 0 {
		t.Error("something was started that is not recorded")
	}
}

// TestF5F6F23KilledAnywhere kills the process before and after each effect of
// an alert, a sweep and an end, and starts another: there is one capture, and
// it ends (F5, F6, F23, F38).
func TestF5F6F23KilledAnywhere(t *testing.T) {
	t.Parallel()
	for n := 0; ; n++ {
		r, _ := newMemoryRig(t)
		a := r.app()
		a.life.endAfter(n)
		al := r.fired("a", "tls", vms+"web1")
		r.fire(a, al)
		_ = r.sweep(a)
		died := a.life.over()
		b := r.app()
		c := r.one(b, r.fire(b, al)) // action groups send again
		r.pass(b, 30*time.Minute)
		c = r.now(b, c)
		r.want(c, capture.Closed, "")
		if r.puts() != 1 || r.agent.total[strings.ToLower(c.Target)] != 1 {
			t.Errorf("killed at step %d: %d sessions", n, r.puts())
		}
		r.pass(b, 5*time.Minute)
		r.verified()
		if t.Failed() {
			t.Fatalf("killed at step %d", n)
		}
		if !died {
			if n < 10 {
				t.Errorf("only %d steps", n)
			}
			return
		}
	}
}

func TestF7ProvisioningFails(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(), 100)
	r.setFault(only("PUT", &local.Fault{FailOperation: "the disk of the machine is full"}))
	a := r.app()
	c := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
	r.pass(a, time.Minute)
	r.want(r.now(a, c), capture.Lost, "the disk of the machine is full")
	if r.noticed(capture.Failure, "disk of the machine is full") != 1 {
		t.Errorf("notices %v", r.notices)
	}
}

func TestF9Throttled(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(), 100)
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
}

func TestF10Busy(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(), 100)
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
}

func TestF11RoleRemoved(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(), 100)
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
}

func TestF12UnknownOutcome(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(), 100)
	r.setFault(only("PUT", &local.Fault{AfterEffect: true, Drop: true}))
	a := r.app()
	c := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
	r.setFault(nil)
	r.pass(a, time.Minute)
	r.want(r.now(a, c), capture.Capturing, "")
	if r.puts() != 1 || r.agent.total[strings.ToLower(c.Target)] != 1 {
		t.Errorf("%d names, %v sessions", r.puts(), r.agent.total)
	}
}

func TestF13MachineGone(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(), 100)
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
}

func TestF17PartialFailure(t *testing.T) {
	t.Parallel()
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
	r := newRig(t, w, 100)
	a := r.app()
	counts := map[capture.State]int{}
	for _, c := range r.fire(a, r.fired("a", "tls", targets...)).Cases {
		counts[c.State]++
	}
	if counts[capture.Capturing] != 34 || counts[capture.Declined] != 6 {
		t.Errorf("states %v, want 34 capturing and 6 declined", counts)
	}
}

func TestF18StoppedEarly(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(), 100)
	a := r.app()
	c := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
	r.agent.end(strings.ToLower(c.SessionID), "") // as Azure does at the size limit
	r.pass(a, time.Minute)
	c = r.now(a, c)
	if !strings.Contains(fmt.Sprint(c.History), "no reason given") && c.State != capture.Analysed && c.State != capture.Closed {
		t.Errorf("%s, %v", c.State, c.History)
	}
}

// TestF19StopFails: a stop that fails for good falls through to deletion,
// whatever Azure answers, and without the audit log too (F46).
func TestF19StopFails(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(), 100)
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
}

func TestF20UnknownState(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(), 100)
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
}

func TestF21Overlap(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(), 100)
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
}

func TestF22ThreeHoursLate(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(), 100)
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
}

func TestF27EventLost(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(), 100)
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
}

func TestF27NoFile(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(), 100)
	r.agent.mute = true
	a := r.app()
	c := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
	r.pass(a, 30*time.Minute)
	r.want(r.now(a, c), capture.Lost, "no file has come")
	if left, _ := r.arm.List(t.Context(), sub); len(left) != 0 {
		t.Errorf("%d sessions are left", len(left))
	}
}

// TestF37Held: a hold of the storage, or of a person, keeps evidence; it is
// tried again each day.
func TestF37Held(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(), 100)
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
}

func TestF39NeverEarly(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(), 100)
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
}

// TestF42PolicyChanges: what runs keeps to the policy that started it.
func TestF42PolicyChanges(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(), 100)
	a := r.app()
	c := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
	changed := *r.policy
	changed.Profiles = changed.Profiles[1:]
	r.policy = &changed
	r.pass(r.app(), 20*time.Minute)
	r.want(r.now(a, c), capture.Closed, "")
}

func TestF45CorruptRecord(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(), 100)
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
	t.Parallel()
	r := newRig(t, shop(), 100)
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
}
