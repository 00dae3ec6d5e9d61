// Package ledger keeps small JSON records that change only by
// compare-and-swap, so that triggers which come twice, late or at once, and
// processes that die in between, never lose or double what was done.
package ledger

import (
	"context"
	"errors"
	"iter"
	"time"
)

// MaxRecord is the largest record, in bytes. A larger one is refused on both
// ways: a record is a summary, never evidence.
const MaxRecord = 4 << 20

// The errors that a [Store] answers with, wrapped.
var (
	ErrExists   = errors.New("record exists")
	ErrNotFound = errors.New("record not found")
	ErrConflict = errors.New("record changed since it was read")
	ErrLeased   = errors.New("lease is held by another")
)

// A Store keeps records by key. Keys are slash-separated paths of
// [a-z0-9._-]{1,200} segments, none of which is "." or "..", at most 512
// bytes; any other key is an error ([CheckKey]). No key may be the folder of
// another: "a" and "a/b" are not both records. Every other error than the four
// above may go away: try again later.
//
// Implementations pass the suite in ledgertest.
type Store interface {
	// Create writes a record that must not exist: ErrExists.
	Create(ctx context.Context, key string, body []byte) (etag string, err error)
	// Read returns a record and the version it was read at: ErrNotFound.
	Read(ctx context.Context, key string) (body []byte, etag string, err error)
	// Update replaces the version that etag names: ErrConflict when it is
	// another by now, ErrNotFound when it is gone.
	Update(ctx context.Context, key, etag string, body []byte) (newETag string, err error)
	// Delete removes the version that etag names: ErrConflict, ErrNotFound.
	Delete(ctx context.Context, key, etag string) error
	// List yields the keys that begin with prefix, in order. The walk ends
	// at the first error, which it yields last.
	List(ctx context.Context, prefix string) iter.Seq2[string, error]
	// Lease takes the lease called key for d, 15 s to 60 s: ErrLeased. A
	// holder that dies loses it when d is over.
	Lease(ctx context.Context, key string, d time.Duration) (Lease, error)
}

// A Lease keeps others out while its holder lives.
type Lease interface {
	// Renew makes it last for its duration from now: ErrLeased when it was lost.
	Renew(ctx context.Context) error
	// Release gives it back. Releasing a lost lease is no error.
	Release(ctx context.Context) error
}
