package connect

import (
	"fmt"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

func (s *state) reportRefused(a *attempts) {
	f := finding.Finding{
		Kind: "tcp.connect-refused", Severity: a.severity(), Confidence: 0.95, Culprit: finding.Server, Flow: a.Flow(), Detail: a.detail(),
	}
	flow := a.Flow()
	why := "."
	if flow.Server.Port() != 0 {
		why = fmt.Sprintf(": nothing listens on port %d there.", flow.Server.Port())
		if s.pass.IsVantage(flow.Server.Addr()) {
			why = fmt.Sprintf(": nothing listens on port %d of the captured machine.", flow.Server.Port())
		}
	}
	switch reason := s.elsewhere(a); {
	case reason != "":
		f.Culprit, f.Confidence = finding.Firewall, 0.8
		f.Detail["otherMachine"] = true
		f.NextStep = "Find the firewall, proxy or load balancer between the two that rejects this connection in the server's name, and the rule that does."
		why = " by something on the way, not by the server: " + reason + "."
	case a.other == a.Count:
		f.Detail["fellBack"] = true
		why += " The client reached the same port over the other IP version."
	case a.stopped():
		f.Detail["stoppedAt"] = a.success.last.Time().UTC().Format(time.RFC3339Nano)
		why = fmt.Sprintf(", all of them after the last that came about at %s: the service stopped listening.", detect.Clock(a.success.last))
	case a.count > 0:
		f.Confidence = 0.8
		why = ": the service is not always there, or one of several machines behind this address does not run it."
	}
	syns := ""
	if a.syns > a.Count {
		syns = fmt.Sprintf(" (%s)", detect.Count(a.syns, "SYN"))
	}
	f.Summary = fmt.Sprintf("%s%s %s refused%s", a.tried(), syns, a.were(), why)
	if a.Count > 1 {
		f.Summary += fmt.Sprintf(" The first at %s.", detect.Clock(a.First))
	}
	s.pass.Report(a.Into(f))
}

// elsewhere says why the RSTs cannot be the server's, if so: they came over
// another number of hops, or sooner than the server ever answers.
func (s *state) elsewhere(a *attempts) string {
	if 2*a.foreign > a.Count {
		return "its RSTs travelled another number of hops than the server's packets"
	}
	h := s.hosts[a.Flow().Server.Addr()]
	if h == nil || len(a.resets) == 0 {
		return ""
	}
	hops, hasty := 0, 0
	for _, r := range a.resets {
		if h.ttl != 0 && max(r.ttl, h.ttl)-min(r.ttl, h.ttl) > 1 && !otherStack(r.ttl, h.ttl) {
			hops++
		}
		if h.answer > 4*time.Millisecond && r.took < h.answer/4 {
			hasty++
		}
	}
	switch {
	case 2*hops > len(a.resets):
		return fmt.Sprintf("its RSTs arrive with a TTL of %d, the server's other packets with %d", a.resets[0].ttl, h.ttl)
	case 2*hasty > len(a.resets):
		return fmt.Sprintf("its RSTs come after %s, the server never answers in less than %s", detect.Span(a.resets[0].took), detect.Span(h.answer))
	}
	return ""
}

// otherStack is no hint: hosts exist that send their RSTs with another initial
// TTL (64, 128, 255) than their other packets, over the same hops.
func otherStack(a, b uint8) bool {
	hops := func(ttl uint8) uint8 {
		for _, initial := range []uint8{64, 128} {
			if ttl <= initial {
				return initial - ttl
			}
		}
		return 255 - ttl
	}
	return hops(a) == hops(b)
}

func (s *state) reportSilent(a *attempts) {
	flow := a.Flow()
	_, seen := s.hosts[flow.Server.Addr()]
	f := finding.Finding{
		Kind: "tcp.connect-timeout", Severity: a.severity(), Confidence: 0.7, Culprit: finding.Firewall, Flow: flow, Detail: a.detail(),
	}
	f.Detail["hostSeen"] = seen
	_, refuses := s.refusing[flow.Server.AddrPort]
	f.Summary = fmt.Sprintf("%s got no answer at all, in %s over %s since %s.",
		a.tried(), detect.Count(a.syns, "SYN"), detect.Span(a.Last.Sub(a.First)), detect.Clock(a.First))
	if a.Last == a.First {
		f.Summary = fmt.Sprintf("%s got no answer at all, in %s at %s.", a.tried(), detect.Count(a.syns, "SYN"), detect.Clock(a.First))
	}
	switch {
	case a.other == a.Count:
		f.Detail["fellBack"] = true
		f.Summary += " The client reached the same port over the other IP version, later than it need have."
	case s.pass.IsVantage(flow.Server.Addr()):
		f.Culprit, f.Confidence = finding.Server, 0.8
		f.Summary += " The SYNs reached the captured machine, which did not answer: its own firewall drops them, or its accept queue is full."
		f.NextStep = "On the server, check the host firewall and the accept queue of the listening socket (ss -ltn; netstat -s: listen queue overflows)."
	case a.reused > 0 && 2*a.reused >= a.Count:
		f.Culprit, f.Confidence = finding.Client, 0.7
		f.Detail["reusedPorts"] = a.reused
		f.Summary += fmt.Sprintf(" %s came from a port that had been used a moment before: the ports, or the SNAT ports of a NAT, run out.", detect.Count(a.reused, "attempt"))
	case a.stopped() && a.Count > 1:
		f.Confidence = 0.75
		f.Summary += fmt.Sprintf(" It worked until %s.", detect.Clock(a.success.last))
	case a.count > 0:
		f.Culprit, f.Confidence = finding.Network, 0.6
		f.Summary += " Others came about: the SYNs are lost now and then, or the server has no room for them all the time."
	case refuses:
		f.Culprit, f.Confidence = finding.Network, 0.6
		f.Summary += " Others were refused by the same service: the host is alive, so these SYNs or their answers were lost or dropped."
	case seen:
		f.Confidence = 0.85
		f.Summary += " The host is alive and answers on other ports: a firewall or NSG drops this one."
	case flow.Server.Port() == 0 && a.Services > 1:
		f.Culprit, f.Confidence = finding.Network, 0.6
		f.Summary += " None of them ever answered: this client has no way out."
	default:
		f.Summary += " Nothing else came from that host either: a firewall or NSG drops it, there is no route, or it is gone."
	}
	s.pass.Report(a.Into(f))
}

func (s *state) reportHalfOpen(a *attempts) {
	flow := a.Flow()
	f := finding.Finding{
		Kind: "tcp.half-open", Severity: a.severity(), Confidence: 0.7, Culprit: finding.Network, Flow: flow, Detail: a.detail(),
	}
	f.Detail["answerLost"] = a.again > 0
	f.Summary = fmt.Sprintf("%s %s answered with a SYN-ACK that was never acknowledged, since %s.", a.tried(), a.were(), detect.Clock(a.First))
	switch {
	case s.pass.IsVantage(flow.Client.Addr()):
		f.Culprit = finding.Client
		f.Summary += " The answers reached the captured machine, which did not go on: its own firewall drops them, or it had given up."
	case a.again > 0:
		f.Confidence = 0.8
		f.Summary += " The client asked again after the answer had passed here: it is lost on the way back."
	}
	s.pass.Report(a.Into(f))
}
