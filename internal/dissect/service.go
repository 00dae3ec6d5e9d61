package dissect

import "github.com/pcapwarden/pcapwarden/internal/flow"

// Service says what is spoken on a connection, as far as it was looked into:
// "tls", "http", "dns", the kind of a protocol with logins, or "". It is to be
// asked before End.
func (d *Dissector) Service(fc *flow.Conn) string {
	c, _ := fc.Attached.(*conn)
	switch {
	case c == nil:
		return ""
	case c.tls != nil:
		return "tls"
	case c.http != nil:
		return "http"
	case c.endpoints.Server.Port() == domain:
		return "dns"
	}
	return ""
}
