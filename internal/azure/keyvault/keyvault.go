// Package keyvault signs evidence with a key that never leaves Azure Key
// Vault.
package keyvault

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"github.com/pcapwarden/pcapwarden/internal/custody"
)

// vaultHost are the vaults and managed HSMs of the Azure clouds. Nothing else
// gets a token.
// https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#dns-suffixes-for-object-identifiers
var vaultHost = regexp.MustCompile(`^[a-zA-Z0-9-]{3,24}\.(vault|managedhsm)\.(azure\.net|azure\.cn|usgovcloudapi\.net)$`)

var keyName = regexp.MustCompile(`^[a-zA-Z0-9-]{1,127}$`)

// maxVersions bounds how many versions of a key are trusted.
const maxVersions = 100

// A Signer is a [custody.Signer] with an EC P-256 key in a vault. Signing
// needs the data action keys/sign, everything else keys/read; the role Key
// Vault Crypto User has both.
type Signer struct {
	client        *azkeys.Client
	host          string
	name, version string // version "": the current one, each time

	mu   sync.Mutex
	keys map[string]custody.PublicKey // by version: a version's key never changes
}

var _ custody.Signer = (*Signer)(nil)

// Open returns a signer with the key that the setting names,
// https://VAULT.vault.azure.net/keys/NAME or, to stay with one version,
// https://VAULT.vault.azure.net/keys/NAME/VERSION. It asks nobody yet.
func Open(setting string, cred azcore.TokenCredential, options azcore.ClientOptions) (*Signer, error) {
	const want = "want https://VAULT.vault.azure.net/keys/NAME"
	u, err := url.Parse(setting)
	if err != nil || u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return nil, errors.New("signing key: not a key's URL: " + want)
	}
	if !vaultHost.MatchString(u.Host) {
		return nil, fmt.Errorf("signing key on %q: not a key vault: %s", u.Host, want)
	}
	path := strings.Split(strings.TrimPrefix(u.Path, "/"), "/")
	if len(path) < 2 || len(path) > 3 || path[0] != "keys" || slices.ContainsFunc(path[1:], func(s string) bool { return !keyName.MatchString(s) }) {
		return nil, errors.New("signing key: not a key's URL: " + want)
	}
	if cred == nil {
		return nil, errors.New("signing key: no identity to sign in with")
	}
	if options.Retry.MaxRetries == 0 {
		options.Retry.MaxRetries, options.Retry.TryTimeout = 4, 30*time.Second
		options.Retry.RetryDelay, options.Retry.MaxRetryDelay = 500*time.Millisecond, 10*time.Second
	}
	if options.Telemetry.ApplicationID == "" {
		options.Telemetry.ApplicationID = "pcapwarden"
	}
	client, err := azkeys.NewClient("https://"+u.Host, cred, &azkeys.ClientOptions{ClientOptions: options})
	if err != nil {
		return nil, fmt.Errorf("signing key on %q: %w", u.Host, err)
	}
	s := &Signer{client: client, host: u.Host, name: path[1], keys: map[string]custody.PublicKey{}}
	if len(path) == 3 {
		s.version = path[2]
	}
	return s, nil
}

// Sign implements [custody.Signer].
func (s *Signer) Sign(ctx context.Context, message []byte) (custody.PublicKey, []byte, error) {
	sum := sha256.Sum256(message)
	got, err := s.client.Sign(ctx, s.name, s.version, azkeys.SignParameters{
		Algorithm: new(azkeys.SignatureAlgorithmES256), Value: sum[:],
	}, nil)
	if err != nil {
		return custody.PublicKey{}, nil, s.explain(ctx, err, "sign with")
	}
	if got.KID == nil {
		return custody.PublicKey{}, nil, fmt.Errorf("sign with key %q: the vault does not say which version signed", s.name)
	}
	key, err := s.key(ctx, got.KID.Version())
	if err != nil {
		return custody.PublicKey{}, nil, err
	}
	sig, err := custody.FromRaw(got.Result)
	return key, sig, err
}

// Trusted implements [custody.Signer]: every version of the key, the disabled
// ones too, since what they signed while they were enabled stays signed. A
// version that must not be trusted any more has to be left out by name.
func (s *Signer) Trusted(ctx context.Context) ([]custody.PublicKey, error) {
	versions := []string{s.version}
	if s.version == "" {
		versions = nil
		pages := s.client.NewListKeyPropertiesVersionsPager(s.name, nil)
		for pages.More() && len(versions) < maxVersions {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, s.explain(ctx, err, "list the versions of")
			}
			for _, p := range page.Value {
				if p.KID != nil {
					versions = append(versions, p.KID.Version())
				}
			}
		}
	}
	var all []custody.PublicKey
	var errs []error
	for _, version := range versions[:min(len(versions), maxVersions)] {
		key, err := s.key(ctx, version)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, key)
	}
	if len(all) == 0 {
		return nil, errors.Join(append(errs, fmt.Errorf("key %q has no version that can be read", s.name))...)
	}
	return all, nil
}

// key is the public half of a version.
func (s *Signer) key(ctx context.Context, version string) (custody.PublicKey, error) {
	s.mu.Lock()
	key, ok := s.keys[version]
	s.mu.Unlock()
	if ok {
		return key, nil
	}
	got, err := s.client.GetKey(ctx, s.name, version, nil)
	if err != nil {
		return custody.PublicKey{}, s.explain(ctx, err, "read")
	}
	k := got.Key
	if k == nil || k.Crv == nil || *k.Crv != azkeys.CurveNameP256 || len(k.X) > 32 || len(k.Y) > 32 {
		return custody.PublicKey{}, fmt.Errorf("key %q in %s is not an elliptic-curve key on P-256: make one, for signing", s.name, s.host)
	}
	point := make([]byte, 65)
	point[0] = 4
	copy(point[33-len(k.X):], k.X)
	copy(point[65-len(k.Y):], k.Y)
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return custody.PublicKey{}, fmt.Errorf("key %q in %s: %w", s.name, s.host, err)
	}
	if key, err = custody.NewPublicKey(public); err != nil {
		return custody.PublicKey{}, err
	}
	s.mu.Lock()
	s.keys[version] = key
	s.mu.Unlock()
	return key, nil
}

// explain turns an error of the SDK into one without URLs and bodies.
func (s *Signer) explain(ctx context.Context, err error, doing string) error {
	what := fmt.Sprintf("%s key %q in %s", doing, s.name, s.host)
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", what, context.Cause(ctx))
	}
	if r, ok := errors.AsType[*azcore.ResponseError](err); ok {
		hint := ""
		switch r.StatusCode {
		case http.StatusForbidden, http.StatusUnauthorized:
			hint = ": does the identity have the role Key Vault Crypto User on the key, and does the firewall let it in?"
		case http.StatusNotFound:
			hint = ": make the key, or mend the setting"
		}
		return fmt.Errorf("%s: the vault answered %d %s%s", what, r.StatusCode, r.ErrorCode, hint)
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return fmt.Errorf("%s: %w", what, err)
}
