package arm

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A Network is what is around the machines: what lets their packets pass,
// where they go, and who else has addresses.
type Network struct {
	Subnets   []Subnet
	Endpoints []PrivateEndpoint
	Balancers []LoadBalancer
	PublicIPs []PublicIP
	Tags      []ServiceTag
}

// A Subnet is one of a virtual network. All subnets of a network have the
// same Space.
type Subnet struct {
	ID     string         // ".../virtualNetworks/NAME/subnets/NAME"
	Space  []netip.Prefix // of the virtual network
	Group  *SecurityGroup // nil: there is none
	Routes *RouteTable    // nil: there is none
	// Learned are the prefixes that a virtual network gateway announces: they
	// lead there, and belong to the tag VirtualNetwork.
	Learned []netip.Prefix
	Gateway netip.Addr
}

// A SecurityGroup is an NSG. Azure's default rules come after its own.
type SecurityGroup struct {
	ID    string
	Rules []SecurityRule
}

// A SecurityRule lets flows pass, or does not.
type SecurityRule struct {
	Name        string
	Priority    int
	Inbound     bool
	Deny        bool
	Protocol    string // "Tcp", "Udp", "Icmp"; empty: all
	Source      string // prefix, tag, or "*"
	Destination string
	Ports       string // of the destination: "443", "80-90", "*"
}

// A RouteTable holds routes that somebody made.
type RouteTable struct {
	ID     string
	Routes []Route
}

// A Route leads a prefix to a next hop.
type Route struct {
	Prefix  netip.Prefix
	Type    string     // VirtualAppliance, None, ...
	Address netip.Addr // of an appliance
}

// A PrivateEndpoint has an address that leads to a service.
type PrivateEndpoint struct{ ID, Region, Subnet, Address, Service, Group string }

// A LoadBalancer has a frontend: an address in a subnet, or a public one.
type LoadBalancer struct{ ID, Subnet, Address, PublicIP string }

// A PublicIP is a public address, of the IP configuration with the ID Of.
type PublicIP struct{ ID, Address, Of string }

// A ServiceTag names prefixes of Azure's services.
type ServiceTag struct {
	Name     string
	Prefixes []string
}

func (n *Network) check(want func(id, kind string)) error {
	var errs []error
	for _, s := range n.Subnets {
		want(s.ID, "microsoft.network/virtualnetworks/*/subnets/*")
		if len(s.Space) == 0 {
			errs = append(errs, fmt.Errorf("%q has no address space", s.ID))
		}
		if s.Group != nil {
			want(s.Group.ID, "microsoft.network/networksecuritygroups/*")
			for _, r := range s.Group.Rules {
				if _, err := parsePorts(r.Ports); err != nil {
					errs = append(errs, fmt.Errorf("rule %q: %w", r.Name, err))
				}
			}
		}
		if s.Routes != nil {
			want(s.Routes.ID, "microsoft.network/routetables/*")
		}
	}
	for _, e := range n.Endpoints {
		want(e.ID, "microsoft.network/privateendpoints/*")
	}
	for _, b := range n.Balancers {
		want(b.ID, "microsoft.network/loadbalancers/*")
	}
	for _, p := range n.PublicIPs {
		want(p.ID, "microsoft.network/publicipaddresses/*")
	}
	return errors.Join(errs...)
}

func (n Network) clone() Network {
	n.Subnets, n.Endpoints, n.Balancers = slices.Clone(n.Subnets), slices.Clone(n.Endpoints), slices.Clone(n.Balancers)
	n.PublicIPs, n.Tags = slices.Clone(n.PublicIPs), slices.Clone(n.Tags)
	return n
}

func (n *Network) subnet(id string) *Subnet {
	return find(n.Subnets, func(s *Subnet) bool { return strings.EqualFold(s.ID, id) })
}

// tag returns what a service tag stands for in the subnet's network.
func (s *Subnet) tag(name string) []netip.Prefix {
	switch name {
	case "VirtualNetwork":
		return slices.Concat(s.Space, s.Learned)
	case "AzureLoadBalancer":
		return []netip.Prefix{netip.PrefixFrom(platformAddress, 32)}
	}
	return nil
}

var platformAddress = netip.AddrFrom4([4]byte{168, 63, 129, 16})

// among reports whether a rule's source or destination has the address.
func (s *Subnet) among(what string, a netip.Addr) bool {
	switch what {
	case "*", "0.0.0.0/0":
		return true
	case "Internet": // whatever is outside of the network, and public
		return !contains(s.tag("VirtualNetwork"), a) && !a.IsPrivate() && a != platformAddress
	}
	if p, err := netip.ParsePrefix(what); err == nil {
		return p.Contains(a)
	}
	if one, err := netip.ParseAddr(what); err == nil {
		return one == a
	}
	return contains(s.tag(what), a)
}

func contains(all []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(all, func(p netip.Prefix) bool { return p.Contains(a) })
}

// A tuple is a flow as the rules see it: the ports are the destination's.
type tuple struct {
	inbound  bool
	protocol string // lower case
	from, to netip.Addr
	port     int // -1: any
}

// defaults are the rules that every group ends with.
// https://learn.microsoft.com/azure/virtual-network/network-security-groups-overview
var defaults = []SecurityRule{
	{Name: "AllowVnetInBound", Priority: 65000, Inbound: true, Source: "VirtualNetwork", Destination: "VirtualNetwork", Ports: "*"},
	{Name: "AllowAzureLoadBalancerInBound", Priority: 65001, Inbound: true, Source: "AzureLoadBalancer", Destination: "*", Ports: "*"},
	{Name: "DenyAllInBound", Priority: 65500, Inbound: true, Deny: true, Source: "*", Destination: "*", Ports: "*"},
	{Name: "AllowVnetOutBound", Priority: 65000, Source: "VirtualNetwork", Destination: "VirtualNetwork", Ports: "*"},
	{Name: "AllowInternetOutBound", Priority: 65001, Source: "*", Destination: "Internet", Ports: "*"},
	{Name: "DenyAllOutBound", Priority: 65500, Deny: true, Source: "*", Destination: "*", Ports: "*"},
}

// isDefault reports whether Azure made the rule.
func (r *SecurityRule) isDefault() bool { return r.Priority >= 65000 }

// rules are those of the group and the default ones, by priority.
func (g *SecurityGroup) rules() []SecurityRule {
	all := slices.Concat(g.Rules, defaults)
	slices.SortStableFunc(all, func(a, b SecurityRule) int { return a.Priority - b.Priority })
	return all
}

// decide returns the rule that decides about a flow.
func (s *Subnet) decide(t tuple) *SecurityRule {
	for _, r := range s.Group.rules() {
		if r.Inbound != t.inbound || r.Protocol != "" && !strings.EqualFold(r.Protocol, t.protocol) {
			continue
		}
		ports, err := parsePorts(r.Ports)
		if err == nil && ports.has(t.port) && s.among(r.Source, t.from) && s.among(r.Destination, t.to) {
			return &r
		}
	}
	return nil
}

// A portRange is "80-90", "443", or all.
type portRange struct{ from, to int }

func parsePorts(s string) (portRange, error) {
	if s == "*" {
		return portRange{0, 65535}, nil
	}
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	a, errA := strconv.Atoi(from)
	b, errB := strconv.Atoi(to)
	if errA != nil || errB != nil || a < 0 || b > 65535 || a > b {
		return portRange{}, fmt.Errorf("%q is neither a port nor a range of ports", s)
	}
	return portRange{a, b}, nil
}

// has: any port is in the range of all alone.
func (r portRange) has(port int) bool {
	if port < 0 {
		return r.from == 0 && r.to == 65535
	}
	return r.from <= port && port <= r.to
}

// hop is where a packet to the address goes: the longest prefix decides, and
// among equals what somebody made before what was learned before Azure's own.
// https://learn.microsoft.com/azure/virtual-network/virtual-networks-udr-overview
func (s *Subnet) hop(to netip.Addr) (Route, string) {
	best, table := Route{Type: "None"}, "System Route"
	bits := -1
	try := func(r Route, from string) {
		if r.Prefix.Contains(to) && r.Prefix.Bits() > bits {
			best, table, bits = r, from, r.Prefix.Bits()
		}
	}
	if s.Routes != nil {
		for _, r := range s.Routes.Routes {
			try(r, s.Routes.ID)
		}
	}
	for _, p := range s.Learned {
		try(Route{Prefix: p, Type: "VirtualNetworkGateway", Address: s.Gateway}, "System Route")
	}
	for _, p := range s.Space {
		try(Route{Prefix: p, Type: "VnetLocal"}, "System Route")
	}
	for _, p := range nowhere {
		try(Route{Prefix: p, Type: "None"}, "System Route")
	}
	try(Route{Prefix: netip.MustParsePrefix("0.0.0.0/0"), Type: "Internet"}, "System Route")
	return best, table
}

// nowhere are the prefixes that Azure drops unless something else has them.
var nowhere = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("100.64.0.0/10"),
}
