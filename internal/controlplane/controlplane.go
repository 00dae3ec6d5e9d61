// Package controlplane knows what Azure's rules say about the flows that
// decide a verdict: whether the network security groups let them pass, where
// their route leads, and who the addresses are. It holds the packets against
// that, and says whether the two agree.
//
// It asks through a [Source], read-only, about the captured machine's own
// flows alone, within a bounded time. What could not be asked is part of the
// answer. Nothing here fails: findings never wait for it longer than that.
package controlplane

import (
	"net/netip"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/finding"
)

// A Context is what the control plane says about one capture. Its JSON is
// part of the analysis' contract: fields may be added, never renamed or
// removed. Names in it were chosen by whoever set the resources up, and went
// through [Harmless].
type Context struct {
	Machine string        `json:"machine"` // ARM ID of the captured machine
	Asked   time.Time     `json:"asked"`   // the rules are those of this time, the packets are older
	Took    time.Duration `json:"tookNanoseconds"`
	Flows   []Flow        `json:"flows"` // the deciding ones, at most MaxFlows
	Names   []Name        `json:"names"` // of the capture's addresses, at most MaxNames
	Gaps    []Gap         `json:"gaps"`  // what could not be asked, and why
}

// Caps of what is asked and kept. Addresses in packets are the choice of
// whoever sent them.
const (
	MaxFlows = 4
	MaxNames = 100
	MaxRules = 6 // of a flow
	maxGaps  = 20
)

// A Flow is one that decides the verdict, as the packets show it and as the
// rules have it.
type Flow struct {
	Finding   int              `json:"finding"` // index of the finding that it decides; -1: none, it works
	Protocol  string           `json:"protocol"`
	Direction Direction        `json:"direction"`
	Local     finding.Endpoint `json:"local"` // the captured machine's
	Remote    finding.Endpoint `json:"remote"`
	Packets   Outcome          `json:"packets"`
	Interface string           `json:"networkInterface,omitempty"` // ARM ID
	Subnet    string           `json:"subnet,omitempty"`           // ARM ID

	Access  *Access `json:"access,omitempty"`  // what the NSGs do with it; none: not known
	NextHop *Hop    `json:"nextHop,omitempty"` // from the machine towards the remote end
	Rules   []Rule  `json:"rules,omitempty"`   // effective ones that match, the deciding one first

	Agreement  Agreement       `json:"agreement"`
	Sentence   string          `json:"sentence"` // what packets and rules come to; empty when no rule is known
	NextStep   string          `json:"nextStep,omitempty"`
	Culprit    finding.Culprit `json:"culprit,omitempty"`    // where the rules prove another one than the finding's
	Confidence *Change         `json:"confidence,omitempty"` // of the finding, because of this
}

// A Direction is who opened a flow, seen from the captured machine. It is the
// direction in which security groups judge it: answers pass with it.
type Direction string

// The directions, as Azure spells them.
const (
	Outbound Direction = "Outbound"
	Inbound  Direction = "Inbound"
)

// An Agreement says how packets and rules compare.
type Agreement string

// The agreements.
const (
	Agree    Agreement = "agree"    // the packets did what the rules say
	Disagree Agreement = "disagree" // they did what the rules forbid, or can't do
	Unclear  Agreement = "unclear"  // too little was answered
)

// Access is what the security groups do with a flow.
type Access struct {
	Allowed bool   `json:"allowed"`
	Rule    string `json:"rule,omitempty"`                 // its name, without Azure's prefixes
	Group   string `json:"networkSecurityGroup,omitempty"` // ARM ID
	By      Asked  `json:"by"`
}

// Asked names who answered.
type Asked string

// Who answers for the security groups: IP flow verify for a virtual machine,
// NSG diagnostics for a scale set and for what is neither TCP nor UDP.
const (
	FlowVerify  Asked = "ip-flow-verify"
	Diagnostics Asked = "nsg-diagnostics"
)

// A Hop is where the route of the machine leads.
type Hop struct {
	Type       string     `json:"type"`             // see the constants; treat it as open
	Address    netip.Addr `json:"address,omitzero"` // of an appliance or gateway
	RouteTable string     `json:"routeTable"`       // ARM ID, or "System Route"
}

// The types of next hops.
// https://learn.microsoft.com/azure/network-watcher/next-hop-overview
const (
	HopInternet  = "Internet"
	HopAppliance = "VirtualAppliance"
	HopGateway   = "VirtualNetworkGateway"
	HopNetwork   = "VnetLocal"
	HopPeering   = "VnetPeering"
	HopNone      = "None"
)

// A Rule is an effective security rule.
type Rule struct {
	Name        string    `json:"name"`
	Group       string    `json:"networkSecurityGroup,omitempty"` // ARM ID
	At          string    `json:"at,omitempty"`                   // what the group is bound to: subnet, networkInterface
	Direction   Direction `json:"direction"`
	Allowed     bool      `json:"allowed"`
	Priority    int       `json:"priority"`
	Protocol    string    `json:"protocol"`    // Tcp, Udp, Icmp, All, ...
	Source      string    `json:"source"`      // in words
	Destination string    `json:"destination"` // in words
	Ports       string    `json:"ports"`       // of the destination, in words

	match matcher
}

// A Name is whose an address is.
type Name struct {
	Address netip.Addr `json:"address"`
	Kind    NameKind   `json:"kind"`
	Name    string     `json:"name"`
	Of      string     `json:"of,omitempty"` // what it belongs to, or leads to
	ID      string     `json:"id,omitempty"` // ARM ID
}

// A NameKind says what has an address.
type NameKind string

// The kinds.
const (
	Machine         NameKind = "virtual-machine"
	ScaleSetMachine NameKind = "scale-set-instance"
	NetInterface    NameKind = "network-interface" // of something else
	PrivateEndpoint NameKind = "private-endpoint"
	LoadBalancer    NameKind = "load-balancer"
	PublicIP        NameKind = "public-ip"
	ServiceTag      NameKind = "service-tag"
	Platform        NameKind = "platform" // Azure's own, the same everywhere
)

// A Gap is a question without an answer.
type Gap struct {
	Question string `json:"question"`
	Reason   string `json:"reason"`
}

// A Change is what the rules did to a finding's confidence.
type Change struct {
	Before float64 `json:"before"`
	After  float64 `json:"after"`
}

// Name returns whose the address is.
func (c *Context) Name(a netip.Addr) (Name, bool) {
	for _, n := range c.Names {
		if n.Address == a {
			return n, true
		}
	}
	return Name{}, false
}
