package capture_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pcapwarden/pcapwarden/internal/alert"
	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	local "github.com/pcapwarden/pcapwarden/internal/local/arm"
)

// TestModel does what people, alerts, Azure and fate may do, in any order, and
// holds the app against what must be true all the time and in the end:
//
//   - nothing outside the policy's scope is ever captured on, and nothing
//     without limits;
//   - never more captures on a machine than the policy allows;
//   - everything ends, no session is left behind, and every case is done;
//   - evidence is deleted on its date: not before, and not while it is held;
//   - every effect is in the audit log, before and after, and its chain is whole.
func TestModel(t *testing.T) {
	t.Parallel()
	steps := 0
	rapid.Check(t, func(rt *rapid.T) {
		m := newModel(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"":        m.check,
			"fire":    m.fire,
			"again":   m.again,
			"resolve": m.resolve,
			"tick":    func(*rapid.T) { m.pass(time.Minute) },
			"ticks":   func(rt *rapid.T) { m.pass(rapid.SampledFrom(minutes).Draw(rt, "for")) },
			"kill":    m.kill,
			"fault":   m.strikes,
			"mend":    func(*rapid.T) { m.setFault(nil); m.agent.deaf, m.agent.mute = false, false },
			"jump":    m.jump,
			"decide":  m.decide,
			"meddle":  m.meddle,
		})
		steps += m.steps
		m.end()
	})
	t.Logf("%d steps", steps)
	if !t.Failed() && steps < 2000 && !testing.Short() {
		t.Errorf("only %d steps", steps)
	}
}

var minutes = []time.Duration{2 * time.Minute, 5 * time.Minute, 20 * time.Minute}

type model struct {
	*rig
	app    *app
	alerts []alert.Alert
	steps  int
}

func newModel(t tester) *model {
	w := shop()
	outside := vm("bank1")
	outside.ID = strings.Replace(outside.ID, "/shop/", "/bank/", 1)
	untagged := vm("secret")
	untagged.Tags = nil
	w.VMs = append(w.VMs, outside, untagged)
	m := &model{rig: newRigIn(t, w, 100_000, newMemory())}
	m.app = m.rig.app()
	return m
}

// living returns the process, or another where it was killed.
func (m *model) living() *app {
	if m.app.life.over() {
		m.app = m.rig.app()
	}
	m.steps++
	return m.app
}

// pass lets time pass, whoever dies on the way.
func (m *model) pass(d time.Duration) {
	for range d / time.Minute {
		m.rig.pass(m.living(), time.Minute)
	}
}

var places = []string{vms + "web1", vms + "web2", vms + "web3", vms + "secret", strings.Replace(vms, "/shop/", "/bank/", 1) + "bank1", setID, flexID, "web1", nics + "web2-nic", vms + "nowhere"}

func (m *model) fire(t *rapid.T) {
	rule := rapid.SampledFrom([]string{"tls", "tls", "dns", "asked"}).Draw(t, "rule")
	targets := rapid.SliceOfNDistinct(rapid.SampledFrom(places), 1, 4, rapid.ID[string]).Draw(t, "targets")
	al := m.fired(fmt.Sprint("alert", len(m.alerts)), rule, targets...)
	m.alerts = append(m.alerts, al)
	m.rig.fire(m.living(), al)
}

func (m *model) pick(t *rapid.T) (alert.Alert, bool) {
	if len(m.alerts) == 0 {
		return alert.Alert{}, false
	}
	return m.alerts[rapid.IntRange(0, len(m.alerts)-1).Draw(t, "alert")], true
}

func (m *model) again(t *rapid.T) {
	if al, ok := m.pick(t); ok {
		m.rig.fire(m.living(), al)
	}
}

func (m *model) resolve(t *rapid.T) {
	if al, ok := m.pick(t); ok {
		m.rig.fire(m.living(), resolved(al))
	}
}

func (m *model) kill(t *rapid.T) {
	m.living().life.endAfter(rapid.IntRange(0, 60).Draw(t, "steps"))
	if al, ok := m.pick(t); ok && rapid.Bool().Draw(t, "while an alert comes") {
		m.rig.fire(m.app, al)
	}
	_ = m.sweep(m.app)
	m.living()
}

func (m *model) strikes(t *rapid.T) {
	every := rapid.IntRange(1, 7).Draw(t, "every")
	what := rapid.SampledFrom([]string{"PUT", "POST", "GET", "DELETE", "/stop", "/querystatus", "/packetcaptures"}).Draw(t, "what")
	f := rapid.SampledFrom([]local.Fault{
		{Status: 429, Code: "TooManyRequests", RetryAfter: time.Minute},
		{Status: 429, Code: "TooManyRequests", RetryAfter: time.Hour},
		{Status: 429, Code: "RetryableErrorDueToAnotherOperation"},
		{Status: 409, Code: "Conflict", Message: "An error occurred."},
		{Status: 409, Code: "Conflict", AfterEffect: true},
		{Status: 403, Code: "AuthorizationFailed"},
		{FailOperation: "the machine is full"},
	}).Draw(t, "fault")
	n := 0
	m.setFault(func(r *http.Request) *local.Fault {
		if n++; n%every != 0 {
			return nil
		}
		return only(what, &f)(r)
	})
	m.agent.deaf = rapid.Bool().Draw(t, "limits are not kept")
	m.agent.mute = rapid.IntRange(0, 3).Draw(t, "files") == 0
	m.steps++
}

func (m *model) jump(t *rapid.T) {
	m.clock.turn(rapid.SampledFrom([]time.Duration{-10 * time.Minute, 10 * time.Minute, 3 * time.Hour, 26 * time.Hour}).Draw(t, "clock"))
	m.steps++
}

func (m *model) decide(t *rapid.T) {
	a := m.living()
	cases, err := a.desk.List(context.Background(), capture.Query{Closed: true})
	if err != nil || len(cases) == 0 {
		return
	}
	c := cases[rapid.IntRange(0, len(cases)-1).Draw(t, "case")]
	choices := []func(context.Context, string, capture.Person) (capture.Case, error){
		a.desk.Approve, a.desk.Approve, a.desk.Reject, a.desk.Stop, a.desk.Hold, a.desk.Release,
	}
	decide := choices[rapid.IntRange(0, len(choices)-1).Draw(t, "decision")]
	_, _ = decide(context.Background(), c.ID, ana) // most are not possible in most states
	m.server.Settle()
}

// meddle is somebody else who deletes a session.
func (m *model) meddle(t *rapid.T) {
	m.steps++
	sessions, err := m.arm.List(context.Background(), sub)
	if err == nil && len(sessions) > 0 {
		_ = m.arm.Delete(context.Background(), sessions[rapid.IntRange(0, len(sessions)-1).Draw(t, "session")].ID)
		m.server.Settle()
	}
}

// check is what holds all the time.
func (m *model) check(*rapid.T) {
	m.agent.mu.Lock()
	defer m.agent.mu.Unlock()
	if m.agent.most > m.policy.Limits.ActivePerVM {
		m.Fatalf("%d captures on one machine at once", m.agent.most)
	}
	for target := range m.agent.total {
		if strings.Contains(target, "bank") || strings.Contains(target, "secret") {
			m.Fatalf("captured on %s, which is out of scope", target)
		}
	}
	for _, s := range m.agent.running {
		if s.TimeLimit != 5*time.Minute || s.TotalBytes != 100<<20 || len(s.Filters) == 0 {
			m.Fatalf("a session without its limits: %+v", s)
		}
	}
}

// end is what holds when nothing is wrong any more, and time has passed.
func (m *model) end() {
	m.setFault(nil)
	m.agent.mute = false // but Azure still does not keep the limits, perhaps
	m.app = m.rig.app()
	a := m.app
	m.pass(50 * time.Minute)
	if got := m.agent.targets(); len(got) > 0 {
		m.Fatalf("captures still run on %q", got)
	}
	sessions, err := m.arm.List(context.Background(), sub)
	if err != nil || len(sessions) > 0 {
		m.Fatalf("sessions are left: %v, %v", sessions, err)
	}
	m.clock.turn(30 * time.Hour) // nobody approves
	m.pass(5 * time.Minute)
	for c, err := range a.Ledger.OpenCases(context.Background(), "") {
		m.Fatalf("case is left: %s %s, %v\n%v", c.State, c.Reason, err, c.History)
	}
	m.clock.turn(8 * 24 * time.Hour)
	m.pass(3 * time.Minute)
	logged := map[string]bool{}
	for _, e := range m.verified() {
		logged[fmt.Sprint(e.Action, e.Phase, e.Case)] = true
	}
	for c, err := range a.Ledger.ClosedCases(context.Background(), "") {
		if err != nil {
			m.Fatal(err)
		}
		if len(c.Files) > 0 && c.Deleted.IsZero() && c.Hold == nil {
			m.Fatalf("evidence outlives its date: %s %s %v\n%v", c.State, c.Reason, c.DeleteAfter, c.History)
		}
		for _, phase := range []audit.Phase{audit.Before, audit.After} {
			if !c.Deleted.IsZero() && !logged[fmt.Sprint(audit.Expire, phase, c.ID)] {
				m.Fatalf("the deletion of %s is not in the audit log %s it", c.ID, phase)
			}
		}
	}
	for name := range m.agent.names {
		if !logged[fmt.Sprint(audit.Start, audit.Before, name)] {
			m.Fatalf("the start of %s is not in the audit log", name)
		}
	}
}
