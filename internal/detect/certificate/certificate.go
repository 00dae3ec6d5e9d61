// Package certificate detects what is wrong with the TLS that two sides agree
// on: versions that are out of use, and certificates that are out of date or
// are somebody else's. TLS 1.3 encrypts certificates, so these are those of
// 1.2 and below.
//
// Details:
//
//	tls.old-version  version (agreed, or the best offered), negotiated,
//	                 established (how many handshakes came to their end),
//	                 clients, and offered where the server chose less
//	tls.certificate  problem (expired, not-yet-valid, name-mismatch,
//	                 self-signed), subject, issuer, notBefore, notAfter, sha256,
//	                 names, sni, refused (handshakes that failed with it),
//	                 clients, position (0: the certificate itself, then its chain)
package certificate

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/dissect/tls"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

// Detector reports old versions and bad certificates.
var Detector = &detect.Detector{
	Name: "certificate",
	Reports: []detect.Reported{
		{
			Kind:      "tls.old-version",
			Means:     "Two sides agreed on a version of TLS that is out of use, or a client offers nothing better and is refused.",
			Threshold: "one handshake below TLS 1.2 (RFC 8996 retires 1.0 and 1.1, RFC 7568 SSL 3.0, RFC 6176 SSL 2.0)",
			Next:      "Update the side that knows no better version: the details say what was offered and what was chosen. Azure services refuse anything below TLS 1.2.",
		},
		{
			Kind:      "tls.certificate",
			Means:     "A certificate is out of date at the time of the capture, does not bear the name that was asked for, or is signed by itself.",
			Threshold: "one handshake with it; names as in RFC 9525, 6.3",
			Next:      "Renew the certificate, or the intermediate one, and look for whoever serves the old one still: a gateway, one of several instances. Check that its names cover what clients ask for.",
		},
	},
	Start: start,
}

// maxClients is how many clients of one certificate or version are told apart.
const maxClients = 16

type state struct {
	pass     *detect.Pass
	versions detect.Groups[versionKey, versions]
	certs    detect.Groups[certKey, certs]
}

type certKey struct {
	server   netip.AddrPort
	client   netip.Addr // of a client certificate
	sha256   string
	problem  string
	position int
}

type certs struct {
	detect.Tally
	clients clients
	flow    *finding.Flow
	cert    tls.Certificate
	sni     string
	refused int
}

// clients are who a finding is about.
type clients map[netip.Addr]struct{}

func (c *clients) add(a netip.Addr) {
	if *c == nil {
		*c = clients{}
	}
	if len(*c) < maxClients {
		(*c)[a] = struct{}{}
	}
}

func start(p *detect.Pass) detect.Hooks {
	s := &state{pass: p}
	p.Bound(&s.versions, &s.certs)
	return detect.Hooks{Connection: s.connection, End: func(*detect.Summary) { s.end() }}
}

func (s *state) connection(c *detect.Connection) {
	t := c.TLS
	if t == nil {
		return
	}
	s.version(c, t)
	// A capture whose clock does not run says nothing of dates.
	at := c.First.Time.Time()
	dated := at.Year() >= 2000
	for i := range t.Certificates {
		cert := &t.Certificates[i]
		if problem := validity(cert, at); problem != "" && dated {
			s.certificate(c, cert, certKey{server: c.ServerAddr(), problem: problem, position: i})
		}
	}
	for i := range t.ClientCertificates {
		cert := &t.ClientCertificates[i]
		if problem := validity(cert, at); problem != "" && dated {
			s.certificate(c, cert, certKey{client: c.ClientAddr().Addr(), server: c.ServerAddr(), problem: problem, position: i})
		}
	}
	if len(t.Certificates) == 0 || t.Certificates[0].Unreadable {
		return
	}
	leaf := &t.Certificates[0]
	if t.Hello != nil && t.Hello.SNI != "" && !covers(leaf, t.Hello.SNI) {
		s.certificate(c, leaf, certKey{server: c.ServerAddr(), problem: "name-mismatch"})
	}
	if leaf.SelfSigned && len(t.Certificates) == 1 {
		s.certificate(c, leaf, certKey{server: c.ServerAddr(), problem: "self-signed"})
	}
}

func validity(c *tls.Certificate, at time.Time) string {
	switch {
	case !c.Expired(at):
		return ""
	case at.Before(c.NotBefore):
		return "not-yet-valid"
	}
	return "expired"
}

func (s *state) certificate(c *detect.Connection, cert *tls.Certificate, k certKey) {
	k.sha256 = cert.SHA256
	g := s.certs.At(k)
	if g == nil {
		return
	}
	if g.flow == nil {
		g.flow, g.cert = c.Flow(), *cert
		if c.TLS.Hello != nil {
			g.sni = c.TLS.Hello.SNI
		}
	}
	g.clients.add(c.ClientAddr().Addr())
	if c.TLS.Stage() != tls.StageEstablished {
		g.refused++
	}
	frame := c.First.Frame
	side := c.TLS.Client.Peer()
	if k.client.IsValid() {
		side = c.TLS.Client
	}
	if m, ok := c.TLS.Seen(tls.CertificateType, side); ok {
		frame = m.Frame
	}
	g.Add(c.First.Time, frame)
}

func (s *state) end() {
	for k, g := range s.versions.All {
		s.pass.Report(g.Into(oldVersion(k, g)))
	}
	for k, g := range s.certs.All {
		s.pass.Report(g.Into(badCertificate(k, g)))
	}
}

func badCertificate(k certKey, g *certs) finding.Finding {
	c := &g.cert
	day := func(t time.Time) string { return t.UTC().Format(time.DateOnly) }
	f := finding.Finding{
		Kind: "tls.certificate", Severity: finding.Medium, Confidence: 0.95, Culprit: finding.Server, Flow: flowOf(g.flow, g.clients, g.Count),
		Detail: map[string]any{
			"problem": k.problem, "subject": c.Subject, "issuer": c.Issuer, "sha256": c.SHA256, "refused": g.refused, "clients": len(g.clients), "position": k.position,
			"notBefore": c.NotBefore.UTC().Format(time.RFC3339), "notAfter": c.NotAfter.UTC().Format(time.RFC3339),
		},
	}
	if g.sni != "" {
		f.Detail["sni"] = g.sni
	}
	whose := fmt.Sprintf("The certificate of %s (%s)", k.server, c.Subject)
	switch {
	case k.client.IsValid():
		f.Culprit = finding.Client
		whose = fmt.Sprintf("The client certificate of %s (%s)", k.client, c.Subject)
	case k.position > 0:
		whose = fmt.Sprintf("A certificate in the chain of %s (%s)", k.server, c.Subject)
	}
	at := g.First.Time()
	switch k.problem {
	case "expired":
		f.Summary = fmt.Sprintf("%s expired on %s, %s before the capture.", whose, day(c.NotAfter), days(at.Sub(c.NotAfter)))
	case "not-yet-valid":
		f.Summary = fmt.Sprintf("%s is valid from %s only, %s after the capture.", whose, day(c.NotBefore), days(c.NotBefore.Sub(at)))
	case "name-mismatch":
		f.Severity, f.Confidence = finding.Low, 0.8
		f.Detail["names"] = strings.Join(c.Names, ", ")
		f.Summary = fmt.Sprintf("%s does not bear the name %s that was asked for; it is for %s.", whose, g.sni, first(cmp.Or(strings.Join(c.Names, ", "), c.Subject)))
	case "self-signed":
		f.Severity = finding.Info
		f.Summary = fmt.Sprintf("%s is signed by itself and valid until %s: clients accept it only if they were told to.", whose, day(c.NotAfter))
		return f
	}
	switch {
	case g.refused == 0:
		f.Summary += fmt.Sprintf(" %s accepted it all the same, in %s.", who(g.clients, g.flow), detect.Count(g.Count, "handshake"))
		if k.position > 0 {
			f.Severity = finding.Low // the client may know another way to its root
		}
	case k.problem != "name-mismatch":
		f.Severity = finding.High
		f.Summary += fmt.Sprintf(" %d of %s failed.", g.refused, detect.Count(g.Count, "handshake"))
	default:
		f.Severity = finding.Medium
		f.Summary += fmt.Sprintf(" %d of %s failed.", g.refused, detect.Count(g.Count, "handshake"))
	}
	return f
}

func flowOf(f *finding.Flow, all clients, count int) *finding.Flow {
	out := *f
	if count > 1 {
		out.Client = finding.Endpoint{AddrPort: netip.AddrPortFrom(f.Client.Addr(), 0)}
	}
	if len(all) > 1 {
		out.Client = finding.Endpoint{}
	}
	return &out
}

func who(all clients, f *finding.Flow) string {
	if len(all) > 1 {
		return fmt.Sprintf("%d clients", len(all))
	}
	return f.Client.Addr().String()
}

func days(d time.Duration) string {
	if n := int(d.Hours() / 24); n > 0 {
		return detect.Count(n, "day")
	}
	return "less than a day"
}

// first shortens a list of names for a sentence.
func first(names string) string {
	const enough = 120
	if len(names) <= enough {
		return names
	}
	cut := strings.LastIndex(names[:enough], ",")
	return names[:max(cut, 0)] + " and others"
}
