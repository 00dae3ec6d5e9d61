package dissect

import (
	"bytes"

	"github.com/pcapwarden/pcapwarden/internal/dissect/cleartext"
	"github.com/pcapwarden/pcapwarden/internal/dissect/http"
	"github.com/pcapwarden/pcapwarden/internal/dissect/stream"
	"github.com/pcapwarden/pcapwarden/internal/dissect/tls"
)

// mdns is read as DNS over TCP: there is no such thing, but tshark does.
const mdns = 5353

// sniff decides what a connection carries, by its ports and by the segment at
// hand, or that it is nothing that is read.
func (d *Dissector) sniff(c *conn, chunk *stream.Chunk) {
	b := chunk.Data
	first := c.looked == 0
	c.looked++
	who := d.endpoints()
	cp, sp := who.Client.Port(), who.Server.Port()
	if first && !c.tunnel {
		if cp == domain || sp == domain || cp == mdns || sp == mdns {
			c.reader, c.service = d.dns.NewStream(who.Client, who.Server), "dns"
			return
		}
		if d.byPort(c, cp, sp) {
			return
		}
	}
	tlsPort, httpPort := isTLSPort(cp, sp), isHTTPPort(cp, sp)
	switch {
	case tls.Opens(b) || tlsPort && (tls.LooksLikeRecord(b) || tls.LooksLikeSSL2(b) || startsRecord(b)):
		// On a port of another protocol TLS counts if it does not come first:
		// tshark follows what the protocols have for STARTTLS.
		d.openTLS(c, c.tunnel || !first || tlsCounts(cp, sp), tlsPort)
	case tls.LooksLikeSSL2(b):
		d.openTLS(c, tlsCounts(cp, sp), false)
	case http.Opens(b) || httpPort && http.LooksLikeStart(bytes.TrimLeft(b, "\r\n")):
		c.http = d.http.NewReader(c.tunnel || !first || httpCounts(cp, sp))
		c.reader, c.service = c.http, "http"
	case !tlsPort && !httpPort && c.looked >= patience:
		c.over = true
	}
}

// startsRecord reports whether b is the beginning of a record's header.
func startsRecord(b []byte) bool {
	return len(b) > 0 && len(b) < 5 && b[0] >= 20 && b[0] <= 23 && (len(b) < 2 || b[1] == 3)
}

func (d *Dissector) openTLS(c *conn, counted, knownPort bool) {
	c.tls = d.tls.NewReader(counted, knownPort)
	c.reader, c.service = c.tls, "tls"
}

// byPort opens a reader for the protocols that are known by their port alone;
// the lower port is asked first.
func (d *Dissector) byPort(c *conn, clientPort, serverPort uint16) bool {
	sides := [2]stream.Side{stream.Client, stream.Server}
	ports := [2]uint16{clientPort, serverPort}
	if serverPort < clientPort {
		sides[0], sides[1] = sides[1], sides[0]
		ports[0], ports[1] = ports[1], ports[0]
	}
	for i, port := range ports {
		if kind, ok := cleartext.KindOf(port); ok {
			c.text = d.text.NewReader(kind, sides[i])
			c.reader, c.service = c.text, string(kind)
			return true
		}
		if isTaken(port) || isTLSPort(port, port) || isHTTPPort(port, port) {
			return false
		}
	}
	return false
}
