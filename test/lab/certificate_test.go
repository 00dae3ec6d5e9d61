//go:build linux

package lab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

const serverName = "ingest.contoso.example"

// An authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(name string) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(20, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		panic(err)
	}
	if ca, err = x509.ParseCertificate(der); err != nil {
		panic(err)
	}
	return &authority{ca, key}
}

// The authority that everybody trusts, and one that nobody knows. Recorded
// certificates are valid for long: a recording must not grow a second fault
// with age.
var (
	trusted  = sync.OnceValue(func() *authority { return newAuthority("Contoso CA") })
	stranger = sync.OnceValue(func() *authority { return newAuthority("Unknown CA") })
)

// issue signs a certificate that is valid until the given time.
func (a *authority) issue(name string, until time.Time) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().AddDate(0, -6, 0), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, a.certificate, key.Public(), a.key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.certificate)
	return p
}

// file writes the authority's certificate for programs that want a file.
func (a *authority) file(t *testing.T) string {
	name := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func inYears(n int) time.Time { return time.Now().AddDate(n, 0, 0) }

// serverTLS and clientTLS get on with each other.
func serverTLS() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{trusted().issue(serverName, inYears(20))}}
}

func clientTLS() *tls.Config {
	return &tls.Config{RootCAs: trusted().pool(), ServerName: serverName}
}

// secure serves TLS; talk gets connections whose handshake came to its end.
func (w *world) secure(config *tls.Config, talk func(*tls.Conn)) {
	w.t.Helper()
	w.server.serve(at(partnerAddr, 443), func(c *net.TCPConn) {
		s := tls.Server(c, config)
		defer s.Close()
		if s.Handshake() == nil {
			talk(s)
		}
	})
}

// echo sends back what comes.
func echo(c *tls.Conn) {
	buf := make([]byte, 1024)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		c.Write(buf[:n])
	}
}

// call opens a TLS connection, says something and waits for an answer.
func (w *world) call(config *tls.Config) error {
	w.t.Helper()
	raw := w.client.connect(at(partnerAddr, 443))
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(10 * time.Second))
	c := tls.Client(raw, config)
	if err := c.Handshake(); err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write([]byte("how are you?")); err != nil {
		return err
	}
	_, err := c.Read(make([]byte, 64))
	return err
}
