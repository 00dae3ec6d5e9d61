package policy

import (
	"fmt"
	"net/netip"
)

// MaxFilters is how many filters one capture has at most, placeholders filled
// in. Azure documents no limit; a list this long is a mistake.
const MaxFilters = 100

func (c *Capture) readFilters(n node) {
	var all []wide
	for _, item := range n.list() {
		rules, filters := item.filter()
		c.Filters = append(c.Filters, rules...)
		all = append(all, filters...)
		if len(c.Filters) > MaxFilters {
			n.fail("make more than %d filters", MaxFilters)
			return
		}
	}
	if len(all) > 1 {
		for dimension, whole := range [4]span{everyAddress, everyPort, everyAddress, everyPort} {
			if coverTogether(all, dimension, whole) {
				n.fail("together the filters match every %s: name what is wanted", [4]string{"local address", "local port", "remote address", "remote port"}[dimension])
			}
		}
	}
}

// wide is a filter and what it matches in each of its four dimensions: local
// address, local port, remote address, remote port.
type wide struct {
	protocol string
	terms    [4]term
}

// coverTogether reports whether filters that are otherwise alike leave nothing
// out in one dimension: 0.0.0.0/1 and 128.0.0.0/1 are /0 in two lines.
func coverTogether(filters []wide, dimension int, whole span) bool {
	groups := make(map[wideKey][]span)
	for _, f := range filters {
		key := wideKey{protocol: f.protocol}
		for i, t := range f.terms {
			if i != dimension {
				key.texts[i] = t.text
			}
		}
		groups[key] = append(groups[key], f.terms[dimension].spans...)
	}
	for _, spans := range groups {
		if covers(spans, whole) {
			return true
		}
	}
	return false
}

type wideKey struct {
	protocol string
	texts    [4]string
}

// filter reads one filter of the file, which is several for several networks.
func (n node) filter() (rules []FilterRule, filters []wide) {
	o, ok := n.object("protocol", "localIP", "localPort", "remoteIP", "remotePort", "within")
	if !ok {
		return nil, nil
	}
	rule := FilterRule{Filter: Filter{Protocol: "Any"}}
	if n, ok := o.optional("protocol"); ok {
		s, known := n.text()
		switch {
		case !known:
		case fold(s) == "icmp":
			n.fail("Network Watcher has no filter for ICMP: use Any and an address")
		default:
			rule.Protocol, _ = n.oneOf("TCP", "UDP", "Any")
		}
	}
	local, remote := []term{{}}, []term{{}}
	if n, ok := o.optional("localIP"); ok {
		local, rule.LocalPlaceholder = n.addresses()
	}
	if n, ok := o.optional("remoteIP"); ok {
		remote, rule.RemotePlaceholder = n.addresses()
	}
	var localPort, remotePort term
	if n, ok := o.optional("localPort"); ok {
		localPort = n.ports()
	}
	if n, ok := o.optional("remotePort"); ok {
		remotePort = n.ports()
	}
	placeholder := rule.LocalPlaceholder != "" || rule.RemotePlaceholder != ""
	within, bounded := o.optional("within")
	if bounded {
		rule.Within, ok = within.network()
	}
	switch {
	case bounded && ok && !placeholder:
		within.fail("limits a placeholder such as {alert.DestinationAddress}, and there is none")
	case !bounded && placeholder:
		n.at(n.Node, ".within").fail("is missing: an alert must not choose any address it likes; name the network its addresses are in")
	}
	if len(o.fields) == 0 || len(o.fields) == 1 && o.fields["protocol"].Node != nil {
		n.fail("is too wide: name an address, a network or a port beside the protocol")
	}

	// A placeholder has no term yet, but is one filter at least.
	if rule.LocalPlaceholder != "" {
		local = []term{{text: "{" + fold(rule.LocalPlaceholder) + "}"}}
	}
	if rule.RemotePlaceholder != "" {
		remote = []term{{text: "{" + fold(rule.RemotePlaceholder) + "}"}}
	}
	if len(local)*len(remote) > MaxFilters {
		n.fail("makes %d filters, at most %d are sensible", len(local)*len(remote), MaxFilters)
		return nil, nil
	}
	rule.LocalPort, rule.RemotePort = localPort.text, remotePort.text
	for _, l := range local {
		for _, r := range remote {
			rule := rule
			if rule.LocalPlaceholder == "" {
				rule.LocalIP = l.text
			}
			if rule.RemotePlaceholder == "" {
				rule.RemoteIP = r.text
			}
			rules = append(rules, rule)
			filters = append(filters, wide{rule.Protocol, [4]term{l, localPort, r, remotePort}})
		}
	}
	return rules, filters
}

// network reads one IPv4 network.
func (n node) network() (netip.Prefix, bool) {
	s, ok := n.text()
	if !ok {
		return netip.Prefix{}, false
	}
	prefix, err := parseNetwork(s)
	if err != nil {
		n.fail("%s", err)
	}
	return prefix, err == nil
}

// String writes the filter for people.
func (f Filter) String() string {
	end := func(ip, port string) string {
		if ip == "" {
			ip = "any"
		}
		if port == "" {
			port = "any"
		}
		return fmt.Sprintf("%s port %s", ip, port)
	}
	return fmt.Sprintf("%s, local %s, remote %s", f.Protocol, end(f.LocalIP, f.LocalPort), end(f.RemoteIP, f.RemotePort))
}
