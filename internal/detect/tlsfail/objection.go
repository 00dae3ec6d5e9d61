package tlsfail

import (
	"fmt"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/dissect/stream"
	"github.com/pcapwarden/pcapwarden/internal/dissect/tls"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

// An objection is what a side disliked, in words, and what to do about it.
type objection struct {
	class   string
	words   string
	next    string
	stalled int
	sender  stream.Side
}

// What to do about a class of objections, where more can be said than for the
// kind of finding.
const (
	nextVersion     = "Set up a version of TLS that both sides accept, 1.2 or 1.3, on the side that is behind."
	nextCertificate = "Compare the server's certificate and the chain that it sends with the trust store of the client, the name that it asks for, and the time; openssl s_client -showcerts shows what is sent."
	nextClientCert  = "Check which client certificate the server asks for (issuers, purpose) and which one the client has: the server's log says which was refused."
	nextName        = "Check that the server, or the gateway in front of it, has a site for this name."
	nextHello       = "Look at the TLS log of the server, and of what stands in front of it, for this time: a filter on the name (SNI), a site that is not set up for it, or a policy on versions and ciphers."
	nextExpired     = "Renew the certificate, and look for whoever serves the old one still: a gateway, one of several instances."
	nextNotTLS      = "Check the port: the server does not speak TLS there, or a proxy answers for it."
)

// objection says what an alert is about (RFC 8446, 6.2; RFC 5246, 7.2.2).
func (h handshake) objection(a *tls.Alert) objection {
	byServer := a.From == h.server()
	switch {
	case a.Encrypted:
		return h.hiddenObjection(byServer)
	case !byServer && h.notTLS():
		return objection{class: "not-tls", words: "the server answered the ClientHello with something that is not TLS", next: nextNotTLS}
	case a.Description.AboutCertificate() || a.Description == 41:
		return h.certificateObjection(a, byServer)
	}
	hello := h.t.Hello
	switch a.Description {
	case tls.ProtocolVersion, 86:
		if !byServer {
			return objection{class: "version", words: fmt.Sprintf("it does not accept %s, which the server chose", h.t.Version()), next: nextVersion}
		}
		return objection{class: "version", words: fmt.Sprintf("it accepts no version that the client offers, %s at best", hello.MaxVersion()), next: nextVersion}
	case tls.HandshakeFailure, 71:
		switch {
		case byServer && h.asked() && !h.sent():
			return objection{class: "client-certificate", words: "it asked for a client certificate and got none", next: nextClientCert}
		case byServer:
			return objection{class: "parameters", words: fmt.Sprintf("none of what the client offers suits it (%s, %s at best; groups and signatures count as well)", detect.Count(hello.CipherSuites, "cipher suite"), hello.MaxVersion())}
		}
		return objection{class: "parameters", words: "what the server chose does not suit it"}
	case 47, 50, 109, 110, 10:
		return objection{class: "parameters", words: "it found a mistake in the other side's messages: two implementations that do not get along, or something on the way that changes them"}
	case 20, 21, 22, 51:
		return objection{class: "integrity", words: "what arrived does not decrypt or verify: wrong keys, or something on the way that changes it"}
	case tls.InternalError:
		return objection{class: "internal", words: "the reason lies within it: its log has the error"}
	case tls.UnrecognizedName:
		return objection{class: "name", words: fmt.Sprintf("it has no site for the name %s", named(hello.SNI)), next: nextName}
	case tls.NoApplicationProto:
		return objection{class: "protocol", words: fmt.Sprintf("it speaks none of the application protocols that the client offers (ALPN: %s)", named(strings.Join(hello.ALPN, ", ")))}
	case 49:
		return objection{class: "certificate", words: "the certificate is valid, and it denies access to its owner"}
	case 115:
		return objection{class: "parameters", words: "it does not know the pre-shared key"}
	}
	return objection{}
}

func named(s string) string {
	if s == "" {
		return "none given"
	}
	return s
}

// hiddenObjection is about an alert that nobody can read.
func (h handshake) hiddenObjection(byServer bool) objection {
	switch {
	case !byServer && h.t.Stage() == tls.StageServerFlight:
		return objection{class: "certificate", words: "the reason is encrypted; at this point it is mostly the server's certificate", next: nextCertificate}
	case byServer && h.t.Stage() == tls.StageEstablished:
		return objection{
			class: "client-certificate",
			words: "the reason is encrypted; at this point it is mostly the client certificate, missing (certificate_required) or not accepted",
			next:  nextClientCert,
		}
	}
	return objection{words: "the reason is encrypted"}
}

// certificateObjection is about a certificate that was refused.
func (h handshake) certificateObjection(a *tls.Alert, byServer bool) objection {
	if byServer {
		o := objection{class: "client-certificate", next: nextClientCert, words: "it does not accept the client certificate"}
		switch {
		case a.Description == tls.CertificateRequired || a.Description == 41 || h.asked() && !h.sent():
			o.words = "it requires a client certificate and got none"
		case a.Description == tls.UnknownCA:
			o.words = "it does not trust the issuer of the client certificate"
		case a.Description == tls.CertificateExpired:
			o.words = "the client certificate has expired"
		case a.Description == tls.CertificateRevoked:
			o.words = "the client certificate was revoked"
		}
		return o
	}
	o := objection{class: "certificate", next: nextCertificate}
	shown := h.shown()
	switch a.Description {
	case tls.UnknownCA:
		o.words = "it does not trust the issuer of the server's certificate" + shown
		if n := len(h.t.Certificates); n == 1 && !h.t.Certificates[0].SelfSigned {
			o.words += "; the server sends no intermediate certificate"
		}
	case tls.CertificateExpired:
		o.words, o.next = "the server's certificate has expired"+shown, nextExpired
		if !h.expired(a.Time.Time()) {
			o.words += "; by the clock of the capture it has not, so check the client's"
			o.next = "Check the clock of the client, then every certificate of the chain that the server sends."
		}
	case tls.CertificateRevoked:
		o.words = "the server's certificate was revoked" + shown
	default:
		o.words = "it does not accept the server's certificate" + shown
	}
	return o
}

// shown describes the server's certificate, if it could be seen.
func (h handshake) shown() string {
	if len(h.t.Certificates) == 0 || h.t.Certificates[0].Unreadable {
		return ""
	}
	c := h.t.Certificates[0]
	return fmt.Sprintf(" (%s, issued by %s, valid until %s)", c.Subject, c.Issuer, c.NotAfter.UTC().Format(time.DateOnly))
}

// expired reports whether any certificate of the chain is out of date.
func (h handshake) expired(at time.Time) bool {
	if len(h.t.Certificates) == 0 {
		return true // nobody can say
	}
	for i := range h.t.Certificates {
		if h.t.Certificates[i].Expired(at) {
			return true
		}
	}
	return false
}

// silentObjection guesses at what a side disliked that said nothing.
func (h handshake) silentObjection(by stream.Side) objection {
	byServer := by == h.server()
	sni := h.t.Hello.SNI
	switch stage := h.t.Stage(); {
	case h.notTLS():
		return objection{class: "not-tls", words: "the server answered the ClientHello with something that is not TLS", next: nextNotTLS}
	case byServer && stage == tls.StageClientHello && sni != "":
		return objection{class: "name", next: nextHello, words: fmt.Sprintf("a filter on the name %s, or a server that does not know it or accepts nothing that is offered, does this", sni)}
	case byServer && stage == tls.StageClientHello:
		return objection{next: nextHello, words: fmt.Sprintf("the client names no host (SNI) and offers %s at best; servers that accept neither do this", h.t.Hello.MaxVersion())}
	case !byServer && stage == tls.StageCertificate:
		return objection{class: "certificate", words: "that is what a certificate policy or an inspecting appliance does with a certificate that it does not accept" + h.shown(), next: nextCertificate}
	case !byServer && stage == tls.StageServerFlight:
		return objection{class: "certificate", words: "the server's certificate was in what came before, encrypted", next: nextCertificate}
	case byServer && stage == tls.StageClientKey && h.asked():
		words := "the server asked for a client certificate; it seems not to accept the client's"
		if !h.sent() {
			words = "the server asked for a client certificate and got none"
		}
		return objection{class: "client-certificate", words: words, next: nextClientCert}
	case byServer && stage == tls.StageEstablished:
		return objection{class: "client-certificate", words: "servers that do not accept the client certificate, or want one, do this", next: nextClientCert}
	}
	return objection{}
}

// describe begins the findings about one sort of failure.
func (h handshake) describe(k key, o objection) failures {
	t, c := h.t, h.c
	f := failures{flow: c.Flow(), words: o.words, next: o.next, detail: map[string]any{
		"stage": k.stage.String(), "by": k.by.String(), "offered": t.Hello.MaxVersion().String(),
	}}
	d := f.detail
	set := func(name string, value any, is bool) {
		if is {
			d[name] = value
		}
	}
	set("version", t.Version().String(), t.ServerHello != nil)
	set("reason", o.class, o.class != "")
	set("ended", k.ended, k.ended != "")
	set("startTLS", true, t.StartTLS)
	set("clientCertificateAsked", true, h.asked())
	set("clientCertificateSent", h.sent(), h.asked())
	set("stalledBytes", o.stalled, o.stalled > 0)
	if k.kind == "tls.alert" {
		d["encrypted"] = k.hidden
		set("alert", k.alert.String(), !k.hidden)
		set("description", int(k.alert), !k.hidden)
		if a, ok := h.refusal(); ok {
			set("inferred", true, a.Inferred)
		}
	}
	if len(t.Certificates) > 0 && !t.Certificates[0].Unreadable {
		leaf := t.Certificates[0]
		d["certificate"], d["certificateIssuer"], d["certificateUntil"] = leaf.Subject, leaf.Issuer, leaf.NotAfter.UTC().Format(time.RFC3339)
	}
	if r := c.RST(); k.ended == "RST" && r.UsualTTL != 0 {
		d["rstTTL"], d["usualTTL"] = int(r.TTL), int(r.UsualTTL)
	}
	if o.stalled > 0 {
		f.words = fmt.Sprintf("the %s sends a segment of %d bytes again and again, so the path may not let packets of this size through (MTU)", o.sender, o.stalled)
		f.next = "Check the MTU along the path (tunnels, VPN gateways) and that ICMP fragmentation needed (3/4) is not filtered; clamp the MSS as a remedy."
	}
	return f
}

// culprit is the side, or what was found in its place.
func culprit(by stream.Side) finding.Culprit {
	if by == stream.Client {
		return finding.Client
	}
	return finding.Server
}
