package arm

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9"
)

func (s *Server) readInterface(r *request) *answer {
	id := r.id(1)
	for i := range s.world.VMs {
		if vm := &s.world.VMs[i]; strings.EqualFold(vm.interfaceID(), id) {
			return &answer{status: http.StatusOK, body: vm.networkInterface()}
		}
	}
	for i := range s.world.Network.Endpoints {
		if e := &s.world.Network.Endpoints[i]; strings.EqualFold(e.interfaceID(), id) {
			return &answer{status: http.StatusOK, body: e.networkInterface()}
		}
	}
	return r.notFound(1)
}

// listInterfaces lists those of a resource group: of machines, and of private
// endpoints. Those of scale sets are not among them, as in Azure.
func (s *Server) listInterfaces(r *request) *answer {
	value := []*armnetwork.Interface{}
	for i := range s.world.VMs {
		if vm := &s.world.VMs[i]; r.holds(vm.interfaceID()) {
			value = append(value, vm.networkInterface())
		}
	}
	for i := range s.world.Network.Endpoints {
		if e := &s.world.Network.Endpoints[i]; r.holds(e.ID) {
			value = append(value, e.networkInterface())
		}
	}
	return list(value)
}

// holds reports whether an ID is in the resource group of the request.
func (r *request) holds(id string) bool {
	return strings.HasPrefix(strings.ToLower(id), strings.ToLower(fmt.Sprintf("/subscriptions/%s/resourceGroups/%s/", r.subscription, r.group)))
}

func list(value any) *answer {
	return &answer{status: http.StatusOK, body: map[string]any{"value": value}}
}

func (s *Server) listInstanceInterfaces(r *request) *answer {
	return s.ofInstance(r, func(set *ScaleSet, i *Instance) *answer {
		return list([]*armnetwork.Interface{set.networkInterface(i)})
	})
}

func (s *Server) listSetInterfaces(r *request) *answer {
	set := s.world.scaleSet(r.id(1))
	if set == nil {
		return r.notFound(1)
	}
	value := []*armnetwork.Interface{}
	for i := range set.Instances {
		value = append(value, set.networkInterface(&set.Instances[i]))
	}
	return list(value)
}

func (v *VM) networkInterface() *armnetwork.Interface {
	return nic(v.interfaceID(), v.ID, v.Region, v.Subnet, v.Addresses)
}

// interfaceID names an instance's one network interface.
func (set *ScaleSet) interfaceID(i *Instance) string {
	return set.ID + "/virtualMachines/" + i.ID + "/networkInterfaces/nic"
}

func (set *ScaleSet) networkInterface(i *Instance) *armnetwork.Interface {
	return nic(set.interfaceID(i), set.ID+"/virtualMachines/"+i.ID, set.Region, set.Subnet, i.Addresses)
}

func (e *PrivateEndpoint) interfaceID() string {
	p, _ := parsePath(e.ID) // the world was checked
	return fmt.Sprintf("/subscriptions/%s/resourceGroups/%s/providers/Microsoft.Network/networkInterfaces/%s.nic", p.subscription, p.group, p.name(0))
}

func (e *PrivateEndpoint) networkInterface() *armnetwork.Interface {
	i := nic(e.interfaceID(), "", e.Region, e.Subnet, []string{e.Address})
	i.Properties.VirtualMachine, i.Properties.PrivateEndpoint = nil, &armnetwork.PrivateEndpoint{ID: &e.ID}
	return i
}

func nic(id, machine, region, subnet string, addresses []string) *armnetwork.Interface {
	p := &armnetwork.InterfacePropertiesFormat{
		VirtualMachine:    &armnetwork.SubResource{ID: &machine},
		ProvisioningState: new(armnetwork.ProvisioningStateSucceeded),
	}
	for n, a := range addresses {
		ip := &armnetwork.InterfaceIPConfigurationPropertiesFormat{PrivateIPAddress: &a, Primary: new(n == 0)}
		if subnet != "" {
			ip.Subnet = &armnetwork.Subnet{ID: &subnet}
		}
		p.IPConfigurations = append(p.IPConfigurations, &armnetwork.InterfaceIPConfiguration{Name: new(fmt.Sprintf("ipconfig%d", n+1)), Properties: ip})
	}
	return &armnetwork.Interface{
		ID: &id, Name: new(lastName(id)), Type: new("Microsoft.Network/networkInterfaces"), Location: &region, Properties: p,
	}
}

func (s *Server) listEndpoints(r *request) *answer {
	value := []*armnetwork.PrivateEndpoint{}
	for i := range s.world.Network.Endpoints {
		e := &s.world.Network.Endpoints[i]
		if !r.holds(e.ID) {
			continue
		}
		value = append(value, &armnetwork.PrivateEndpoint{
			ID: &e.ID, Name: new(lastName(e.ID)), Type: new("Microsoft.Network/privateEndpoints"), Location: &e.Region,
			Properties: &armnetwork.PrivateEndpointProperties{
				Subnet: &armnetwork.Subnet{ID: &e.Subnet}, NetworkInterfaces: []*armnetwork.Interface{{ID: new(e.interfaceID())}},
				PrivateLinkServiceConnections: []*armnetwork.PrivateLinkServiceConnection{{
					Name:       new(lastName(e.ID)),
					Properties: &armnetwork.PrivateLinkServiceConnectionProperties{PrivateLinkServiceID: &e.Service, GroupIDs: []*string{&e.Group}},
				}},
			},
		})
	}
	return list(value)
}

func (s *Server) listBalancers(r *request) *answer {
	value := []*armnetwork.LoadBalancer{}
	for i := range s.world.Network.Balancers {
		b := &s.world.Network.Balancers[i]
		if !r.holds(b.ID) {
			continue
		}
		front := &armnetwork.FrontendIPConfigurationPropertiesFormat{}
		if b.Address != "" {
			front.PrivateIPAddress, front.Subnet = &b.Address, &armnetwork.Subnet{ID: &b.Subnet}
		}
		if b.PublicIP != "" {
			front.PublicIPAddress = &armnetwork.PublicIPAddress{ID: &b.PublicIP}
		}
		value = append(value, &armnetwork.LoadBalancer{
			ID: &b.ID, Name: new(lastName(b.ID)), Type: new("Microsoft.Network/loadBalancers"),
			Properties: &armnetwork.LoadBalancerPropertiesFormat{
				FrontendIPConfigurations: []*armnetwork.FrontendIPConfiguration{{Name: new("front"), Properties: front}},
			},
		})
	}
	return list(value)
}

func (s *Server) listPublicAddresses(r *request) *answer {
	value := []*armnetwork.PublicIPAddress{}
	for i := range s.world.Network.PublicIPs {
		p := &s.world.Network.PublicIPs[i]
		if !r.holds(p.ID) {
			continue
		}
		m := &armnetwork.PublicIPAddress{
			ID: &p.ID, Name: new(lastName(p.ID)), Type: new("Microsoft.Network/publicIPAddresses"),
			Properties: &armnetwork.PublicIPAddressPropertiesFormat{IPAddress: &p.Address},
		}
		if p.Of != "" {
			m.Properties.IPConfiguration = &armnetwork.IPConfiguration{ID: &p.Of}
		}
		value = append(value, m)
	}
	return list(value)
}

func (s *Server) listTags(r *request) *answer {
	values := []*armnetwork.ServiceTagInformation{}
	for i := range s.world.Network.Tags {
		t := &s.world.Network.Tags[i]
		p := &armnetwork.ServiceTagInformationPropertiesFormat{ChangeNumber: new("1")}
		for _, prefix := range t.Prefixes {
			p.AddressPrefixes = append(p.AddressPrefixes, &prefix)
		}
		values = append(values, &armnetwork.ServiceTagInformation{ID: &t.Name, Name: &t.Name, Properties: p})
	}
	return &answer{status: http.StatusOK, body: map[string]any{"name": "Public", "cloud": "Public", "changeNumber": "1", "values": values}}
}
