package arm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	azarm "github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// ReadPermissions is the action that [Watcher.Permissions] needs. Nothing
// else does: without it the app works, and cannot say beforehand that it does.
const ReadPermissions = "Microsoft.Authorization/permissions/read"

// permissionsVersion is the API version of the authorization provider.
const permissionsVersion = "2022-04-01"

// Permissions are what the identity may do at a scope, by all its roles there
// and above.
// https://learn.microsoft.com/rest/api/authorization/permissions
type Permissions []permission

type permission struct {
	Actions    []string `json:"actions"`
	NotActions []string `json:"notActions"`
}

// Allow reports whether one of the roles has the action, and does not take it
// away again.
// https://learn.microsoft.com/azure/role-based-access-control/role-definitions#control-and-data-actions
func (all Permissions) Allow(action string) bool {
	return slices.ContainsFunc(all, func(p permission) bool {
		covers := func(pattern string) bool { return wildcard(strings.ToLower(pattern), strings.ToLower(action)) }
		return slices.ContainsFunc(p.Actions, covers) && !slices.ContainsFunc(p.NotActions, covers)
	})
}

// wildcard reports whether the pattern, in which * is any text, is the action.
func wildcard(pattern, action string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == action
	}
	last := len(parts) - 1
	rest, ok := strings.CutPrefix(action, parts[0])
	if !ok || len(rest) < len(parts[last]) || !strings.HasSuffix(rest, parts[last]) {
		return false
	}
	rest = rest[:len(rest)-len(parts[last])]
	for _, part := range parts[1:last] {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return true
}

// Permissions asks what the identity may do at a scope: the ID of a resource,
// a resource group or a subscription.
func (w *Watcher) Permissions(ctx context.Context, scope string) (Permissions, error) {
	id, err := azarm.ParseResourceID(scope)
	if err != nil {
		return nil, refuse(ReadPermissions, "look permissions up: %.300q is no scope", scope)
	}
	client, err := azarm.NewClient("pcapwarden", "v1.0.0", w.cred, &w.options)
	if err != nil {
		return nil, fmt.Errorf("set up the authorization client: %w", err)
	}
	address := runtime.JoinPaths(client.Endpoint(), id.String(), "providers/Microsoft.Authorization/permissions") + "?api-version=" + permissionsVersion
	var all Permissions
	for range 10 { // pages; an identity with more roles has other troubles
		var page struct {
			Value    Permissions `json:"value"`
			NextLink string      `json:"nextLink"`
		}
		req, err := runtime.NewRequest(ctx, http.MethodGet, address)
		if err != nil {
			return nil, err
		}
		resp, err := client.Pipeline().Do(req)
		if err != nil {
			return nil, classify(ReadPermissions, err)
		}
		if !runtime.HasStatusCode(resp, http.StatusOK) {
			return nil, classify(ReadPermissions, runtime.NewResponseError(resp))
		}
		body, err := runtime.Payload(resp)
		if err != nil {
			return nil, unanswered(ReadPermissions, err)
		}
		if json.Unmarshal(body, &page) != nil {
			return nil, errors.New("the answer is no list of permissions")
		}
		all = append(all, page.Value...)
		// A link that leads elsewhere would be sent the token.
		if !strings.HasPrefix(page.NextLink, strings.TrimSuffix(client.Endpoint(), "/")+"/") {
			break
		}
		address = page.NextLink
	}
	return all, nil
}

// Watchers returns the IDs of a subscription's network watchers by region.
func (w *Watcher) Watchers(ctx context.Context, subscription string) (map[string]string, error) {
	places, err := w.places(ctx, subscription, 0)
	if err != nil {
		return nil, err
	}
	ids := map[string]string{}
	for _, p := range places {
		ids[p.region] = "/subscriptions/" + p.subscription + "/resourceGroups/" + p.group + "/providers/Microsoft.Network/networkWatchers/" + p.name
	}
	return ids, nil
}
