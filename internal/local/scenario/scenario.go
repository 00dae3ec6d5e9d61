// Package scenario tells the stories that the local run plays: the machines,
// the alert, the policy that somebody wrote for it, the traffic, and what
// must be found.
package scenario

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/local/arm"
)

// A Scenario is one story. Everything in it is made up.
type Scenario struct {
	Name    string // "partner-tls"
	Summary string // one sentence, for a list of scenarios

	Subscription  string // GUID
	ResourceGroup string
	Region        string
	Landing       Account
	Machines      []Machine // the alert is about the first one
	Neighbours    []Machine // others that the story names
	Network       arm.Network

	// ResolveAfter is how long after the traffic ended the alert resolves,
	// which ends the capture early. Zero: the capture ends by its time limit.
	ResolveAfter time.Duration
	// Expect is what must come out, one for each machine's capture.
	Expect []Expectation

	policy   string // with %s for the day on which the approval expires
	rule     rule
	cast     []netip.Addr // everybody who sends or receives, machines included
	services []uint16     // the ports that somebody of them serves
	play     func(context.Context, *stagehand) error
}

// An Account is a storage account.
type Account struct {
	ID       string // ARM ID
	Name     string
	Region   string
	Endpoint string // of its blob service
}

// A Machine is a virtual machine that runs, with the Network Watcher agent.
type Machine struct {
	ID        string // ARM ID
	Name      string
	VMID      string // GUID
	Region    string
	Addresses []netip.Addr
	Subnet    string // ARM ID
	Tags      map[string]string
	Role      string // what it is in the story
}

// An Expectation is what the analysis of a machine's capture must say, in
// the words of its JSON.
type Expectation struct {
	Machine  string // ARM ID
	Cause    string // of the verdict
	Culprit  finding.Culprit
	Findings []finding.Kind // at least these
	Facts    []string       // that the findings must name: addresses, ports
}

// A Network carries a scenario's traffic: TCP and UDP sockets at the
// addresses of its cast.
type Network interface {
	Listen(ctx context.Context, addr netip.AddrPort) (net.Listener, error)
	ListenPacket(ctx context.Context, addr netip.AddrPort) (net.PacketConn, error)
	Dial(ctx context.Context, local netip.Addr, remote netip.AddrPort) (net.Conn, error)
}

// All returns every scenario, in the order in which they are best told.
func All() []Scenario {
	return []Scenario{partnerTLS(), robotHeartbeat(), dnsDelay()}
}

// Find returns the scenario of that name.
func Find(name string) (Scenario, bool) {
	for _, s := range All() {
		if s.Name == name {
			return s, true
		}
	}
	return Scenario{}, false
}

// place is where a story's resources are.
type place struct{ subscription, group, region string }

// id names a resource of the story, such as "Microsoft.Network/routeTables/x".
func (p place) id(resource string) string {
	return "/subscriptions/" + p.subscription + "/resourceGroups/" + p.group + "/providers/" + resource
}

// subnet names a subnet of the story's virtual network.
func (p place) subnet(name string) string {
	return p.id("Microsoft.Network/virtualNetworks/" + p.group + "-net/subnets/" + name)
}

// in puts machines into a subnet.
func in(subnet string, machines ...Machine) []Machine {
	for i := range machines {
		machines[i].Subnet = subnet
	}
	return machines
}

func (p place) machine(name, vmID, role string, addr netip.Addr) Machine {
	return Machine{
		ID:        p.id("Microsoft.Compute/virtualMachines/" + name),
		Name:      name,
		VMID:      vmID,
		Region:    p.region,
		Addresses: []netip.Addr{addr},
		Tags:      map[string]string{"pcapwarden": "allowed", "role": role},
		Role:      role,
	}
}

func (p place) landing(name string) Account {
	return Account{
		ID:       "/subscriptions/" + p.subscription + "/resourceGroups/" + p.group + "-evidence/providers/Microsoft.Storage/storageAccounts/" + name,
		Name:     name,
		Region:   p.region,
		Endpoint: "https://" + name + ".blob.core.windows.net",
	}
}
