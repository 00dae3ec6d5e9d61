package arm

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// A Fault is how a request goes wrong. The zero value does no harm.
type Fault struct {
	// Delay passes before anything else happens.
	Delay time.Duration
	// AfterEffect carries the request out before the fault strikes, so that
	// its sender cannot know what happened.
	AfterEffect bool
	// Hang gives no answer until the client gives up.
	Hang bool
	// Drop closes the connection without an answer.
	Drop bool
	// Status is answered in place of what would have been, with Code and
	// Message as the error and RetryAfter as its header.
	Status     int
	Code       string
	Message    string
	RetryAfter time.Duration
	// FailOperation accepts the request and has the operation that it began
	// fail with this message. Nothing is started, stopped or deleted.
	FailOperation string
}

// strikes reports whether the answer is not what it would have been.
func (f *Fault) strikes() bool { return f != nil && (f.Hang || f.Drop || f.Status != 0) }

// wait returns false if the client was gone, or the server closed, before the
// delay was over.
func (f *Fault) wait(ctx context.Context, closing <-chan struct{}) bool {
	if f == nil || f.Delay <= 0 {
		return true
	}
	t := time.NewTimer(f.Delay)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-closing:
	}
	return false
}

func (f *Fault) answer() *answer {
	a := fail(f.Status, f.Code, "%s", f.Message)
	if f.RetryAfter > 0 {
		a.header = http.Header{"Retry-After": {strconv.Itoa(int((f.RetryAfter + time.Second - 1) / time.Second))}}
	}
	return a
}
