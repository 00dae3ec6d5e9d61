package arm

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9"

	"github.com/pcapwarden/pcapwarden/internal/controlplane"
)

const (
	// maxGroups is how many resource groups are looked through: the
	// machine's, and that of its virtual network.
	maxGroups = 4
	// maxListed bounds each list; a subnet has at most some 65,000 addresses,
	// and hardly ever more than a few hundred are used.
	maxListed = 5000
	maxPages  = 50 // of a list, which may have empty ones
)

// Names implements [controlplane.Source]. It lists resources, which is a
// handful of requests however many addresses a capture has.
func (r *Reader) Names(ctx context.Context, s controlplane.Subject, at []controlplane.Interface) ([]controlplane.Name, error) {
	id, c, err := r.watcher.clientsOf(s.ID)
	if err != nil {
		return nil, err
	}
	d := &directory{public: map[string]string{}, endpoints: map[string]string{}}
	groups := []string{id.ResourceGroupName}
	for _, nic := range at {
		d.networks = append(d.networks, networkOf(nic.Subnet))
		for _, near := range []string{nic.ID, nic.Subnet} {
			at, err := parseID(near)
			if err != nil || !strings.EqualFold(at.SubscriptionID, id.SubscriptionID) || len(groups) == maxGroups {
				continue
			}
			if !slices.ContainsFunc(groups, func(g string) bool { return strings.EqualFold(g, at.ResourceGroupName) }) {
				groups = append(groups, at.ResourceGroupName)
			}
		}
	}
	var mistakes []error
	try := func(action string, err error) {
		if err != nil {
			mistakes = append(mistakes, notAnswered(action, err))
		}
	}
	for _, g := range groups {
		try(ReadPrivateEndpoints, each(ctx, c.endpoints.NewListPager(g, nil), func(p armnetwork.PrivateEndpointsClientListResponse) []*armnetwork.PrivateEndpoint { return p.Value }, d.endpoint))
		try(ReadInterfaces, each(ctx, c.nics.NewListPager(g, nil), func(p armnetwork.InterfacesClientListResponse) []*armnetwork.Interface { return p.Value }, d.networkInterface))
		try(ReadLoadBalancers, each(ctx, c.balancers.NewListPager(g, nil), func(p armnetwork.LoadBalancersClientListResponse) []*armnetwork.LoadBalancer { return p.Value }, d.balancer))
		try(ReadPublicAddresses, each(ctx, c.publicIPs.NewListPager(g, nil), func(p armnetwork.PublicIPAddressesClientListResponse) []*armnetwork.PublicIPAddress { return p.Value }, d.publicAddress))
	}
	if s.ScaleSet {
		pager := c.nics.NewListVirtualMachineScaleSetNetworkInterfacesPager(id.ResourceGroupName, id.Name, nil)
		try(ReadAllScaleSetAddresses, each(ctx, pager, func(p armnetwork.InterfacesClientListVirtualMachineScaleSetNetworkInterfacesResponse) []*armnetwork.Interface {
			return p.Value
		}, d.networkInterface))
	}
	return d.unambiguous(), errors.Join(mistakes...)
}

// each hands the items of a list over, up to maxListed, and maxPages.
func each[P, V any](ctx context.Context, pager *runtime.Pager[P], values func(P) []*V, take func(*V)) error {
	for n, pages := 0, 0; pager.More() && n < maxListed && pages < maxPages; pages++ {
		page, err := pager.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, v := range values(page) {
			if n++; v != nil && n <= maxListed {
				take(v)
			}
		}
	}
	return nil
}

// directory collects whose addresses are.
type directory struct {
	networks  []string // of the machine, lower case
	found     []listed
	public    map[string]string // public address, by lower-case ID -> load balancer
	endpoints map[string]string // private endpoint, by lower-case ID -> what it leads to
}

// listed is a name, and the virtual network that it is in.
type listed struct {
	controlplane.Name
	network string
}

func (d *directory) add(address *string, subnet string, n controlplane.Name) {
	if a, err := netip.ParseAddr(deref(address)); err == nil {
		n.Address = a
		d.found = append(d.found, listed{n, networkOf(subnet)})
	}
}

func (d *directory) endpoint(e *armnetwork.PrivateEndpoint) {
	if e.Properties == nil {
		return
	}
	for _, c := range slices.Concat(e.Properties.PrivateLinkServiceConnections, e.Properties.ManualPrivateLinkServiceConnections) {
		if c == nil || c.Properties == nil {
			continue
		}
		what := path.Base(deref(c.Properties.PrivateLinkServiceID))
		if group := strings.Join(texts(nil, c.Properties.GroupIDs), ", "); group != "" {
			what = group + " of " + what
		}
		d.endpoints[strings.ToLower(deref(e.ID))] = what
	}
}

func (d *directory) networkInterface(nic *armnetwork.Interface) {
	p := nic.Properties
	if p == nil {
		return
	}
	n := controlplane.Name{Kind: controlplane.NetInterface, Name: deref(nic.Name), ID: deref(nic.ID)}
	switch {
	case p.VirtualMachine != nil && deref(p.VirtualMachine.ID) != "":
		n.Kind, n.ID = controlplane.Machine, *p.VirtualMachine.ID
		n.Name = path.Base(n.ID)
		if set, instance, ok := scaleSetOf(n.ID); ok {
			n.Kind, n.Name, n.Of = controlplane.ScaleSetMachine, instance, set
		}
	case p.PrivateEndpoint != nil && deref(p.PrivateEndpoint.ID) != "":
		n.Kind, n.ID = controlplane.PrivateEndpoint, *p.PrivateEndpoint.ID
		n.Name, n.Of = path.Base(n.ID), d.endpoints[strings.ToLower(n.ID)]
	}
	for _, ip := range p.IPConfigurations {
		if ip != nil && ip.Properties != nil {
			subnet := ""
			if ip.Properties.Subnet != nil {
				subnet = deref(ip.Properties.Subnet.ID)
			}
			d.add(ip.Properties.PrivateIPAddress, subnet, n)
		}
	}
}

// scaleSetOf takes the ID of an instance of a scale set apart.
func scaleSetOf(machine string) (set, instance string, ok bool) {
	id, err := parseID(machine)
	if err != nil || typeOf(id) != typeScaleSetVM || id.Parent == nil {
		return "", "", false
	}
	return id.Parent.Name, id.Name, true
}

func (d *directory) balancer(b *armnetwork.LoadBalancer) {
	if b.Properties == nil {
		return
	}
	n := controlplane.Name{Kind: controlplane.LoadBalancer, Name: deref(b.Name), ID: deref(b.ID)}
	for _, front := range b.Properties.FrontendIPConfigurations {
		if front == nil || front.Properties == nil {
			continue
		}
		p := front.Properties
		subnet := ""
		if p.Subnet != nil {
			subnet = deref(p.Subnet.ID)
		}
		d.add(p.PrivateIPAddress, subnet, n)
		if p.PublicIPAddress != nil && deref(p.PublicIPAddress.ID) != "" {
			d.public[strings.ToLower(*p.PublicIPAddress.ID)] = n.String()
		}
	}
}

// publicAddress comes after the load balancers.
func (d *directory) publicAddress(ip *armnetwork.PublicIPAddress) {
	p := ip.Properties
	if p == nil {
		return
	}
	n := controlplane.Name{Kind: controlplane.PublicIP, Name: deref(ip.Name), ID: deref(ip.ID), Of: d.public[strings.ToLower(deref(ip.ID))]}
	switch {
	case n.Of != "":
	case p.NatGateway != nil:
		n.Of = "NAT gateway " + path.Base(deref(p.NatGateway.ID))
	case p.IPConfiguration != nil:
		if at, err := parseID(deref(p.IPConfiguration.ID)); err == nil && at.Parent != nil {
			n.Of = at.Parent.Name
		}
	}
	d.add(p.IPAddress, "", n)
}

// networkOf is the virtual network of a subnet, in lower case.
func networkOf(subnet string) string {
	network, _, _ := strings.Cut(strings.ToLower(subnet), "/subnets/")
	return network
}

// unambiguous leaves out what could mean two: virtual networks may have the
// same addresses. One in the machine's own network is meant rather than others.
func (d *directory) unambiguous() []controlplane.Name {
	near := func(l listed) int {
		if l.network != "" && slices.Contains(d.networks, l.network) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(d.found, func(a, b listed) int {
		return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(near(a), near(b)))
	})
	var all []controlplane.Name
	for i := 0; i < len(d.found); {
		j := i + 1
		for j < len(d.found) && d.found[j].Address == d.found[i].Address {
			j++
		}
		first := d.found[i]
		if near(first) == 0 || !slices.ContainsFunc(d.found[i:j], func(l listed) bool { return l.network != first.network }) {
			all = append(all, first.Name)
		}
		i = j
	}
	return all
}
