// Package tls reads the plaintext part of TLS connections, 1.0 to 1.3, and
// recognises the hello of SSLv2.
package tls

import (
	"fmt"
	"time"
)

// A Version is the protocol version as it stands on the wire.
type Version uint16

// The versions.
const (
	VersionSSL2  Version = 0x0002
	VersionSSL3  Version = 0x0300
	VersionTLS10 Version = 0x0301
	VersionTLS11 Version = 0x0302
	VersionTLS12 Version = 0x0303
	VersionTLS13 Version = 0x0304
)

// String returns "TLS 1.2".
func (v Version) String() string {
	switch v {
	case 0:
		return ""
	case VersionSSL2:
		return "SSL 2.0"
	case VersionSSL3:
		return "SSL 3.0"
	case VersionTLS10, VersionTLS11, VersionTLS12, VersionTLS13:
		return fmt.Sprintf("TLS 1.%d", v-VersionTLS10)
	}
	return fmt.Sprintf("0x%04x", uint16(v))
}

// Limits of what is kept from a hello and a certificate; longer values are cut.
const (
	MaxName         = 255 // bytes of a host name
	MaxNames        = 16  // names of a certificate
	MaxALPN         = 8   // protocols of a ClientHello
	MaxCertificates = 6   // of a chain
	MaxVersions     = 8
	MaxGroups       = 32
)

// A ClientHello is what a client offers (RFC 8446, 4.1.2).
type ClientHello struct {
	Legacy       Version   // the version field; TLS 1.3 says 1.2 here
	Versions     []Version // supported_versions without GREASE, the first MaxVersions
	CipherSuites int       // how many are offered, without GREASE
	SNI          string    // server_name as it came; foreign text
	ALPN         []string  // as it came; foreign text
	Groups       []uint16  // supported_groups without GREASE, the first MaxGroups
	JA4          string    // client fingerprint (FoxIO, JA4)
	SessionID    bool      // one was offered
	Ticket       bool      // a session ticket or pre-shared key was offered
	Frame        int64     // of its last byte
}

// MaxVersion is the best version offered.
func (h *ClientHello) MaxVersion() Version {
	best := Version(0)
	for _, v := range h.Versions {
		best = max(best, v)
	}
	if best == 0 {
		return h.Legacy
	}
	return best
}

// A ServerHello is what the server chose (RFC 8446, 4.1.3).
type ServerHello struct {
	Version     Version // chosen: supported_versions, else the version field
	CipherSuite uint16
	ALPN        string // TLS 1.2 and below; encrypted in 1.3
	Group       uint16 // of the key share, TLS 1.3; 0: none
	PSK         bool   // a pre-shared key was taken up, TLS 1.3
	Frame       int64  // of its last byte
}

// A Certificate is what one certificate says about itself; nothing in it was
// verified. All text in it is foreign.
type Certificate struct {
	Subject, Issuer     string   // common name, or organisation if there is none
	Names               []string // DNS names and addresses, the first MaxNames
	NotBefore, NotAfter time.Time
	SelfSigned          bool   // subject equals issuer
	CA                  bool   // it may sign others
	Unreadable          bool   // crypto/x509 refuses it, or only part was captured
	SHA256              string // fingerprint, hex
}

// Expired reports whether at lies outside the certificate's validity.
func (c *Certificate) Expired(at time.Time) bool {
	return !c.Unreadable && (at.Before(c.NotBefore) || at.After(c.NotAfter))
}

// Counters are what tshark 4.0.17 counts in its tls fields.
type Counters struct {
	HandshakeTypes map[string]int `json:"handshake_types"` // by message type number, plaintext messages only
	Alerts         map[string]int `json:"alerts_by_desc"`  // by description number, plaintext alerts only
}
