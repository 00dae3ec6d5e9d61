package arm

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"
)

const (
	agentPublisher = "Microsoft.Azure.NetworkWatcher"
	agentName      = "AzureNetworkWatcherExtension"
)

// notFound is how the compute and storage providers miss something.
func (r *request) notFound(levels int) *answer {
	_, name, _ := strings.Cut(r.id(levels), "/providers/")
	return fail(http.StatusNotFound, "ResourceNotFound", "The Resource '%s' under resource group '%s' was not found.", name, r.group)
}

func (r *request) expands(what string) bool {
	return strings.EqualFold(r.URL.Query().Get("$expand"), what)
}

func (s *Server) readVM(r *request) *answer {
	vm := s.world.vm(r.id(1))
	if vm == nil {
		return r.notFound(1)
	}
	return &answer{status: http.StatusOK, body: vm.model(r.expands("instanceView"), true)}
}

// listVMs lists the machines of a flexible scale set, as the filter names it,
// or of the resource group.
func (s *Server) listVMs(r *request) *answer {
	filter := r.URL.Query().Get("$filter")
	var set string
	if filter != "" {
		rest, begins := strings.CutPrefix(filter, "'virtualMachineScaleSet/id' eq '")
		var ends bool
		if set, ends = strings.CutSuffix(rest, "'"); !begins || !ends || s.world.scaleSet(set) == nil {
			return fail(http.StatusBadRequest, "BadRequest", "The filter '%s' is not supported.", filter)
		}
	} else if r.expands("instanceView") {
		return fail(http.StatusBadRequest, "BadRequest", "The expand expression needs a filter.")
	}
	prefix := strings.ToLower(fmt.Sprintf("/subscriptions/%s/resourceGroups/%s/", r.subscription, r.group))
	value := []*armcompute.VirtualMachine{}
	for i := range s.world.VMs {
		vm := &s.world.VMs[i]
		if strings.HasPrefix(strings.ToLower(vm.ID), prefix) && (set == "" || strings.EqualFold(vm.ScaleSet, set)) {
			value = append(value, vm.model(r.expands("instanceView"), false))
		}
	}
	return &answer{status: http.StatusOK, body: map[string]any{"value": value}}
}

// model describes a machine as the compute provider does: a list names the
// extensions at most, and the instance view comes on demand.
func (v *VM) model(instanceView, extensions bool) *armcompute.VirtualMachine {
	m := &armcompute.VirtualMachine{
		ID:       &v.ID,
		Name:     new(lastName(v.ID)),
		Type:     new("Microsoft.Compute/virtualMachines"),
		Location: &v.Region,
		Tags:     pointers(v.Tags),
		Properties: &armcompute.VirtualMachineProperties{
			VMID:              &v.VMID,
			ProvisioningState: new("Succeeded"),
			NetworkProfile: &armcompute.NetworkProfile{NetworkInterfaces: []*armcompute.NetworkInterfaceReference{{
				ID: new(v.interfaceID()),
			}}},
		},
	}
	if v.ManagedBy != "" {
		m.ManagedBy = &v.ManagedBy
	}
	if v.ScaleSet != "" {
		m.ManagedBy = &v.ScaleSet
		m.Properties.VirtualMachineScaleSet = &armcompute.SubResource{ID: &v.ScaleSet}
	}
	if extensions && v.AgentType != "" {
		m.Resources = agentExtension(v.ID, v.Region, v.AgentType, v.AgentState)
	}
	if instanceView {
		m.Properties.InstanceView = &armcompute.VirtualMachineInstanceView{
			Statuses:   statuses(v.Power),
			Extensions: agentView(v.AgentType, v.AgentState),
		}
	}
	return m
}

// interfaceID names the machine's one network interface.
func (v *VM) interfaceID() string {
	p, _ := parsePath(v.ID) // the world was checked
	return fmt.Sprintf("/subscriptions/%s/resourceGroups/%s/providers/Microsoft.Network/networkInterfaces/%s-nic", p.subscription, p.group, p.name(0))
}

func agentExtension(machine, region, kind, state string) []*armcompute.VirtualMachineExtension {
	return []*armcompute.VirtualMachineExtension{{
		ID:       new(machine + "/extensions/" + agentName),
		Name:     new(agentName),
		Type:     new("Microsoft.Compute/virtualMachines/extensions"),
		Location: &region,
		Properties: &armcompute.VirtualMachineExtensionProperties{
			Publisher:          new(agentPublisher),
			Type:               &kind,
			TypeHandlerVersion: new("1.4"),
			ProvisioningState:  new(or(state, "Succeeded")),
		},
	}}
}

func agentView(kind, state string) []*armcompute.VirtualMachineExtensionInstanceView {
	if kind == "" {
		return nil
	}
	return []*armcompute.VirtualMachineExtensionInstanceView{{
		Name:     new(agentName),
		Type:     new(agentPublisher + "." + kind),
		Statuses: []*armcompute.InstanceViewStatus{{Code: new("ProvisioningState/" + strings.ToLower(or(state, "Succeeded")))}},
	}}
}

func statuses(power string) []*armcompute.InstanceViewStatus {
	return []*armcompute.InstanceViewStatus{
		{Code: new("ProvisioningState/succeeded"), DisplayStatus: new("Provisioning succeeded")},
		{Code: new("PowerState/" + or(power, "running")), DisplayStatus: new("VM " + or(power, "running"))},
	}
}

func (s *Server) readScaleSet(r *request) *answer {
	set := s.world.scaleSet(r.id(1))
	if set == nil {
		return r.notFound(1)
	}
	mode, profile := armcompute.OrchestrationModeUniform, &armcompute.VirtualMachineScaleSetVMProfile{}
	if set.Flexible {
		mode = armcompute.OrchestrationModeFlexible
	}
	if set.AgentType != "" {
		profile.ExtensionProfile = &armcompute.VirtualMachineScaleSetExtensionProfile{
			Extensions: []*armcompute.VirtualMachineScaleSetExtension{{
				Name: new(agentName),
				Properties: &armcompute.VirtualMachineScaleSetExtensionProperties{
					Publisher: new(agentPublisher), Type: &set.AgentType, TypeHandlerVersion: new("1.4"),
					ProvisioningState: new("Succeeded"),
				},
			}},
		}
	}
	return &answer{status: http.StatusOK, body: &armcompute.VirtualMachineScaleSet{
		ID: &set.ID, Name: new(lastName(set.ID)), Type: new("Microsoft.Compute/virtualMachineScaleSets"),
		Location: &set.Region, Tags: pointers(set.Tags),
		Properties: &armcompute.VirtualMachineScaleSetProperties{
			OrchestrationMode: &mode, VirtualMachineProfile: profile, ProvisioningState: new("Succeeded"),
		},
	}}
}

func (s *Server) listInstances(r *request) *answer {
	set := s.world.scaleSet(r.id(1))
	if set == nil {
		return r.notFound(1)
	}
	q := r.URL.Query()
	from, _ := strconv.Atoi(q.Get("$skiptoken"))
	from = min(max(from, 0), len(set.Instances))
	to := len(set.Instances)
	body := map[string]any{}
	if n := s.options.PageSize; n > 0 && from+n < to {
		to = from + n
		q.Set("$skiptoken", strconv.Itoa(to))
		body["nextLink"] = (&url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path, RawQuery: q.Encode()}).String()
	}
	value := []*armcompute.VirtualMachineScaleSetVM{}
	for i := from; i < to; i++ {
		value = append(value, set.Instances[i].model(set, r.expands("instanceView")))
	}
	body["value"] = value
	return &answer{status: http.StatusOK, body: body}
}

func (s *Server) readInstance(r *request) *answer {
	return s.ofInstance(r, func(set *ScaleSet, i *Instance) *answer {
		return &answer{status: http.StatusOK, body: i.model(set, r.expands("instanceView"))}
	})
}

// ofInstance answers a request for an instance of a scale set.
func (s *Server) ofInstance(r *request, answer func(*ScaleSet, *Instance) *answer) *answer {
	set := s.world.scaleSet(r.id(1))
	if set == nil {
		return r.notFound(1)
	}
	i := set.instance(r.name(1))
	if i == nil {
		return r.notFound(2)
	}
	return answer(set, i)
}

func (i *Instance) model(set *ScaleSet, instanceView bool) *armcompute.VirtualMachineScaleSetVM {
	id := set.ID + "/virtualMachines/" + i.ID
	m := &armcompute.VirtualMachineScaleSetVM{
		ID: &id, InstanceID: &i.ID, Name: new(or(i.Name, lastName(set.ID)+"_"+i.ID)),
		Type: new("Microsoft.Compute/virtualMachineScaleSets/virtualMachines"), Location: &set.Region,
		Properties: &armcompute.VirtualMachineScaleSetVMProperties{
			LatestModelApplied: new(!i.Outdated), ProvisioningState: new("Succeeded"),
		},
	}
	if i.AgentType != "" {
		m.Resources = agentExtension(id, set.Region, i.AgentType, "")
	}
	if instanceView {
		m.Properties.InstanceView = &armcompute.VirtualMachineScaleSetVMInstanceView{
			Statuses:   statuses(i.Power),
			Extensions: agentView(i.AgentType, ""),
		}
	}
	return m
}

func (s *Server) readStorage(r *request) *answer {
	a := s.world.storage(r.id(1))
	if a == nil {
		return r.notFound(1)
	}
	return &answer{status: http.StatusOK, body: map[string]any{
		"id": a.ID, "name": lastName(a.ID), "type": "Microsoft.Storage/storageAccounts",
		"location": a.Region, "kind": "StorageV2", "sku": map[string]string{"name": "Standard_LRS"},
		"properties": map[string]any{"allowSharedKeyAccess": !a.NoSharedKey, "provisioningState": "Succeeded"},
	}}
}

func lastName(id string) string { return id[strings.LastIndexByte(id, '/')+1:] }

func pointers(in map[string]string) map[string]*string {
	out := make(map[string]*string, len(in))
	for k, v := range in {
		out[k] = &v
	}
	return out
}
