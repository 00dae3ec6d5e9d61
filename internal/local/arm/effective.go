package arm

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9"
)

// effectiveGroups lists the rules that apply to a machine's network interface.
func (s *Server) effectiveGroups(r *request) *answer {
	id := r.id(1)
	vm := find(s.world.VMs, func(v *VM) bool { return strings.EqualFold(v.interfaceID(), id) })
	if vm == nil {
		return r.notFound(1)
	}
	if !running(vm.Power) {
		return fail(http.StatusBadRequest, "NetworkInterfaceNotAttachedToRunningVM", "The machine of %s does not run.", id)
	}
	groups := []*armnetwork.EffectiveNetworkSecurityGroup{}
	if subnet := s.world.Network.subnet(vm.Subnet); subnet != nil && subnet.Group != nil {
		g := &armnetwork.EffectiveNetworkSecurityGroup{
			NetworkSecurityGroup: &armnetwork.SubResource{ID: &subnet.Group.ID},
			Association:          &armnetwork.EffectiveNetworkSecurityGroupAssociation{Subnet: &armnetwork.SubResource{ID: &subnet.ID}},
		}
		for _, rule := range subnet.Group.rules() {
			g.EffectiveSecurityRules = append(g.EffectiveSecurityRules, subnet.effective(rule))
		}
		groups = append(groups, g)
	}
	return s.later(r, vm.Region, map[string]any{"value": groups})
}

func (s *Subnet) effective(r SecurityRule) *armnetwork.EffectiveNetworkSecurityRule {
	prefix := "securityRules/"
	if r.isDefault() {
		prefix = "defaultSecurityRules/"
	}
	ports, _ := parsePorts(r.Ports) // the world was checked
	e := &armnetwork.EffectiveNetworkSecurityRule{
		Name: new(prefix + r.Name), Priority: new(int32(r.Priority)), Protocol: new(armnetwork.EffectiveSecurityRuleProtocol(or(r.Protocol, "All"))),
		Access: new(armnetwork.SecurityRuleAccessAllow), Direction: new(armnetwork.SecurityRuleDirectionOutbound),
		SourceAddressPrefix: new(wide(r.Source)), DestinationAddressPrefix: new(wide(r.Destination)),
		SourcePortRange: new("0-65535"), DestinationPortRange: new(fmt.Sprintf("%d-%d", ports.from, ports.to)),
	}
	if r.Deny {
		e.Access = new(armnetwork.SecurityRuleAccessDeny)
	}
	if r.Inbound {
		e.Direction = new(armnetwork.SecurityRuleDirectionInbound)
	}
	e.ExpandedSourceAddressPrefix, e.ExpandedDestinationAddressPrefix = s.expanded(r.Source), s.expanded(r.Destination)
	return e
}

// wide is how effective rules spell everything.
func wide(s string) string {
	if s == "*" {
		return "0.0.0.0/0"
	}
	return s
}

// public are the prefixes that are not of anybody's own network, roughly: the
// tag Internet, which real Azure spells out in more of them.
var public = []string{"1.0.0.0/8", "2.0.0.0/7", "4.0.0.0/6", "8.0.0.0/7", "11.0.0.0/8", "12.0.0.0/6", "16.0.0.0/4", "32.0.0.0/3", "64.0.0.0/3", "128.0.0.0/3", "192.0.0.0/9", "193.0.0.0/8", "194.0.0.0/7", "196.0.0.0/6", "200.0.0.0/5", "208.0.0.0/4"}

func (s *Subnet) expanded(what string) []*string {
	var all []*string
	for _, p := range s.tag(what) {
		all = append(all, new(p.String()))
	}
	if what == "Internet" {
		for _, p := range public {
			all = append(all, &p)
		}
	}
	return all
}
