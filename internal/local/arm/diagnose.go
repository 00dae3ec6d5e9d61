package arm

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9"
)

// later answers 202, and the result when the operation is over.
func (s *Server) later(r *request, region string, result any) *answer {
	op := s.begin(r, region, func() error {
		if f := r.fault.FailOperation; f != "" {
			return errors.New(f)
		}
		return nil
	})
	op.result = func() *answer { return &answer{status: http.StatusOK, body: result} }
	return &answer{status: http.StatusAccepted, header: s.headers(r, op, true, true), body: null}
}

func invalid(format string, args ...any) *answer {
	return fail(http.StatusBadRequest, "InvalidRequestFormat", format, args...)
}

// required names the first of the fields that is missing.
func required(fields map[string]*string, order ...string) *answer {
	for _, name := range order {
		if deref(fields[name]) == "" {
			return fail(http.StatusBadRequest, "MissingJsonProperty", "Required property '%s' is missing in the request.", name)
		}
	}
	return nil
}

// decode reads a request body, which must be one object of known fields.
func (r *request) decode(into any) *answer {
	if err := json.Unmarshal(r.body, into); err != nil {
		return invalid("Cannot parse the request.")
	}
	return nil
}

// target finds the machine that a diagnosis is about, and its subnet.
func (s *Server) target(r *request, id, interfaceID *string) (*VM, *Subnet, *NetworkWatcher, *answer) {
	watcher := s.world.watcher(r.id(1))
	if watcher == nil {
		return nil, nil, nil, missing(r.id(1))
	}
	vm := s.world.vm(deref(id))
	if vm == nil {
		return nil, nil, nil, fail(http.StatusNotFound, "ResourceNotFound", "The Resource '%s' was not found.", deref(id))
	}
	if region(vm.Region) != region(watcher.Region) {
		return nil, nil, nil, fail(http.StatusBadRequest, "TargetResourceNotInRegion", "The target is not in the region %s of the network watcher.", watcher.Region)
	}
	if interfaceID != nil && !strings.EqualFold(*interfaceID, vm.interfaceID()) {
		return nil, nil, nil, invalid("The network interface %s is not one of the target's.", *interfaceID)
	}
	if !running(vm.Power) {
		return nil, nil, nil, fail(http.StatusBadRequest, "VMNotRunning", "%s is in stopped state.", vm.ID)
	}
	return vm, s.world.Network.subnet(vm.Subnet), watcher, nil
}

// own reads the address on the machine's side, which must be one of its own.
func (vm *VM) own(address *string, field string) (netip.Addr, *answer) {
	a, miss := ipv4(address, field)
	if miss == nil {
		for _, known := range vm.Addresses {
			if known == a.String() {
				return a, nil
			}
		}
		miss = fail(http.StatusBadRequest, "IPAddressNotOnTarget", "%s %s is not an address of the target.", field, a)
	}
	return a, miss
}

func ipv4(address *string, field string) (netip.Addr, *answer) {
	a, err := netip.ParseAddr(deref(address))
	if err != nil || !a.Is4() {
		return a, invalid("%s '%s' is not a valid IPv4 address.", field, deref(address))
	}
	return a, nil
}

// portOf reads a port; only the source's may be any.
func portOf(text *string, field string, source bool) (int, *answer) {
	if deref(text) == "*" && source {
		return -1, nil
	}
	n, err := strconv.Atoi(deref(text))
	if err != nil || n < 0 || n > 65535 {
		return 0, invalid("%s '%s' is not a port.", field, deref(text))
	}
	return n, nil
}

func (s *Server) verifyFlow(r *request) *answer {
	var p armnetwork.VerificationIPFlowParameters
	if bad := r.decode(&p); bad != nil {
		return bad
	}
	bad := required(map[string]*string{
		"targetResourceId": p.TargetResourceID, "direction": (*string)(p.Direction), "protocol": (*string)(p.Protocol),
		"localPort": p.LocalPort, "remotePort": p.RemotePort, "localIPAddress": p.LocalIPAddress, "remoteIPAddress": p.RemoteIPAddress,
	}, "targetResourceId", "direction", "protocol", "localPort", "remotePort", "localIPAddress", "remoteIPAddress")
	if bad != nil {
		return bad
	}
	vm, subnet, watcher, bad := s.target(r, p.TargetResourceID, p.TargetNicResourceID)
	if bad != nil {
		return bad
	}
	inbound, bad := direction(*p.Direction)
	if bad != nil {
		return bad
	}
	if *p.Protocol != armnetwork.IPFlowProtocolTCP && *p.Protocol != armnetwork.IPFlowProtocolUDP {
		return invalid("Protocol '%s' is neither TCP nor UDP.", *p.Protocol)
	}
	local, bad := vm.own(p.LocalIPAddress, "localIPAddress")
	if bad != nil {
		return bad
	}
	remote, bad := ipv4(p.RemoteIPAddress, "remoteIPAddress")
	if bad != nil {
		return bad
	}
	localPort, bad := portOf(p.LocalPort, "localPort", !inbound)
	if bad != nil {
		return bad
	}
	remotePort, bad := portOf(p.RemotePort, "remotePort", inbound)
	if bad != nil {
		return bad
	}
	if subnet == nil || subnet.Group == nil {
		return fail(http.StatusBadRequest, "NoNetworkSecurityGroup", "No network security group is applied to %s.", vm.interfaceID())
	}
	t := tuple{inbound, strings.ToLower(string(*p.Protocol)), local, remote, remotePort}
	if inbound {
		t.from, t.to, t.port = remote, local, localPort
	}
	result := armnetwork.VerificationIPFlowResult{Access: new(armnetwork.AccessDeny)}
	if rule := subnet.decide(t); rule != nil {
		prefix := "securityRules/"
		if rule.isDefault() {
			prefix = "defaultSecurityRules/"
		}
		result.RuleName = new(prefix + rule.Name)
		if !rule.Deny {
			result.Access = new(armnetwork.AccessAllow)
		}
	}
	return s.later(r, watcher.Region, result)
}

func direction(d armnetwork.Direction) (inbound bool, bad *answer) {
	switch d {
	case armnetwork.DirectionInbound:
		return true, nil
	case armnetwork.DirectionOutbound:
		return false, nil
	}
	return false, invalid("Direction '%s' is neither Inbound nor Outbound.", d)
}

func (s *Server) nextHop(r *request) *answer {
	var p armnetwork.NextHopParameters
	if bad := r.decode(&p); bad != nil {
		return bad
	}
	bad := required(map[string]*string{
		"targetResourceId": p.TargetResourceID, "sourceIPAddress": p.SourceIPAddress, "destinationIPAddress": p.DestinationIPAddress,
	}, "targetResourceId", "sourceIPAddress", "destinationIPAddress")
	if bad != nil {
		return bad
	}
	vm, subnet, watcher, bad := s.target(r, p.TargetResourceID, p.TargetNicResourceID)
	if bad != nil {
		return bad
	}
	if _, bad = vm.own(p.SourceIPAddress, "sourceIPAddress"); bad != nil {
		return bad
	}
	to, bad := ipv4(p.DestinationIPAddress, "destinationIPAddress")
	if bad != nil {
		return bad
	}
	if subnet == nil {
		return fail(http.StatusBadRequest, "NoSubnet", "%s is in no subnet.", vm.interfaceID())
	}
	route, table := subnet.hop(to)
	result := armnetwork.NextHopResult{NextHopType: new(armnetwork.NextHopType(route.Type)), RouteTableID: &table}
	if route.Address.IsValid() {
		result.NextHopIPAddress = new(route.Address.String())
	}
	return s.later(r, watcher.Region, result)
}

// diagnoseFlows is NSG diagnostics. Its target is a network interface here, of
// a machine or of an instance of a scale set; ports and addresses are single.
func (s *Server) diagnoseFlows(r *request) *answer {
	var p armnetwork.ConfigurationDiagnosticParameters
	if bad := r.decode(&p); bad != nil {
		return bad
	}
	watcher := s.world.watcher(r.id(1))
	switch {
	case watcher == nil:
		return missing(r.id(1))
	case deref(p.TargetResourceID) == "":
		return fail(http.StatusBadRequest, "MissingJsonProperty", "Required property 'targetResourceId' is missing in the request.")
	case len(p.Profiles) == 0:
		return fail(http.StatusBadRequest, "MissingJsonProperty", "Required property 'profiles' is missing in the request.")
	}
	subnet, found := s.subnetOf(*p.TargetResourceID)
	if !found {
		return fail(http.StatusNotFound, "ResourceNotFound", "The Resource '%s' was not found.", *p.TargetResourceID)
	}
	results := []*armnetwork.ConfigurationDiagnosticResult{}
	for _, profile := range p.Profiles {
		result, bad := subnet.diagnose(profile)
		if bad != nil {
			return bad
		}
		results = append(results, &armnetwork.ConfigurationDiagnosticResult{Profile: profile, NetworkSecurityGroupResult: result})
	}
	return s.later(r, watcher.Region, map[string]any{"results": results})
}

func (s *Subnet) diagnose(p *armnetwork.ConfigurationDiagnosticProfile) (*armnetwork.SecurityGroupResult, *answer) {
	if p == nil {
		return nil, invalid("A profile is null.")
	}
	bad := required(map[string]*string{
		"direction": (*string)(p.Direction), "protocol": p.Protocol, "source": p.Source, "destination": p.Destination, "destinationPort": p.DestinationPort,
	}, "direction", "protocol", "source", "destination", "destinationPort")
	if bad != nil {
		return nil, bad
	}
	t := tuple{protocol: strings.ToLower(*p.Protocol)}
	if t.inbound, bad = direction(*p.Direction); bad != nil {
		return nil, bad
	}
	if t.from, bad = ipv4(p.Source, "source"); bad != nil {
		return nil, bad
	}
	if t.to, bad = ipv4(p.Destination, "destination"); bad != nil {
		return nil, bad
	}
	if t.port, bad = portOf(p.DestinationPort, "destinationPort", true); bad != nil {
		return nil, bad
	}
	result := &armnetwork.SecurityGroupResult{
		SecurityRuleAccessResult: new(armnetwork.SecurityRuleAccessAllow), EvaluatedNetworkSecurityGroups: []*armnetwork.EvaluatedNetworkSecurityGroup{},
	}
	if s == nil || s.Group == nil {
		return result, nil
	}
	evaluated := &armnetwork.EvaluatedNetworkSecurityGroup{AppliedTo: &s.ID, NetworkSecurityGroupID: &s.Group.ID}
	if rule := s.decide(t); rule != nil {
		action, prefix := "Allow", "UserRule_"
		if rule.Deny {
			action = "Deny"
			result.SecurityRuleAccessResult = new(armnetwork.SecurityRuleAccessDeny)
		}
		if rule.isDefault() {
			prefix = "DefaultRule_"
		}
		evaluated.MatchedRule = &armnetwork.MatchedRule{Action: &action, RuleName: new(prefix + rule.Name)}
	}
	result.EvaluatedNetworkSecurityGroups = append(result.EvaluatedNetworkSecurityGroups, evaluated)
	return result, nil
}

// subnetOf finds the subnet of a network interface; nil: one without rules.
func (s *Server) subnetOf(networkInterface string) (subnet *Subnet, found bool) {
	for i := range s.world.VMs {
		if vm := &s.world.VMs[i]; strings.EqualFold(vm.interfaceID(), networkInterface) {
			return s.world.Network.subnet(vm.Subnet), true
		}
	}
	for i := range s.world.ScaleSets {
		set := &s.world.ScaleSets[i]
		for n := range set.Instances {
			if strings.EqualFold(set.interfaceID(&set.Instances[n]), networkInterface) {
				return s.world.Network.subnet(set.Subnet), true
			}
		}
	}
	return nil, false
}
