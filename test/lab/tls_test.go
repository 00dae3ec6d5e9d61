//go:build linux

package lab

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os/exec"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/analysis/analysistest"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

// refuse calls twice, and wants to be refused.
func (w *world) refuse(server, client *tls.Config) {
	w.t.Helper()
	w.secure(server, echo)
	for range 2 {
		if w.call(client) == nil {
			w.t.Error("the handshake worked")
		}
	}
}

var handshakes = []experiment{
	{
		name: "tls-server-resets-after-hello", doc: "The server aborts when it has read the ClientHello.",
		run: func(w *world) {
			w.server.serve(at(partnerAddr, 443), func(c *net.TCPConn) {
				c.Read(make([]byte, 4096))
				abort(c)
			})
			for range 3 {
				w.call(clientTLS())
			}
		},
		shows: "tcp.flags.reset == 1 && tcp.srcport == 443",
		want:  want(analysis.TLSRejected, finding.Server, "tls.handshake-reset"),
	},
	{
		name: "tls-box-resets-after-hello", doc: "An inspecting box on the way resets connections when it sees the ClientHello.",
		run: func(w *world) {
			w.windows()
			w.block("tcp dport 443 @th,256,8 0x16 reject with tcp reset")
			w.secure(serverTLS(), echo)
			for range 3 {
				w.call(clientTLS())
			}
		},
		shows: "tcp.flags.reset == 1 && tcp.srcport == 443 && ip.ttl == 64",
		want: analysistest.Want{
			Cause: analysis.TLSRejected, Culprits: []finding.Culprit{finding.Middlebox, finding.Firewall},
			Kinds: []finding.Kind{"tls.handshake-reset", "tcp.reset"},
		},
	},
	{
		name: "tls-client-resets-after-certificate", doc: "The client aborts, without an alert, when it has seen the server's certificate.",
		run: func(w *world) {
			w.secure(serverTLS(), echo)
			for range 3 {
				raw := w.client.connect(at(partnerAddr, 443))
				config := clientTLS()
				config.MaxVersion = tls.VersionTLS12
				config.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error {
					abort(raw)
					return errors.New("not this one")
				}
				if tls.Client(raw, config).Handshake() == nil {
					w.t.Error("the handshake worked")
				}
			}
		},
		shows: "tcp.flags.reset == 1 && tcp.dstport == 443",
		want:  want(analysis.TLSRejected, finding.Client, "tls.handshake-reset"),
	},
	{
		name: "tls-version", doc: "The client speaks TLS 1.2 at most, the server 1.3 at least.",
		run: func(w *world) {
			server, client := serverTLS(), clientTLS()
			server.MinVersion, client.MaxVersion = tls.VersionTLS13, tls.VersionTLS12
			w.refuse(server, client)
		},
		shows: "tls.alert_message.desc == 70",
		want:  want(analysis.TLSRejected, finding.Server, "tls.alert"),
	},
	{
		name: "tls-cipher", doc: "Client and server share no cipher suite.",
		run: func(w *world) {
			server, client := serverTLS(), clientTLS()
			client.MaxVersion = tls.VersionTLS12
			client.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
			server.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}
			w.refuse(server, client)
		},
		shows: "tls.alert_message.desc == 40",
		want:  want(analysis.TLSRejected, finding.Server, "tls.alert"),
	},
	{
		name: "tls-certificate-expired", doc: "The server's certificate expired a month ago; the client (OpenSSL) says so in an alert.",
		run: func(w *world) {
			server := serverTLS()
			server.Certificates[0] = trusted().issue(serverName, time.Now().AddDate(0, -1, 0))
			w.secure(server, echo)
			w.openssl("-CAfile", trusted().file(w.t))
		},
		shows: "tls.alert_message.desc == 45",
		want:  want(analysis.TLSRejected, finding.Client, "tls.alert", "tls.certificate"),
	},
	{
		name: "tls-unknown-ca", doc: "The client (OpenSSL) does not know who signed the server's certificate.",
		run: func(w *world) {
			server := serverTLS()
			server.Certificates[0] = stranger().issue(serverName, inYears(20))
			w.secure(server, echo)
			w.openssl("-CAfile", trusted().file(w.t))
		},
		shows: "tls.alert_message.desc == 48",
		want:  want(analysis.TLSRejected, finding.Client, "tls.alert", "tls.certificate"),
	},
	{
		name: "tls13-certificate-refused", doc: "The client does not trust the server's certificate; in TLS 1.3 its alert is encrypted.",
		run: func(w *world) {
			server := serverTLS()
			server.Certificates[0] = stranger().issue(serverName, inYears(20))
			w.refuse(server, clientTLS())
		},
		shows: "tcp.dstport == 443 && (tls.app_data || tls.record.content_type == 21 || tcp.flags.fin == 1)",
		want:  want(analysis.TLSRejected, finding.Client, "tls.alert", "tls.handshake-reset"),
	},
	{
		name: "tls13-client-certificate-refused", doc: "The server refuses the client's certificate after the client finished its handshake (TLS 1.3).",
		run: func(w *world) {
			server, client := serverTLS(), clientTLS()
			server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, trusted().pool()
			mine := stranger().issue("robot-17", inYears(20))
			client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &mine, nil }
			w.refuse(server, client)
		},
		shows: "tcp.srcport == 443 && (tls.app_data || tcp.flags.fin == 1 || tcp.flags.reset == 1)",
		want:  want(analysis.TLSRejected, finding.Server, "tls.alert", "tls.handshake-reset"),
	},
}

// openssl calls twice with OpenSSL, whose alerts say more than Go's do.
func (w *world) openssl(args ...string) {
	w.t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		w.t.Skip("needs openssl")
	}
	args = append([]string{"s_client", "-connect", at(partnerAddr, 443).String(), "-servername", serverName, "-tls1_2", "-verify_return_error"}, args...)
	for range 2 {
		w.client.must(func() error {
			cmd := exec.CommandContext(w.t.Context(), "openssl", args...)
			cmd.Stdin = strings.NewReader("how are you?\n")
			if out, err := cmd.CombinedOutput(); err == nil {
				w.t.Errorf("the handshake worked: %s", out)
			}
			return nil
		})
	}
}
