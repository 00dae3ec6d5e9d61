package controlplane

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A matcher is what a rule is about, taken apart.
type matcher struct {
	protocol            string // lower case; empty: all
	source, destination []netip.Prefix
	anySource, anyDest  bool // no prefixes: unless any, the rule is about a tag that is not spelled out
	ports               []portRange
	sourcePorts         []portRange
}

type portRange struct{ from, to uint16 }

// An End is a side of a rule as Azure spells it.
type End struct {
	Prefixes []string // addresses, prefixes, tags, "*"
	Expanded []string // the prefixes that the tags stand for
	Ports    []string // "443", "80-90", "*"
}

// NewRule returns the rule r about traffic between the ends. What is in them
// and can't be read makes the rule match nothing.
func NewRule(r Rule, protocol string, source, destination End) Rule {
	r.Name, r.Group, r.At, r.Protocol = Harmless(r.Name), Harmless(r.Group), Harmless(r.At), Harmless(protocol)
	r.Source, r.Destination, r.Ports = words(source.Prefixes), words(destination.Prefixes), words(spelled(destination.Ports))
	m := &r.match
	m.protocol = strings.ToLower(protocol)
	if m.protocol == "all" || m.protocol == "*" {
		m.protocol = ""
	}
	m.source, m.anySource = prefixes(slices.Concat(source.Prefixes, source.Expanded))
	m.destination, m.anyDest = prefixes(slices.Concat(destination.Prefixes, destination.Expanded))
	m.sourcePorts, m.ports = ports(source.Ports), ports(destination.Ports)
	return r
}

// spelled writes "443-443", as Azure has it, as people do.
func spelled(ports []string) []string {
	var all []string
	for _, p := range ports {
		if from, to, ok := strings.Cut(p, "-"); ok && from == to {
			p = from
		}
		if p == "0-65535" || p == "*" {
			p = "any"
		}
		all = append(all, p)
	}
	return all
}

// maxWords keeps a tag of a thousand prefixes from filling a page.
const maxWords = 4

func words(all []string) string {
	var out []string
	for i, s := range all {
		if i == maxWords {
			out = append(out, "and "+strconv.Itoa(len(all)-maxWords)+" more")
			break
		}
		out = append(out, Harmless(s))
	}
	return strings.Join(out, ", ")
}

func prefixes(all []string) (list []netip.Prefix, any bool) {
	for _, s := range all {
		if s == "*" || s == "Any" || s == "any" {
			return nil, true
		}
		if p, err := netip.ParsePrefix(s); err == nil {
			if p.Bits() == 0 {
				return nil, true
			}
			list = append(list, p.Masked())
		} else if a, err := netip.ParseAddr(s); err == nil {
			list = append(list, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return list, false
}

// ports reads "443", "80-90" and "*". Nothing given is all.
func ports(all []string) []portRange {
	if len(all) == 0 {
		return []portRange{{0, 65535}}
	}
	var list []portRange
	for _, s := range all {
		if s == "*" {
			return []portRange{{0, 65535}}
		}
		from, to, isRange := strings.Cut(s, "-")
		if !isRange {
			to = from
		}
		a, errA := strconv.ParseUint(from, 10, 16)
		b, errB := strconv.ParseUint(to, 10, 16)
		if errA == nil && errB == nil && a <= b {
			list = append(list, portRange{uint16(a), uint16(b)})
		}
	}
	return list
}

func (m *matcher) matches(q Question) bool {
	from, to := q.Local, q.Remote
	if q.Direction == Inbound {
		from, to = to, from
	}
	return (m.protocol == "" || m.protocol == q.Protocol) &&
		(m.anySource || contains(m.source, from.Addr())) && (m.anyDest || contains(m.destination, to.Addr())) &&
		covers(m.sourcePorts, from.Port()) && covers(m.ports, to.Port())
}

func contains(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

// covers: port 0 stands for any, and is covered by what covers some.
func covers(list []portRange, port uint16) bool {
	return slices.ContainsFunc(list, func(r portRange) bool { return port == 0 || r.from <= port && port <= r.to })
}

// Matching are the rules that match the flow, first those that decide: in
// each security group the one of the lowest priority number does.
func Matching(all []Rule, q Question) []Rule {
	var found []Rule
	for _, r := range all {
		if r.Direction == q.Direction && r.match.matches(q) {
			found = append(found, r)
		}
	}
	slices.SortStableFunc(found, func(a, b Rule) int { return cmp.Compare(a.Priority, b.Priority) })
	return found[:min(len(found), MaxRules)]
}
