package controlplane

import (
	"fmt"
	"math"

	"github.com/pcapwarden/pcapwarden/internal/finding"
)

// Packets are what one flow shows, for [Judge].
type Packets struct {
	Protocol  string // tcp, udp, icmp
	Direction Direction
	Local     finding.Endpoint
	Remote    finding.Endpoint
	Outcome   Outcome
	Culprit   finding.Culprit // whom the finding blames
}

// Rules are what is known of the rules for it. What is nil is not known.
type Rules struct {
	Access  *Access
	NextHop *Hop
	// Hop and Remote are how to call the next hop and the remote end: their
	// addresses, and whose they are where that is known.
	Hop, Remote string
	// Nobody says that no network interface has the remote address, among
	// those that may be read.
	Nobody bool
}

// A Ruling is what packets and rules come to.
type Ruling struct {
	Agreement Agreement
	Sentence  string          // empty when no rule is known
	NextStep  string          // empty: the finding's own is as good
	Weight    int             // on whom the finding blames: 1 supports it, -1 undermines it, 0 says nothing
	Culprit   finding.Culprit // where the rules prove another one; empty: the finding's
}

// Judge holds the packets of one flow against the rules.
//
// The capture was taken inside the machine. Security groups and routes apply
// outside of it: what the machine sends is captured before they see it, what
// it receives after. Security groups drop without a word, and let the answers
// of what they let in or out pass.
func Judge(p Packets, r Rules) Ruling {
	if r.Access == nil && r.NextHop == nil {
		return Ruling{Agreement: Unclear}
	}
	v := Ruling{Agreement: Agree}
	if r.Access == nil {
		v.Agreement = Unclear
	}
	look := ""
	switch {
	case r.denies():
		look = p.denied(r, &v)
	case r.drops():
		look = p.routeless(r, &v)
	default:
		look = p.allowed(r, &v)
	}
	v.Sentence = list(p.access(r), p.route(r), p.seen()) + ": " + look + "."
	return v
}

func (r Rules) denies() bool { return r.Access != nil && !r.Access.Allowed }
func (r Rules) drops() bool  { return r.NextHop != nil && r.NextHop.Type == HopNone }

func (r Rules) through(hop string) bool { return r.NextHop != nil && r.NextHop.Type == hop }

// denied: a security group forbids the flow.
func (p Packets) denied(r Rules, v *Ruling) string {
	if p.Direction == Outbound && p.Outcome == Unanswered {
		v.Weight, v.Culprit = 1, finding.Firewall
		v.NextStep = fmt.Sprintf("%s denies %s: have it allowed there, if it is meant to pass.", capital(r.rule()), p.name())
		return "the packets got no further than the security group"
	}
	v.Agreement, v.Weight = Disagree, 0
	v.NextStep = fmt.Sprintf("Look at the activity log of the security group for changes since the capture, and at flow logs for %s: %s denies it, and it passed.", p.name(), r.rule())
	if p.Direction == Inbound {
		return "packets came that the rules do not let in; the rules were changed since, an established connection outlived a change, or there is another way in"
	}
	return "packets passed that the rules do not let out; the rules were changed since, an established connection outlived a change, or something else answered"
}

// routeless: the security groups do not mind, or were not asked, and the route
// leads nowhere.
func (p Packets) routeless(r Rules, v *Ruling) string {
	silent := p.Direction == Outbound && p.Outcome == Unanswered || p.Direction == Inbound && (p.Outcome == HalfOpen || p.Outcome == OneWay)
	if silent {
		v.Agreement, v.Weight, v.Culprit = Agree, 1, finding.Network
		v.NextStep = fmt.Sprintf("Mend the route to %s in %s: its next hop is None.", p.Remote.Addr(), r.table())
		return "the packets got no further than the route"
	}
	if p.Direction == Inbound && p.Outcome == Unanswered {
		v.NextStep = fmt.Sprintf("Mend the route to %s in %s too: its next hop is None, so no answer would arrive.", p.Remote.Addr(), r.table())
		return "even an answer would get no further than the route"
	}
	v.Agreement = Disagree
	v.NextStep = fmt.Sprintf("Look at the activity log of %s for changes since the capture: its next hop for %s is None, and packets passed.", r.table(), p.Remote.Addr())
	return "packets passed where the rules have no route; the route was changed since"
}

// allowed: nothing in the rules of this machine is in the way.
func (p Packets) allowed(r Rules, v *Ruling) string {
	blamesPath := p.Culprit == finding.Network || p.Culprit == finding.Firewall || p.Culprit == finding.Middlebox
	blamesEnd := p.Culprit == finding.Client || p.Culprit == finding.Server || p.Culprit == finding.Resolver
	if p.Direction == Inbound {
		switch p.Outcome {
		case Unanswered:
			v.Weight = weigh(p.Culprit == finding.Server, blamesPath)
			v.NextStep = fmt.Sprintf("Look at %s itself: its own firewall, and what listens on %s. The packets arrive there.", p.Local.Addr(), port(p.Local, p.Protocol))
			return "look at the machine itself"
		case Refused:
			v.Weight = weigh(p.Culprit == finding.Server, false)
			return "the way is open, and the machine itself refuses"
		case HalfOpen, OneWay:
			if r.through(HopAppliance) || r.through(HopGateway) {
				v.Weight = weigh(blamesPath, false)
				v.NextStep = fmt.Sprintf("Look whether %s lets the answers of %s pass: it may see only this direction of the connection. The route is in %s.", r.hop(), p.Local, r.table())
				return "look at " + r.hop() + ", which has to let answers pass whose beginning it may not have seen"
			}
			v.NextStep = fmt.Sprintf("Capture at %s at the same time: the answers leave %s, and nothing on this side stops them.", p.Remote.Addr(), p.Local.Addr())
			return "nothing on this side stops the answers, so look at the other end and at what is between"
		}
	}
	switch {
	case p.Outcome == Passed:
		v.Weight = weigh(blamesEnd, p.Culprit == finding.Firewall && !r.through(HopAppliance))
		if blamesEnd || !r.through(HopAppliance) {
			return "neither rule nor route is at fault"
		}
		v.NextStep = fmt.Sprintf("Look at the log of %s for %s: it is on the way, and no rule of Azure's is at fault.", r.hop(), p.name())
		return "what is between the two is " + r.hop()
	case r.through(HopAppliance):
		v.Weight = weigh(blamesPath, p.Culprit == finding.Resolver || p.Culprit == finding.Server)
		v.NextStep = fmt.Sprintf("Look at %s, where the route sends %s: its rules, its log for this time, and whether its own network interface forwards. The route is in %s.", r.hop(), p.name(), r.table())
		return "look at the appliance"
	case p.Outcome == Refused:
		v.Weight = weigh(p.Culprit == finding.Server || p.Culprit == finding.Resolver, false)
		return "the way is open, and whoever answers refuses"
	case r.through(HopGateway):
		v.NextStep = fmt.Sprintf("Look at the virtual network gateway and at the firewall behind it: %s leaves Azure there.", p.name())
		return "look at the gateway, and at what is behind it"
	case r.Nobody && (r.through(HopNetwork) || r.through(HopPeering)):
		v.Weight = weigh(!blamesPath, false)
		v.NextStep = fmt.Sprintf("Find out where %s is still set (DNS servers of the virtual network or the NIC, a configuration file): no network interface that may be read has that address. Name the one that replaced it.", p.Remote.Addr())
		return "no network interface that may be read has that address, so nobody seems to be there"
	case r.through(HopNetwork) || r.through(HopPeering):
		v.NextStep = fmt.Sprintf("Look at the inbound rules of the security groups at %s, and at that machine itself: nothing on the side of %s is in the way.", r.remote(p), p.Local.Addr())
		return "look at " + r.remote(p)
	case r.through(HopInternet):
		v.NextStep = fmt.Sprintf("Ask whoever runs %s whether %s arrives and is let in; on this side, check that SNAT ports are left. Neither rule nor route here is in the way.", r.remote(p), p.name())
		return "look beyond Azure, at " + r.remote(p)
	case r.Access == nil:
		return "what the security groups do is not known"
	case p.Outcome == OneWay:
		return "the other direction takes another way"
	}
	return "no security group of this machine is in the way"
}

func weigh(supports, undermines bool) int {
	switch {
	case supports:
		return 1
	case undermines:
		return -1
	}
	return 0
}

// Apply changes a confidence by the weight of what the rules say: what they
// support loses half of its doubt, what they undermine a quarter of its
// ground. Nothing is ever certain.
func (v Ruling) Apply(confidence float64) float64 {
	switch {
	case v.Weight > 0:
		confidence = min(max(confidence, 0.97), confidence+(1-confidence)/2)
	case v.Weight < 0:
		confidence *= 0.75
	}
	return math.Round(100*confidence) / 100
}
