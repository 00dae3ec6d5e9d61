package capture_test

import (
	"strings"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/alert"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	local "github.com/pcapwarden/pcapwarden/internal/local/arm"
	"github.com/pcapwarden/pcapwarden/internal/resourceid"
)

// TestPreflight names the exact blocker of a machine that can't be captured
// on, in words that say what to do, and asks Azure for nothing.
func TestPreflight(t *testing.T) {
	t.Parallel()
	change := func(f func(*local.VM)) func(*local.World) {
		return func(w *local.World) { f(&w.VMs[0]) }
	}
	tests := []struct {
		name string
		with func(*local.World)
		says string
	}{
		{"gone", func(w *local.World) { w.VMs = w.VMs[1:] }, "does not exist"},
		{"stopped", change(func(v *local.VM) { v.Power = "deallocated" }), "is deallocated, not running: start it"},
		{"F14 no agent", change(func(v *local.VM) { v.AgentType = "" }), "no Network Watcher agent: install"},
		{"F14 agent broken", change(func(v *local.VM) { v.AgentState = "Failed" }), `"Failed", not Succeeded: repair`},
		{"AKS", change(func(v *local.VM) { v.Tags["aks-managed-poolName"] = "p" }), "AKS"},
		{"not opted in", change(func(v *local.VM) { v.Tags = nil }), "no tag pcapwarden=allowed"},
		{"no landing account", func(w *local.World) {
			w.VMs[0].Region = "uksouth"
			w.Watchers = append(w.Watchers, local.NetworkWatcher{ID: watcher + "uk", Region: "uksouth"})
		}, "no landing account in region"},
		{"F15 no watcher", change(func(v *local.VM) { v.Region = "northeurope" }), "no Network Watcher: enable it"},
		{"F44 account elsewhere", change(func(v *local.VM) { v.Region = "eastus" }), "is in westeurope, and the machine in eastus"},
		{"keys off", func(w *local.World) { w.Storage[0].NoSharedKey = true }, "does not allow shared keys"},
		{"account gone", func(w *local.World) { w.Storage = w.Storage[1:] }, "shoplanding does not exist"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := shop()
			tt.with(&w)
			onStoresIn(t, w, func(t *testing.T, r *rig) {
				a := r.app()
				c := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
				r.want(c, capture.Declined, tt.says)
				if r.puts() != 0 {
					t.Errorf("%d sessions were asked for", r.puts())
				}
				if r.noticed(capture.Failure, tt.says) != 1 {
					t.Errorf("notices %v, want one that says %q", r.notices, tt.says)
				}
			})
		})
	}
}

// TestTagRemoved: the opt-in is checked again at every start (H12).
func TestTagRemoved(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(), 100)
	r.setFault(only("PUT", &local.Fault{Status: 500, Code: "InternalServerError"}))
	a := r.app()
	c := r.one(a, r.fire(a, r.fired("a", "tls", vms+"web1")))
	r.want(c, capture.Asked, "500")
	r.setFault(nil)
	if err := r.server.Update(func(w *local.World) { w.VMs[0].Tags = nil }); err != nil {
		t.Fatal(err)
	}
	r.pass(a, 1)
	r.want(r.now(a, c), capture.Declined, "no tag")
}

// TestF16ScaleSet captures on instances that can be captured on, never on all:
// at most as many as the profile allows, and the case says which.
func TestF16ScaleSet(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		named []string
		state capture.State
		on    []string
		says  string
	}{
		{"any", nil, capture.Capturing, []string{"1", "4"}, "instance 1, 4; instance 0 is deallocated"},
		{"named", []string{"10", "uniform_4", "1"}, capture.Capturing, []string{"10", "4"}, "of the 3 that the alert names"},
		{"named and unfit", []string{"0", "3"}, capture.Declined, nil, "instance 3 has no Network Watcher agent"},
		{"named and unknown", []string{"99"}, capture.Declined, nil, `"99" is none of its instances`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			onStores(t, func(t *testing.T, r *rig) {
				a := r.app()
				al := r.fired("a", "tls", setID)
				al.Targets[0].Instances = tt.named
				c := r.one(a, r.fire(a, al))
				if c.State != tt.state || strings.Join(c.Instances, " ") != strings.Join(tt.on, " ") {
					t.Errorf("%s on %q, want %s on %q: %s", c.State, c.Instances, tt.state, tt.on, c.Reason)
				}
				if !strings.Contains(c.Reason+c.InstancesReason, tt.says) {
					t.Errorf("the case says %q %q, want %q", c.Reason, c.InstancesReason, tt.says)
				}
				if got := len(r.agent.targets()); got != len(tt.on) {
					t.Errorf("%d machines are captured on, want %d", got, len(tt.on))
				}
			})
		})
	}
}

func TestF16EmptyScaleSet(t *testing.T) {
	t.Parallel()
	w := shop()
	w.ScaleSets[0].Instances = nil
	r := newRig(t, w, 100)
	a := r.app()
	r.want(r.one(a, r.fire(a, r.fired("a", "tls", setID))), capture.Declined, "none can be captured on")
}

// TestFlexibleScaleSet captures on its machines by themselves.
func TestFlexibleScaleSet(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(), 100)
	a := r.app()
	result := r.fire(a, r.fired("a", "tls", flexID))
	if len(result.Cases) != 3 {
		t.Fatalf("%d cases, want the scale set's and two machines'", len(result.Cases))
	}
	r.want(r.now(a, result.Cases[0]), capture.Joined, "by themselves")
	if got := strings.Join(r.agent.targets(), " "); got != "flex1 flex2" {
		t.Errorf("captures on %q, want two of its machines", got)
	}
	again := r.fire(a, r.fired("a", "tls", flexID))
	if len(again.Cases) != 1 && r.puts() != 2 {
		t.Errorf("the alert again asked for %d sessions", r.puts())
	}
	// The machines belong to the incident, so that its end ends them.
	r.fire(a, resolved(r.fired("a", "tls", flexID)))
	if got := r.agent.targets(); len(got) != 0 {
		t.Errorf("captures on %q after the alert was resolved", got)
	}
}

// TestLookups finds machines by their interface and by their name, and takes
// nothing for granted about what it finds.
func TestLookups(t *testing.T) {
	t.Parallel()
	elsewhere := vm("web9")
	elsewhere.ID = strings.Replace(elsewhere.ID, "/shop/", "/bank/", 1)
	tests := []struct {
		name, given string
		target      alert.TargetType
		state       capture.State
		says        string
	}{
		{"by name", "WEB2", alert.ComputerName, capture.Capturing, ""},
		{"no such name", "web99", alert.ComputerName, capture.Declined, `no machine in the policy's scope is called "web99"`},
		{"by interface", nics + "web3-nic", alert.NetworkInterface, capture.Capturing, ""},
		{"no such interface", nics + "web99", alert.NetworkInterface, capture.Declined, "belongs to no machine"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := shop()
			w.VMs = append(w.VMs, elsewhere)
			r := newRig(t, w, 100)
			a := r.app()
			al := r.fired("a", "tls", tt.given)
			if tt.target == alert.NetworkInterface {
				al.Targets[0].ID = resourceid.MustParse(tt.given)
			}
			c := r.one(a, r.fire(a, al))
			r.want(c, tt.state, tt.says)
			if tt.state == capture.Capturing && !strings.EqualFold(c.Target, vms+r.agent.targets()[0]) {
				t.Errorf("the case is of %q, captured on is %q", c.Target, r.agent.targets())
			}
		})
	}
}
