package latency

import (
	"fmt"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/flow"
)

const (
	// maxLong bounds how many handshakes of a pair may turn out slow.
	maxLong = 256
	// enough is how many handshakes make a median to measure an outlier by.
	enough = 5
)

// handshakes are those of the same parties.
type handshakes struct {
	detect.Case             // the slow ones
	of          int         // all
	long        []handshake // slow by itself, or maybe as an outlier
	median      time.Duration
	worst       handshake
	retries     int // slow ones with SYNs or SYN-ACKs that were sent again
}

type handshake struct {
	conn    detect.Case // of this one
	took    time.Duration
	parts   flow.Latency
	retries int
	later   time.Duration // the shortest round trip after the handshake; 0: unknown
	first   time.Duration // until the first request was acknowledged
	path    bool          // that took as long
}

// handshake keeps one that may be slow, and reports whether it and the first
// request were slow because of the path.
func (s *state) handshake(k detect.Pair, c *detect.Connection) bool {
	l := c.Latency()
	if l.Handshake < least {
		return false
	}
	h := s.handshakes.At(k)
	if h == nil || len(h.long) >= maxLong {
		return false
	}
	n := handshake{took: l.Handshake, parts: l, later: c.Client().AckRTT().Min}
	n.retries = int(c.Client().SYNs+c.Server().SYNs) - 2
	first := c.Server().Talk().FirstAnswer
	n.path = l.Handshake >= farAway && first.Acked.Since(first.Asked) >= max(farAway, l.Handshake/4)
	n.first = first.Acked.Since(first.Asked)
	n.conn.Note(c, c.FirstSYN.Time, c.FirstSYN.Frame, c.LastSYN.Frame, c.SYNACK.Frame, c.HandshakeACK.Frame)
	if n.path {
		n.conn.Prove(first.Asked.Frame, first.Acked.Frame)
	}
	h.long = append(h.long, n)
	return n.path
}

// judge counts the slow ones, and reports whether there are any.
func (h *handshakes) judge(p *pace) bool {
	h.median = p.typical()
	for i := range h.long {
		n := &h.long[i]
		if n.took <= slow && !n.path && !(p.handshakes >= enough && n.took > outlier*h.median) {
			continue
		}
		h.Merge(&n.conn)
		h.Clients, h.Services = 1, 1
		if n.retries > 0 {
			h.retries++
		}
		if n.took > h.worst.took {
			h.worst = *n
		}
	}
	h.long = nil
	h.of = max(h.Count, int(p.handshakes))
	return h.Count > 0
}

// Join takes over another pair's handshakes.
func (h *handshakes) Join(o *handshakes) {
	h.Merge(&o.Case)
	h.of += o.of
	h.retries += o.retries
	if o.worst.took > h.worst.took {
		h.worst, h.median = o.worst, o.median
	}
}

// lasted says how long the worst took, and what is usual, of several.
func (h *handshakes) lasted() string {
	if h.of == 1 {
		return detect.Span(h.worst.took)
	}
	return fmt.Sprintf("%s at most (the median is %s)", detect.Span(h.worst.took), detect.Span(h.median))
}

func (s *state) slowHandshake(h *handshakes) finding.Finding {
	w, l := h.worst, h.worst.parts
	rtt := max(l.ServerPart, l.ClientPart)
	f := finding.Finding{
		Kind: "tcp.slow-handshake", Severity: finding.Info, Confidence: 0.8, Culprit: finding.Network, Flow: h.Flow(),
		Summary: fmt.Sprintf("%s from %s took long, %s, since %s.",
			detect.Begin(detect.OutOf(h.Count, h.of, "TCP handshake")), h.Parties(), h.lasted(), detect.Clock(h.First)),
		Detail: map[string]any{
			"seconds": detect.Seconds(w.took), "synRetries": w.retries, "serverPart": detect.Seconds(l.ServerPart), "clientPart": detect.Seconds(l.ClientPart),
			"medianSeconds": detect.Seconds(h.median), "rttSeconds": detect.Seconds(rtt), "connections": h.Count, "of": h.of, "nearServer": l.NearServer,
		},
	}
	switch {
	case 2*h.Count >= h.of:
		f.Severity = finding.Medium
	case 20*h.Count >= h.of:
		f.Severity = finding.Low
	}
	server, client := s.pass.IsVantage(h.Flow().Server.Addr()), s.pass.IsVantage(h.Flow().Client.Addr())
	switch {
	case w.path && w.took > slow:
		f.Confidence = 0.9
		f.Summary += fmt.Sprintf(" The acknowledgement of the first request took %s as well: it is the path that is slow, not the server.", detect.Span(w.first))
	case w.path:
		f.Confidence = 0.85
		f.Summary += fmt.Sprintf(" The acknowledgement of the first request took %s as well: the path is long or congested.", detect.Span(w.first))
	case 2*h.retries >= h.Count && server && l.ServerPart+l.ClientPart < w.took/2:
		f.Culprit, f.Confidence = finding.Server, 0.6
		f.Summary += fmt.Sprintf(" The captured server answered only after %s: its accept queue may be full.", detect.Count(w.retries, "repeated SYN"))
	case 2*h.retries >= h.Count:
		f.Summary += fmt.Sprintf(" SYNs or SYN-ACKs were lost and sent again in %d of them.", h.retries)
	case l.ClientPart > l.ServerPart && client:
		f.Culprit, f.Confidence = finding.Client, 0.7
		f.Summary += fmt.Sprintf(" The captured client took %s to acknowledge the SYN-ACK.", detect.Span(l.ClientPart))
	case l.ClientPart > l.ServerPart:
		f.Summary += fmt.Sprintf(" The way from here to the client and back takes %s.", detect.Span(l.ClientPart))
	case server, w.later > 0 && w.later < l.ServerPart/4:
		f.Culprit, f.Confidence = finding.Server, 0.7
		f.Summary += fmt.Sprintf(" The server took %s to accept", detect.Span(l.ServerPart))
		if w.later > 0 {
			f.Summary += fmt.Sprintf("; later round trips take %s", detect.Span(w.later))
		}
		f.Summary += "."
	default:
		f.Summary += fmt.Sprintf(" The way from here to the server and back takes %s.", detect.Span(l.ServerPart))
	}
	return f
}
