package controlplane

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// platform are the addresses that Azure has everywhere.
var platform = map[netip.Addr]string{
	// https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
	netip.AddrFrom4([4]byte{168, 63, 129, 16}): "Azure platform: DNS, DHCP and health probes",
	// https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service
	netip.AddrFrom4([4]byte{169, 254, 169, 254}): "Azure instance metadata",
}

func wellKnown(a netip.Addr) (Name, bool) {
	what, ok := platform[a.Unmap()]
	return Name{Address: a, Kind: Platform, Name: what}, ok
}

// public returns the addresses that a service tag may have, of the flows and
// of the rest.
func (i *inquirer) public(addrs []netip.Addr) []netip.Addr {
	var all []netip.Addr
	for _, a := range i.addresses(addrs) {
		_, known := wellKnown(a)
		if a.IsGlobalUnicast() && !a.IsPrivate() && !known && !documentation(a) {
			all = append(all, a)
		}
	}
	return all
}

// documentation: these are nobody's (RFC 5737, RFC 3849).
func documentation(a netip.Addr) bool {
	for _, p := range []string{"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"} {
		if netip.MustParsePrefix(p).Contains(a) {
			return true
		}
	}
	return false
}

// addresses are those that get names: of the flows and their next hops first.
func (i *inquirer) addresses(others []netip.Addr) []netip.Addr {
	var all []netip.Addr
	add := func(a netip.Addr) {
		if a.IsValid() && len(all) < MaxNames && !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	for _, f := range i.flows {
		add(f.question.Local.Addr())
		add(f.question.Remote.Addr())
		if f.hop != nil {
			add(f.hop.Address)
		}
	}
	for _, a := range others {
		add(a)
	}
	return all
}

// conclude names the addresses and judges the flows.
func (i *inquirer) conclude(addrs []netip.Addr) {
	c := i.context
	known := slices.Concat(i.names, i.tags)
	for _, a := range i.addresses(addrs) {
		if n, ok := wellKnown(a); ok {
			c.Names = append(c.Names, n)
			continue
		}
		if n := slices.IndexFunc(known, func(n Name) bool { return n.Address == a }); n >= 0 {
			n := known[n]
			n.Name, n.Of, n.ID = Harmless(n.Name), Harmless(n.Of), Harmless(n.ID)
			c.Names = append(c.Names, n)
		}
	}
	for _, f := range i.flows {
		c.Flows = append(c.Flows, i.judge(f))
	}
	slices.SortStableFunc(c.Gaps, func(a, b Gap) int { return cmp.Compare(a.Question, b.Question) })
}

func (i *inquirer) judge(f flow) Flow {
	q := f.question
	out := Flow{
		Finding: f.Finding, Protocol: q.Protocol, Direction: q.Direction, Packets: f.Outcome, Interface: Harmless(q.Interface.ID), Subnet: Harmless(q.Interface.Subnet),
		Access: f.access, NextHop: f.hop, Rules: Matching(i.rules[q.Interface.ID], q),
	}
	out.Local.AddrPort, out.Remote.AddrPort = q.Local, q.Remote
	if out.Access != nil && out.Access.Group == "" {
		for _, r := range out.Rules {
			if strings.EqualFold(r.Name, out.Access.Rule) {
				out.Access.Group = r.Group
				break
			}
		}
	}
	rules := Rules{Access: out.Access, NextHop: out.NextHop, Remote: i.called(q.Remote.Addr())}
	if f.hop != nil && f.hop.Address.IsValid() {
		rules.Hop = i.called(f.hop.Address)
	}
	_, named := i.context.Name(q.Remote.Addr())
	rules.Nobody = i.listed && !named && q.Remote.Addr().IsPrivate()
	r := Judge(Packets{q.Protocol, q.Direction, out.Local, out.Remote, f.Outcome, f.Culprit}, rules)
	out.Agreement, out.Sentence, out.NextStep = r.Agreement, r.Sentence, r.NextStep
	out.Culprit = r.Culprit
	if after := r.Apply(f.Sure); f.Finding >= 0 && after != f.Sure {
		out.Confidence = &Change{f.Sure, after}
	}
	return out
}

// called is an address with whose it is.
func (i *inquirer) called(a netip.Addr) string {
	n, ok := i.context.Name(a)
	if !ok {
		return a.String()
	}
	return a.String() + " (" + n.String() + ")"
}

// kinds are how a sentence calls what has a name.
var kinds = map[NameKind]string{
	Machine: "VM ", ScaleSetMachine: "instance ", NetInterface: "network interface ", PrivateEndpoint: "private endpoint ",
	LoadBalancer: "load balancer ", PublicIP: "public address ", ServiceTag: "service tag ",
}

// String is a name as a sentence has it.
func (n Name) String() string {
	text := kinds[n.Kind] + n.Name
	switch {
	case n.Of == "":
		return text
	case n.Kind == PrivateEndpoint:
		return text + " to " + n.Of
	}
	return text + " of " + n.Of
}
