package arm

import (
	"fmt"
	"net/url"
	"strings"
)

// A path is the URL path of a request, or a resource ID, taken apart.
type path struct {
	subscription, group string
	types               []string // namespace, then types and "*" for names, lower case
	names               []string // as they were spelled
}

// kind is the path without its names: "microsoft.compute/virtualmachines/*".
func (p path) kind() string { return strings.Join(p.types, "/") }

// name is the i-th name, counted from the namespace.
func (p path) name(i int) string { return p.names[i] }

// id spells the ID of the resource at the path, or of its i-th ancestor, with
// the types in the case that Azure uses.
func (p path) id(levels int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "/subscriptions/%s/resourceGroups/%s/providers/%s", p.subscription, p.group, spelling(p.types[0]))
	for i := range levels {
		fmt.Fprintf(&b, "/%s/%s", spelling(p.types[1+2*i]), p.names[i])
	}
	return b.String()
}

// spelling is how Azure spells a lower-case namespace or type.
func spelling(s string) string {
	for _, known := range []string{
		"Microsoft.Compute", "Microsoft.Network", "Microsoft.Storage",
		"virtualMachines", "virtualMachineScaleSets", "networkWatchers", "packetCaptures",
		"networkInterfaces", "storageAccounts", "virtualNetworks", "subnets", "networkSecurityGroups", "routeTables",
	} {
		if strings.EqualFold(s, known) {
			return known
		}
	}
	return s
}

// parsePath reads the escaped path of a URL. ARM minds no case.
func parsePath(escaped string) (path, error) {
	var p path
	parts := strings.Split(strings.Trim(escaped, "/"), "/")
	for i, s := range parts {
		u, err := url.PathUnescape(s)
		if err != nil || u == "" {
			return p, fmt.Errorf("part %d of the path %q", i, escaped)
		}
		parts[i] = u
	}
	at := func(i int, key string) bool { return i+1 < len(parts) && strings.EqualFold(parts[i], key) }
	if !at(0, "subscriptions") {
		return p, fmt.Errorf("no subscription in the path %q", escaped)
	}
	p.subscription, parts = parts[1], parts[2:]
	if at(0, "resourceGroups") {
		p.group, parts = parts[1], parts[2:]
	}
	if !at(0, "providers") {
		return p, fmt.Errorf("no resource provider in the path %q", escaped)
	}
	p.types, parts = []string{strings.ToLower(parts[1])}, parts[2:]
	for i, s := range parts {
		if i%2 == 0 {
			p.types = append(p.types, strings.ToLower(s))
		} else {
			p.types = append(p.types, "*")
			p.names = append(p.names, s)
		}
	}
	return p, nil
}
