// Package credential chooses how the app proves who it is: as a managed
// identity in Azure, as the person signed in to the Azure CLI on a laptop.
// There is no chain of attempts: one that falls through to somebody else's
// identity has surprised many.
package credential

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// The kinds of credential.
const (
	ManagedIdentity = "managedidentity"
	AzureCLI        = "azurecli"
)

// New returns the credential of that kind. The client ID says which of the
// app's user-assigned identities is meant; empty is the one that the system
// assigned. The Azure CLI has no use for it.
func New(kind, clientID string) (azcore.TokenCredential, error) {
	switch kind {
	case ManagedIdentity:
		o := &azidentity.ManagedIdentityCredentialOptions{}
		if clientID != "" {
			o.ID = azidentity.ClientID(clientID)
		}
		c, err := azidentity.NewManagedIdentityCredential(o)
		if err != nil {
			return nil, fmt.Errorf("set up the managed identity: %w", err)
		}
		return c, nil
	case AzureCLI:
		if clientID != "" {
			return nil, fmt.Errorf("credential %q takes no client ID: it is whoever is signed in with az login", kind)
		}
		c, err := azidentity.NewAzureCLICredential(nil)
		if err != nil {
			return nil, fmt.Errorf("set up the Azure CLI's credential: %w", err)
		}
		return c, nil
	}
	return nil, fmt.Errorf("credential %q is unknown: choose %s or %s", kind, ManagedIdentity, AzureCLI)
}

// Loopback returns a credential that presents a fixed token, for the services
// of a local run. It refuses an endpoint that is not on this machine, and
// gives the token to no other audience than that endpoint.
func Loopback(endpoint, token string) (azcore.TokenCredential, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%q is not the URL of a local service", endpoint)
	}
	if a, err := netip.ParseAddr(u.Hostname()); u.Hostname() != "localhost" && (err != nil || !a.IsLoopback()) {
		return nil, fmt.Errorf("%q is not on this machine: sign in with %s or %s instead", endpoint, ManagedIdentity, AzureCLI)
	}
	if token == "" {
		return nil, errors.New("the local credential needs a token")
	}
	return loopback{audience: strings.TrimSuffix(endpoint, "/"), token: token}, nil
}

type loopback struct{ audience, token string }

func (l loopback) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	for _, scope := range o.Scopes {
		if strings.TrimSuffix(scope, "/.default") != l.audience {
			return azcore.AccessToken{}, fmt.Errorf("the local credential of %q is asked for a token for %q", l.audience, scope)
		}
	}
	return azcore.AccessToken{Token: l.token, ExpiresOn: time.Now().Add(24 * time.Hour)}, nil
}
