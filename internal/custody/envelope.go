package custody

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// The payload types of envelopes.
const (
	ManifestType    = "application/vnd.pcapwarden.custody+json"
	CertificateType = "application/vnd.pcapwarden.expiry+json"
)

// maxEnvelope bounds what is read as an envelope. A manifest of a file of
// 4 GiB, the most that Network Watcher writes, has 512 block digests.
const maxEnvelope = 1 << 20

// An Envelope is a signed document, as DSSE has it: whoever reads it checks
// the very bytes that were signed before he parses them.
// https://github.com/secure-systems-lab/dsse/blob/master/envelope.md
type Envelope struct {
	PayloadType string      `json:"payloadType"`
	Payload     string      `json:"payload"` // base64
	Signatures  []Signature `json:"signatures"`
}

// A Signature of an envelope. KeyID is a hint which key to try, no proof.
type Signature struct {
	KeyID string `json:"keyid"`
	Sig   string `json:"sig"` // base64; ECDSA as ASN.1
}

// ErrUntrusted says that no trusted key has signed a document as it is.
var ErrUntrusted = errors.New("not signed by a trusted key")

// preAuthentication is what a signature is over: type and payload, each with
// its length, so that neither can be read as part of the other.
// https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
func preAuthentication(payloadType string, payload []byte) []byte {
	b := fmt.Appendf(nil, "DSSEv1 %d %s %d ", len(payloadType), payloadType, len(payload))
	return append(b, payload...)
}

// Sign returns v, as canonical JSON, in a signed envelope, and the key that
// checks it.
func Sign(ctx context.Context, s Signer, payloadType string, v any) ([]byte, PublicKey, error) {
	payload, err := canonical(v)
	if err != nil {
		return nil, PublicKey{}, fmt.Errorf("sign %s: %w", payloadType, err)
	}
	key, sig, err := s.Sign(ctx, preAuthentication(payloadType, payload))
	if err != nil {
		return nil, key, fmt.Errorf("sign %s: %w", payloadType, err)
	}
	if err := key.verify(preAuthentication(payloadType, payload), sig); err != nil {
		return nil, key, fmt.Errorf("sign %s: the signer's own key does not confirm its signature: %w", payloadType, err)
	}
	text, err := json.MarshalIndent(Envelope{
		PayloadType: payloadType, Payload: base64.StdEncoding.EncodeToString(payload),
		Signatures: []Signature{{KeyID: key.ID, Sig: base64.StdEncoding.EncodeToString(sig)}},
	}, "", "  ")
	return append(text, '\n'), key, err
}

// open checks an envelope, and puts what it holds into v. ErrUntrusted means
// that it is one, and none of the keys has signed it; v is then filled all the
// same, to say what it claims.
func open(text []byte, payloadType string, trusted []PublicKey, v any) error {
	var e Envelope
	if err := strict(text, &e); err != nil {
		return fmt.Errorf("not an envelope: %w", err)
	}
	if e.PayloadType != payloadType {
		return fmt.Errorf("envelope of %.80q, want %s", e.PayloadType, payloadType)
	}
	payload, err := decode64(e.Payload)
	if err != nil {
		return errors.New("envelope without a payload in base64")
	}
	trust := ErrUntrusted
	signed := preAuthentication(e.PayloadType, payload)
	for _, s := range e.Signatures {
		sig, err := decode64(s.Sig)
		if err != nil {
			continue
		}
		for _, key := range trusted {
			// The ID is not signed: one that does not name the key that fits
			// was changed.
			if key.ID == s.KeyID && key.verify(signed, sig) == nil {
				trust = nil
			}
		}
	}
	// A later version of the program may have written more than this one knows.
	if json.Unmarshal(payload, v) != nil {
		return errors.Join(trust, errors.New("payload is not the JSON that it should be"))
	}
	return trust
}

// OpenManifest checks a manifest's envelope. See [ErrUntrusted].
func OpenManifest(text []byte, trusted []PublicKey) (Manifest, error) {
	var m Manifest
	err := open(text, ManifestType, trusted, &m)
	if err == nil && m.Schema != Schema {
		err = fmt.Errorf("schema is %.40q, want %q", m.Schema, Schema)
	}
	if err != nil {
		return m, fmt.Errorf("custody manifest: %w", err)
	}
	return m, nil
}

// Digest is the hash that the audit log keeps of an envelope.
func Digest(envelope []byte) string {
	sum := sha256.Sum256(envelope)
	return hex.EncodeToString(sum[:])
}

// strict reads one JSON value that has no other fields than v, which is of ours.
func strict(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return errors.New("not the JSON that it should be")
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("more than one JSON value")
	}
	return nil
}

// decode64 reads both alphabets, as DSSE asks of verifiers.
func decode64(s string) ([]byte, error) {
	if b, err := base64.StdEncoding.Strict().DecodeString(s); err == nil {
		return b, nil
	}
	return base64.URLEncoding.Strict().DecodeString(s)
}
