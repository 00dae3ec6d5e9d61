// Package identitytest issues tokens as Entra does, for tests.
package identitytest

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// The tenant of an [Issuer], and the audience that its tokens are for.
const (
	Tenant   = "aaaaaaaa-1111-4222-8333-444444444444"
	Audience = "api://bbbbbbbb-1111-4222-8333-444444444444"
)

// An Issuer is an authority on this machine.
type Issuer struct {
	URL     string
	Fetches atomic.Int32 // of its keys

	mu   sync.Mutex
	keys map[string]*rsa.PrivateKey
	kid  string
	down bool
}

// key is made once: that takes a while.
var key = sync.OnceValue(func() *rsa.PrivateKey { return mustKey() })

func mustKey() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
}

// Start starts an issuer, which ends with the test.
func Start(t testing.TB) *Issuer {
	t.Helper()
	i := &Issuer{keys: map[string]*rsa.PrivateKey{"key-1": key()}, kid: "key-1"}
	server := httptest.NewServer(http.HandlerFunc(i.serve))
	t.Cleanup(server.Close)
	i.URL = server.URL
	return i
}

func (i *Issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if r.URL.Path != "/"+Tenant+"/discovery/v2.0/keys" {
		http.NotFound(w, r)
		return
	}
	i.Fetches.Add(1)
	if i.down {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	encode := base64.RawURLEncoding.EncodeToString
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	for id, k := range i.keys {
		set.Keys = append(set.Keys, map[string]string{
			"kty": "RSA", "use": "sig", "kid": id, "n": encode(k.N.Bytes()), "e": encode(big.NewInt(int64(k.E)).Bytes()),
		})
	}
	json.NewEncoder(w).Encode(set)
}

// Down has the issuer answer that it is out of order, or not any more.
func (i *Issuer) Down(down bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
}

// Rotate signs with another key from now on, and withdraws the old one.
func (i *Issuer) Rotate() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.kid += "+"
	i.keys = map[string]*rsa.PrivateKey{i.kid: mustKey()}
}

// PublicKey is the current key's.
func (i *Issuer) PublicKey() (id string, k *rsa.PublicKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.kid, &i.keys[i.kid].PublicKey
}

// Claims are those of a v2.0 token of a person, who has the roles, at now.
func (i *Issuer) Claims(now time.Time, roles ...string) jwt.MapClaims {
	return jwt.MapClaims{
		"iss": i.URL + "/" + Tenant + "/v2.0", "tid": Tenant, "aud": Audience,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"oid": "cccccccc-1111-4222-8333-444444444444", "preferred_username": "ann@example.com",
		"azp": "dddddddd-1111-4222-8333-444444444444", "roles": roles,
	}
}

// Sign makes a token of claims.
func (i *Issuer) Sign(c jwt.Claims) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, c)
	t.Header["kid"] = i.kid
	s, err := t.SignedString(i.keys[i.kid])
	if err != nil {
		panic(err)
	}
	return s
}

// Bearer is the Authorization header of a person with the roles.
func (i *Issuer) Bearer(roles ...string) string {
	return "Bearer " + i.Sign(i.Claims(time.Now(), roles...))
}
