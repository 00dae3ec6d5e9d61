package policy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A span is a range of addresses or ports, both ends included.
type span struct{ low, high uint32 }

// What a filter must not match as a whole: the addresses that machines have,
// and the ports.
var (
	everyAddress = span{1 << 24, 224<<24 - 1} // 1.0.0.0 to 223.255.255.255
	everyPort    = span{1, 65535}
)

// covers reports whether the spans together hold all of whole.
func covers(spans []span, whole span) bool {
	spans = slices.Clone(spans)
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.low, b.low) })
	next := uint64(whole.low)
	for _, s := range spans {
		if uint64(s.low) > next {
			return false
		}
		next = max(next, uint64(s.high)+1)
	}
	return next > uint64(whole.high)
}

// A term is one value of a filter's address or port in Network Watcher's
// grammar, and what it matches. The zero term matches everything.
type term struct {
	text  string
	spans []span
}

// addresses reads a filter's address: an address, a range a-b, a list a;b, a
// CIDR network, a YAML list of those, or a placeholder. Network Watcher
// accepts anything here and captures nothing if it does not understand it
// (https://github.com/MicrosoftDocs/azure-docs/issues/99171), so everything
// else is a mistake. Several terms are several filters.
func (n node) addresses() (terms []term, placeholder string) {
	items := []node{n}
	if n.Kind == yaml.SequenceNode {
		items = n.list()
	}
	var spans []span
	for _, item := range items {
		s, ok := item.text()
		if !ok {
			continue
		}
		if strings.ContainsAny(s, "{}") {
			m := placeholderRegex.FindStringSubmatch(s)
			switch {
			case m == nil:
				item.fail("%+q is no placeholder: the whole value must be {alert.NAME}, NAME a dimension of the alert", shorten(s))
			case n.Kind == yaml.SequenceNode:
				item.fail("a placeholder stands alone, not in a list; write a filter of its own")
			default:
				placeholder = m[1]
			}
			continue
		}
		for _, t := range item.addressTerms(s) {
			terms = append(terms, t)
			spans = append(spans, t.spans...)
		}
	}
	if covers(spans, everyAddress) {
		n.fail("matches every address: leave the key out, or name the network")
	}
	return terms, placeholder
}

// addressTerms reads one scalar.
func (n node) addressTerms(s string) []term {
	if strings.Contains(s, ":") {
		n.fail("%+q looks like IPv6, which Network Watcher's filters do not know; filter on ports, or on IPv4", shorten(s))
		return nil
	}
	parts := strings.Split(strings.TrimSuffix(s, ";"), ";")
	var terms []term
	for _, part := range parts {
		t, err := parseAddressTerm(part)
		if err == nil && len(parts) > 1 && strings.Contains(part, "-") {
			err = fmt.Errorf("%+q: a range in a list is never matched; write a YAML list, [%s]", part, strings.Join(parts, ", "))
		}
		if err != nil {
			n.fail("%s", err)
			return nil
		}
		terms = append(terms, t)
	}
	if slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(p, "/") }) {
		return terms // networks become ranges, which have to stand alone
	}
	list := term{text: strings.Join(parts, ";")}
	for _, t := range terms {
		list.spans = append(list.spans, t.spans...)
	}
	if len(parts) == 1 {
		list.text = terms[0].text
	}
	return []term{list}
}

func parseAddressTerm(s string) (term, error) {
	if strings.Contains(s, "/") {
		prefix, err := parseNetwork(s)
		if err != nil {
			return term{}, err
		}
		return rangeTerm(prefix.Addr(), lastAddress(prefix)), nil
	}
	low, high, isRange := strings.Cut(s, "-")
	if !isRange {
		high = low
	}
	a, errLow := netip.ParseAddr(low)
	b, errHigh := netip.ParseAddr(high)
	switch {
	case errLow != nil || errHigh != nil || !a.Is4() || !b.Is4():
		return term{}, fmt.Errorf("%+q is no IPv4 address, range a-b, list a;b or network a/n; Network Watcher would take it and capture nothing", shorten(s))
	case b.Less(a):
		return term{}, fmt.Errorf("range %+q ends before it begins", s)
	case a == b && a.IsUnspecified():
		return term{}, fmt.Errorf("%s is no machine's address; leave the key out to match any", s)
	}
	return rangeTerm(a, b), nil
}

func rangeTerm(a, b netip.Addr) term {
	t := term{text: a.String(), spans: []span{{number(a), number(b)}}}
	if a != b {
		t.text += "-" + b.String()
	}
	return t
}

// parseNetwork reads an IPv4 network as it is meant to be written.
func parseNetwork(s string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(s)
	switch {
	case err == nil && !prefix.Addr().Is4():
		return netip.Prefix{}, fmt.Errorf("%+q is IPv6, which Network Watcher's filters do not know", s)
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("%+q is no IPv4 network such as 10.0.0.0/8", shorten(s))
	case prefix.Bits() == 0:
		return netip.Prefix{}, fmt.Errorf("%s matches every address: leave the key out, or name the network", s)
	case prefix != prefix.Masked():
		return netip.Prefix{}, fmt.Errorf("%s has host bits set: the network is %s, the address alone %s/32", s, prefix.Masked(), prefix.Addr())
	}
	return prefix, nil
}

func lastAddress(p netip.Prefix) netip.Addr {
	host := uint32(uint64(1)<<(32-p.Bits()) - 1)
	n := number(p.Addr()) | host
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

func number(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// ports reads a filter's port: "443", "80-85" or "80;443", quoted or not.
func (n node) ports() term {
	if n.Kind == yaml.SequenceNode {
		n.fail("write the ports as one value, such as \"80;443\"")
		return term{}
	}
	s, ok := n.text()
	if !ok {
		return term{}
	}
	var t term
	parts := strings.Split(strings.TrimSuffix(s, ";"), ";")
	for i, part := range parts {
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		a, okLow := parsePort(low)
		b, okHigh := parsePort(high)
		switch {
		case !okLow || !okHigh:
			n.fail("%+q is no port: 1 to 65535, as \"443\", \"80-85\" or \"80;443\"; only addresses may be placeholders", shorten(s))
			return term{}
		case b < a:
			n.fail("port range %+q ends before it begins", part)
			return term{}
		case isRange && len(parts) > 1:
			n.fail("%+q: a port range in a list is never matched; write a filter for each", s)
			return term{}
		}
		if i > 0 {
			t.text += ";"
		}
		if t.text += low; a != b {
			t.text += "-" + high
		}
		t.spans = append(t.spans, span{a, b})
	}
	if covers(t.spans, everyPort) {
		n.fail("matches every port: leave the key out")
	}
	return t
}

func parsePort(s string) (uint32, bool) {
	if !integerPattern.MatchString(s) {
		return 0, false
	}
	port, err := strconv.ParseUint(s, 10, 16)
	return uint32(port), err == nil && port > 0
}
