package arm

import (
	"context"
	"errors"
	"fmt"
	"strings"

	azarm "github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9"

	"github.com/pcapwarden/pcapwarden/internal/capture"
)

// Publisher and the types are how the Network Watcher agent extension is
// recognised: its name is the installer's choice.
// https://learn.microsoft.com/azure/network-watcher/network-watcher-agent-linux
const (
	publisher    = "Microsoft.Azure.NetworkWatcher"
	agentLinux   = "NetworkWatcherAgentLinux"
	agentWindows = "NetworkWatcherAgentWindows"
)

// Machine implements [capture.Watcher]. The target is a virtual machine, a
// scale set, or an instance of a scale set: then the answer is the scale set
// with that one instance. The machines of a flexible scale set are ordinary
// ones: they come as instances whose ID is their ARM ID, to be captured on by
// themselves.
func (w *Watcher) Machine(ctx context.Context, target string) (capture.Machine, error) {
	id, err := parseID(target)
	if err != nil {
		return capture.Machine{}, refuse(ReadMachines, "look a target up: %w", err)
	}
	c, err := w.clients(id.SubscriptionID)
	if err != nil {
		return capture.Machine{}, err
	}
	switch typeOf(id) {
	case typeVM:
		return c.machine(ctx, id)
	case typeScaleSet:
		return c.scaleSet(ctx, id)
	case typeScaleSetVM:
		return c.instance(ctx, id)
	}
	return capture.Machine{}, refuse(ReadMachines, "look a target up: %.300q is neither a virtual machine nor a scale set", target)
}

func (c *clients) machine(ctx context.Context, id *azarm.ResourceID) (capture.Machine, error) {
	r, err := c.vms.Get(ctx, id.ResourceGroupName, id.Name, &armcompute.VirtualMachinesClientGetOptions{
		Expand: new(armcompute.InstanceViewTypesInstanceView),
	})
	if err != nil {
		return capture.Machine{}, fmt.Errorf("look %s up: %w", id.Name, classify(ReadMachines, err))
	}
	vm := &r.VirtualMachine
	m := capture.Machine{
		ID:        or(deref(vm.ID), id.String()),
		Type:      capture.AzureVM,
		Region:    normalRegion(deref(vm.Location)),
		Tags:      tags(vm.Tags),
		ManagedBy: managedBy(id.ResourceGroupName, vm.Tags, deref(vm.ManagedBy)),
	}
	if p := vm.Properties; p != nil {
		m.VMID = deref(p.VMID)
		m.Power = powerOf(p.InstanceView)
		if m.Addresses, err = c.addresses(ctx, p.NetworkProfile); err != nil {
			return capture.Machine{}, fmt.Errorf("look the addresses of %s up: %w", id.Name, err)
		}
	}
	m.Agent = agentOf(vm)
	return m, nil
}

func tags(in map[string]*string) map[string]string {
	if len(in) == 0 {
		return nil
	}
	out := make(map[string]string, len(in))
	for k, v := range in {
		out[k] = deref(v)
	}
	return out
}

// managedBy names the service that owns a machine. AKS does not support the
// agent on its nodes, and does not say managedBy either: it is known by the
// resource groups that it makes, MC_..., or by its tags where somebody chose
// another name. A machine of a flexible scale set is managed by that, which is
// no service.
func managedBy(group string, tags map[string]*string, said string) string {
	for k, v := range tags {
		k = strings.ToLower(k)
		if strings.HasPrefix(k, "aks-managed-") || k == "creationsource" && strings.Contains(strings.ToLower(deref(v)), "aks") {
			return "AKS"
		}
	}
	if len(group) > 3 && strings.EqualFold(group[:3], "MC_") {
		return "AKS"
	}
	if id, err := azarm.ParseResourceID(said); err == nil && typeOf(id) == typeScaleSet {
		return ""
	}
	return said
}

func powerOf(v *armcompute.VirtualMachineInstanceView) string {
	if v == nil {
		return ""
	}
	return statusCode(v.Statuses, "PowerState/")
}

// statusCode returns what follows the prefix in the first status that has it,
// lower case: "running" of "PowerState/running".
func statusCode(statuses []*armcompute.InstanceViewStatus, prefix string) string {
	for _, s := range statuses {
		if s == nil {
			continue
		}
		if code := deref(s.Code); len(code) > len(prefix) && strings.EqualFold(code[:len(prefix)], prefix) {
			return strings.ToLower(code[len(prefix):])
		}
	}
	return ""
}

func agentOf(vm *armcompute.VirtualMachine) capture.Agent {
	var views []*armcompute.VirtualMachineExtensionInstanceView
	if vm.Properties != nil && vm.Properties.InstanceView != nil {
		views = vm.Properties.InstanceView.Extensions
	}
	return agent(vm.Resources, views)
}

// agent finds the Network Watcher agent among the extensions that a machine
// should have, or, where Azure lists only their names, among those that run.
func agent(extensions []*armcompute.VirtualMachineExtension, views []*armcompute.VirtualMachineExtensionInstanceView) capture.Agent {
	for _, x := range extensions {
		if x == nil || x.Properties == nil {
			continue
		}
		if kind, ok := agentType(deref(x.Properties.Publisher), deref(x.Properties.Type)); ok {
			return capture.Agent{Present: true, Type: kind, ProvisioningState: deref(x.Properties.ProvisioningState)}
		}
	}
	for _, v := range views {
		if v == nil {
			continue
		}
		full := deref(v.Type) // "publisher.type"
		if i := strings.LastIndexByte(full, '.'); i >= 0 {
			if kind, ok := agentType(full[:i], full[i+1:]); ok {
				return capture.Agent{Present: true, Type: kind, ProvisioningState: capital(statusCode(v.Statuses, "ProvisioningState/"))}
			}
		}
	}
	return capture.Agent{}
}

func agentType(by, kind string) (string, bool) {
	if !strings.EqualFold(by, publisher) {
		return "", false
	}
	for _, known := range []string{agentLinux, agentWindows} {
		if strings.EqualFold(kind, known) {
			return known, true
		}
	}
	return "", false
}

func capital(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// maxInterfaces is the most that a virtual machine can have.
const maxInterfaces = 8

// addresses returns the private addresses of a machine's interfaces, as far
// as the identity may read them: without them the analysis must guess on
// which side it stands, which is no reason to lose the evidence. The error is
// that Azure wants no requests for a while.
func (c *clients) addresses(ctx context.Context, p *armcompute.NetworkProfile) ([]string, error) {
	if p == nil {
		return nil, nil
	}
	var all []string
	for i, ref := range p.NetworkInterfaces {
		if ref == nil || i == maxInterfaces {
			continue
		}
		id, err := parseID(deref(ref.ID))
		if err != nil || typeOf(id) != typeInterface {
			continue
		}
		nic, err := c.nics.Get(ctx, id.ResourceGroupName, id.Name, nil)
		if throttled, ok := errors.AsType[*capture.ThrottledError](classify(ReadInterfaces, err)); ok && throttled.RetryAfter > 0 {
			return nil, throttled
		}
		if err != nil {
			return all, nil // denied for one is denied for all
		}
		all = append(all, addressesOf(&nic.Interface)...)
	}
	return all, nil
}

func addressesOf(nic *armnetwork.Interface) []string {
	var all []string
	if nic.Properties == nil {
		return nil
	}
	for _, ip := range nic.Properties.IPConfigurations {
		if ip != nil && ip.Properties != nil && deref(ip.Properties.PrivateIPAddress) != "" {
			all = append(all, *ip.Properties.PrivateIPAddress)
		}
	}
	return all
}
