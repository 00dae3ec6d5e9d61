package arm

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	azarm "github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9"

	"github.com/pcapwarden/pcapwarden/internal/controlplane"
)

// maxAskedInstances is how many machines of a scale set are looked at: more
// than a policy lets capture.
const maxAskedInstances = 20

// Interfaces implements [controlplane.Source].
func (r *Reader) Interfaces(ctx context.Context, s controlplane.Subject) ([]controlplane.Interface, error) {
	id, c, err := r.watcher.clientsOf(s.ID)
	if err != nil {
		return nil, err
	}
	if s.ScaleSet {
		return c.instanceInterfaces(ctx, id, s.Instances)
	}
	vm, err := c.vms.Get(ctx, id.ResourceGroupName, id.Name, nil)
	if err != nil {
		return nil, notAnswered(ReadMachines, err)
	}
	if vm.Properties == nil || vm.Properties.NetworkProfile == nil {
		return nil, nil
	}
	var all []controlplane.Interface
	for i, ref := range vm.Properties.NetworkProfile.NetworkInterfaces {
		if ref == nil || i == maxInterfaces {
			continue
		}
		at, err := parseID(deref(ref.ID))
		if err != nil || typeOf(at) != typeInterface || !strings.EqualFold(at.SubscriptionID, id.SubscriptionID) {
			continue
		}
		nic, err := c.nics.Get(ctx, at.ResourceGroupName, at.Name, nil)
		if err != nil {
			return all, notAnswered(ReadInterfaces, err)
		}
		all = append(all, interfaceOf(&nic.Interface, id.String()))
	}
	return all, nil
}

func (c *clients) instanceInterfaces(ctx context.Context, set *azarm.ResourceID, instances []string) ([]controlplane.Interface, error) {
	var all []controlplane.Interface
	for i, instance := range instances {
		if i == maxAskedInstances || instance == "" || strings.ContainsAny(instance, "/?#%\\.") {
			continue
		}
		pager := c.nics.NewListVirtualMachineScaleSetVMNetworkInterfacesPager(set.ResourceGroupName, set.Name, instance, nil)
		err := each(ctx, pager, func(p armnetwork.InterfacesClientListVirtualMachineScaleSetVMNetworkInterfacesResponse) []*armnetwork.Interface {
			return p.Value
		}, func(nic *armnetwork.Interface) {
			all = append(all, interfaceOf(nic, set.String()+"/virtualMachines/"+instance))
		})
		if err != nil {
			return all, notAnswered(ReadScaleSetInterfaces, err)
		}
	}
	return all, nil
}

func interfaceOf(nic *armnetwork.Interface, machine string) controlplane.Interface {
	i := controlplane.Interface{ID: deref(nic.ID), Machine: machine}
	for _, a := range addressesOf(nic) {
		if addr, err := netip.ParseAddr(a); err == nil {
			i.Addresses = append(i.Addresses, addr)
		}
	}
	i.Subnet = subnetOf(nic)
	return i
}

// subnetOf is the subnet of the first address of an interface.
func subnetOf(nic *armnetwork.Interface) string {
	if nic.Properties == nil {
		return ""
	}
	for _, ip := range nic.Properties.IPConfigurations {
		if ip != nil && ip.Properties != nil && ip.Properties.Subnet != nil {
			return deref(ip.Properties.Subnet.ID)
		}
	}
	return ""
}

// Rules implements [controlplane.Source]. Azure answers for the interfaces of
// machines that run.
func (r *Reader) Rules(ctx context.Context, _ controlplane.Subject, networkInterface string) ([]controlplane.Rule, error) {
	id, err := parseID(networkInterface)
	if err != nil {
		return nil, err
	}
	if typeOf(id) != typeInterface {
		return nil, fmt.Errorf("%w: effective rules are for the network interfaces of virtual machines", controlplane.ErrUnsupported)
	}
	c, err := r.watcher.clients(id.SubscriptionID)
	if err != nil {
		return nil, err
	}
	found, err := await(ctx, ReadEffectiveRules, func(ctx context.Context) (*runtime.Poller[armnetwork.InterfacesClientListEffectiveNetworkSecurityGroupsResponse], error) {
		return c.nics.BeginListEffectiveNetworkSecurityGroups(ctx, id.ResourceGroupName, id.Name, nil)
	}, func(a armnetwork.InterfacesClientListEffectiveNetworkSecurityGroupsResponse) bool {
		return a.Value != nil
	})
	if err != nil {
		return nil, err
	}
	var all []controlplane.Rule
	for _, group := range found.Value {
		if group == nil {
			continue
		}
		from := controlplane.Rule{}
		if group.NetworkSecurityGroup != nil {
			from.Group = deref(group.NetworkSecurityGroup.ID)
		}
		if a := group.Association; a != nil && a.Subnet != nil {
			from.At = "subnet"
		} else if a != nil && a.NetworkInterface != nil {
			from.At = "networkInterface"
		} else if a != nil && a.NetworkManager != nil {
			from.At, from.Group = "networkManager", deref(a.NetworkManager.ID)
		}
		for _, rule := range group.EffectiveSecurityRules {
			if rule != nil && len(all) < maxRules {
				all = append(all, effectiveRule(from, rule))
			}
		}
	}
	return all, nil
}

// maxRules bounds what is read of the rules: a group has at most 1000, and two
// apply to an interface.
const maxRules = 4000

func effectiveRule(r controlplane.Rule, rule *armnetwork.EffectiveNetworkSecurityRule) controlplane.Rule {
	r.Name = ruleName(deref(rule.Name))
	r.Direction = controlplane.Direction(deref(rule.Direction))
	r.Allowed = strings.EqualFold(string(deref(rule.Access)), "Allow")
	r.Priority = int(deref(rule.Priority))
	return controlplane.NewRule(r, string(deref(rule.Protocol)),
		end(rule.SourceAddressPrefix, rule.SourceAddressPrefixes, rule.ExpandedSourceAddressPrefix, rule.SourcePortRange, rule.SourcePortRanges),
		end(rule.DestinationAddressPrefix, rule.DestinationAddressPrefixes, rule.ExpandedDestinationAddressPrefix, rule.DestinationPortRange, rule.DestinationPortRanges))
}

func end(prefix *string, prefixes, expanded []*string, ports *string, portList []*string) controlplane.End {
	e := controlplane.End{Prefixes: texts(prefix, prefixes), Ports: texts(ports, portList)}
	for _, p := range expanded { // what a tag stands for
		e.Expanded = append(e.Expanded, deref(p))
	}
	return e
}

// texts are what Azure says once, or in a list, or both.
func texts(one *string, several []*string) []string {
	var all []string
	for _, s := range several {
		if deref(s) != "" {
			all = append(all, *s)
		}
	}
	if len(all) == 0 && deref(one) != "" {
		all = append(all, *one)
	}
	return all
}
