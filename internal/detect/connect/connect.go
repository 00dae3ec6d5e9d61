// Package connect detects connections that never came about.
package connect

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// Detector reports attempts that were refused, that went unanswered, and that
// stayed half-open.
var Detector = &detect.Detector{
	Name: "connect",
	Reports: []detect.Reported{
		{
			Kind:      "tcp.connect-refused",
			Means:     "A SYN was answered with a RST: nothing listens on the port, or a firewall rejects the connection in the host's name.",
			Threshold: "one refused attempt; RST after SYN without SYN-ACK (Zeek's REJ)",
			Next:      "On the server, check whether the service runs and listens on this port and address; then who tells the client to use it.",
		},
		{
			Kind:      "tcp.connect-timeout",
			Means:     "SYNs went unanswered: they, or the answers, were dropped on the way, or the host is gone.",
			Threshold: "no answer for 3 s or after a second SYN; hosts send the SYN again after 1 s (RFC 6298)",
			Next:      "Check the NSG and the effective routes of both ends for this flow, then any firewall in between; capture at the other end to see where the SYN is lost.",
		},
		{
			Kind:      "tcp.half-open",
			Means:     "A SYN-ACK was sent and never acknowledged: it was lost on the way, its route leads elsewhere, or the client only probed.",
			Threshold: "SYN and SYN-ACK, no ACK for 3 s (Zeek's S1 without ACK)",
			Next:      "Check the route back to the client; asymmetric routing through a stateful firewall looks like this.",
		},
	},
	Start: start,
}

// patience is how long an attempt may wait before it counts as unanswered: the
// first two tries of a host lie within it.
const patience = 3 * time.Second

type pair struct {
	client netip.Addr
	server netip.AddrPort
}

type attempts struct {
	detect.Tally
	flow      *finding.Flow
	syns      int
	otherHops int // RSTs that came over another number of hops than the server's packets
	closed    int // RSTs as a closed port sends them
}

type state struct {
	pass     *detect.Pass
	refused  detect.Groups[pair, attempts]
	silent   detect.Groups[pair, attempts]
	halfOpen detect.Groups[pair, attempts]
	worked   map[pair]int // connections that came about, where any failed
	waiting  []waiting    // to be judged when the end of the capture is known
}

type waiting struct {
	pair     pair
	flow     *finding.Flow
	syns     int
	first    flow.Moment
	last     flow.Moment
	answered bool
}

// maxWaiting bounds what is kept until the end of the capture is known.
const maxWaiting = 65536

func start(p *detect.Pass) detect.Hooks {
	s := &state{pass: p, worked: map[pair]int{}}
	return detect.Hooks{Connection: s.connection, End: s.end}
}

func (s *state) connection(c *detect.Connection) {
	if !c.FirstSYN.Seen() {
		return
	}
	key := pair{c.ClientAddr().Addr(), c.ServerAddr()}
	switch {
	case c.Established() || c.Completeness.Has(flow.SawPayload):
		if len(s.worked) < maxWaiting {
			s.worked[key]++
		}
	case c.RST().Seen() && c.RST().Phase == flow.AfterSYN && c.RST().From != c.ClientSide:
		a := s.refused.At(key)
		if a == nil {
			return
		}
		a.Add(c.FirstSYN.Time, c.FirstSYN.Frame, c.RST().Frame)
		a.flow, a.syns = c.Flow(), a.syns+int(c.Client().SYNs)
		if c.RST().TTLDiffers() {
			a.otherHops++
		}
		if c.RST().ClosedPort() {
			a.closed++
		}
	case c.RST().Seen():
		// The client took its own SYN back: a scanner, or happy eyeballs.
	default:
		if len(s.waiting) < maxWaiting {
			s.waiting = append(s.waiting, waiting{key, c.Flow(), int(c.Client().SYNs), c.FirstSYN, c.Last, c.SYNACK.Seen()})
		}
	}
}

func (s *state) end(sum *detect.Summary) {
	for _, w := range s.waiting {
		if sum.Last.Sub(w.first.Time) < patience && w.syns < 2 {
			continue // the capture ended too early to say
		}
		group := &s.silent
		if w.answered {
			group = &s.halfOpen
		}
		if a := group.At(w.pair); a != nil {
			a.Add(w.first.Time, w.first.Frame, w.last.Frame)
			a.Last = max(a.Last, w.last.Time)
			a.flow, a.syns = w.flow, a.syns+w.syns
		}
	}
	for k, a := range s.refused.All {
		s.pass.Report(a.Into(s.refusal(k, a)))
	}
	for k, a := range s.silent.All {
		s.pass.Report(a.Into(s.silence(k, a)))
	}
	for k, a := range s.halfOpen.All {
		s.pass.Report(a.Into(finding.Finding{
			Kind: "tcp.half-open", Severity: finding.Medium, Confidence: 0.7, Culprit: finding.Network, Flow: flowOf(k, a),
			Summary: fmt.Sprintf("%s answered %s from %s, and the answer was never acknowledged.", k.server, times(a.Count, "connection attempt"), k.client),
			Detail:  map[string]any{"attempts": a.Count, "synPackets": a.syns},
		}))
	}
}

func (s *state) refusal(k pair, a *attempts) finding.Finding {
	f := finding.Finding{
		Kind: "tcp.connect-refused", Severity: finding.High, Confidence: 0.95, Culprit: finding.Server, Flow: flowOf(k, a),
		Summary: fmt.Sprintf("%s refused %s from %s: nothing listens on port %d there.", k.server, times(a.Count, "connection attempt"), k.client, k.server.Port()),
		Detail:  map[string]any{"attempts": a.Count, "synPackets": a.syns, "worked": s.worked[k]},
	}
	switch {
	case a.otherHops > 0:
		f.Culprit, f.Confidence = finding.Middlebox, 0.8
		f.Summary = fmt.Sprintf("%s from %s to %s were refused by something on the way: the RST travelled another number of hops than the server's packets.",
			times(a.Count, "connection attempt"), k.client, k.server)
	case s.worked[k] > 0:
		f.Severity, f.Confidence = finding.Medium, 0.8
	}
	return f
}

func (s *state) silence(k pair, a *attempts) finding.Finding {
	f := finding.Finding{
		Kind: "tcp.connect-timeout", Severity: finding.High, Confidence: 0.85, Culprit: finding.Firewall, Flow: flowOf(k, a),
		Summary: fmt.Sprintf("%s from %s to %s got no answer at all, in %d SYNs over %v.",
			times(a.Count, "connection attempt"), k.client, k.server, a.syns, span(a.Tally)),
		Detail: map[string]any{"attempts": a.Count, "synPackets": a.syns, "worked": s.worked[k]},
	}
	if s.pass.IsVantage(k.server.Addr()) {
		f.Culprit = finding.Server
		f.Summary += " The SYNs reached the machine that was captured on, which did not answer."
	}
	if s.worked[k] > 0 {
		f.Severity, f.Confidence = finding.Medium, 0.7
	}
	return f
}

func flowOf(k pair, a *attempts) *finding.Flow {
	f := *a.flow
	if a.Count > 1 {
		f.Client = finding.Endpoint{AddrPort: netip.AddrPortFrom(k.client, 0)}
	}
	return &f
}

func times(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func span(t detect.Tally) time.Duration {
	return pcap.Timestamp(t.Last).Sub(t.First).Round(100 * time.Millisecond)
}
