// Package health is the function that tells the platform whether this instance
// can do its work.
package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/customhandler"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
)

// Name is the function's folder, path and name in telemetry.
const Name = "health"

const (
	// believed is how long an answer is given again: anybody may ask, and must
	// not make us ask the storage each time.
	believed = 15 * time.Second
	// patience bounds one look at the storage.
	patience = 5 * time.Second
)

// New returns the function. Anybody may call it, so it says nothing but
// whether: 200 and ready, or 503 and not. Why not is in the log, once.
//
// The app is ready when its records can be read. What else it needs is for
// "pcapwarden doctor" to say: a queue that is down must not have the platform
// restart instances that have messages to keep.
func New(records ledger.Store, log *slog.Logger) customhandler.Function {
	h := &health{records: records, log: log, turn: make(chan struct{}, 1)}
	return customhandler.HTTP(Name, 1, func(ctx context.Context, _ *customhandler.Request) (*customhandler.Response, error) {
		r := &customhandler.Response{Header: map[string]string{"Cache-Control": "no-store"}, Body: map[string]string{"status": "ready"}}
		if !h.ready(ctx) {
			r.Status, r.Body = http.StatusServiceUnavailable, map[string]string{"status": "not ready"}
		}
		return r, nil
	}).Within(2 * patience)
}

type health struct {
	records ledger.Store
	log     *slog.Logger
	turn    chan struct{} // held by who looks

	mu     sync.Mutex
	looked time.Time // zero: never
	failed bool
}

// known is what was seen a moment ago.
func (h *health) known() (ready, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.failed, !h.looked.IsZero() && time.Since(h.looked) < believed
}

func (h *health) ready(ctx context.Context) bool {
	if ready, ok := h.known(); ok {
		return ready
	}
	select {
	case h.turn <- struct{}{}:
		defer func() { <-h.turn }()
	case <-ctx.Done():
		return false
	}
	if ready, ok := h.known(); ok { // somebody else looked meanwhile
		return ready
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("the records gave no answer within %v", patience))
	defer cancel()
	_, _, err := h.records.Read(ctx, "health")
	if errors.Is(err, ledger.ErrNotFound) {
		err = nil // there is no such record, which is an answer
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch was := h.failed; {
	case err != nil && (!was || h.looked.IsZero()):
		h.log.ErrorContext(ctx, "not ready: the records can't be read; pcapwarden doctor says what to do", "err", err)
	case err == nil && was:
		h.log.InfoContext(ctx, "ready again: the records can be read")
	}
	h.looked, h.failed = time.Now(), err != nil
	return err == nil
}
