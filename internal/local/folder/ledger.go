package folder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"

	"github.com/pcapwarden/pcapwarden/internal/ledger"
)

// A Ledger is a [ledger.Store] in a directory: one file a record, called as
// its key. A key can't be a record and the folder of others at once.
type Ledger struct {
	tree *tree
	now  clock
}

var _ ledger.Store = (*Ledger)(nil)

// OpenLedger opens the ledger in dir, which it makes when it is missing.
func OpenLedger(dir string) (*Ledger, error) {
	t, err := openTree(dir, ownLedger)
	if err != nil {
		return nil, err
	}
	return &Ledger{tree: t, now: wallClock}, nil
}

// The names of the package's own subdirectory, none of which can be the name
// of a record, a file or a message.
const (
	ownLedger = "$ledger"
	ownFiles  = "$files"
	ownQueue  = "$queue"
)

// Close lets the directory go. Leases stay held.
func (l *Ledger) Close() error { return l.tree.root.Close() }

// Create implements [ledger.Store].
func (l *Ledger) Create(ctx context.Context, key string, body []byte) (string, error) {
	return l.put(ctx, "create", key, body, func() error {
		_, err := l.tree.root.Lstat(key)
		if err == nil {
			return ledger.ErrExists
		}
		return absent(err)
	})
}

// Update implements [ledger.Store].
func (l *Ledger) Update(ctx context.Context, key, etag string, body []byte) (string, error) {
	return l.put(ctx, "update", key, body, func() error { return l.expect(key, etag) })
}

// put writes a record if allowed says so, with nobody able to change it in
// between.
func (l *Ledger) put(ctx context.Context, verb, key string, body []byte, allowed func() error) (etag string, err error) {
	if err := errors.Join(ledger.CheckKey(key), ledger.CheckBody(key, body)); err != nil {
		return "", err
	}
	staged, err := l.tree.stage(bytes.NewReader(body))
	if err != nil {
		return "", fmt.Errorf("%s record %q: %w", verb, key, err)
	}
	err = l.tree.alone(ctx, func() error {
		if err := allowed(); err != nil {
			return err
		}
		if err := l.tree.move(staged, key); err != nil {
			return err
		}
		info, err := l.tree.stat(key)
		if err == nil {
			etag = version(info)
		}
		return err
	})
	if err != nil {
		if gone := l.tree.root.Remove(staged); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
		return "", fmt.Errorf("%s record %q: %w", verb, key, err)
	}
	return etag, nil
}

// expect compares the version of a record.
func (l *Ledger) expect(key, etag string) error {
	info, err := l.tree.stat(key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ledger.ErrNotFound
	case err != nil:
		return err
	case version(info) != etag:
		return ledger.ErrConflict
	}
	return nil
}

// Read implements [ledger.Store].
func (l *Ledger) Read(ctx context.Context, key string) ([]byte, string, error) {
	if err := ledger.CheckKey(key); err != nil {
		return nil, "", err
	}
	if ctx.Err() != nil {
		return nil, "", fmt.Errorf("read record %q: %w", key, context.Cause(ctx))
	}
	body, etag, err := l.read(key)
	if errors.Is(err, fs.ErrNotExist) {
		err = ledger.ErrNotFound
	}
	if err != nil {
		return nil, "", fmt.Errorf("read record %q: %w", key, err)
	}
	return body, etag, nil
}

// read takes body and version from one open file: a record that is replaced
// meanwhile is another file.
func (l *Ledger) read(key string) (body []byte, etag string, err error) {
	if _, err := l.tree.stat(key); err != nil {
		return nil, "", err
	}
	f, err := l.tree.root.Open(key)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, "", err
	}
	body, err = io.ReadAll(io.LimitReader(f, ledger.MaxRecord+1))
	if err == nil {
		err = ledger.CheckBody(key, body)
	}
	return body, version(info), err
}

// Delete implements [ledger.Store].
func (l *Ledger) Delete(ctx context.Context, key, etag string) error {
	if err := ledger.CheckKey(key); err != nil {
		return err
	}
	err := l.tree.alone(ctx, func() error {
		if err := l.expect(key, etag); err != nil {
			return err
		}
		return l.tree.remove(key)
	})
	if err != nil {
		return fmt.Errorf("delete record %q: %w", key, err)
	}
	return nil
}

// List implements [ledger.Store].
func (l *Ledger) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return l.tree.walk(ctx, prefix, func(file string) (string, bool) {
		return file, ledger.CheckKey(file) == nil
	})
}

// absent turns "no such file" into no error.
func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
