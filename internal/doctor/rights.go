package doctor

import (
	"context"
	"fmt"
	"strings"
)

// A Scope is where actions are needed, and what for.
type Scope struct {
	ID      string // ARM ID
	Actions []string
	Role    string // the custom role that has them
	Why     string // what doesn't work without them
}

// Rights asks what the identity may do at a scope, and names each action that
// is missing. Nothing is tried: what it takes to start and to delete captures
// can't be tried without doing it.
func Rights(s Scope, permitted func(ctx context.Context, scope string) (allow func(action string) bool, err error)) Check {
	return Check{Name: "permission", Look: func(ctx context.Context) []Line {
		allow, err := permitted(ctx, s.ID)
		if err != nil {
			return []Line{{
				Subject: s.ID, Status: Unknown, What: err.Error(),
				Do: fmt.Sprintf("have %s read there, or compare the identity's roles there with: %s", "Microsoft.Authorization/permissions", strings.Join(s.Actions, ", ")),
			}}
		}
		var lines []Line
		for _, action := range s.Actions {
			if !allow(action) {
				lines = append(lines, Line{
					Subject: action, Status: Wrong, What: fmt.Sprintf("missing on %s: %s", s.ID, s.Why),
					Do: fmt.Sprintf("assign the role %q there to the app's identity", s.Role),
				})
			}
		}
		if len(lines) == 0 {
			lines = []Line{Good(s.ID, "all %d actions of the role %q", len(s.Actions), s.Role)}
		}
		return lines
	}}
}
