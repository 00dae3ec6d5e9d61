package tlsfail

import (
	"fmt"
	"net/netip"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/dissect/stream"
	"github.com/pcapwarden/pcapwarden/internal/dissect/tls"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

func (s *state) end(sum *detect.Summary) {
	for _, u := range s.open {
		waited := sum.Last.Sub(u.since)
		if waited < patience {
			continue
		}
		if f := s.failed.At(u.key); f != nil {
			if f.flow == nil {
				*f = u.failure
			}
			f.Add(u.since, u.frames...)
			f.client(u.client)
			f.waited = max(f.waited, waited)
		}
	}
	for k, f := range s.failed.All {
		s.report(k, f)
	}
	for k, u := range s.quic.All {
		s.reportQUIC(k, u, sum)
	}
}

func (s *state) report(k key, f *failures) {
	switch {
	case len(f.clients) > 1:
		f.flow.Client = finding.Endpoint{}
	case f.Count > 1:
		f.flow.Client = finding.Endpoint{AddrPort: netip.AddrPortFrom(f.clients[0], 0)}
	}
	worked, same := s.worked[k.server], 0
	for _, c := range f.clients {
		same += s.workedFor(detect.Pair{Client: c, Server: k.server})
	}
	f.detail["worked"], f.detail["workedForClient"], f.detail["clients"] = worked, same, len(f.clients)
	out := finding.Finding{
		Kind: k.kind, Severity: finding.High, Confidence: 0.95, Culprit: culprit(k.by), Flow: f.flow, Detail: f.detail, NextStep: f.next,
	}
	who, times := f.who(k), ""
	if f.Count > 1 {
		times = fmt.Sprintf(", %d times", f.Count)
	}
	switch k.kind {
	case "tls.alert":
		out.Summary = refused(k, who, times)
		if k.hidden {
			out.Confidence = 0.7
		}
	case "tls.handshake-reset":
		out.Confidence = 0.9
		out.Summary = fmt.Sprintf("%s dropped the connection (%s)%s%s, without an alert.", who, k.ended, after(k.stage), times)
	case "tls.handshake-timeout":
		out.Confidence = 0.8
		f.detail["waitedSeconds"] = detect.Seconds(f.waited)
		out.Summary = fmt.Sprintf("%s kept silent%s%s: nothing came for %s.", who, after(k.stage), times, detect.Span(f.waited))
		if k.reason == "mtu" {
			out.Culprit = finding.Network
		}
	}
	if f.words != "" {
		out.Summary = out.Summary[:len(out.Summary)-1] + ": " + f.words + "."
	}
	if k.reason == "not-tls" {
		out.Culprit = finding.Server
	}
	if k.foreign {
		out.Culprit, out.Confidence = finding.Middlebox, 0.8
		f.detail["middlebox"] = true
		out.Summary += fmt.Sprintf(" The RST came over another number of hops (TTL %v, otherwise %v): something on the way sent it in the %s's name.",
			f.detail["rstTTL"], f.detail["usualTTL"], k.by)
	}
	out.Summary += others(worked, same)
	rate(k, f, same, worked, &out)
	s.pass.Report(f.Into(out))
}

// rate lowers what is rare, or what clients do without a fault.
func rate(k key, f *failures, same, worked int, out *finding.Finding) {
	opening := k.stage == tls.StageClientHello || k.stage == tls.StageHelloRetry
	switch {
	case k.kind == "tls.handshake-reset" && k.by == stream.Client && opening && !k.foreign && k.reason != "not-tls":
		// It changed its mind before any answer: browsers open more
		// connections than they need.
		out.Severity, out.Confidence = finding.Medium, 0.7
		if worked > 0 {
			out.Severity = finding.Low
		}
	case same >= 10*f.Count:
		out.Severity = finding.Medium
	}
}

func refused(k key, who, times string) string {
	what := "the alert " + k.alert.String() + fmt.Sprintf(" (%d)", k.alert)
	if k.hidden {
		what = "an encrypted alert"
	}
	if k.stage == tls.StageEstablished && !k.hidden {
		return fmt.Sprintf("%s ended an established TLS connection with %s%s.", who, what, times)
	}
	return fmt.Sprintf("%s refused the TLS handshake with %s%s%s.", who, what, after(k.stage), times)
}

// others puts a failure in proportion.
func others(worked, same int) string {
	switch {
	case same == 1:
		return " 1 other handshake between the same parties worked."
	case same > 1:
		return fmt.Sprintf(" %d other handshakes between the same parties worked.", same)
	case worked == 1:
		return " 1 handshake of another client with the server worked."
	case worked > 1:
		return fmt.Sprintf(" %d handshakes of other clients with the server worked.", worked)
	}
	return ""
}

// who is the side that is to blame, at the start of a sentence.
func (f *failures) who(k key) string {
	switch n := len(f.clients); {
	case k.by == stream.Client && n == 1:
		return fmt.Sprintf("The client %s", f.clients[0])
	case k.by == stream.Client:
		return fmt.Sprintf("%s, such as %s,", detect.Count(n, "client"), f.clients[0])
	case n > 1:
		return fmt.Sprintf("The server %s, asked by %s,", k.server, detect.Count(n, "client"))
	}
	return fmt.Sprintf("The server %s", k.server)
}

// after says what had passed when a side gave up.
func after(s tls.Stage) string {
	switch s {
	case tls.StageClientHello:
		return " right after the ClientHello"
	case tls.StageHelloRetry:
		return " after the HelloRetryRequest"
	case tls.StageServerHello:
		return " after the ServerHello"
	case tls.StageCertificate:
		return " right after the server's certificate"
	case tls.StageClientKey:
		return " after the client's key exchange"
	case tls.StageServerFlight:
		return " after the server's part of the handshake"
	case tls.StageEstablished:
		return " right after the client's part of the handshake"
	}
	return ""
}

// reportQUIC is about UDP 443 that leads nowhere. Browsers then take TCP.
func (s *state) reportQUIC(k detect.Pair, u *unanswered, sum *detect.Summary) {
	if u.Count == 0 || u.answered > 0 || u.initials < 3 || sum.Last.Sub(u.First) < patience {
		return
	}
	f := finding.Finding{
		Kind: "tls.handshake-timeout", Severity: finding.Medium, Confidence: 0.8, Culprit: finding.Firewall,
		Flow: &finding.Flow{Protocol: "udp", Client: finding.Endpoint{AddrPort: netip.AddrPortFrom(k.Client, 0)}, Server: finding.Endpoint{AddrPort: k.Server}, SNI: u.sni},
		Summary: fmt.Sprintf("%s gets no answer to QUIC from %s (%d Initial packets): UDP port %d is blocked on the way, or nobody speaks QUIC there.",
			k.Client, k.Server, u.initials, k.Server.Port()),
		Detail: map[string]any{
			"stage": tls.StageClientHello.String(), "by": stream.Server.String(), "quic": true, "worked": s.worked[k.Server], "workedForClient": s.workedFor(k),
		},
		NextStep: "Check whether UDP 443 is meant to be open; where it is not, an ICMP rejection instead of silence spares clients the wait.",
	}
	if n := s.workedFor(k); n > 0 {
		f.Severity = finding.Low
		f.Summary += fmt.Sprintf(" TCP to the same port works (%d handshakes).", n)
	}
	s.pass.Report(u.Into(f))
}
