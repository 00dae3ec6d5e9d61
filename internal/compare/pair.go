package compare

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/pcapwarden/pcapwarden/internal/service"
)

// pair finds the services that are the same on both sides: by address and
// name, by name where addresses differ, and last by port and role, where no
// other service of one side has the same. Resolvers are never matched by their
// port: which one is asked is what matters.
func (c *Comparison) pair() {
	baseline, capture := pointers(c.Baseline.services), pointers(c.Capture.services)
	for _, m := range []struct {
		by   string
		key  func(*service.Service) string // "": not by this
		join bool                          // several of a side are one
	}{
		{"address", byAddress, false},
		{"name", byName, true},
		{"port", byPort, false},
	} {
		groups := grouped(capture, m.key)
		for _, b := range keys(baseline, m.key) {
			mine, theirs := grouped(baseline, m.key)[b], groups[b]
			if len(theirs) == 0 || !m.join && (len(mine) > 1 || len(theirs) > 1) {
				continue
			}
			c.Services = append(c.Services, newPair(m.by, service.Join(mine...), service.Join(theirs...)))
			baseline, capture = without(baseline, mine), without(capture, theirs)
		}
	}
	slices.SortStableFunc(c.Services, func(a, b Pair) int {
		return cmp.Compare(b.Baseline.Connections+b.Capture.Connections, a.Baseline.Connections+a.Capture.Connections)
	})
	c.Services = c.Services[:min(len(c.Services), MaxPairs)]
	c.OnlyBaseline, c.OnlyCapture = values(baseline), values(capture)
	if c.Services == nil {
		c.Services = []Pair{}
	}
}

func newPair(by string, b, n *service.Service) Pair {
	p := Pair{Name: n.Name(), MatchedBy: by, Baseline: b, Capture: n}
	if by == "port" {
		p.Name = fmt.Sprintf("%s port %d", n.Protocol, n.Server.Port())
	}
	return p
}

func byAddress(s *service.Service) string {
	return s.Protocol + " " + s.Server.String() + " " + s.SNI
}

func byName(s *service.Service) string {
	if s.SNI == "" {
		return ""
	}
	return fmt.Sprintf("%s %s %d", s.Protocol, s.SNI, s.Server.Port())
}

// registered is where the ports end that services are given; those above
// change from connection to connection (RFC 6335).
const registered = 32768

func byPort(s *service.Service) string {
	if s.Protocol == service.DNS || s.SNI != "" || s.Server.Port() >= registered {
		return ""
	}
	return fmt.Sprintf("%s %d %s", s.Protocol, s.Server.Port(), s.Role)
}

func pointers(all []service.Service) []*service.Service {
	var p []*service.Service
	for i := range all {
		p = append(p, &all[i])
	}
	return p
}

func values(all []*service.Service) []service.Service {
	list := []service.Service{}
	for _, s := range all[:min(len(all), MaxAlone)] {
		list = append(list, *s)
	}
	return list
}

// keys are those of a side, in the order of its services.
func keys(all []*service.Service, key func(*service.Service) string) []string {
	var found []string
	for _, s := range all {
		if k := key(s); k != "" && !slices.Contains(found, k) {
			found = append(found, k)
		}
	}
	return found
}

func grouped(all []*service.Service, key func(*service.Service) string) map[string][]*service.Service {
	groups := map[string][]*service.Service{}
	for _, s := range all {
		if k := key(s); k != "" {
			groups[k] = append(groups[k], s)
		}
	}
	return groups
}

func without(all, gone []*service.Service) []*service.Service {
	return slices.DeleteFunc(slices.Clone(all), func(s *service.Service) bool { return slices.Contains(gone, s) })
}
