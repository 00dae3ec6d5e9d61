package arm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/pcapwarden/pcapwarden/internal/capture"
)

// Error is what Azure answered to a request that it did not carry out: code
// and message as Azure words them, cut and cleaned for a log line. Of the
// rest of the answer nothing is kept.
type Error struct {
	Action  string // see the constants
	Status  int    // HTTP
	Code    string // may be empty
	Message string // may be empty
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: HTTP %d", e.Action, e.Status)
	if e.Code != "" {
		b.WriteString(" " + e.Code)
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	return b.String()
}

// BusyError says that another operation on the same resource is still going
// on. Unlike throttling it says nothing about other resources.
type BusyError struct {
	RetryAfter time.Duration // 0: Azure did not say
	Err        error
}

func (e *BusyError) Error() string { return fmt.Sprintf("another operation is under way: %v", e.Err) }

// Unwrap returns what Azure said.
func (e *BusyError) Unwrap() error { return e.Err }

// busyCodes come with 409 or 429 while Azure is at work on the resource.
// https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling
var busyCodes = map[string]bool{
	"RetryableErrorDueToAnotherOperation": true,
	"AnotherOperationInProgress":          true,
	"RetryableError":                      true,
}

// refusals come with 409 or 404, and yet only a person can resolve them:
// a lock, a resource provider that nobody registered, a subscription that is
// disabled or that the identity may not see. The last one matters most:
// taken for "gone", it would have a running capture forgotten.
var refusals = map[string]bool{
	"ScopeLocked":                     true,
	"MissingSubscriptionRegistration": true,
	"ReadOnlyDisabledSubscription":    true,
	"SubscriptionNotFound":            true,
}

// classify turns what an SDK call returned into the errors that
// [capture.Watcher] promises. The action is the one that the call needs.
func classify(action string, err error) error {
	if err == nil {
		return nil
	}
	answer, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok {
		return unanswered(action, err)
	}
	e := describe(action, answer)
	var wait time.Duration
	if answer.RawResponse != nil {
		wait = retryAfter(answer.RawResponse.Header, time.Now())
	}
	switch status := e.Status; {
	case busyCodes[e.Code]:
		return &BusyError{RetryAfter: wait, Err: e}
	case status == http.StatusTooManyRequests,
		status == http.StatusServiceUnavailable && wait > 0:
		return &capture.ThrottledError{RetryAfter: wait, Err: e}
	case refusals[e.Code]:
		return &capture.DeniedError{Action: action, Err: e}
	case status == http.StatusNotFound && e.Code != "":
		return fmt.Errorf("%w: %w", capture.ErrNotFound, e)
	case status == http.StatusNotFound, status == http.StatusRequestTimeout, status == http.StatusConflict:
		// A 404 without a code is not from Azure but from something on the
		// way: it must not pass for "gone".
		return e
	case status >= 400 && status < 500:
		return &capture.DeniedError{Action: deniedAction(action, e.Message), Err: e}
	}
	return e
}

// refuse is the error for a request that is not sent because Azure would
// refuse it, or accept it and do harm.
func refuse(action, format string, args ...any) error {
	return &capture.DeniedError{Action: action, Err: fmt.Errorf(format, args...)}
}

// unanswered describes a request that got no answer. The text of the SDK's
// errors is not used as it is: it holds URLs with tokens in their queries,
// and the bodies of identity endpoints.
func unanswered(action string, err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("%s: no answer: %w", action, u.Err)
	}
	for _, stop := range []error{context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, stop) {
			return fmt.Errorf("%s: no answer: %w", action, stop)
		}
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return fmt.Errorf("%s: %s", action, clean(first, maxMessage))
}

func describe(action string, answer *azcore.ResponseError) *Error {
	e := &Error{Action: action, Status: answer.StatusCode, Code: clean(answer.ErrorCode, maxCode)}
	if answer.RawResponse == nil {
		return e
	}
	body, err := runtime.Payload(answer.RawResponse)
	if err != nil {
		return e
	}
	type detail struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	var doc struct {
		detail
		Error *detail `json:"error"`
	}
	if json.Unmarshal(body, &doc) != nil {
		return e
	}
	d := doc.detail
	if doc.Error != nil {
		d = *doc.Error
	}
	if e.Code == "" {
		e.Code = clean(d.Code, maxCode)
	}
	e.Message = clean(d.Message, maxMessage)
	return e
}

// namedAction finds the action in Azure's words. A linked authorization
// failure names first what the identity may do, then what it may not.
var namedAction = regexp.MustCompile(`perform (?:the )?actions?(?:\(s\))? '([A-Za-z0-9./*-]{1,200})`)

func deniedAction(called, message string) string {
	if all := namedAction.FindAllStringSubmatch(message, -1); len(all) > 0 {
		return all[len(all)-1][1]
	}
	return called
}

const (
	maxCode    = 100
	maxMessage = 400

	// maxRetryAfter keeps an absurd header from parking a capture for good.
	maxRetryAfter = 24 * time.Hour
)

// retryAfter reads how long Azure wants to be left alone: the header of
// RFC 9110 in both its forms, and the SDK's own in milliseconds.
func retryAfter(h http.Header, now time.Time) time.Duration {
	for _, name := range []string{"Retry-After-Ms", "X-Ms-Retry-After-Ms"} {
		if ms, err := strconv.ParseInt(h.Get(name), 10, 32); err == nil && ms > 0 {
			return min(time.Duration(ms)*time.Millisecond, maxRetryAfter)
		}
	}
	v := h.Get("Retry-After")
	if s, err := strconv.ParseInt(v, 10, 32); err == nil {
		return min(max(0, time.Duration(s)*time.Second), maxRetryAfter)
	}
	if at, err := http.ParseTime(v); err == nil {
		return min(max(0, at.Sub(now)), maxRetryAfter)
	}
	return 0
}

var (
	query = regexp.MustCompile(`(https?://[^\s"'?]+)\?[^\s"']*`)
	sig   = regexp.MustCompile(`(?i)sig=[^\s&"']+`)
	token = regexp.MustCompile(`eyJ[A-Za-z0-9_.-]{16,}`)
)

// clean makes foreign text fit for one log line: no line breaks or other
// control characters, no queries of URLs (they carry SAS), no tokens, at most
// limit bytes.
func clean(s string, limit int) string {
	s = s[:min(len(s), 8*limit)] // enough to see a secret whole, and bounded
	s = query.ReplaceAllString(s, "$1?…")
	s = sig.ReplaceAllString(s, "sig=…")
	s = token.ReplaceAllString(s, "[token]")
	s = strings.ToValidUTF8(s, "�")
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	s = strings.TrimSpace(s)
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return s
}
