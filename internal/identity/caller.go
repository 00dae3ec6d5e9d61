// Package identity knows who calls: it checks the Entra access token of a
// request, and what its bearer may ask for.
package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// The app roles. The deployment declares them; Entra puts those that a person
// or an app was assigned into its tokens.
const (
	Reader   = "Captures.Read"             // sees captures
	Operator = "Captures.Operate"          // stops, deletes, exports
	Approver = "Captures.Approve"          // approves, rejects, holds, releases
	Alerts   = "ActionGroupsSecureWebhook" // sends alerts; the name is Azure Monitor's
)

// ActionGroups is the application that Azure Monitor's action groups call
// secure webhooks as, the same in every tenant.
// https://learn.microsoft.com/azure/azure-monitor/alerts/action-groups
const ActionGroups = "461e8683-5575-4561-ac7f-899cc907d62a"

// The errors of a token that is refused for good, wrapped. Any other error
// says that it could not be checked now.
var (
	ErrToken     = errors.New("not a valid token")  // who calls is unknown: 401
	ErrForbidden = errors.New("not allowed to ask") // who calls is known: 403
)

// A Caller is the bearer of a token.
type Caller struct {
	ObjectID string // of the person or the service principal, in its tenant
	Name     string // sign-in name of a person; empty for an app
	AppID    string // the client that got the token
	Tenant   string
	Roles    []string
	// TokenID tells the calls with one token from those with another. It is
	// no part of the token.
	TokenID string
}

// Has reports whether the caller was assigned one of the roles.
func (c Caller) Has(roles ...string) bool {
	return slices.ContainsFunc(roles, func(r string) bool { return slices.Contains(c.Roles, r) })
}

// maxName bounds a name in records and logs, in bytes.
const maxName = 80

// String names the caller for records: the name that people know, and the
// object ID that stays when a name is given to somebody else.
func (c Caller) String() string {
	name := strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) { // a name must not turn around the line that it stands in
			return unicode.ReplacementChar
		}
		return r
	}, c.Name)
	for len(name) > maxName {
		runes := []rune(name)
		name = string(runes[:len(runes)-1])
	}
	switch {
	case name == "" && c.ObjectID == "":
		return "app " + c.AppID
	case name == "":
		return fmt.Sprintf("app %s (object %s)", c.AppID, c.ObjectID)
	case c.ObjectID == "":
		return name
	}
	return fmt.Sprintf("%s (object %s)", name, c.ObjectID)
}

// A Need is what a caller has to be.
type Need struct {
	App   string   // the one client that may ask; empty: any
	Roles []string // one of them
}

// check returns ErrForbidden for a caller who is not what is needed.
func (n Need) check(c Caller) error {
	switch {
	case n.App != "" && !strings.EqualFold(c.AppID, n.App):
		return fmt.Errorf("%w: this is for application %s alone", ErrForbidden, n.App)
	case !c.Has(n.Roles...):
		return fmt.Errorf("%w: it needs the app role %s; have it assigned in Entra, under the app's enterprise application",
			ErrForbidden, strings.Join(n.Roles, " or "))
	}
	return nil
}

// A Check finds out who sent an Authorization header: [ErrToken],
// [ErrForbidden]. [Verifier.Verify] is one.
type Check func(ctx context.Context, authorization string) (Caller, error)

// Unchecked takes anybody for somebody with every role. It is for local runs.
func Unchecked(context.Context, string) (Caller, error) {
	return Caller{Name: "local run", AppID: ActionGroups, Roles: []string{Reader, Operator, Approver, Alerts}}, nil
}

type callerKey struct{}

// WithCaller returns a context that carries who calls.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf is who calls; nobody, with no role, where nothing was checked.
func CallerOf(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}
