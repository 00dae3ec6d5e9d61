package folder

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/ledger"
)

// clock tells the time. Leases and locks are shared between processes, so it
// is the wall's; tests turn its hands.
type clock func() time.Time

func wallClock() time.Time { return time.Now() }

// lease is one holder's.
type lease struct {
	ledger *Ledger
	key    string
	id     string
	lasts  time.Duration
}

// holding is the file of a lease.
type holding struct {
	ID    string    `json:"id"`
	Until time.Time `json:"until"`
}

// Lease implements [ledger.Store].
func (l *Ledger) Lease(ctx context.Context, key string, d time.Duration) (ledger.Lease, error) {
	if err := ledger.CheckKey(key); err != nil {
		return nil, err
	}
	if err := ledger.CheckLease(d); err != nil {
		return nil, err
	}
	taken := &lease{ledger: l, key: key, id: rand.Text(), lasts: d}
	if err := taken.change(ctx, "take", func(h holding) (holding, error) {
		if h.ID != "" && l.now().Before(h.Until) {
			return h, ledger.ErrLeased
		}
		return holding{taken.id, l.now().Add(d)}, nil
	}); err != nil {
		return nil, err
	}
	return taken, nil
}

// Renew implements [ledger.Lease].
func (s *lease) Renew(ctx context.Context) error {
	return s.change(ctx, "renew", func(h holding) (holding, error) {
		if h.ID != s.id {
			return h, ledger.ErrLeased
		}
		return holding{s.id, s.ledger.now().Add(s.lasts)}, nil
	})
}

// Release implements [ledger.Lease].
func (s *lease) Release(ctx context.Context) error {
	err := s.change(ctx, "release", func(h holding) (holding, error) {
		if h.ID != s.id {
			return h, ledger.ErrLeased
		}
		return holding{}, nil
	})
	if errors.Is(err, ledger.ErrLeased) {
		return nil
	}
	return err
}

// change lets to say what becomes of the lease; the zero holding frees it.
func (s *lease) change(ctx context.Context, verb string, to func(holding) (holding, error)) error {
	t := s.ledger.tree
	file := t.own + "/leases/" + s.key + "$" // so that "a" and "a/b" can both be leased
	err := t.alone(ctx, func() error {
		var h holding
		body, err := t.root.ReadFile(file)
		if err == nil {
			// A file that is no lease holds nobody out.
			_ = json.Unmarshal(body, &h)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if h, err = to(h); err != nil {
			return err
		}
		if h == (holding{}) {
			return t.remove(file)
		}
		return t.writeJSON(file, h)
	})
	if err != nil {
		return fmt.Errorf("%s lease %q: %w", verb, s.key, err)
	}
	return nil
}
