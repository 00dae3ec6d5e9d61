package arm

import (
	"slices"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9"
)

// A machine is what a session captures on: itself, or an instance.
type machine struct {
	id, instance string
	addresses    []string
	problem      string // why nothing can be captured there
}

func (v *VM) machine() machine {
	return machine{id: v.ID, addresses: v.Addresses, problem: problem(v.ID, true, v.Power, v.AgentType, v.AgentState)}
}

// named returns the instances that a scope includes and excludes: by number,
// or by ARM ID, which is how Azure echoes them.
func (set *ScaleSet) named(scope *armnetwork.PacketCaptureMachineScope) (include, exclude []string) {
	if scope == nil {
		return nil, nil
	}
	for _, i := range scope.Include {
		include = append(include, lastName(deref(i)))
	}
	for _, i := range scope.Exclude {
		exclude = append(exclude, lastName(deref(i)))
	}
	return include, exclude
}

// machines applies a scope: none means all instances.
func (set *ScaleSet) machines(include, exclude []string) []machine {
	var all []machine
	if len(include) == 0 {
		for _, i := range set.Instances {
			if !slices.Contains(exclude, i.ID) {
				include = append(include, i.ID)
			}
		}
	}
	for _, n := range include {
		m := machine{id: set.ID + "/virtualMachines/" + n, instance: n}
		if i := set.instance(n); i != nil {
			m.addresses, m.problem = i.Addresses, problem(m.id, true, i.Power, i.AgentType, "")
		} else {
			m.problem = problem(m.id, false, "", "", "")
		}
		all = append(all, m)
	}
	return all
}

// problem says why there can be no capture on a machine. The first text is
// Azure's, the other our own.
func problem(id string, exists bool, power, agentType, agentState string) string {
	switch {
	case !exists || !running(power):
		return id + " does not exist or is in stopped state."
	case agentType == "" || or(agentState, "Succeeded") != "Succeeded":
		return "The Network Watcher agent extension is not ready on " + id + "."
	}
	return ""
}
