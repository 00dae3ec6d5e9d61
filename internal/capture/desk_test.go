package capture_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
)

var ana = capture.Person{Name: "ana@example.com", Reason: "ticket 7"}

func TestApproval(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(), 100)
	a := r.app()
	c := r.one(a, r.fire(a, r.fired("a", "asked", vms+"web1")))
	r.want(c, capture.Awaiting, "soc")
	if r.puts() != 0 {
		t.Fatal("it was started before anybody approved it")
	}
	if r.noticed(capture.Approve, "TCP remote port 22, for at most 5m or 100MiB") != 1 {
		t.Errorf("notices %v", r.notices)
	}
	r.pass(a, time.Hour)
	again := r.one(a, r.fire(a, r.fired("b", "asked", vms+"web1")))
	r.want(again, capture.Joined, c.ID)
	for _, nobody := range []capture.Person{{}, {Name: "ana"}, {Name: "ana", Reason: "  "}, {Name: strings.Repeat("a", 300), Reason: "x"}} {
		if _, err := a.desk.Approve(t.Context(), c.ID, nobody); err == nil {
			t.Errorf("approved by %+v", nobody)
		}
	}
	c, err := a.desk.Approve(t.Context(), c.ID, ana)
	if err != nil {
		t.Fatal(err)
	}
	r.want(c, capture.Capturing, "")
	if d := c.Approval.Decision; d == nil || d.By != ana.Name || d.Reason != ana.Reason {
		t.Errorf("decision %+v", d)
	}
	if _, err := a.desk.Approve(t.Context(), c.ID, ana); !errors.Is(err, capture.ErrState) {
		t.Errorf("approved twice: %v", err)
	}
	r.server.Settle()
	r.pass(a, 20*time.Minute)
	r.want(r.now(a, c), capture.Closed, "")
	var actions []string
	for _, e := range r.verified() {
		if e.Case == c.ID {
			actions = append(actions, string(e.Action)+" "+string(e.Phase)+" "+e.Actor)
		}
	}
	want := "approve before ana@example.com, approve after ana@example.com, start before pcapwarden, start after pcapwarden, delete before pcapwarden, delete after pcapwarden"
	if got := strings.Join(actions, ", "); got != want {
		t.Errorf("audit log: %s\nwant       %s", got, want)
	}
}

func TestNotApproved(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(), 100)
	a := r.app()
	rejected := r.one(a, r.fire(a, r.fired("a", "asked", vms+"web1")))
	forgotten := r.one(a, r.fire(a, r.fired("b", "asked", vms+"web2")))
	over := r.one(a, r.fire(a, r.fired("c", "asked", vms+"web3")))
	if _, err := a.desk.Reject(t.Context(), rejected.ID, ana); err != nil {
		t.Fatal(err)
	}
	r.fire(a, resolved(r.fired("c", "asked", vms+"web3")))
	r.pass(a, time.Minute)
	r.clock.turn(25 * time.Hour)
	r.pass(a, time.Minute)
	r.want(r.now(a, rejected), capture.Rejected, "rejected by ana@example.com: ticket 7")
	r.want(r.now(a, forgotten), capture.Declined, "nobody approved it")
	r.want(r.now(a, over), capture.Declined, "resolved before anybody approved")
	if r.puts() != 0 {
		t.Errorf("%d sessions were asked for", r.puts())
	}
}

func TestDesk(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(), 100)
	a := r.app()
	one := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
	r.clock.turn(time.Minute)
	two := r.one(a, r.fire(a, r.fired("b", "dns", vms+"web2")))
	list := func(q capture.Query) string {
		cases, err := a.desk.List(t.Context(), q)
		if err != nil {
			t.Error(err)
		}
		var names []string
		for _, c := range cases {
			names = append(names, c.Profile)
		}
		return strings.Join(names, " ")
	}
	for _, tt := range []struct {
		q    capture.Query
		want string
	}{
		{capture.Query{}, "dns tls"}, {capture.Query{Profile: "tls"}, "tls"}, {capture.Query{Target: "WEB2"}, "dns"},
		{capture.Query{Since: t0.Add(time.Minute)}, "dns"}, {capture.Query{State: capture.Awaiting}, ""},
		{capture.Query{Incident: one.Incident}, "tls"}, {capture.Query{Most: 1}, "dns"},
	} {
		if got := list(tt.q); got != tt.want {
			t.Errorf("List(%+v) = %q, want %q", tt.q, got, tt.want)
		}
	}
	if _, err := a.desk.Show(t.Context(), "pc-none"); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("Show of what is not there: %v", err)
	}
	if _, err := a.desk.Delete(t.Context(), one.ID, ana); !errors.Is(err, capture.ErrState) {
		t.Errorf("Delete of what runs: %v", err)
	}
	if _, err := a.desk.Stop(t.Context(), one.ID, ana); err != nil {
		t.Fatal(err)
	}
	r.server.Settle()
	if got := strings.Join(r.agent.targets(), " "); got != "web2" {
		t.Errorf("captures on %q after one was stopped", got)
	}
	r.pass(a, 20*time.Minute)
	if _, err := a.desk.Stop(t.Context(), two.ID, ana); !errors.Is(err, capture.ErrState) {
		t.Errorf("Stop of what is over: %v", err)
	}
	if got := list(capture.Query{Closed: true}); got != "dns tls" {
		t.Errorf("closed cases %q", got)
	}
	if _, err := a.desk.Hold(t.Context(), one.ID, ana); err != nil {
		t.Fatal(err)
	}
	if _, err := a.desk.Delete(t.Context(), one.ID, ana); !errors.Is(err, capture.ErrState) || r.expired[one.ID] != 0 {
		t.Errorf("Delete of what is held: %v", err)
	}
	r.early = true
	if c, err := a.desk.Delete(t.Context(), two.ID, ana); err != nil || c.State != capture.Expired || r.expired[two.ID] != 1 {
		t.Errorf("Delete: %v, %s", err, c.State)
	}
	e, err := a.desk.Export(t.Context(), two.ID, ana)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(e); err != nil {
		t.Error(err)
	}
	last := e.Audit[len(e.Audit)-1]
	if e.Incident.ID != two.Incident || last.Action != audit.Export || last.Phase != audit.Before || len(e.Audit) != 7 {
		t.Errorf("export of incident %s with %d entries, the last %+v", e.Incident.ID, len(e.Audit), last)
	}
	r.verified()
}
