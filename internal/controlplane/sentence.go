package controlplane

import (
	"fmt"
	"path"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/finding"
)

// name says which flow it is: who opened it, to what.
func (p Packets) name() string {
	from, to := p.Local, p.Remote
	if p.Direction == Inbound {
		from, to = p.Remote, p.Local
	}
	return fmt.Sprintf("%s to %s", from.Addr(), to)
}

func (p Packets) access(r Rules) string {
	if r.Access == nil {
		return ""
	}
	verb := "allows"
	if !r.Access.Allowed {
		verb = "denies"
	}
	text := fmt.Sprintf("the NSG %s %s", verb, p.name())
	if r.Access.Rule != "" {
		text += fmt.Sprintf(" (rule %s", r.Access.Rule)
		if r.Access.Group != "" {
			text += " of " + last(r.Access.Group)
		}
		text += ")"
	}
	return text
}

// rule names the deciding rule.
func (r Rules) rule() string {
	text := "the security group"
	if r.Access.Rule != "" {
		text = "NSG rule " + r.Access.Rule
		if r.Access.Group != "" {
			text += " of " + last(r.Access.Group)
		}
	}
	return text
}

func (p Packets) route(r Rules) string {
	if r.NextHop == nil {
		return ""
	}
	what := "the route"
	if p.Direction == Inbound {
		what = "the way back"
	}
	if r.Access == nil {
		what += fmt.Sprintf(" to %s", p.Remote.Addr())
	}
	switch r.NextHop.Type {
	case HopInternet:
		return what + " leads to the Internet"
	case HopAppliance, HopGateway:
		return what + " goes to " + r.hop()
	case HopNetwork:
		return what + " stays in the virtual network"
	case HopPeering:
		return what + " leads over a peering"
	case HopNone:
		return fmt.Sprintf("%s ends in %s", what, r.table())
	}
	return fmt.Sprintf("%s has the next hop %s", what, Harmless(r.NextHop.Type))
}

// hop names the next hop.
func (r Rules) hop() string {
	name := r.Hop
	if name == "" && r.NextHop.Address.IsValid() {
		name = r.NextHop.Address.String()
	}
	what := "appliance"
	if r.NextHop.Type == HopGateway {
		what = "the virtual network gateway"
	}
	return strings.TrimSpace(what + " " + name)
}

// table names the route table.
func (r Rules) table() string {
	t := r.NextHop.RouteTable
	if t == "" || strings.EqualFold(t, "System Route") {
		return "the system routes"
	}
	return "route table " + last(t)
}

func (r Rules) remote(p Packets) string {
	if r.Remote != "" {
		return r.Remote
	}
	return p.Remote.Addr().String()
}

func (p Packets) seen() string {
	what := "packets"
	switch p.Protocol {
	case "tcp":
		what = "the SYN"
	case "udp":
		what = "the datagrams"
	}
	if p.Direction == Inbound {
		switch p.Outcome {
		case Unanswered:
			return what + " reached the machine and got no answer"
		case HalfOpen:
			return "the machine's answer was never acknowledged"
		case Refused:
			return what + " reached the machine and was refused"
		case OneWay:
			return "packets passed in one direction only"
		}
		return "packets passed both ways"
	}
	switch p.Outcome {
	case Unanswered:
		return what + " left the machine and got no answer"
	case Refused:
		return what + " left the machine and was refused"
	case OneWay:
		return "packets passed in one direction only"
	}
	return "packets passed both ways"
}

func port(e finding.Endpoint, protocol string) string {
	if e.Port() == 0 {
		return "its ports"
	}
	return fmt.Sprintf("%s port %d", strings.ToUpper(protocol), e.Port())
}

// list joins what is there with commas and an "and", and begins with a capital.
func list(parts ...string) string {
	var all []string
	for _, s := range parts {
		if s != "" {
			all = append(all, s)
		}
	}
	switch n := len(all); n {
	case 1:
		return capital(all[0])
	case 2:
		return capital(all[0] + ", and " + all[1])
	default:
		return capital(strings.Join(all[:n-1], ", ") + ", and " + all[n-1])
	}
}

// last is the name at the end of an ARM ID.
func last(id string) string { return path.Base(id) }

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
