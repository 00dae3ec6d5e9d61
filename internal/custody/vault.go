package custody

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/evidence"
)

// Where things are in the vault. No incident's name begins with a dot.
const (
	manifestSuffix    = ".custody.json"
	keyFolder         = ".keys/"
	certificateFolder = ".certificates/"
)

// ManifestName is where the manifest of a file of the vault is: beside it.
func ManifestName(file string) string { return file + manifestSuffix }

// KeyName is where the vault keeps the public half of a signing key. It says
// which key was used, not that it is to be trusted: who can write a manifest
// can write a key.
func KeyName(id string) string { return keyFolder + id + ".pem" }

// Digest is what the manifest says the bytes are known by.
func (m Manifest) Digest() evidence.Digest {
	return evidence.Digest{Bytes: m.Integrity.Bytes, SHA256: m.Integrity.SHA256, Blocks: m.Integrity.Blocks, Merkle: m.Integrity.Merkle}
}

// Compare says in words how bytes differ from what they should be, and ""
// where they do not.
func Compare(got, want evidence.Digest) string {
	switch {
	case got.Bytes != want.Bytes:
		return fmt.Sprintf("%d bytes, sealed were %d", got.Bytes, want.Bytes)
	case got.SHA256 == want.SHA256 && got.Merkle == want.Merkle:
		return ""
	}
	for i := range min(len(got.Blocks), len(want.Blocks)) {
		if got.Blocks[i] != want.Blocks[i] {
			from := int64(i) * evidence.BlockSize
			return fmt.Sprintf("SHA-256 is %s, sealed was %.64s: the first difference is between bytes %d and %d",
				got.SHA256, want.SHA256, from, min(from+evidence.BlockSize, got.Bytes))
		}
	}
	return fmt.Sprintf("SHA-256 is %s, Merkle root %s; sealed were %.64s and %.64s", got.SHA256, got.Merkle, want.SHA256, want.Merkle)
}

// QuarantineTags mark a file that must not be taken for evidence. A file of
// nobody has neither incident nor capture.
func QuarantineTags(incident, capture string) map[string]string {
	tags := map[string]string{"state": "quarantined", "classification": "restricted"}
	for key, value := range map[string]string{"incident": incident, "capture": capture} {
		if value != "" {
			tags[key] = evidence.TagValue(value)
		}
	}
	return tags
}

// StoreKey keeps a public key beside what it signed.
func StoreKey(ctx context.Context, vault evidence.Vault, key PublicKey) error {
	text, err := key.PEM()
	if err == nil {
		_, err = vault.Create(ctx, KeyName(key.ID), bytes.NewReader(text), nil)
	}
	if err != nil && !errors.Is(err, evidence.ErrExists) {
		return fmt.Errorf("store signing key: %w", err)
	}
	return nil
}

// isManifest reports whether the name is a manifest's.
func isManifest(name string) bool {
	return strings.HasSuffix(name, manifestSuffix) && !strings.HasPrefix(name, ".")
}
