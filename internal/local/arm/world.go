package arm

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The agent extension's types, by operating system.
const (
	AgentLinux   = "NetworkWatcherAgentLinux"
	AgentWindows = "NetworkWatcherAgentWindows"
)

// A World is what exists in the pretended Azure, apart from the packet
// captures. Everything is named by its ARM ID; a subscription and a resource
// group exist where something is in them.
type World struct {
	VMs       []VM
	ScaleSets []ScaleSet
	Watchers  []NetworkWatcher
	Storage   []StorageAccount
	Alerts    []Alert

	// Lacks are the actions that the caller is not permitted, anywhere. They
	// are told when the caller asks for its permissions; whether a request is
	// refused is for Options.Fault to say.
	Lacks []string

	Network Network // around the machines
}

// A VM is a virtual machine.
type VM struct {
	ID         string
	Region     string
	VMID       string
	Tags       map[string]string
	ManagedBy  string
	Power      string   // "running", "deallocated", ...; empty: running
	AgentType  string   // of the agent extension; empty: it has none
	AgentState string   // the extension's provisioning state; empty: Succeeded
	Addresses  []string // of its network interface, which is named after it
	Subnet     string   // ARM ID; empty: one without rules
	ScaleSet   string   // ARM ID of the flexible scale set that it belongs to
}

// A ScaleSet is a virtual machine scale set. The machines of a flexible one
// are VMs that name it.
type ScaleSet struct {
	ID        string
	Region    string
	Tags      map[string]string
	Flexible  bool
	AgentType string // of the agent extension in the model; empty: none
	Subnet    string // ARM ID; empty: one without rules
	Instances []Instance
}

// An Instance is a machine of a uniform scale set.
type Instance struct {
	ID        string // "0", "17"
	Name      string // empty: the scale set's, "_" and the ID
	Power     string // empty: running
	AgentType string // empty: none
	Outdated  bool   // the latest model was not applied
	Addresses []string
}

// A NetworkWatcher watches a region of its subscription.
type NetworkWatcher struct {
	ID     string
	Region string
}

// A StorageAccount is where captures may land.
type StorageAccount struct {
	ID          string
	Region      string
	NoSharedKey bool // refuses account keys, and with them Network Watcher
}

// An Alert is one that Azure Monitor raised.
type Alert struct {
	ID        string
	Rule      string // ARM ID
	Target    string // ARM ID
	Severity  string
	Condition string // Fired or Resolved
	Fired     time.Time
}

// check finds what no request could ever reach.
func (w *World) check() error {
	var errs []error
	want := func(id, typ string) {
		p, err := parsePath(id)
		if err != nil || p.kind() != typ || p.group == "" {
			errs = append(errs, fmt.Errorf("%q is not the ID of a %s", id, typ))
		}
	}
	for _, v := range w.VMs {
		want(v.ID, "microsoft.compute/virtualmachines/*")
	}
	for _, s := range w.ScaleSets {
		want(s.ID, "microsoft.compute/virtualmachinescalesets/*")
	}
	for _, n := range w.Watchers {
		want(n.ID, "microsoft.network/networkwatchers/*")
	}
	for _, a := range w.Storage {
		want(a.ID, "microsoft.storage/storageaccounts/*")
	}
	errs = append(errs, w.Network.check(want))
	for _, a := range w.Alerts {
		if p, err := parsePath(a.ID); err != nil || p.kind() != pathAlert+"/*" || p.group != "" {
			errs = append(errs, fmt.Errorf("%q is not the ID of an alert", a.ID))
		}
	}
	return errors.Join(errs...)
}

// clone keeps the caller's slices out of reach: Update changes elements.
func (w World) clone() World {
	w.VMs = slices.Clone(w.VMs)
	w.ScaleSets = slices.Clone(w.ScaleSets)
	for i := range w.ScaleSets {
		w.ScaleSets[i].Instances = slices.Clone(w.ScaleSets[i].Instances)
	}
	w.Watchers = slices.Clone(w.Watchers)
	w.Storage = slices.Clone(w.Storage)
	w.Alerts = slices.Clone(w.Alerts)
	w.Network = w.Network.clone()
	return w
}

// ids are the IDs of everything.
func (w *World) ids(yield func(string) bool) {
	for _, v := range w.VMs {
		if !yield(v.ID) {
			return
		}
	}
	for _, s := range w.ScaleSets {
		if !yield(s.ID) {
			return
		}
	}
	for _, n := range w.Watchers {
		if !yield(n.ID) {
			return
		}
	}
	for _, a := range w.Storage {
		if !yield(a.ID) {
			return
		}
	}
	for _, s := range w.Network.Subnets {
		if !yield(s.ID) {
			return
		}
	}
}

func (w *World) hasSubscription(id string) bool {
	prefix := strings.ToLower("/subscriptions/" + id + "/")
	for known := range w.ids {
		if strings.HasPrefix(strings.ToLower(known), prefix) {
			return true
		}
	}
	return false
}

func (w *World) vm(id string) *VM {
	return find(w.VMs, func(v *VM) bool { return strings.EqualFold(v.ID, id) })
}

func (w *World) scaleSet(id string) *ScaleSet {
	return find(w.ScaleSets, func(s *ScaleSet) bool { return strings.EqualFold(s.ID, id) })
}

func (s *ScaleSet) instance(id string) *Instance {
	return find(s.Instances, func(i *Instance) bool { return i.ID == id })
}

func (w *World) watcher(id string) *NetworkWatcher {
	return find(w.Watchers, func(n *NetworkWatcher) bool { return strings.EqualFold(n.ID, id) })
}

func (w *World) storage(id string) *StorageAccount {
	return find(w.Storage, func(a *StorageAccount) bool { return strings.EqualFold(a.ID, id) })
}

func find[T any](all []T, is func(*T) bool) *T {
	for i := range all {
		if is(&all[i]) {
			return &all[i]
		}
	}
	return nil
}

func running(power string) bool { return power == "" || power == "running" }

func region(s string) string { return strings.ToLower(strings.ReplaceAll(s, " ", "")) }

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
