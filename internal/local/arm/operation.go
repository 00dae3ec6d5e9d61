package arm

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// An operation is what goes on after an answer of 201 or 202, until it has
// succeeded or failed.
type operation struct {
	id, subscription, region string

	done       bool
	err        error
	properties bool           // the status document has an empty "properties"
	result     func() *answer // of the operation, once it has succeeded; called with the lock held
}

// maxOperations is how many are remembered; the ended ones go first.
const maxOperations = 2000

// begin runs work after the answer. The lock is held by the caller, not by
// the work.
func (s *Server) begin(r *request, region string, work func() error) *operation {
	if len(s.operations) >= maxOperations {
		for id, op := range s.operations {
			if op.done {
				delete(s.operations, id)
			}
		}
	}
	op := &operation{id: newID(), subscription: r.subscription, region: region}
	s.operations[op.id] = op
	s.work.Go(func() {
		err := work()
		s.mu.Lock()
		defer s.mu.Unlock()
		op.done, op.err = true, err
	})
	return op
}

// headers say where an operation is followed.
func (s *Server) headers(r *request, op *operation, async, location bool) http.Header {
	h := http.Header{}
	at := func(kind string) string {
		return fmt.Sprintf("http://%s/subscriptions/%s/providers/Microsoft.Network/locations/%s/%s/%s?api-version=%s",
			r.Host, op.subscription, op.region, kind, op.id, r.URL.Query().Get("api-version"))
	}
	if async {
		h.Set("Azure-Asyncoperation", at("operations"))
	}
	if location {
		h.Set("Location", at("operationResults"))
	}
	s.retryAfter(h)
	return h
}

// retryAfter asks the client to wait. Less than a second goes into the header
// that the Azure SDKs know besides.
func (s *Server) retryAfter(h http.Header) {
	wait := s.options.RetryAfter
	h.Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
	if wait < time.Second {
		h.Set("Retry-After-Ms", strconv.Itoa(int(max(1, wait/time.Millisecond))))
	}
}

func (s *Server) operationAt(r *request) *operation {
	op := s.operations[r.name(1)]
	if op == nil || !strings.EqualFold(op.subscription, r.subscription) || !strings.EqualFold(op.region, r.name(0)) {
		return nil
	}
	return op
}

func (s *Server) readOperation(r *request) *answer {
	op := s.operationAt(r)
	if op == nil {
		return fail(http.StatusNotFound, "OperationNotFound", "The operation %s was not found.", r.name(1))
	}
	a := &answer{status: http.StatusOK, header: http.Header{}}
	switch {
	case !op.done:
		s.retryAfter(a.header)
		a.body = map[string]any{"status": "InProgress"}
	case op.err != nil:
		a.body = map[string]any{"status": "Failed", "error": map[string]any{
			"code": "InternalServerError", "message": op.err.Error(), "details": []any{},
		}}
	case op.properties:
		a.body = map[string]any{"status": "Succeeded", "properties": map[string]any{}}
	default:
		a.body = map[string]any{"status": "Succeeded"}
	}
	return a
}

func (s *Server) readOperationResult(r *request) *answer {
	op := s.operationAt(r)
	switch {
	case op == nil:
		return fail(http.StatusNotFound, "OperationNotFound", "The operation %s was not found.", r.name(1))
	case !op.done:
		return &answer{status: http.StatusAccepted, header: s.headers(r, op, false, true)}
	case op.err != nil:
		return fail(http.StatusInternalServerError, "InternalServerError", "%s", op.err)
	}
	return op.result()
}
