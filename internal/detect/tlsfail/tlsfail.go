// Package tlsfail detects TLS handshakes that did not come to an end.
package tlsfail

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/dissect/stream"
	"github.com/pcapwarden/pcapwarden/internal/dissect/tls"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/flow"
)

// Detector reports alerts, resets and silences during the handshake.
var Detector = &detect.Detector{
	Name: "tlsfail",
	Reports: []detect.Reported{
		{
			Kind:      "tls.alert",
			Means:     "One side ended the TLS handshake with an alert, which names the reason.",
			Threshold: "one fatal alert other than close_notify and user_canceled, before application data (RFC 8446, 6.2)",
			Next:      "Compare what the client offers (versions, names, trust store) with what the server is set up for; the alert says which of these.",
		},
		{
			Kind:      "tls.handshake-reset",
			Means:     "One side dropped the connection during the TLS handshake without an alert.",
			Threshold: "one RST or FIN between the ClientHello and application data",
			Next:      "Ask the side that dropped it for its TLS log: a certificate policy, an unknown name (SNI) or an inspecting firewall are the usual reasons.",
		},
		{
			Kind:      "tls.handshake-timeout",
			Means:     "The handshake began and then nothing came.",
			Threshold: "no answer to a handshake message for 5 s, with the connection still open",
			Next:      "Check the path MTU (the certificate is the first large message) and the load of the silent side.",
		},
	},
	Start: start,
}

const patience = 5 * time.Second

type key struct {
	client netip.Addr
	server netip.AddrPort
	kind   finding.Kind
	by     stream.Side
	stage  tls.Stage
	alert  tls.AlertDescription
}

type failures struct {
	detect.Tally
	flow   *finding.Flow
	detail map[string]any
	bySelf bool
}

type state struct {
	pass   *detect.Pass
	failed detect.Groups[key, failures]
	worked map[netip.AddrPort]int // handshakes that came to an end, by server
}

func start(p *detect.Pass) detect.Hooks {
	s := &state{pass: p, worked: map[netip.AddrPort]int{}}
	return detect.Hooks{Connection: s.connection, End: s.end}
}

func (s *state) connection(c *detect.Connection) {
	t := c.TLS
	if t == nil || t.Hello == nil {
		return
	}
	stage := t.Stage()
	k := key{client: c.ClientAddr().Addr(), server: c.ServerAddr(), stage: stage}
	last := lastMessage(t)
	if a, ok := t.Failure(); ok {
		k.kind, k.by, k.alert = "tls.alert", a.From, a.Description
		if a.Encrypted {
			k.alert = 0
		}
		if f := s.at(k, c, t); f != nil {
			f.Add(c.First.Time, last, a.Frame)
			f.detail["encrypted"] = a.Encrypted
			if !a.Encrypted {
				f.detail["alert"] = a.Description.String()
				f.detail["description"] = int(a.Description)
			}
		}
		return
	}
	if stage == tls.StageEstablished {
		if len(s.worked) < 4096 {
			s.worked[c.ServerAddr()]++
		}
		return
	}
	switch {
	case c.RST().Seen() || c.Closed():
		k.kind, k.by = "tls.handshake-reset", closer(c)
		end := c.RST().Frame
		if end == 0 {
			end = c.Last.Frame
		}
		if f := s.at(k, c, t); f != nil {
			f.Add(c.First.Time, last, end)
			f.detail["ended"] = "FIN"
			if c.RST().Seen() {
				f.detail["ended"] = "RST"
			}
		}
	case c.Reason == flow.CaptureEnded && len(t.Messages) > 0:
		k.kind, k.by = "tls.handshake-timeout", t.Messages[len(t.Messages)-1].From.Peer()
		if f := s.at(k, c, t); f != nil {
			f.Add(t.Messages[len(t.Messages)-1].Time, last)
		}
	}
}

func (s *state) at(k key, c *detect.Connection, t *tls.Session) *failures {
	f := s.failed.At(k)
	if f != nil && f.flow == nil {
		f.flow = c.Flow()
		f.detail = map[string]any{"stage": k.stage.String(), "version": t.Version().String()}
		if len(t.Certificates) > 0 {
			f.detail["certificate"] = t.Certificates[0].Subject
			f.detail["certificateUntil"] = t.Certificates[0].NotAfter.UTC().Format(time.RFC3339)
		}
	}
	return f
}

// lastMessage is the frame of the last handshake message that was seen.
func lastMessage(t *tls.Session) int64 {
	if len(t.Messages) == 0 {
		return 0
	}
	// The server sends its certificate, and more, in one go; the certificate
	// is what the other side judged.
	for i := len(t.Messages) - 1; i >= 0; i-- {
		if t.Messages[i].Type == tls.CertificateType {
			return t.Messages[i].Frame
		}
	}
	return t.Messages[len(t.Messages)-1].Frame
}

// closer says who ended the connection first.
func closer(c *detect.Connection) stream.Side {
	client, server := c.Client(), c.Server()
	by := func(d flow.Direction) stream.Side {
		if d == c.ClientSide {
			return stream.Client
		}
		return stream.Server
	}
	switch {
	case client.FIN.Seen() && (!server.FIN.Seen() || client.FIN.Frame < server.FIN.Frame):
		return stream.Client
	case server.FIN.Seen():
		return stream.Server
	}
	return by(c.RST().From)
}

func (s *state) end(sum *detect.Summary) {
	for k, f := range s.failed.All {
		if k.kind == "tls.handshake-timeout" && sum.Last.Sub(f.First) < patience {
			continue
		}
		if f.Count > 1 {
			f.flow.Client = finding.Endpoint{AddrPort: netip.AddrPortFrom(k.client, 0)}
		}
		worked := s.worked[k.server]
		f.detail["worked"] = worked
		out := finding.Finding{
			Kind: k.kind, Severity: finding.High, Confidence: 0.95, Culprit: culprit(k.by), Flow: f.flow, Detail: f.detail,
			Summary: summary(k, f),
		}
		s.pass.Report(f.Into(out))
	}
}

func culprit(by stream.Side) finding.Culprit {
	if by == stream.Client {
		return finding.Client
	}
	return finding.Server
}

func summary(k key, f *failures) string {
	who, how := fmt.Sprintf("the client %s", k.client), ""
	if k.by == stream.Server {
		who = fmt.Sprintf("the server %s", k.server)
	}
	switch k.kind {
	case "tls.alert":
		how = "ended the TLS handshake with an encrypted alert"
		if name, ok := f.detail["alert"].(string); ok {
			how = "ended the TLS handshake with the alert " + name
		}
	case "tls.handshake-timeout":
		return fmt.Sprintf("The TLS handshake between %s and %s stops at stage %s: %s does not answer.", k.client, k.server, k.stage, who)
	default:
		how = fmt.Sprintf("dropped the connection (%s) during the TLS handshake, without an alert", f.detail["ended"])
	}
	return fmt.Sprintf("%s, %s %s%s.", count(f.Count), who, how, after(k.stage))
}

func count(n int) string {
	if n == 1 {
		return "Once"
	}
	return fmt.Sprintf("%d times", n)
}

// after says what the party had seen when it gave up.
func after(s tls.Stage) string {
	switch s {
	case tls.StageClientHello:
		return " right after the ClientHello"
	case tls.StageServerHello:
		return " after the ServerHello"
	case tls.StageCertificate:
		return " right after the server's certificate"
	case tls.StageClientKey:
		return " after the client's key exchange"
	case tls.StageServerFlight:
		return " after the server's certificate and Finished"
	}
	return ""
}
