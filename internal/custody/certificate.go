package custody

import (
	"fmt"
	"time"
)

// CertificateSchema is the version of a [Certificate].
const CertificateSchema = "pcapwarden.expiry/v1"

// A Certificate says that the evidence of a case was deleted, when and why. It
// outlives what it is about, and holds nothing of it but its hashes.
type Certificate struct {
	Schema      string    `json:"schema"`
	Incident    string    `json:"incident"`
	Capture     string    `json:"capture"`
	Deleted     time.Time `json:"deletedAt"`
	DeleteAfter time.Time `json:"deleteAfter"`
	By          string    `json:"by"`
	Reason      string    `json:"reason"`
	Erased      []Erased  `json:"erased"`
	// Recoverable says until when the storage account itself may still bring
	// the files back; zero if nobody told the program about such a window.
	Recoverable time.Time `json:"recoverableUntil,omitzero"`
	Note        string    `json:"note,omitempty"`
	Tool        Tool      `json:"tool"`
}

// Erased is a file of a [Certificate].
type Erased struct {
	Store    string `json:"store"` // landing, vault, reports
	Name     string `json:"name"`
	Bytes    int64  `json:"bytes,omitempty"`
	SHA256   string `json:"sha256,omitempty"`
	Manifest string `json:"manifestSha256,omitempty"` // of its custody manifest, which went with it
}

// CertificateName is where the vault keeps the certificate of a case.
func CertificateName(incident, capture string) string {
	return certificateFolder + incident + "/" + capture + ".json"
}

// OpenCertificate checks a certificate's envelope. See [ErrUntrusted].
func OpenCertificate(text []byte, trusted []PublicKey) (Certificate, error) {
	var c Certificate
	err := open(text, CertificateType, trusted, &c)
	if err == nil && c.Schema != CertificateSchema {
		err = fmt.Errorf("schema is %.40q, want %q", c.Schema, CertificateSchema)
	}
	if err != nil {
		return c, fmt.Errorf("expiry certificate: %w", err)
	}
	return c, nil
}
