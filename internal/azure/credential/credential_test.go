package credential

import (
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

func TestNew(t *testing.T) {
	const id = "11111111-2222-3333-4444-555555555555"
	c, err := New(ManagedIdentity, id)
	if _, ok := c.(*azidentity.ManagedIdentityCredential); !ok || err != nil {
		t.Errorf("New(%q) = %T, %v", ManagedIdentity, c, err)
	}
	if c, err = New(ManagedIdentity, ""); err != nil || c == nil {
		t.Errorf("New(%q) without a client ID = %T, %v", ManagedIdentity, c, err)
	}
	c, err = New(AzureCLI, "")
	if _, ok := c.(*azidentity.AzureCLICredential); !ok || err != nil {
		t.Errorf("New(%q) = %T, %v", AzureCLI, c, err)
	}
	if _, err := New(AzureCLI, id); err == nil {
		t.Error("the Azure CLI took a client ID, which would have no effect")
	}
}

func TestNewUnknownKindListsTheChoices(t *testing.T) {
	for _, kind := range []string{"", "default", "ManagedIdentity"} {
		c, err := New(kind, "")
		if err == nil || c != nil || !strings.Contains(err.Error(), ManagedIdentity) || !strings.Contains(err.Error(), AzureCLI) {
			t.Errorf("New(%q) = %v, %v; want an error that lists the choices", kind, c, err)
		}
	}
}

func TestLoopbackStaysHere(t *testing.T) {
	for _, endpoint := range []string{"http://127.0.0.1:8080", "http://localhost:1/", "http://[::1]:80"} {
		if _, err := Loopback(endpoint, "t"); err != nil {
			t.Errorf("Loopback(%q): %v", endpoint, err)
		}
	}
	for _, endpoint := range []string{
		"", "127.0.0.1", "https://management.azure.com", "http://10.0.0.4", "http://127.0.0.1.example.com", "http://localhost@example.com", "http://0.0.0.0:80",
	} {
		if _, err := Loopback(endpoint, "t"); err == nil {
			t.Errorf("Loopback(%q) gave a credential", endpoint)
		}
	}
	if _, err := Loopback("http://127.0.0.1", ""); err == nil {
		t.Error("Loopback without a token gave a credential")
	}
}

func TestLoopbackTokenForItsAudienceOnly(t *testing.T) {
	c, err := Loopback("http://127.0.0.1:8080/", "secret")
	if err != nil {
		t.Fatal(err)
	}
	tok, err := c.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"http://127.0.0.1:8080/.default"}})
	if err != nil || tok.Token != "secret" {
		t.Errorf("GetToken = %q, %v", tok.Token, err)
	}
	tok, err = c.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"https://management.azure.com/.default"}})
	if err == nil || tok.Token != "" || strings.Contains(err.Error(), "secret") {
		t.Errorf("GetToken for Azure = %q, %v; want an error without the token", tok.Token, err)
	}
}
