package certificate

import (
	"net/netip"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/dissect/tls"
)

// covers reports whether a certificate is for a host. Where it has more names
// than are kept, nobody can say no. Certificates without any name bear it as
// common name, as they did before RFC 6125.
func covers(c *tls.Certificate, host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if len(c.Names) >= tls.MaxNames || host == "" {
		return true
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true // no name; clients must not send one (RFC 6066, 3)
	}
	if len(c.Names) == 0 {
		return matches(c.Subject, host)
	}
	for _, n := range c.Names {
		if matches(n, host) {
			return true
		}
	}
	return false
}

// matches compares with a pattern that may begin with "*." for one label
// (RFC 9525, 6.3).
func matches(pattern, host string) bool {
	pattern = strings.TrimSuffix(strings.ToLower(pattern), ".")
	if parent, ok := strings.CutPrefix(pattern, "*."); ok {
		_, rest, dotted := strings.Cut(host, ".")
		return dotted && rest == parent
	}
	return pattern == host
}
