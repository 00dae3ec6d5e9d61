package keyvault

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/pcapwarden/pcapwarden/internal/custody"
)

// A vault answers as Key Vault's REST API does: the challenge, keys as JWK,
// signatures of r and s side by side.
// https://learn.microsoft.com/rest/api/keyvault/keys/sign/sign
type vault struct {
	*httptest.Server
	versions []*ecdsa.PrivateKey // the last is the current one
	status   int                 // answer with that, if not 0
	raw      []byte              // sign with that, if not nil
	curve    string
}

const host = "wardenkeys.vault.azure.net"

func newVault(t *testing.T) *vault {
	t.Helper()
	v := &vault{curve: "P-256"}
	v.rotate(t)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /keys/evidence/{version}/sign", v.sign)
	mux.HandleFunc("POST /keys/evidence/sign", v.sign) // without a version
	mux.HandleFunc("GET /keys/evidence/versions", v.list)
	mux.HandleFunc("GET /keys/evidence/{version}", v.get)
	v.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		switch {
		case r.Header.Get("Authorization") != "Bearer token":
			w.Header().Set("WWW-Authenticate", `Bearer authorization="https://login.microsoftonline.com/00000000-0000-0000-0000-000000000001", resource="https://vault.azure.net"`)
			http.Error(w, `{"error":{"code":"Unauthorized","message":"AKV10000: Request is missing a Bearer or PoP token."}}`, http.StatusUnauthorized)
		case v.status != 0:
			http.Error(w, `{"error":{"code":"Forbidden","message":"Caller is not authorized: secret detail"}}`, v.status)
		case r.URL.Query().Get("api-version") == "":
			http.Error(w, `{"error":{"code":"BadParameter"}}`, http.StatusBadRequest)
		default:
			r.URL.Path = strings.ReplaceAll(r.URL.Path, "//", "/") // an empty version
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(v.Close)
	return v
}

func (v *vault) rotate(t *testing.T) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	v.versions = append(v.versions, key)
}

func (v *vault) version(name string) int {
	n := len(v.versions) - 1
	if name != "" {
		fmt.Sscanf(name, "v%d", &n)
	}
	return n
}

func kid(n int) string { return fmt.Sprintf("https://%s/keys/evidence/v%d", host, n) }

func (v *vault) sign(w http.ResponseWriter, r *http.Request) {
	var q struct{ Alg, Value string }
	body, _ := io.ReadAll(r.Body)
	if json.Unmarshal(body, &q) != nil || q.Alg != "ES256" {
		http.Error(w, `{"error":{"code":"BadParameter"}}`, http.StatusBadRequest)
		return
	}
	digest, _ := base64.RawURLEncoding.DecodeString(q.Value)
	n := v.version(r.PathValue("version"))
	der, err := v.versions[n].Sign(rand.Reader, digest, crypto.SHA256)
	var rs struct{ R, S *big.Int }
	if err == nil {
		_, err = asn1.Unmarshal(der, &rs)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	raw := append(rs.R.FillBytes(make([]byte, 32)), rs.S.FillBytes(make([]byte, 32))...)
	if v.raw != nil {
		raw = v.raw
	}
	json.NewEncoder(w).Encode(map[string]string{"kid": kid(n), "value": base64.RawURLEncoding.EncodeToString(raw)})
}

func (v *vault) get(w http.ResponseWriter, r *http.Request) {
	n := v.version(r.PathValue("version"))
	point, err := v.versions[n].PublicKey.Bytes()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	json.NewEncoder(w).Encode(map[string]any{
		"key": map[string]any{
			"kid": kid(n), "kty": "EC", "crv": v.curve, "key_ops": []string{"sign", "verify"},
			"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:]),
		},
		"attributes": map[string]any{"enabled": true, "created": 1493942451, "updated": 1493942451, "recoveryLevel": "Recoverable+Purgeable"},
	})
}

func (v *vault) list(w http.ResponseWriter, _ *http.Request) {
	var items []map[string]any
	for n := range v.versions {
		items = append(items, map[string]any{"kid": kid(n), "attributes": map[string]any{"enabled": true}})
	}
	json.NewEncoder(w).Encode(map[string]any{"value": items, "nextLink": nil})
}

// Do implements the SDK's transport: the vault's name leads to the test server.
func (v *vault) Do(r *http.Request) (*http.Response, error) {
	if r.URL.Host != host {
		return nil, fmt.Errorf("a request went to %s", r.URL.Host)
	}
	to, err := url.Parse(v.URL)
	if err != nil {
		return nil, err
	}
	sent := r.Clone(r.Context())
	sent.URL.Scheme, sent.URL.Host = to.Scheme, to.Host
	answer, err := v.Client().Do(sent)
	if err == nil {
		answer.Request = r
	}
	return answer, err
}

// token is for the vaults' audience alone.
type token struct{}

func (token) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if len(o.Scopes) != 1 || o.Scopes[0] != "https://vault.azure.net/.default" {
		return azcore.AccessToken{}, fmt.Errorf("a token for %v was asked for", o.Scopes)
	}
	return azcore.AccessToken{Token: "token", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func (v *vault) open(t *testing.T, setting string) *Signer {
	t.Helper()
	s, err := Open(setting, token{}, azcore.ClientOptions{Transport: v, Retry: policy.RetryOptions{MaxRetries: -1}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSigner(t *testing.T) {
	v := newVault(t)
	s := v.open(t, "https://"+host+"/keys/evidence")
	sign := func() []byte {
		t.Helper()
		text, _, err := custody.Sign(t.Context(), s, custody.ManifestType, custody.Manifest{Schema: custody.Schema})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	before := sign()
	v.rotate(t)
	after := sign()
	trusted, err := s.Trusted(t.Context())
	if err != nil || len(trusted) != 2 || trusted[0].ID == trusted[1].ID {
		t.Fatalf("Trusted = %v, %v; want both versions", trusted, err)
	}
	v.Close() // what was signed is checked without the vault
	for _, text := range [][]byte{before, after} {
		if _, err := custody.OpenManifest(text, trusted); err != nil {
			t.Error(err)
		}
	}
	if _, err := custody.OpenManifest(after, trusted[:1]); err == nil {
		t.Error("the first version's key checks what the second signed")
	}
}

func TestSignerOfOneVersion(t *testing.T) {
	v := newVault(t)
	v.rotate(t)
	s := v.open(t, "https://"+host+"/keys/evidence/v0")
	key, _, err := s.Sign(t.Context(), []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := s.Trusted(t.Context())
	if err != nil || len(trusted) != 1 || trusted[0].ID != key.ID {
		t.Errorf("Trusted = %v, %v; want the one that signs, %v", trusted, err, key)
	}
}

func TestTroubledVault(t *testing.T) {
	tests := []struct {
		name    string
		trouble func(*vault)
		says    string
	}{
		{"no role", func(v *vault) { v.status = http.StatusForbidden }, "Key Vault Crypto User"},
		{"no key", func(v *vault) { v.status = http.StatusNotFound }, "make the key"},
		{"another kind of key", func(v *vault) { v.curve = "P-384" }, "P-256"},
		{"a short signature", func(v *vault) { v.raw = make([]byte, 10) }, "10 bytes"},
		{"a signature of something else", func(v *vault) { v.raw = make([]byte, 64) }, "does not confirm"},
		{"no vault", func(v *vault) { v.Close() }, "evidence"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := newVault(t)
			tt.trouble(v)
			_, _, err := custody.Sign(t.Context(), v.open(t, "https://"+host+"/keys/evidence"), custody.ManifestType, custody.Manifest{})
			if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "secret detail") || strings.Contains(err.Error(), "api-version") {
				t.Errorf("Sign = %v; want a word about %q, and nothing else of the answer", err, tt.says)
			}
		})
	}
}

func TestSettings(t *testing.T) {
	for _, bad := range []string{
		"", "file:key", "http://v.vault.azure.net/keys/k", "https://v.vault.azure.net.evil.example/keys/k", "https://169.254.169.254/keys/k",
		"https://user@vault1.vault.azure.net/keys/k", "https://vault1.vault.azure.net/secrets/k", "https://vault1.vault.azure.net/keys/", "https://vault1.vault.azure.net/keys",
		"https://vault1.vault.azure.net/keys/a/b/c", "https://vault1.vault.azure.net/keys/k?x=1", "https://vault1.vault.azure.net:8443/keys/k", "https://vault1.vault.azure.net/keys/..",
	} {
		if _, err := Open(bad, token{}, azcore.ClientOptions{}); err == nil {
			t.Errorf("Open(%q) worked", bad)
		}
	}
	if _, err := Open("https://vault1.vault.azure.net/keys/k", nil, azcore.ClientOptions{}); err == nil {
		t.Error("opened without an identity")
	}
}
