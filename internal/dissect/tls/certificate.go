package tls

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"

	"github.com/pcapwarden/pcapwarden/internal/dissect/stream"
)

// maxChains is how many chains are remembered, so that a server that shows
// the same one ten thousand times is read, and kept, once.
const maxChains = 512

type chains map[[sha256.Size]byte][]Certificate

// certificates reads a Certificate message of TLS 1.2 and below.
func (r *Reader) certificates(from stream.Side, body []byte) {
	chain := r.d.chain(body)
	if s := &r.session; from == s.Client {
		s.ClientCertificates = chain
	} else {
		s.Certificates = chain
	}
}

// chain reads a list of certificates. The result is shared: nobody may change
// it.
func (d *Dissector) chain(body []byte) []Certificate {
	sum := sha256.Sum256(body)
	if c, ok := d.chains[sum]; ok {
		return c
	}
	var chain []Certificate
	for list := body[min(3, len(body)):]; len(list) >= 3 && len(chain) < MaxCertificates; {
		n := int(uint24(list))
		list = list[3:]
		if n > len(list) {
			break
		}
		chain = append(chain, readCertificate(list[:n]))
		list = list[n:]
	}
	if d.chains == nil || len(d.chains) >= maxChains {
		d.chains = make(chains)
	}
	d.chains[sum] = chain
	return chain
}

func readCertificate(der []byte) Certificate {
	sum := sha256.Sum256(der)
	fingerprint := hex.EncodeToString(sum[:])
	x, err := x509.ParseCertificate(der)
	if err != nil {
		return Certificate{Unreadable: true, SHA256: fingerprint}
	}
	c := Certificate{
		SHA256:  fingerprint,
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
