package capture_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/capture"
	local "github.com/pcapwarden/pcapwarden/internal/local/arm"
)

// TestStartsPerHour has two processes start at once: together they stay
// within the budget, and an hour later there is one again.
func TestStartsPerHour(t *testing.T) {
	t.Parallel()
	w := shop()
	var targets []string
	for n := range 12 {
		v := vm(fmt.Sprintf("node%02d", n))
		w.VMs = append(w.VMs, v)
		targets = append(targets, v.ID)
	}
	r := newRig(t, w, 5)
	var wg sync.WaitGroup
	for half := range 2 {
		a := r.app()
		wg.Go(func() {
			al := r.fired(fmt.Sprint("alert", half), "tls", targets[half*6:half*6+6]...)
			if _, err := a.Start(t.Context(), &al, ""); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	r.server.Settle()
	if r.puts() != 5 {
		t.Errorf("%d starts, want 5", r.puts())
	}
	if n := r.noticed(capture.Failure, "limits.startsPerHour"); n != 2 {
		t.Errorf("%d notices, want one for each alert", n)
	}
	a := r.app()
	r.pass(a, 61*time.Minute)
	r.want(r.one(a, r.fire(a, r.fired("later", "tls", targets[0]))), capture.Capturing, "")
}

// TestActivePerVM has many alerts of different profiles race for one machine.
func TestActivePerVM(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(), 100)
	var wg sync.WaitGroup
	for n := range 12 {
		a := r.app()
		rule := []string{"tls", "dns", "asked"}[n%3]
		wg.Go(func() {
			al := r.fired(fmt.Sprint("alert", n), rule, vms+"web1")
			if _, err := a.Start(t.Context(), &al, ""); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	r.server.Settle()
	if r.agent.most > 2 {
		t.Errorf("%d captures at once, want at most 2", r.agent.most)
	}
	counts := map[capture.State]int{}
	l := r.app().Ledger
	for _, list := range []func() func(func(capture.Case, error) bool){
		func() func(func(capture.Case, error) bool) { return l.OpenCases(t.Context(), "") },
		func() func(func(capture.Case, error) bool) { return l.ClosedCases(t.Context(), "") },
	} {
		for c, err := range list() {
			if err != nil {
				t.Fatal(err)
			}
			counts[c.State]++
		}
	}
	if counts[capture.Capturing]+counts[capture.Awaiting] != 2 {
		t.Errorf("states %v, want two that capture or wait", counts)
	}
}

func TestKillSwitch(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(), 100)
	a := r.app()
	running := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
	r.setFault(only("PUT", &local.Fault{Status: 409, Code: "AnotherOperationInProgress"}))
	asked := r.one(a, r.fire(a, r.fired("b", "tls", vms+"web2")))
	r.setFault(nil)
	r.starts = false
	off := r.app()
	result := r.fire(off, r.fired("c", "tls", vms+"web3"))
	if len(result.Cases) != 0 || len(result.Refused) != 1 || result.Refused[0].Reason != capture.SwitchedOff {
		t.Errorf("result %+v", result)
	}
	r.pass(off, 20*time.Minute)
	r.want(r.now(off, running), capture.Closed, "")
	r.want(r.now(off, asked), capture.Declined, "switched off")
}

// TestStrangers: sessions that no record explains are reported; those with our
// name end, those of others are left alone.
func TestStrangers(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(), 100)
	a := r.app()
	start := func(name, target string) capture.Session {
		t.Helper()
		s, err := r.arm.Start(t.Context(), capture.Spec{
			Name: name, Target: target, TargetType: capture.AzureVM, Region: "westeurope",
			StorageID: group + "Microsoft.Storage/storageAccounts/shoplanding", TimeLimit: time.Hour, TotalBytes: 1 << 20,
		})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	start(capture.Prefix+strings.Repeat("a", 32), vms+"web1")
	start("portal-capture", vms+"web2")
	start(capture.Prefix+"mine", vms+"web3")
	r.server.Settle()
	r.pass(a, 8*time.Minute)
	if got := len(r.agent.targets()); got != 3 {
		t.Errorf("%d sessions run within the grace, want all", got)
	}
	r.pass(r.app(), 5*time.Minute)
	if got := strings.Join(r.agent.targets(), " "); got != "web2 web3" {
		t.Errorf("left are the sessions on %q", got)
	}
	if r.noticed(capture.Stranger, "no record explains") != 1 || r.noticed(capture.Stranger, "somebody else") != 2 {
		t.Errorf("notices %v", r.notices)
	}
	left, err := r.arm.List(t.Context(), sub)
	if err != nil || len(left) != 2 {
		t.Errorf("%d sessions are left, %v", len(left), err)
	}
	r.verified()
}

// TestPartialList: what is not listed because its region did not answer is
// not gone.
func TestPartialList(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(), 100)
	a := r.app()
	c := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
	r.setFault(func(req *http.Request) *local.Fault {
		if req.Method == http.MethodGet && strings.HasSuffix(req.URL.Path, "/west/packetCaptures") {
			return &local.Fault{Status: 409, Code: "Conflict", Message: "the region is down"}
		}
		return nil
	})
	r.clock.turn(time.Minute)
	if err := r.sweep(a); err == nil || !strings.Contains(err.Error(), "the region is down") {
		t.Errorf("sweep = %v", err)
	}
	r.want(r.now(a, c), capture.Capturing, "")
	r.pass(a, 20*time.Minute)
	r.want(r.now(a, c), capture.Closed, "")
}
