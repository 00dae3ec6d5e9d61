package custody

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// The example of the DSSE protocol.
// https://github.com/secure-systems-lab/dsse/blob/master/protocol.md#test-vectors
func TestDSSEVector(t *testing.T) {
	const payloadType, body = "http://example.com/HelloWorld", "hello world"
	signed := preAuthentication(payloadType, []byte(body))
	if got, want := string(signed), "DSSEv1 29 http://example.com/HelloWorld 11 hello world"; got != want {
		t.Errorf("preAuthentication = %q, want %q", got, want)
	}
	x, _ := new(big.Int).SetString("46950820868899156662930047687818585632848591499744589407958293238635476079160", 10)
	y, _ := new(big.Int).SetString("5640078356564379163099075877009565129882514886557779369047442380624545832820", 10)
	point := append([]byte{4}, append(x.FillBytes(make([]byte, 32)), y.FillBytes(make([]byte, 32))...)...)
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	key, err := NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString("A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA==")
	if err != nil {
		t.Fatal(err)
	}
	sig, err := FromRaw(raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := key.verify(signed, sig); err != nil {
		t.Errorf("the protocol's own signature: %v", err)
	}
	if key.verify(preAuthentication(payloadType, []byte("hello w0rld")), sig) == nil {
		t.Error("the signature fits another payload")
	}
}

func TestFromRaw(t *testing.T) {
	for _, n := range []int{0, 63, 65, 128} {
		if _, err := FromRaw(make([]byte, n)); err == nil {
			t.Errorf("took a signature of %d bytes", n)
		}
	}
	raw := append(bytes.Repeat([]byte{0xff}, 32), append(make([]byte, 31), 1)...)
	der, err := FromRaw(raw)
	if err != nil {
		t.Fatal(err)
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &rs); err != nil || rs.S.Int64() != 1 || rs.R.BitLen() != 256 || rs.R.Sign() < 0 {
		t.Errorf("%x became r %v, s %v, %v", raw, rs.R, rs.S, err)
	}
}

// Canonical form as RFC 8785 has it: keys sorted, blanks gone, few escapes.
func TestCanonical(t *testing.T) {
	tests := []struct {
		name string
		v    any
		want string
	}{
		{"keys are sorted", map[string]any{"b": 1, "a": []any{true, nil, "x"}}, `{"a":[true,null,"x"],"b":1}`},
		{"only what must be is escaped", "€$\u000F\u000aA'B\"\\\\\"/<>&\u2028", `"€$\u000f\nA'B\"\\\\\"/<>&` + "\u2028\""},
		{"controls", "\b\f\n\r\t\x1f\x7f", `"\b\f\n\r\t\u001f` + "\x7f\""},
		{"large numbers stay whole", int64(1) << 53, "9007199254740992"},
		{"broken UTF-8 is replaced", "\xff", "\"\uFFFD\""},
	}
	for _, tt := range tests {
		got, err := canonical(tt.v)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: %s, %v; want %s", tt.name, got, err, tt.want)
		}
	}
	for _, v := range []any{1.5, int64(1)<<53 + 1, 1e300} {
		if got, err := canonical(v); err == nil {
			t.Errorf("canonical(%v) = %s; it reads differently to others", v, got)
		}
	}
}

func signer(t *testing.T) *FileSigner {
	t.Helper()
	s, err := OpenFileSigner(filepath.Join(t.TempDir(), "signing.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func trusted(t *testing.T, s Signer) []PublicKey {
	t.Helper()
	keys, err := s.Trusted(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestEnvelope(t *testing.T) {
	s, other := signer(t), signer(t)
	text, _, err := Sign(t.Context(), s, ManifestType, Manifest{Schema: Schema, Identity: Identity{EvidenceID: "e"}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := OpenManifest(text, trusted(t, s))
	if err != nil || m.Identity.EvidenceID != "e" {
		t.Fatalf("OpenManifest = %+v, %v", m, err)
	}
	for name, keys := range map[string][]PublicKey{"no key": nil, "another's key": trusted(t, other)} {
		if m, err := OpenManifest(text, keys); !errors.Is(err, ErrUntrusted) || m.Identity.EvidenceID != "e" {
			t.Errorf("%s: %v, want ErrUntrusted and what the manifest claims", name, err)
		}
	}
	certificate, _, err := Sign(t.Context(), s, CertificateType, Manifest{Schema: Schema})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenManifest(certificate, trusted(t, s)); err == nil {
		t.Error("a certificate passes for a manifest")
	}
	for _, bad := range []string{"", "{}", "null", "[]", string(text) + "{}", strings.Replace(string(text), "{", `{"more":1,`, 1), strings.Repeat("[", 100_000)} {
		if _, err := OpenManifest([]byte(bad), trusted(t, s)); err == nil {
			t.Errorf("%.40q passes for a manifest", bad)
		}
	}
}

// No byte of what is signed can be changed.
func TestEnvelopeFlips(t *testing.T) {
	s := signer(t)
	text, _, err := Sign(t.Context(), s, ManifestType, Manifest{Schema: Schema, Identity: Identity{EvidenceID: "e"}})
	if err != nil {
		t.Fatal(err)
	}
	var e Envelope
	if err := json.Unmarshal(text, &e); err != nil {
		t.Fatal(err)
	}
	payload, err := base64.StdEncoding.DecodeString(e.Payload)
	if err != nil {
		t.Fatal(err)
	}
	for i := range payload {
		flipped := bytes.Clone(payload)
		flipped[i] ^= 1
		e.Payload = base64.StdEncoding.EncodeToString(flipped)
		changed, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := OpenManifest(changed, trusted(t, s)); !errors.Is(err, ErrUntrusted) {
			t.Fatalf("byte %d of the payload was flipped: %v", i, err)
		}
	}
}

func TestFileSigner(t *testing.T) {
	name := filepath.Join(t.TempDir(), "keys", "signing.pem")
	var wg sync.WaitGroup
	ids := make([]string, 8)
	for i := range ids { // several instances start at once
		wg.Go(func() {
			s, err := OpenFileSigner(name)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = s.public.ID
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Fatalf("keys %v, want one", ids)
		}
	}
	left, err := os.ReadDir(filepath.Dir(name))
	if err != nil || len(left) != 1 {
		t.Errorf("%d files beside the key, %v", len(left), err)
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if key, err := ParseKey(text); err != nil || key.ID != ids[0] {
		t.Errorf("the public half of the private key is %s, %v; want %s", key.ID, err, ids[0])
	}
	if err := os.Chmod(name, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFileSigner(name); err == nil || !strings.Contains(err.Error(), "others") {
		t.Errorf("a key that others can read: %v", err)
	}
}

func TestKeys(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "ed25519.pem")
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := OpenFileSigner(name)
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := Sign(t.Context(), s, ManifestType, Manifest{Schema: Schema})
	if err != nil {
		t.Fatal(err)
	}
	key, err := NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	round, err := key.PEM()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseKey(round)
	if err != nil || again.ID != key.ID {
		t.Fatalf("ParseKey(PEM) = %+v, %v", again, err)
	}
	if _, err := OpenManifest(text, []PublicKey{again}); err != nil {
		t.Error(err)
	}
	weak, err := rsa.GenerateKey(nil, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []any{weak.Public(), p384.Public(), "key", nil} {
		if _, err := NewPublicKey(key); err == nil {
			t.Errorf("took a key of type %T", key)
		}
	}
	for _, text := range []string{"", "hello", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if _, err := ParseKey([]byte(text)); err == nil {
			t.Errorf("took %q for a key", text)
		}
	}
}

// A signer whose answer does not fit its key is found before anything is
// stored.
type liar struct{ *FileSigner }

func (l liar) Sign(ctx context.Context, message []byte) (PublicKey, []byte, error) {
	sum := sha256.Sum256(message)
	return l.FileSigner.Sign(ctx, sum[:])
}

func TestSignerThatLies(t *testing.T) {
	if _, _, err := Sign(t.Context(), liar{signer(t)}, ManifestType, Manifest{}); err == nil {
		t.Error("a signature that does not fit was taken")
	}
}

func TestThisTool(t *testing.T) {
	tool := ThisTool("1.2.3")
	if tool.Version != "1.2.3" || tool.Name != "pcapwarden" || len(tool.SHA256) != 64 {
		t.Errorf("ThisTool = %+v", tool)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if Digest(text) != tool.SHA256 {
		t.Error("the hash is not that of this program")
	}
}

func FuzzOpenManifest(f *testing.F) {
	s, err := OpenFileSigner(filepath.Join(f.TempDir(), "signing.pem"))
	if err != nil {
		f.Fatal(err)
	}
	text, _, err := Sign(f.Context(), s, ManifestType, Manifest{Schema: Schema})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"payloadType":"application/vnd.pcapwarden.custody+json","payload":"e30","signatures":[{}]}`))
	keys, err := s.Trusted(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := OpenManifest(text, keys)
		if err == nil && m.Schema != Schema {
			t.Error("a manifest of another schema passes")
		}
	})
}
