package dissect

import "github.com/pcapwarden/pcapwarden/internal/flow"

// Service says what is spoken on a connection, as far as it was looked into:
// "tls", "http", "dns", a [cleartext.Kind], or "". It is to be asked before
// End.
func (d *Dissector) Service(fc *flow.Conn) string {
	if c, ok := fc.Attached.(*conn); ok {
		return c.service
	}
	return ""
}
