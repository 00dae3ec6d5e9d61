package tls

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"

	"github.com/pcapwarden/pcapwarden/internal/dissect/stream"
)

// maxChains is how many certificates are remembered, so that a server that
// shows the same one ten thousand times is read once.
const maxChains = 512

type chains map[[sha256.Size]byte]Certificate

// certificates reads a Certificate message of TLS 1.2 and below.
func (r *Reader) certificates(from stream.Side, body []byte) {
	s := &r.session
	to := &s.Certificates
	if from == s.Client {
		to = &s.ClientCertificates
	}
	*to = (*to)[:0]
	if len(body) < 3 {
		return
	}
	for body = body[3:]; len(body) >= 3 && len(*to) < MaxCertificates; {
		n := int(uint24(body))
		body = body[3:]
		if n > len(body) {
			return
		}
		*to = append(*to, r.d.certificate(body[:n]))
		body = body[n:]
	}
}

func (d *Dissector) certificate(der []byte) Certificate {
	sum := sha256.Sum256(der)
	if c, ok := d.chains[sum]; ok {
		return c
	}
	c := readCertificate(der)
	c.SHA256 = hex.EncodeToString(sum[:])
	if d.chains == nil || len(d.chains) >= maxChains {
		d.chains = make(chains)
	}
	d.chains[sum] = c
	return c
}

func readCertificate(der []byte) Certificate {
	x, err := x509.ParseCertificate(der)
	if err != nil {
		return Certificate{Unreadable: true}
	}
	c := Certificate{
		Subject: commonName(&x.Subject), Issuer: commonName(&x.Issuer),
		NotBefore: x.NotBefore, NotAfter: x.NotAfter,
		SelfSigned: bytes.Equal(x.RawSubject, x.RawIssuer),
		CA:         x.IsCA,
	}
	for _, n := range x.DNSNames {
		if len(c.Names) < MaxNames {
			c.Names = append(c.Names, cut([]byte(n)))
		}
	}
	for _, ip := range x.IPAddresses {
		if len(c.Names) < MaxNames {
			c.Names = append(c.Names, ip.String())
		}
	}
	return c
}

func commonName(n *pkix.Name) string {
	if n.CommonName == "" && len(n.Organization) > 0 {
		return cut([]byte(n.Organization[0]))
	}
	return cut([]byte(n.CommonName))
}
