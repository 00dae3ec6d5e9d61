package capture_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/ledger"
)

// memory is a store without a disk, for the tests that take many thousand steps.
type memory struct {
	mu      sync.Mutex
	version int
	records map[string]memo
}

type memo struct {
	body []byte
	etag string
}

func newMemory() *memory { return &memory{records: map[string]memo{}} }

func (m *memory) write(key string, body []byte) string {
	m.version++
	etag := fmt.Sprint(m.version)
	m.records[key] = memo{slices.Clone(body), etag}
	return etag
}

func (m *memory) Create(_ context.Context, key string, body []byte) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ledger.CheckKey(key); err != nil {
		return "", err
	}
	if _, ok := m.records[key]; ok {
		return "", fmt.Errorf("create %q: %w", key, ledger.ErrExists)
	}
	return m.write(key, body), nil
}

func (m *memory) Read(_ context.Context, key string) ([]byte, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.records[key]
	if !ok {
		return nil, "", fmt.Errorf("read %q: %w", key, ledger.ErrNotFound)
	}
	return slices.Clone(r.body), r.etag, nil
}

// match is called with the lock held.
func (m *memory) match(key, etag string) error {
	r, ok := m.records[key]
	switch {
	case !ok:
		return fmt.Errorf("%q: %w", key, ledger.ErrNotFound)
	case r.etag != etag:
		return fmt.Errorf("%q: %w", key, ledger.ErrConflict)
	}
	return nil
}

func (m *memory) Update(_ context.Context, key, etag string, body []byte) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.match(key, etag); err != nil {
		return "", err
	}
	return m.write(key, body), nil
}

func (m *memory) Delete(_ context.Context, key, etag string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.match(key, etag); err != nil {
		return err
	}
	delete(m.records, key)
	return nil
}

func (m *memory) List(_ context.Context, prefix string) iter.Seq2[string, error] {
	m.mu.Lock()
	var keys []string
	for k := range m.records {
		if strings.HasPrefix(k, prefix) {
			keys = append(keys, k)
		}
	}
	m.mu.Unlock()
	slices.Sort(keys)
	return func(yield func(string, error) bool) {
		for _, k := range keys {
			if !yield(k, nil) {
				return
			}
		}
	}
}

// Lease is never asked for: see mortalStore.
func (m *memory) Lease(context.Context, string, time.Duration) (ledger.Lease, error) {
	return freeLease{}, nil
}

func (m *memory) count(prefix string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k := range m.records {
		if strings.HasPrefix(k, prefix) {
			n++
		}
	}
	return n
}

var _ ledger.Store = (*memory)(nil)

func newMemoryRig(t tester) (*rig, *memory) {
	m := newMemory()
	return newRigIn(t, shop(), 100_000, m), m
}

// bytes is what the records take, roughly.
func (m *memory) bytes() (n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, r := range m.records {
		n += int64(len(k) + cap(r.body) + 100)
	}
	return n
}
