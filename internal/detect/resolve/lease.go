package resolve

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/dissect/dhcp"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

const maxLeases = 4096

// lease is what a client's latest DHCP lease in the capture says.
type lease struct {
	server    netip.Addr
	resolvers []netip.Addr
	frame     int64
}

func (s *state) lease(l *dhcp.Lease) {
	if l.Message != dhcp.ACK || !l.Address.IsValid() || len(l.Resolvers) == 0 {
		return
	}
	if _, known := s.leases[l.Address]; known || len(s.leases) < maxLeases {
		s.leases[l.Address] = lease{l.Server, l.Resolvers, l.Frame}
	}
}

// origin says where the clients of a resolver that fails may have it from.
func (s *state) origin(server netip.Addr, r *resolver, f *finding.Finding) {
	s.expectation(server, f)
	for _, client := range r.clients {
		l, ok := s.leases[client]
		if !ok {
			continue
		}
		named := slices.Contains(l.resolvers, server)
		f.Detail["leasePacket"], f.Detail["leaseServer"] = l.frame, l.server.String()
		f.Detail["leaseResolvers"], f.Detail["leaseNamesIt"] = list(l.resolvers), named
		if named {
			f.Summary += fmt.Sprintf(" The DHCP lease of %s names it (packet %d): the DHCP options of its network are out of date.", client, l.frame)
		} else {
			f.Summary += fmt.Sprintf(" The DHCP lease of %s (packet %d) names %s instead: its setting is stale.", client, l.frame, list(l.resolvers))
		}
		return
	}
}

// expectation compares with the policy.
func (s *state) expectation(server netip.Addr, f *finding.Finding) {
	if len(s.pass.ExpectedResolvers) == 0 {
		return
	}
	expected := slices.Contains(s.pass.ExpectedResolvers, server)
	f.Detail["expected"] = expected
	if !expected {
		f.Summary += fmt.Sprintf(" By the policy %s should be asked instead.", list(s.pass.ExpectedResolvers))
	}
}

func list(all []netip.Addr) string {
	var names []string
	for _, a := range all[:min(len(all), 4)] {
		names = append(names, a.String())
	}
	return strings.Join(names, ", ")
}
