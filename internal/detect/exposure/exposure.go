// Package exposure detects logins that anybody on the path can read. It says
// that there was one, between whom and when; user names and secrets stay in
// the capture.
//
// Details: protocol (http-basic, ftp, telnet, pop, imap, smtp, ldap), logins
// (with a secret), names (with a user name only, or with a proof that does not
// give the secret away).
package exposure

import (
	"fmt"
	"net/netip"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/dissect/cleartext"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

// Detector reports logins without protection.
var Detector = &detect.Detector{
	Name: "exposure",
	Reports: []detect.Reported{{
		Kind:      "exposure.cleartext-credentials",
		Means:     "Somebody logged in without encryption: a user name and a password, or a token, stand in the capture and can be read by everybody who has it, or sits on the path.",
		Threshold: "one login with a secret over HTTP Basic, FTP, Telnet, POP3, IMAP, SMTP or LDAP; a user name alone is low. Anonymous FTP is none",
		Next:      "Change the password, it must count as known, then move the service to TLS (HTTPS, FTPS or SFTP, SSH, LDAPS, STARTTLS). Restrict who may read this capture: it holds the secret, this finding does not.",
	}},
	Start: start,
}

type key struct {
	kind   cleartext.Kind
	client netip.Addr
	server netip.AddrPort
}

type logins struct {
	secret, name detect.Tally
}

func start(p *detect.Pass) detect.Hooks {
	var all detect.Groups[key, logins]
	p.Bound(&all)
	return detect.Hooks{
		Login: func(l *detect.Login) {
			switch g := all.At(key{l.Kind, l.Client.Addr(), l.Server}); {
			case g == nil:
			case l.Secret:
				g.secret.Add(l.Time, l.Frame)
			default:
				g.name.Add(l.Time, l.Frame)
			}
		},
		End: func(*detect.Summary) {
			for k, g := range all.All {
				p.Report(report(k, g))
			}
		},
	}
}

var names = map[cleartext.Kind]string{
	cleartext.HTTPBasic: "HTTP Basic", cleartext.FTP: "FTP", cleartext.Telnet: "Telnet", cleartext.POP: "POP3", cleartext.IMAP: "IMAP",
	cleartext.SMTP: "SMTP", cleartext.LDAP: "LDAP",
}

func report(k key, g *logins) finding.Finding {
	f := finding.Finding{
		Kind: "exposure.cleartext-credentials", Severity: finding.Medium, Confidence: 0.95, Culprit: finding.Server,
		Flow: &finding.Flow{Protocol: "tcp", Client: finding.Endpoint{AddrPort: netip.AddrPortFrom(k.client, 0)}, Server: finding.Endpoint{AddrPort: k.server}},
		Detail: map[string]any{
			"protocol": string(k.kind), "logins": g.secret.Count, "names": g.name.Count,
		},
	}
	if g.secret.Count == 0 {
		f.Severity, f.Confidence = finding.Low, 0.8
		f.Summary = fmt.Sprintf("%s gave a user name to %s over %s without encryption, %s; no secret was seen.", k.client, k.server, names[k.kind], times(g.name.Count))
		return g.name.Into(f)
	}
	f.Summary = fmt.Sprintf("%s logged in to %s over %s without encryption, %s: whoever sees the packets can read the password.",
		k.client, k.server, names[k.kind], times(g.secret.Count))
	if public(k.client) || public(k.server.Addr()) {
		f.Severity = finding.High
		f.Summary += " They crossed a public network."
	}
	return g.secret.Into(f)
}

func public(a netip.Addr) bool {
	return !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast()
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
