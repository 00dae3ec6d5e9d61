package policy

import (
	"net/netip"
	"regexp"

	"go.yaml.in/yaml/v3"

	"github.com/pcapwarden/pcapwarden/internal/finding"
)

// What the file says of findings: how severe they are, and what is expected.

// kind is what a finding's kind looks like; which there are is for who finds
// them to say.
var kind = regexp.MustCompile(`^[a-z]+\.[a-z]+(-[a-z]+)*$`)

// severities reads how severe this organisation takes kinds of findings.
func (n node) severities() map[finding.Kind]finding.Severity {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		n.fail("expected kinds of findings and severities, such as {tls.old-version: high}")
		return nil
	}
	all := map[finding.Kind]finding.Severity{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i].Value, n.at(n.Content[i+1], "."+shorten(n.Content[i].Value))
		if !kind.MatchString(key) {
			value.fail("%+q is no kind of finding such as tls.old-version", shorten(key))
			continue
		}
		text, ok := value.text()
		if !ok {
			continue
		}
		var severity finding.Severity
		if severity.UnmarshalText([]byte(text)) != nil {
			value.fail("%+q is no severity: want info, low, medium, high or critical", shorten(text))
			continue
		}
		all[finding.Kind(key)] = severity
	}
	return all
}

func (e *Expected) read(n node) {
	o, ok := n.object("outbound", "resolvers")
	if !ok {
		return
	}
	if n, ok := o.optional("outbound"); ok {
		e.Outbound = each(n, func(n node) (netip.Prefix, bool) {
			s, ok := n.text()
			if !ok {
				return netip.Prefix{}, false
			}
			if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
				return netip.PrefixFrom(a, a.BitLen()), true
			}
			prefix, err := netip.ParsePrefix(s)
			switch {
			case err != nil:
				n.fail("%+q is no network such as 10.0.0.0/8", shorten(s))
			case prefix != prefix.Masked():
				n.fail("%s has host bits set: the network is %s", s, prefix.Masked())
			default:
				return prefix, true
			}
			return netip.Prefix{}, false
		})
	}
	if n, ok := o.optional("resolvers"); ok {
		e.Resolvers = each(n, func(n node) (netip.Addr, bool) {
			s, ok := n.text()
			if !ok {
				return netip.Addr{}, false
			}
			a, err := netip.ParseAddr(s)
			if err != nil || a.Zone() != "" {
				n.fail("%+q is no address such as 10.0.0.4", shorten(s))
				return netip.Addr{}, false
			}
			return a, true
		})
	}
}
