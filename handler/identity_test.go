package main

import (
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pcapwarden/pcapwarden/internal/identity"
	"github.com/pcapwarden/pcapwarden/internal/identity/identitytest"
	"github.com/pcapwarden/pcapwarden/internal/local/loop"
)

// guarded are the options of an app that checks tokens of a local issuer.
func guarded(t *testing.T) (loop.Options, *identitytest.Issuer) {
	t.Helper()
	i := identitytest.Start(t)
	o := localOptions(t, "partner-tls")
	maps.Copy(o.Settings, map[string]string{
		"PCAPWARDEN_AUTH": "entra", "PCAPWARDEN_TENANT_ID": identitytest.Tenant,
		"PCAPWARDEN_AUDIENCE": identitytest.Audience, "PCAPWARDEN_AUTHORITY": i.URL,
	})
	return o, i
}

// call sends a request to a function of the app, with its key.
func call(t *testing.T, l *loop.Loop, method, function, path, authorization, body string) (int, http.Header, string) {
	t.Helper()
	url, ok := l.Host.FunctionURL(function)
	if !ok {
		t.Fatalf("no function %s", function)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("x-functions-key", l.Host.FunctionKey())
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(answer)
}

// TestAlertsNeedAToken sends alerts with all kinds of tokens to the real
// endpoint: Azure Monitor's alone is taken.
func TestAlertsNeedAToken(t *testing.T) {
	o, i := guarded(t)
	l := startLoop(t, o)
	alert := string(o.Scenario.Alert(time.Now().UTC(), time.Time{}))
	const other = "eeeeeeee-1111-4222-8333-444444444444"
	token := func(changes jwt.MapClaims) string {
		c := i.Claims(time.Now(), identity.Alerts)
		c["azp"] = identity.ActionGroups
		maps.Copy(c, changes)
		return "Bearer " + i.Sign(c)
	}
	none := jwt.NewWithClaims(jwt.SigningMethodNone, i.Claims(time.Now(), identity.Alerts))
	unsigned, err := none.SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, authorization string
		status              int
	}{
		{"no token", "", http.StatusUnauthorized},
		{"no bearer", "Basic YTpi", http.StatusUnauthorized},
		{"alg none", "Bearer " + unsigned, http.StatusUnauthorized},
		{"expired", token(jwt.MapClaims{"exp": time.Now().Add(-time.Hour).Unix()}), http.StatusUnauthorized},
		{"another audience", token(jwt.MapClaims{"aud": "https://management.azure.com"}), http.StatusUnauthorized},
		{"another issuer", token(jwt.MapClaims{"iss": "https://evil.example/"}), http.StatusUnauthorized},
		{"another app", token(jwt.MapClaims{"azp": other}), http.StatusForbidden},
		{"no role", token(jwt.MapClaims{"roles": nil}), http.StatusForbidden},
		{"another role", token(jwt.MapClaims{"roles": []string{identity.Approver}}), http.StatusForbidden},
		{"another tenant", token(jwt.MapClaims{"tid": other, "iss": i.URL + "/" + other + "/v2.0"}), http.StatusForbidden},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, header, answer := call(t, l, http.MethodPost, "startcaptures", "", tt.authorization, alert)
			if status != tt.status || header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("answered %d %s: %s; want %d and a problem", status, header.Get("Content-Type"), answer, tt.status)
			}
			if (status == http.StatusUnauthorized) != (header.Get("WWW-Authenticate") != "") {
				t.Errorf("%d has WWW-Authenticate %q", status, header.Get("WWW-Authenticate"))
			}
			if strings.Contains(answer, o.Scenario.Subscription) || strings.Contains(answer, "evil") {
				t.Errorf("the answer repeats what was sent: %s", answer)
			}
		})
	}
	for c, err := range l.Ledger.OpenCases(t.Context(), "") {
		t.Errorf("a case was recorded: %v, %v", c.ID, err)
	}
	if status, _, answer := call(t, l, http.MethodPost, "startcaptures", "", token(nil), alert); status != http.StatusAccepted {
		t.Errorf("Azure Monitor's token was answered %d %s", status, answer)
	}
}

// TestAlertsWhileEntraIsDown: nobody is let in, and the action group is told
// to come again.
func TestAlertsWhileEntraIsDown(t *testing.T) {
	o, i := guarded(t)
	i.Down(true)
	l := startLoop(t, o)
	status, _, answer := call(t, l, http.MethodPost, "startcaptures", "", i.Bearer(identity.Alerts), "{}")
	if status != http.StatusServiceUnavailable {
		t.Errorf("answered %d %s, want 503", status, answer)
	}
}
