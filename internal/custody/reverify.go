package custody

import (
	"context"
	"fmt"
	"io"

	"github.com/pcapwarden/pcapwarden/internal/evidence"
)

// DigestOf reads a file for what its bytes are known by.
func DigestOf(ctx context.Context, from evidence.Vault, name string) (evidence.Digest, error) {
	f, err := from.Open(ctx, name)
	if err != nil {
		return evidence.Digest{}, err
	}
	content, err := f.Reader(ctx)
	if err != nil {
		return evidence.Digest{}, err
	}
	defer content.Close()
	hash := evidence.NewDigestReader(content)
	defer hash.Close()
	if _, err := io.Copy(io.Discard, hash); err != nil {
		return evidence.Digest{}, err
	}
	return hash.Digest(), nil
}

// Reverify holds one piece of evidence against its manifest, and that against
// its signature and the hash that the case has. It says what is wrong in
// words; the error is that of the vault. Evidence that is gone is
// [evidence.ErrNotFound].
func Reverify(ctx context.Context, vault evidence.Vault, trusted []PublicKey, file, manifestSHA256 string) (wrong string, err error) {
	text, err := evidence.Load(ctx, vault, ManifestName(file), maxEnvelope)
	if err != nil {
		return "", err
	}
	if digest := Digest(text); digest != manifestSHA256 {
		return fmt.Sprintf("its manifest was changed: SHA-256 is %s, sealed was %.64s", digest, manifestSHA256), nil
	}
	m, err := OpenManifest(text, trusted)
	if err != nil {
		return err.Error(), nil
	}
	got, err := DigestOf(ctx, vault, file)
	if err != nil {
		return "", err
	}
	return Compare(got, m.Digest()), nil
}
