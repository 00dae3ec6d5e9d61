package custody

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
)

// A Signer signs documents with a key that nobody else has.
type Signer interface {
	// Sign signs a message: ECDSA over its SHA-256 as ASN.1, or Ed25519. It
	// says with which key: one that is rotated may be another each time.
	Sign(ctx context.Context, message []byte) (PublicKey, []byte, error)
	// Trusted are the keys that this signer signs or has signed with.
	Trusted(ctx context.Context) ([]PublicKey, error)
}

// A PublicKey checks signatures.
type PublicKey struct {
	ID  string           // SHA-256 of the key's DER form, in hex
	Key crypto.PublicKey // *ecdsa.PublicKey on P-256, or ed25519.PublicKey
}

// NewPublicKey takes ECDSA P-256 and Ed25519 keys.
func NewPublicKey(key crypto.PublicKey) (PublicKey, error) {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return PublicKey{}, errors.New("public key: on another curve than P-256")
		}
	case ed25519.PublicKey:
	default:
		return PublicKey{}, fmt.Errorf("public key: %T; want ECDSA P-256 or Ed25519", key)
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return PublicKey{}, fmt.Errorf("public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return PublicKey{ID: hex.EncodeToString(sum[:]), Key: key}, nil
}

// PEM is the key as OpenSSL reads it.
func (k PublicKey) PEM() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(k.Key)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

var errSignature = errors.New("signature does not fit")

func (k PublicKey) verify(message, sig []byte) error {
	ok := false
	switch key := k.Key.(type) {
	case *ecdsa.PublicKey:
		sum := sha256.Sum256(message)
		ok = ecdsa.VerifyASN1(key, sum[:], sig)
	case ed25519.PublicKey:
		ok = ed25519.Verify(key, message, sig)
	}
	if !ok {
		return errSignature
	}
	return nil
}

// FromRaw turns an ECDSA P-256 signature of two numbers side by side, as Key
// Vault and JWS have it (RFC 7518, 3.4), into ASN.1.
func FromRaw(raw []byte) ([]byte, error) {
	if len(raw) != 64 {
		return nil, fmt.Errorf("signature of %d bytes, want 64", len(raw))
	}
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])})
}

// ParseKey reads a key in PEM: a public one, or a private one of which the
// public half is taken.
func ParseKey(text []byte) (PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return PublicKey{}, errors.New("public key: not in PEM")
	}
	if block.Type == "PRIVATE KEY" {
		private, err := parsePrivate(block.Bytes)
		if err != nil {
			return PublicKey{}, err
		}
		return NewPublicKey(private.Public())
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return PublicKey{}, fmt.Errorf("public key: PEM of %.40q holds none", block.Type)
	}
	return NewPublicKey(key)
}

func parsePrivate(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("signing key: not PKCS #8")
	}
	private, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("signing key: cannot sign")
	}
	return private, nil
}

// A FileSigner signs with a key in a file.
type FileSigner struct {
	private crypto.Signer
	public  PublicKey
}

// OpenFileSigner reads the signing key, PKCS #8 in PEM, and makes one on first
// use, for its owner's eyes. A key that others may read is refused: they could
// sign whatever they like.
func OpenFileSigner(name string) (*FileSigner, error) {
	text, err := readKey(name)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeKey(name); err != nil {
			return nil, fmt.Errorf("make signing key: %w", err)
		}
		text, err = readKey(name)
	}
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("signing key %q: not a private key in PEM", name)
	}
	private, err := parsePrivate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", name, err)
	}
	public, err := NewPublicKey(private.Public())
	if err != nil {
		return nil, fmt.Errorf("signing key %q: %w", name, err)
	}
	return &FileSigner{private, public}, nil
}

func readKey(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if othersRead(info) {
		return nil, fmt.Errorf("%q can be read by others: chmod 600 it", name)
	}
	return os.ReadFile(name)
}

// makeKey puts a new key in place as a whole, unless another process was
// faster.
func makeKey(name string) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	staged, err := os.CreateTemp(filepath.Dir(name), ".key-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(staged.Name())
	err = pem.Encode(staged, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err = errors.Join(err, staged.Sync(), staged.Close()); err != nil {
		return err
	}
	if err := os.Link(staged.Name(), name); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// Sign implements [Signer].
func (s *FileSigner) Sign(_ context.Context, message []byte) (PublicKey, []byte, error) {
	if _, ok := s.private.(ed25519.PrivateKey); ok {
		sig, err := s.private.Sign(rand.Reader, message, crypto.Hash(0))
		return s.public, sig, err
	}
	sum := sha256.Sum256(message)
	sig, err := s.private.Sign(rand.Reader, sum[:], crypto.SHA256)
	return s.public, sig, err
}

// Trusted implements [Signer].
func (s *FileSigner) Trusted(context.Context) ([]PublicKey, error) {
	return []PublicKey{s.public}, nil
}
