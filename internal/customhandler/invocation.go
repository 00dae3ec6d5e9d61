package customhandler

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"regexp"
)

// readInvocation reads {"Data":{BINDING:VALUE},"Metadata":{...}}. Whatever the
// host adds to that later is skipped.
func readInvocation(s *scanner, f Function) (call, metadata, error) {
	var (
		run          call
		m            metadata
		hasData      bool
		hasMetadata  bool
		payloadError error
	)
	err := s.object(func(key string) error {
		switch key {
		case "Data":
			if hasData {
				return s.errorf("Data twice")
			}
			hasData = true
			return s.object(func(name string) error {
				if run != nil {
					return s.errorf("more than one binding in Data; %s has its trigger only", f.Name)
				}
				var err error
				if run, err = f.read(s); IsPermanent(err) {
					payloadError = err
				}
				return err
			})
		case "Metadata":
			if hasMetadata {
				return s.errorf("Metadata twice")
			}
			hasMetadata = true
			return m.read(s)
		}
		return s.skip()
	})
	if payloadError != nil {
		return nil, m, payloadError
	}
	if err == nil {
		err = s.end()
	}
	if err == nil && run == nil {
		err = s.errorf("no Data of a binding")
	}
	if err == nil {
		return run, m, nil
	}
	status := http.StatusBadRequest
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok || errors.Is(err, errTooLong) {
		status = http.StatusRequestEntityTooLarge
	} else if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the JSON ends too early")
	}
	return nil, m, &protocolError{status, err}
}

// invocation is what the context of a function carries.
type invocation struct {
	id          string
	function    string
	traceParent string
	lines       lines
}

type invocationKey struct{}

func withInvocation(ctx context.Context, inv *invocation) context.Context {
	return context.WithValue(ctx, invocationKey{}, inv)
}

func invocationOf(ctx context.Context) *invocation {
	inv, _ := ctx.Value(invocationKey{}).(*invocation)
	return inv
}

var (
	plainID = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
	// traceContext is version 00 of W3C Trace Context; ids of all zeros are
	// invalid there.
	traceContext = regexp.MustCompile(`^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$`)
)

const (
	noTrace  = "00000000000000000000000000000000"
	noParent = "0000000000000000"
)

func newInvocation(h http.Header, function string) *invocation {
	inv := &invocation{id: h.Get("X-Azure-Functions-InvocationId"), function: function}
	if !plainID.MatchString(inv.id) {
		inv.id = "local-" + rand.Text() // not from the host, but to be found in the log all the same
	}
	if m := traceContext.FindStringSubmatch(h.Get("Traceparent")); m != nil && m[1] != noTrace && m[2] != noParent {
		inv.traceParent = m[0]
	}
	return inv
}

// InvocationID is the host's id of the invocation that ctx belongs to, "" when
// it belongs to none.
func InvocationID(ctx context.Context) string {
	if inv := invocationOf(ctx); inv != nil {
		return inv.id
	}
	return ""
}

// FunctionName is the function that ctx belongs to, "" when it belongs to none.
func FunctionName(ctx context.Context) string {
	if inv := invocationOf(ctx); inv != nil {
		return inv.function
	}
	return ""
}

// TraceParent is the traceparent header (W3C Trace Context) of the invocation
// that ctx belongs to. The host sends one only when it traces itself.
func TraceParent(ctx context.Context) string {
	if inv := invocationOf(ctx); inv != nil {
		return inv.traceParent
	}
	return ""
}
