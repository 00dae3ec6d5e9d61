package identity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// skew is how far Entra's clock and ours may be apart.
const skew = 5 * time.Minute

// maxToken bounds a token, in bytes. Entra's have one to three thousand; front
// ends take headers of 16 KiB at most.
const maxToken = 16 << 10

// DefaultAuthority is Entra in the public cloud.
const DefaultAuthority = "https://login.microsoftonline.com"

// Options of a [Verifier].
type Options struct {
	Tenant    string // its ID, a GUID
	Audience  string // of the app registration: api://..., or its client ID
	Authority string // DefaultAuthority when empty
	Now       func() time.Time
	Transport http.RoundTripper // nil: the default
}

// A Verifier checks access tokens that Entra issued in one tenant for one
// audience, in the forms v1.0 and v2.0.
// https://learn.microsoft.com/entra/identity-platform/access-tokens
type Verifier struct {
	tenant    string
	audiences []string
	authority string
	keys      *keySet
	parser    *jwt.Parser
}

var guid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// IsGUID reports whether s is a GUID as Entra writes one.
func IsGUID(s string) bool { return guid.MatchString(s) }

// NewVerifier returns a Verifier. It asks Entra nothing yet.
func NewVerifier(o Options) (*Verifier, error) {
	if !IsGUID(o.Tenant) {
		return nil, fmt.Errorf("tenant %q: want its ID, a GUID: with common or organizations anybody's tenant would do", o.Tenant)
	}
	if o.Audience == "" {
		return nil, errors.New("the audience is empty: any app's tokens would do")
	}
	if o.Authority == "" {
		o.Authority = DefaultAuthority
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	authority := strings.TrimSuffix(o.Authority, "/")
	keys, err := url.JoinPath(authority, strings.ToLower(o.Tenant), "discovery/v2.0/keys")
	if err != nil {
		return nil, fmt.Errorf("authority %q: %w", o.Authority, err)
	}
	return &Verifier{
		tenant: strings.ToLower(o.Tenant), audiences: audiences(o.Audience), authority: authority,
		keys: newKeySet(keys, o.Transport, o.Now),
		parser: jwt.NewParser(
			// One algorithm: with "none" or HS256 a token proves nothing.
			jwt.WithValidMethods([]string{jwt.SigningMethodRS256.Alg()}),
			jwt.WithExpirationRequired(), jwt.WithNotBeforeRequired(),
			jwt.WithLeeway(skew), jwt.WithTimeFunc(o.Now), jwt.WithStrictDecoding(),
		),
	}, nil
}

// audiences are the forms of an audience: Entra puts the client ID into v2.0
// tokens, and the identifier URI into those of v1.0.
func audiences(a string) []string {
	all := []string{a}
	if id, ok := strings.CutPrefix(a, "api://"); ok && IsGUID(id) {
		return append(all, id)
	}
	if IsGUID(a) {
		return append(all, "api://"+a)
	}
	return all
}

// claims are what is read of a token.
// https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
type claims struct {
	jwt.RegisteredClaims
	Tenant   string   `json:"tid"`
	ObjectID string   `json:"oid"`
	Name     string   `json:"preferred_username"` // v2.0
	UPN      string   `json:"upn"`                // v1.0
	Unique   string   `json:"unique_name"`        // v1.0, of guests
	AZP      string   `json:"azp"`                // v2.0
	AppID    string   `json:"appid"`              // v1.0
	Roles    []string `json:"roles"`
}

// Verify checks an Authorization header, and says who sent it: [ErrToken] for
// what is no valid token, [ErrForbidden] for one of another tenant, any other
// error while the keys can't be had. No error quotes the token.
func (v *Verifier) Verify(ctx context.Context, authorization string) (Caller, error) {
	scheme, token, _ := strings.Cut(authorization, " ")
	switch {
	case authorization == "":
		return Caller{}, fmt.Errorf("%w: there is none; send Authorization: Bearer TOKEN", ErrToken)
	case !strings.EqualFold(scheme, "Bearer") || token == "":
		return Caller{}, fmt.Errorf("%w: want Authorization: Bearer TOKEN", ErrToken)
	case len(token) > maxToken:
		return Caller{}, fmt.Errorf("%w: it has more than %d bytes", ErrToken, maxToken)
	}
	var c claims
	_, err := v.parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		if _, ok := t.Header["crit"]; ok { // RFC 7515 section 4.1.11: we understand no extension
			return nil, errors.New("crit")
		}
		kid, _ := t.Header["kid"].(string)
		return v.keys.key(ctx, kid)
	})
	if errors.Is(err, errKeys) {
		return Caller{}, fmt.Errorf("check a token: %w", err)
	}
	if err != nil {
		return Caller{}, fmt.Errorf("%w: %s", ErrToken, fault(err))
	}
	sum := sha256.Sum256([]byte(token))
	caller := Caller{
		ObjectID: plain(c.ObjectID), Name: firstOf(c.Name, c.UPN, c.Unique), AppID: plain(firstOf(c.AZP, c.AppID)),
		Tenant: plain(strings.ToLower(c.Tenant)), Roles: c.Roles, TokenID: hex.EncodeToString(sum[:8]),
	}
	switch {
	case !v.issued(c):
		return Caller{}, fmt.Errorf("%w: it is not issued by Entra", ErrToken)
	case !v.meant(c.Audience):
		return Caller{}, fmt.Errorf("%w: it is for another audience; ask for one for %s", ErrToken, v.audiences[0])
	case caller.Tenant != v.tenant:
		return caller, fmt.Errorf("%w: the token is of another tenant", ErrForbidden)
	}
	return caller, nil
}

// Reach fetches the tenant's signing keys if they are not known: how many
// there are. Without them nobody is let in.
func (v *Verifier) Reach(ctx context.Context) (int, error) {
	if _, err := v.keys.key(ctx, "none"); err != nil && !errors.Is(err, errUnknownKey) {
		return 0, err
	}
	v.keys.mu.Lock()
	defer v.keys.mu.Unlock()
	return len(v.keys.keys), nil
}

// issued reports whether the issuer is Entra, for the tenant that the token
// names. The tenant's keys are those of every tenant: the issuer alone says
// whose token it is.
func (v *Verifier) issued(c claims) bool {
	if !IsGUID(c.Tenant) {
		return false
	}
	tenant := strings.ToLower(c.Tenant)
	return c.Issuer == v.authority+"/"+tenant+"/v2.0" || c.Issuer == "https://sts.windows.net/"+tenant+"/"
}

// meant reports whether the token is for us, and for nobody else.
func (v *Verifier) meant(audience []string) bool {
	if len(audience) != 1 {
		return false
	}
	for _, a := range v.audiences {
		if strings.EqualFold(audience[0], a) {
			return true
		}
	}
	return false
}

// fault says what is wrong with a token, in words of ours: those of the parser
// may quote it.
func fault(err error) string {
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return "it has expired; get a new one"
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return "it is not valid yet; are the clocks right?"
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return "it lacks exp or nbf"
	case errors.Is(err, errUnknownKey):
		return "it is signed by a key that the tenant does not have"
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return "its signature is not valid, or not of RS256"
	}
	return "it can't be read"
}

func firstOf(all ...string) string {
	for _, s := range all {
		if s != "" {
			return s
		}
	}
	return ""
}

// plain is an ID as Entra writes it, and nothing else.
func plain(id string) string {
	if IsGUID(id) {
		return id
	}
	return ""
}
