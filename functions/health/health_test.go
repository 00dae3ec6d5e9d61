package health

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/customhandler"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
)

// broken is a store whose reads fail while err is set, and are counted.
type broken struct {
	ledger.Store
	mu    sync.Mutex
	err   error
	reads int
}

func (b *broken) Read(ctx context.Context, key string) ([]byte, string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reads++
	if b.err != nil {
		return nil, "", b.err
	}
	return nil, "", ledger.ErrNotFound
}

func (b *broken) set(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, nil))
		store := &broken{}
		h, err := customhandler.New(slog.New(slog.DiscardHandler), customhandler.Options{}, New(store, log))
		if err != nil {
			t.Fatal(err)
		}
		ask := func(want string) {
			t.Helper()
			r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1/health", strings.NewReader(`{"Data":{"req":{"Method":"GET"}},"Metadata":{}}`))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if got := w.Body.String(); !strings.Contains(got, want) || strings.Contains(got, "secret") {
				t.Errorf("answered %s, want %s and nothing else", got, want)
			}
		}
		const ready, not = `"statusCode":"200"`, `"statusCode":"503"`
		for range 100 {
			ask(ready)
		}
		if store.reads != 1 {
			t.Errorf("%d requests to the storage for 100 callers", store.reads)
		}
		store.set(errors.New("storage answered 403: secret account"))
		ask(ready) // a moment ago it was
		for range 5 {
			time.Sleep(believed)
			ask(not)
		}
		if n := strings.Count(out.String(), "not ready"); n != 1 || !strings.Contains(out.String(), "secret account") {
			t.Errorf("the log says why %d times: %s", n, &out)
		}
		store.set(nil)
		time.Sleep(believed)
		ask(ready)
		if !strings.Contains(out.String(), "ready again") {
			t.Errorf("the log does not say that it is well again: %s", &out)
		}
	})
}
