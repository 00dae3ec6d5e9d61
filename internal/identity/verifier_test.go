package identity_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pcapwarden/pcapwarden/internal/identity"
	"github.com/pcapwarden/pcapwarden/internal/identity/identitytest"
)

var t0 = time.Date(2026, 3, 17, 2, 10, 0, 0, time.UTC)

func newVerifier(t *testing.T, i *identitytest.Issuer, now *time.Time) *identity.Verifier {
	t.Helper()
	v, err := identity.NewVerifier(identity.Options{
		Tenant: identitytest.Tenant, Audience: identitytest.Audience, Authority: i.URL,
		Now: func() time.Time { return *now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVerify(t *testing.T) {
	i, now := identitytest.Start(t), t0
	v := newVerifier(t, i, &now)
	const other = "eeeeeeee-1111-4222-8333-444444444444"
	with := func(changes jwt.MapClaims) jwt.MapClaims {
		c := i.Claims(t0, identity.Reader)
		for name, value := range changes {
			if c[name] = value; value == nil {
				delete(c, name)
			}
		}
		return c
	}
	kid, public := i.PublicKey()
	der := x509.MarshalPKCS1PublicKey(public)
	signed := func(m jwt.SigningMethod, key any, header map[string]any) string {
		tok := jwt.NewWithClaims(m, with(nil))
		tok.Header["kid"] = kid
		maps.Copy(tok.Header, header)
		s, err := tok.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	good := i.Sign(with(nil))
	stranger := identitytest.Start(t)
	stranger.Rotate()
	tests := []struct {
		name  string
		token string
		err   error
		says  string
	}{
		{"v2.0", good, nil, ""},
		{"v1.0", i.Sign(with(jwt.MapClaims{
			"iss": "https://sts.windows.net/" + identitytest.Tenant + "/", "azp": nil, "appid": identity.ActionGroups,
			"preferred_username": nil, "upn": "ann@example.com",
		})), nil, ""},
		{"client ID as audience", i.Sign(with(jwt.MapClaims{"aud": strings.TrimPrefix(identitytest.Audience, "api://")})), nil, ""},
		{"clock behind within the skew", i.Sign(with(jwt.MapClaims{"nbf": t0.Add(4 * time.Minute).Unix()})), nil, ""},
		{"expired within the skew", i.Sign(with(jwt.MapClaims{"exp": t0.Add(-4 * time.Minute).Unix()})), nil, ""},

		{"none at all", "", identity.ErrToken, "there is none"},
		{"garbage", "garbage", identity.ErrToken, "can't be read"},
		{"three parts of garbage", "a.b.c", identity.ErrToken, "can't be read"},
		{"too long", strings.Repeat("x", 20_000), identity.ErrToken, "bytes"},
		{"expired", i.Sign(with(jwt.MapClaims{"exp": t0.Add(-6 * time.Minute).Unix()})), identity.ErrToken, "expired"},
		{"not valid yet", i.Sign(with(jwt.MapClaims{"nbf": t0.Add(6 * time.Minute).Unix()})), identity.ErrToken, "not valid yet"},
		{"no expiry", i.Sign(with(jwt.MapClaims{"exp": nil})), identity.ErrToken, "exp"},
		{"no beginning", i.Sign(with(jwt.MapClaims{"nbf": nil})), identity.ErrToken, "nbf"},
		{"expiry is text", i.Sign(with(jwt.MapClaims{"exp": "soon"})), identity.ErrToken, "can't be read"},
		{"another audience", i.Sign(with(jwt.MapClaims{"aud": "https://management.azure.com"})), identity.ErrToken, "audience"},
		{"no audience", i.Sign(with(jwt.MapClaims{"aud": nil})), identity.ErrToken, "audience"},
		{"two audiences", i.Sign(with(jwt.MapClaims{"aud": []string{identitytest.Audience, "x"}})), identity.ErrToken, "audience"},
		{"another issuer", i.Sign(with(jwt.MapClaims{"iss": "https://evil.example/" + identitytest.Tenant + "/v2.0"})), identity.ErrToken, "not issued"},
		{"issuer of another tenant than tid", i.Sign(with(jwt.MapClaims{"tid": other})), identity.ErrToken, "not issued"},
		{"no tenant", i.Sign(with(jwt.MapClaims{"tid": nil})), identity.ErrToken, "not issued"},
		{"alg none", signed(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil), identity.ErrToken, "signature"},
		{"HS256 with the public key", signed(jwt.SigningMethodHS256, der, nil), identity.ErrToken, "signature"},
		{"unknown key", stranger.Sign(with(nil)), identity.ErrToken, "key"},
		{"changed after signing", good[:len(good)-6] + "AAAAAA", identity.ErrToken, "signature"},
		{"another tenant", i.Sign(with(jwt.MapClaims{"tid": other, "iss": i.URL + "/" + other + "/v2.0"})), identity.ErrForbidden, "another tenant"},
		{"another tenant, v1.0", i.Sign(with(jwt.MapClaims{"tid": other, "iss": "https://sts.windows.net/" + other + "/"})), identity.ErrForbidden, "another tenant"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			header := "Bearer " + tt.token
			if tt.token == "" {
				header = ""
			}
			c, err := v.Verify(t.Context(), header)
			if !errors.Is(err, tt.err) {
				t.Fatalf("Verify = %v, want %v", err, tt.err)
			}
			if err != nil {
				if !strings.Contains(err.Error(), tt.says) {
					t.Errorf("error %q does not say %q", err, tt.says)
				}
				if len(tt.token) > 10 && strings.Contains(err.Error(), tt.token[:10]) {
					t.Errorf("error %q quotes the token", err)
				}
				return
			}
			want := identity.Caller{
				ObjectID: "cccccccc-1111-4222-8333-444444444444", Name: "ann@example.com", Tenant: identitytest.Tenant,
				Roles: []string{identity.Reader},
			}
			if diff := cmp.Diff(want, c, cmpopts.IgnoreFields(identity.Caller{}, "AppID", "TokenID")); diff != "" {
				t.Errorf("caller (-want +got):\n%s", diff)
			}
			if c.AppID == "" || c.TokenID == "" || strings.Contains(tt.token, c.TokenID) {
				t.Errorf("caller %+v: want the app, and an ID that is not of the token", c)
			}
		})
	}
	for _, scheme := range []string{"bearer " + good, "BEARER " + good} {
		if _, err := v.Verify(t.Context(), scheme); err != nil {
			t.Errorf("%s: %v; schemes have no case", scheme[:6], err)
		}
	}
	for _, scheme := range []string{"Basic " + good, good, "Bearer", "Bearer  " + good} {
		if _, err := v.Verify(t.Context(), scheme); !errors.Is(err, identity.ErrToken) {
			t.Errorf("%.10q...: %v, want ErrToken", scheme, err)
		}
	}
}

// Keys are fetched once, again after an hour or for a new key, and never more
// often than every 30 s, whatever key IDs are made up.
func TestKeysAreKept(t *testing.T) {
	i, now := identitytest.Start(t), t0
	v := newVerifier(t, i, &now)
	verify := func(want error) {
		t.Helper()
		if _, err := v.Verify(t.Context(), "Bearer "+i.Sign(i.Claims(now))); !errors.Is(err, want) {
			t.Errorf("at %v: Verify = %v, want %v", now.Sub(t0), err, want)
		}
	}
	fetches := func(want int32) {
		t.Helper()
		if got := i.Fetches.Load(); got != want {
			t.Errorf("at %v: %d fetches, want %d", now.Sub(t0), got, want)
		}
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { verify(nil) })
	}
	wg.Wait()
	fetches(1)
	now = now.Add(59 * time.Minute)
	verify(nil)
	fetches(1)
	now = now.Add(2 * time.Minute)
	verify(nil)
	fetches(2)

	old := i.Claims(now)
	stale := i.Sign(old)
	i.Rotate()
	verify(identity.ErrToken) // too soon to ask again
	fetches(2)
	now = now.Add(31 * time.Second)
	verify(nil)
	fetches(3)
	if _, err := v.Verify(t.Context(), "Bearer "+stale); !errors.Is(err, identity.ErrToken) {
		t.Errorf("a token of the withdrawn key: %v, want ErrToken", err)
	}
	fetches(3)
}

// Without keys nobody is known, and nobody is called a liar.
func TestKeysFailClosed(t *testing.T) {
	i, now := identitytest.Start(t), t0
	v := newVerifier(t, i, &now)
	try := func() error {
		_, err := v.Verify(t.Context(), "Bearer "+i.Sign(i.Claims(now)))
		return err
	}
	transient := func(err error) bool {
		return err != nil && !errors.Is(err, identity.ErrToken) && !errors.Is(err, identity.ErrForbidden)
	}
	i.Down(true)
	for range 3 {
		if err := try(); !transient(err) {
			t.Fatalf("without keys: %v, want an error that may go away", err)
		}
	}
	if got := i.Fetches.Load(); got != 1 {
		t.Errorf("%d fetches of an issuer that is down, want 1", got)
	}
	i.Down(false)
	now = now.Add(time.Minute)
	if err := try(); err != nil {
		t.Fatal(err)
	}
	i.Down(true)
	now = now.Add(23 * time.Hour)
	if err := try(); err != nil {
		t.Errorf("the keys of yesterday: %v", err)
	}
	now = now.Add(2 * time.Hour)
	if err := try(); !transient(err) {
		t.Errorf("keys older than a day: %v, want an error that may go away", err)
	}
}

func TestKeySetsThatAreRefused(t *testing.T) {
	rsaKey := func(n, e string) string {
		return fmt.Sprintf(`{"keys":[{"kty":"RSA","use":"sig","kid":"key-1","n":%q,"e":%q}]}`, n, e)
	}
	tests := []struct{ name, body string }{
		{"no JSON", "<html>"},
		{"no keys", `{"keys":[]}`},
		{"a short key", rsaKey(strings.Repeat("_", 86), "AQAB")},
		{"a huge key", rsaKey(strings.Repeat("_", 4000), "AQAB")},
		{"exponent 1", rsaKey(strings.Repeat("_", 342), "AQ")},
		{"an even exponent", rsaKey(strings.Repeat("_", 342), "AQAA")},
		{"a huge exponent", rsaKey(strings.Repeat("_", 342), "AQABAQAB")},
		{"another kind", `{"keys":[{"kty":"oct","kid":"key-1","k":"AAAA"}]}`},
		{"for encryption", strings.Replace(rsaKey(strings.Repeat("_", 342), "AQAB"), `"sig"`, `"enc"`, 1)},
		{"too many", `{"keys":[` + strings.Repeat(`{},`, 100) + `{}]}`},
		{"endless", strings.Repeat(" ", 2<<20)},
	}
	i := identitytest.Start(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, tt.body) }))
			defer server.Close()
			v, err := identity.NewVerifier(identity.Options{Tenant: identitytest.Tenant, Audience: identitytest.Audience, Authority: server.URL})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := v.Verify(t.Context(), i.Bearer()); err == nil || errors.Is(err, identity.ErrToken) {
				t.Errorf("Verify = %v, want an error about the keys", err)
			}
		})
	}
	server := httptest.NewServer(http.RedirectHandler(i.URL+"/"+identitytest.Tenant+"/discovery/v2.0/keys", http.StatusFound))
	defer server.Close()
	v, err := identity.NewVerifier(identity.Options{Tenant: identitytest.Tenant, Audience: identitytest.Audience, Authority: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), i.Bearer()); err == nil || i.Fetches.Load() != 0 {
		t.Errorf("a redirect was followed: %v, %d fetches", err, i.Fetches.Load())
	}
}

func TestNewVerifierRefuses(t *testing.T) {
	for _, o := range []identity.Options{
		{Tenant: "common", Audience: "api://x"},
		{Tenant: "organizations", Audience: "api://x"},
		{Tenant: "", Audience: "api://x"},
		{Tenant: identitytest.Tenant},
	} {
		if _, err := identity.NewVerifier(o); err == nil {
			t.Errorf("NewVerifier(%+v) took that", o)
		}
	}
}

func TestCallerString(t *testing.T) {
	tests := []struct {
		caller identity.Caller
		want   string
	}{
		{identity.Caller{Name: "ann@example.com", ObjectID: "1"}, "ann@example.com (object 1)"},
		{identity.Caller{AppID: "2", ObjectID: "1"}, "app 2 (object 1)"},
		{identity.Caller{Name: "a\u202eb\nc"}, "a\uFFFDb\uFFFDc"},
	}
	for _, tt := range tests {
		if got := tt.caller.String(); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.caller, got, tt.want)
		}
	}
	if got := (identity.Caller{Name: strings.Repeat("é", 500)}).String(); len(got) > 80 {
		t.Errorf("a long name has %d bytes in a record", len(got))
	}
}

// FuzzVerify: what no key signed is never accepted, and never quoted.
func FuzzVerify(f *testing.F) {
	i := identitytest.Start(f)
	v, err := identity.NewVerifier(identity.Options{Tenant: identitytest.Tenant, Audience: identitytest.Audience, Authority: i.URL})
	if err != nil {
		f.Fatal(err)
	}
	good := i.Bearer(identity.Reader)
	f.Add("Bearer a.b.c")
	f.Add("Bearer eyJhbGciOiJub25lIn0.e30.")
	f.Add(good[:len(good)-20])
	f.Add("Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6ImtleS0xIn0.e30.AAAA")
	f.Fuzz(func(t *testing.T, header string) {
		_, err := v.Verify(t.Context(), header)
		if err == nil {
			t.Fatalf("%q is accepted", header)
		}
		if len(err.Error()) > 300 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	})
}
