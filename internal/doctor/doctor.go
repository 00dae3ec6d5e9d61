// Package doctor knows what has to be there for the app to do its work, and
// says of what is not which it is, and what to do.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Status is what came of looking at something.
type Status string

// The statuses.
const (
	OK      Status = "ok"
	Wrong   Status = "wrong"   // the app can't do its work
	Unknown Status = "unknown" // it could not be found out; Do says how it could
	Note    Status = "note"    // worth a look
)

// A Line is one finding, for one line of text.
type Line struct {
	Check   string `json:"check"`   // "records", "permission", ...
	Subject string `json:"subject"` // which one: a setting, an action, an account
	Status  Status `json:"status"`
	What    string `json:"what"`         // what was found
	Do      string `json:"do,omitempty"` // what to do about it
}

// A Check looks at one thing. It changes nothing that anybody else sees.
type Check struct {
	Name string
	Look func(ctx context.Context) []Line
}

// atOnce is how many checks run at the same time.
const atOnce = 8

// Run runs the checks, each for as long as patience lasts, and returns what
// they found in their order.
func Run(ctx context.Context, checks []Check, patience time.Duration) []Line {
	found := make([][]Line, len(checks))
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i, c := range checks {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("no answer within %v", patience))
			defer cancel()
			lines := c.Look(ctx)
			for n := range lines {
				if lines[n].Check == "" {
					lines[n].Check = c.Name
				}
			}
			found[i] = lines
		})
	}
	wg.Wait()
	return slices.Concat(found...)
}

// Healthy reports whether nothing is wrong.
func Healthy(lines []Line) bool {
	return !slices.ContainsFunc(lines, func(l Line) bool { return l.Status == Wrong })
}

// Good is a line about what is as it should be.
func Good(subject, what string, args ...any) Line {
	return Line{Subject: subject, Status: OK, What: fmt.Sprintf(what, args...)}
}

// Bad is a line about what is not, with what to do.
func Bad(subject string, err error, do string, args ...any) Line {
	return Line{Subject: subject, Status: Wrong, What: err.Error(), Do: fmt.Sprintf(do, args...)}
}

// each calls f with every error that was joined into err.
func each(err error, f func(error)) {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range many.Unwrap() {
			each(one, f)
		}
		return
	}
	if err != nil {
		f(err)
	}
}

// Mistakes makes a line of every error that was joined into err.
func Mistakes(subject string, err error, do string) (lines []Line) {
	each(err, func(one error) { lines = append(lines, Bad(subject, one, "%s", do)) })
	return lines
}

// overdue reports whether an error is that a check got no answer in time.
func overdue(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded)
}
