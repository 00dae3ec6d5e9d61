package customhandler

import (
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"
)

// maxErrorText caps the text of an error in logs and answers, in bytes: it may
// quote what an attacker sent.
const maxErrorText = 1 << 10

// Permanent marks an error that trying again does not mend: the invocation is
// recorded as failed and not delivered again. An HTTP caller gets status 400
// and the text of err, which should say what to do; it must hold nothing that
// the caller may not see.
//
// Permanent(nil) is nil.
func Permanent(err error) error {
	return Refused(http.StatusBadRequest, err)
}

// Refused is [Permanent] with the HTTP status that the caller gets: 4xx, but
// not 408 and 429, which ask an action group to try again. Any other status
// becomes 400. Triggers other than HTTP have no use for the status.
func Refused(status int, err error) error {
	if err == nil {
		return nil
	}
	if status < 400 || status > 499 || status == http.StatusRequestTimeout || status == http.StatusTooManyRequests {
		status = http.StatusBadRequest
	}
	return &permanentError{err, status}
}

// IsPermanent reports whether err was marked by [Permanent] or [Refused].
func IsPermanent(err error) bool {
	_, ok := asPermanent(err)
	return ok
}

func asPermanent(err error) (*permanentError, bool) {
	return errors.AsType[*permanentError](err)
}

type permanentError struct {
	err    error
	status int
}

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// errorText is the text of err, capped and valid UTF-8.
func errorText(err error) string {
	text := strings.ToValidUTF8(err.Error(), "\uFFFD")
	return cut(text, maxErrorText)
}

// cut shortens text to at most limit bytes plus a mark, between runes.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit] + "..."
}
