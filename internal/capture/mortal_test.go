package capture_test

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
)

var errKilled = errors.New("the process was killed")

// A life ends after some steps: from then on nothing that the process does
// reaches anything outside it, as after SIGKILL.
type life struct {
	mu    sync.Mutex
	armed bool
	left  int
	dead  bool
}

// endAfter has the process die n steps from now. Before and after each effect
// is a step.
func (l *life) endAfter(n int) { l.mu.Lock(); defer l.mu.Unlock(); l.armed, l.left = true, n }

func (l *life) step() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.armed && l.left == 0 {
		l.dead = true
	}
	l.left--
	if l.dead {
		return errKilled
	}
	return nil
}

func (l *life) over() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.dead }

type mortalStore struct {
	ledger.Store
	life *life
}

func (m mortalStore) Create(ctx context.Context, key string, body []byte) (string, error) {
	if err := m.life.step(); err != nil {
		return "", err
	}
	etag, err := m.Store.Create(ctx, key, body)
	return etag, errors.Join(err, m.life.step())
}

func (m mortalStore) Read(ctx context.Context, key string) ([]byte, string, error) {
	if m.life.over() {
		return nil, "", errKilled
	}
	return m.Store.Read(ctx, key)
}

func (m mortalStore) Update(ctx context.Context, key, etag string, body []byte) (string, error) {
	if err := m.life.step(); err != nil {
		return "", err
	}
	etag, err := m.Store.Update(ctx, key, etag, body)
	return etag, errors.Join(err, m.life.step())
}

func (m mortalStore) Delete(ctx context.Context, key, etag string) error {
	if err := m.life.step(); err != nil {
		return err
	}
	return errors.Join(m.Store.Delete(ctx, key, etag), m.life.step())
}

func (m mortalStore) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	if m.life.over() {
		return func(yield func(string, error) bool) { yield("", errKilled) }
	}
	return m.Store.List(ctx, prefix)
}

// Lease takes none: a process that died holds its lease for another while by
// the wall's clock, which would make every test wait.
func (m mortalStore) Lease(context.Context, string, time.Duration) (ledger.Lease, error) {
	return freeLease{}, m.life.step()
}

type freeLease struct{}

func (freeLease) Renew(context.Context) error   { return nil }
func (freeLease) Release(context.Context) error { return nil }

type mortalWatcher struct {
	capture.Watcher
	life *life
}

func (m mortalWatcher) Machine(ctx context.Context, target string) (capture.Machine, error) {
	if m.life.over() {
		return capture.Machine{}, errKilled
	}
	return m.Watcher.Machine(ctx, target)
}

func (m mortalWatcher) Start(ctx context.Context, s capture.Spec) (capture.Session, error) {
	if err := m.life.step(); err != nil {
		return capture.Session{}, err
	}
	session, err := m.Watcher.Start(ctx, s)
	if killed := m.life.step(); killed != nil {
		return capture.Session{}, killed
	}
	return session, err
}

func (m mortalWatcher) Stop(ctx context.Context, id string) error {
	if err := m.life.step(); err != nil {
		return err
	}
	return errors.Join(m.Watcher.Stop(ctx, id), m.life.step())
}

func (m mortalWatcher) Delete(ctx context.Context, id string) error {
	if err := m.life.step(); err != nil {
		return err
	}
	return errors.Join(m.Watcher.Delete(ctx, id), m.life.step())
}

func (m mortalWatcher) List(ctx context.Context, subscription string) ([]capture.Session, error) {
	if m.life.over() {
		return nil, errKilled
	}
	return m.Watcher.List(ctx, subscription)
}
