package redact

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
)

// KeyLength is the length of a [Key] in bytes: Crypto-PAn's, 128 bits for AES
// and 128 for the padding.
const KeyLength = 32

// A Key decides what addresses become. Who has it can undo the redaction of
// addresses; captures that were redacted with the same key can be compared.
type Key [KeyLength]byte

// NewKey returns a random key.
func NewKey() Key {
	var k Key
	rand.Read(k[:]) // never fails
	return k
}

// ParseKey reads what [Key.Text] writes: 64 hexadecimal digits, white space
// around them. The error never quotes the text.
func ParseKey(text string) (Key, error) {
	var k Key
	b, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(b) != KeyLength {
		return k, errors.New("a key is 64 hexadecimal digits, such as \"openssl rand -hex 32\" prints")
	}
	copy(k[:], b)
	if k == (Key{}) {
		return k, errors.New("a key of zeros protects nothing")
	}
	return k, nil
}

// Text is the key itself, for the file that keeps it.
func (k Key) Text() string { return hex.EncodeToString(k[:]) }

// ID names the key without telling it, so that two redactions can be seen to
// have used the same.
func (k Key) ID() string {
	sum := sha256.Sum256(append([]byte("pcapwarden redact key id\x00"), k[:]...))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// String and GoString keep the key out of logs and messages.
func (k Key) String() string   { return "key " + k.ID() }
func (k Key) GoString() string { return k.String() }

// derive returns the AES-128 key for one purpose.
func (k Key) derive(purpose string) []byte {
	mac := hmac.New(sha256.New, k[:])
	mac.Write([]byte("pcapwarden redact " + purpose))
	return mac.Sum(nil)[:16]
}
