package identity

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"sync"
	"time"
)

// How long keys are good for. Entra announces a key days before it signs with
// it, and withdraws one at once only when it leaked.
// https://learn.microsoft.com/entra/identity-platform/signing-key-rollover
const (
	freshFor = time.Hour        // then they are fetched again
	goodFor  = 24 * time.Hour   // then they are used no more, whatever Entra answers
	pause    = 30 * time.Second // between two fetches: made-up key IDs must not become requests
	fetching = 10 * time.Second
)

// Bounds of a key set.
const (
	maxKeySet = 1 << 20 // bytes
	maxKeys   = 100
	minBits   = 2048
	maxBits   = 8192 // a larger one takes long to check with
)

var (
	errKeys       = errors.New("the tenant's signing keys can't be had now")
	errUnknownKey = errors.New("unknown key")
)

// A keySet keeps the public keys of a tenant.
type keySet struct {
	url    string
	client *http.Client
	now    func() time.Time
	turn   chan struct{} // held by who fetches

	mu      sync.Mutex
	keys    map[string]*rsa.PublicKey
	fetched time.Time // when keys were as Entra has them
	tried   time.Time
	failure error // of the latest try
}

func newKeySet(url string, transport http.RoundTripper, now func() time.Time) *keySet {
	return &keySet{
		url: url, now: now, turn: make(chan struct{}, 1),
		client: &http.Client{Transport: transport, Timeout: fetching, CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("redirects are not followed: keys come from the authority alone")
		}},
	}
}

// key returns the key of that ID: errUnknownKey when the tenant has none such,
// errKeys when that can't be said now.
func (s *keySet) key(ctx context.Context, id string) (*rsa.PublicKey, error) {
	if id == "" {
		return nil, errUnknownKey
	}
	if k, err, settled := s.known(id); settled {
		return k, err
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", errKeys, context.Cause(ctx))
	}
	if k, err, settled := s.known(id); settled { // somebody else fetched meanwhile
		return k, err
	}
	keys, err := s.fetch(ctx)
	s.mu.Lock()
	s.tried, s.failure = s.now(), err
	if err == nil {
		s.keys, s.fetched = keys, s.tried
	}
	s.mu.Unlock()
	k, err, _ := s.known(id)
	return k, err
}

// known is what can be said without a fetch. It is not settled when a fetch
// may say better.
func (s *keySet) known(id string) (_ *rsa.PublicKey, _ error, settled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	age, mayFetch := now.Sub(s.fetched), now.Sub(s.tried) >= pause
	k := s.keys[id]
	switch {
	case k != nil && age < goodFor:
		return k, nil, age < freshFor || !mayFetch
	case s.failure != nil || age >= goodFor:
		return nil, fmt.Errorf("%w: %w", errKeys, s.failure), !mayFetch
	}
	return nil, errUnknownKey, !mayFetch
}

func (s *keySet) fetch(ctx context.Context) (map[string]*rsa.PublicKey, error) {
	// Who asked first may go away; others wait for the same answer.
	req, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodGet, s.url, nil)
	if err != nil {
		return nil, err
	}
	res, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: %s", s.url, res.Status)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxKeySet+1))
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", s.url, err)
	}
	keys, err := parseKeySet(body)
	if err != nil {
		return nil, fmt.Errorf("read the keys of %s: %w", s.url, err)
	}
	return keys, nil
}

// parseKeySet reads the RSA signing keys of a JWK set (RFC 7517). Others are
// left out: a new kind of key must not take the known ones away.
func parseKeySet(body []byte) (map[string]*rsa.PublicKey, error) {
	if len(body) > maxKeySet {
		return nil, fmt.Errorf("it has more than %d bytes", maxKeySet)
	}
	var set struct {
		Keys []struct {
			Type     string `json:"kty"`
			ID       string `json:"kid"`
			Use      string `json:"use"`
			Modulus  string `json:"n"`
			Exponent string `json:"e"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, errors.New("it is no JWK set")
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("it has more than %d keys", maxKeys)
	}
	keys := map[string]*rsa.PublicKey{}
	for _, k := range set.Keys {
		if k.Type != "RSA" || k.ID == "" || k.Use != "" && k.Use != "sig" {
			continue
		}
		if public := rsaKey(k.Modulus, k.Exponent); public != nil {
			keys[k.ID] = public
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("it has no RSA signing key")
	}
	return keys, nil
}

// rsaKey is the key of RFC 7518 section 6.3.1, nil if it is none to trust.
func rsaKey(modulus, exponent string) *rsa.PublicKey {
	n, errN := base64.RawURLEncoding.DecodeString(modulus)
	e, errE := base64.RawURLEncoding.DecodeString(exponent)
	if errN != nil || errE != nil || len(e) > 4 {
		return nil
	}
	k := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	if bits := k.N.BitLen(); bits < minBits || bits > maxBits || k.E < 3 || k.E%2 == 0 || k.E > 1<<31-1 {
		return nil
	}
	return k
}
