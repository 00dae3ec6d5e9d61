package arm

import (
	"context"
	"fmt"

	azarm "github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"

	"github.com/pcapwarden/pcapwarden/internal/capture"
)

func (c *clients) scaleSet(ctx context.Context, id *azarm.ResourceID) (capture.Machine, error) {
	m, flexible, err := c.scaleSetModel(ctx, id)
	if err != nil {
		return capture.Machine{}, err
	}
	if flexible {
		m.Instances, err = c.flexibleInstances(ctx, id, m.ID)
	} else {
		m.Instances, err = c.uniformInstances(ctx, id)
	}
	if err != nil {
		return capture.Machine{}, err
	}
	return m, nil
}

// scaleSetModel reads the scale set without its machines.
func (c *clients) scaleSetModel(ctx context.Context, id *azarm.ResourceID) (m capture.Machine, flexible bool, err error) {
	r, err := c.scaleSets.Get(ctx, id.ResourceGroupName, id.Name, nil)
	if err != nil {
		return m, false, fmt.Errorf("look scale set %s up: %w", id.Name, classify(ReadScaleSets, err))
	}
	set := &r.VirtualMachineScaleSet
	m = capture.Machine{
		ID:        or(deref(set.ID), id.String()),
		Type:      capture.AzureVMSS,
		Region:    normalRegion(deref(set.Location)),
		Tags:      tags(set.Tags),
		ManagedBy: managedBy(id.ResourceGroupName, set.Tags, ""),
	}
	p := set.Properties
	if p == nil {
		return m, false, nil
	}
	if p.VirtualMachineProfile != nil && p.VirtualMachineProfile.ExtensionProfile != nil {
		for _, x := range p.VirtualMachineProfile.ExtensionProfile.Extensions {
			if x == nil || x.Properties == nil {
				continue
			}
			if kind, ok := agentType(deref(x.Properties.Publisher), deref(x.Properties.Type)); ok {
				m.Agent = capture.Agent{Present: true, Type: kind, ProvisioningState: deref(x.Properties.ProvisioningState)}
			}
		}
	}
	return m, deref(p.OrchestrationMode) == armcompute.OrchestrationModeFlexible, nil
}

// maxInstances is what a scale set can hold; a list that goes on is cut.
const maxInstances = 1000

func (c *clients) uniformInstances(ctx context.Context, id *azarm.ResourceID) ([]capture.Instance, error) {
	var all []capture.Instance
	pager := c.instances.NewListPager(id.ResourceGroupName, id.Name, &armcompute.VirtualMachineScaleSetVMsClientListOptions{
		Expand: new("instanceView"),
	})
	for pager.More() && len(all) < maxInstances {
		page, err := pager.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list the instances of %s: %w", id.Name, classify(ReadScaleSetMachines, err))
		}
		for _, vm := range page.Value {
			if vm != nil {
				all = append(all, newInstance(vm))
			}
		}
	}
	return all, nil
}

// flexibleInstances lists the machines of a flexible scale set. Whether they
// follow its latest model is not known: it is not applied to them afterwards.
func (c *clients) flexibleInstances(ctx context.Context, id *azarm.ResourceID, setID string) ([]capture.Instance, error) {
	var all []capture.Instance
	pager := c.vms.NewListPager(id.ResourceGroupName, &armcompute.VirtualMachinesClientListOptions{
		Filter: new("'virtualMachineScaleSet/id' eq '" + setID + "'"),
		Expand: new(armcompute.ExpandTypeForListVMsInstanceView),
	})
	for pager.More() && len(all) < maxInstances {
		page, err := pager.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list the machines of %s: %w", id.Name, classify(ReadMachines, err))
		}
		for _, vm := range page.Value {
			if vm == nil {
				continue
			}
			i := capture.Instance{ID: deref(vm.ID), Name: deref(vm.Name), LatestModel: true, Agent: agentOf(vm)}
			if vm.Properties != nil {
				i.Power = powerOf(vm.Properties.InstanceView)
			}
			all = append(all, i)
		}
	}
	return all, nil
}

// instance looks up one instance of a uniform scale set, and the scale set
// that it belongs to.
func (c *clients) instance(ctx context.Context, id *azarm.ResourceID) (capture.Machine, error) {
	m, _, err := c.scaleSetModel(ctx, id.Parent)
	if err != nil {
		return capture.Machine{}, err
	}
	r, err := c.instances.Get(ctx, id.ResourceGroupName, id.Parent.Name, id.Name, &armcompute.VirtualMachineScaleSetVMsClientGetOptions{
		Expand: new(armcompute.InstanceViewTypesInstanceView),
	})
	if err != nil {
		return capture.Machine{}, fmt.Errorf("look instance %s of %s up: %w", id.Name, id.Parent.Name, classify(ReadScaleSetMachines, err))
	}
	m.Instances = []capture.Instance{newInstance(&r.VirtualMachineScaleSetVM)}
	m.Addresses = c.instanceAddresses(ctx, id)
	return m, nil
}

func newInstance(vm *armcompute.VirtualMachineScaleSetVM) capture.Instance {
	i := capture.Instance{ID: deref(vm.InstanceID), Name: deref(vm.Name)}
	var views []*armcompute.VirtualMachineExtensionInstanceView
	if p := vm.Properties; p != nil {
		i.LatestModel = deref(p.LatestModelApplied)
		if p.InstanceView != nil {
			i.Power = statusCode(p.InstanceView.Statuses, "PowerState/")
			views = p.InstanceView.Extensions
		}
	}
	i.Agent = agent(vm.Resources, views)
	return i
}

func (c *clients) instanceAddresses(ctx context.Context, id *azarm.ResourceID) []string {
	var all []string
	pager := c.nics.NewListVirtualMachineScaleSetVMNetworkInterfacesPager(id.ResourceGroupName, id.Parent.Name, id.Name, nil)
	for pager.More() {
		page, err := pager.NextPage(ctx)
		if err != nil {
			return all
		}
		for _, nic := range page.Value {
			if nic != nil {
				all = append(all, addressesOf(nic)...)
			}
		}
	}
	return all
}
