// Package evidence knows a capture file once it landed: where it is, what its
// hash is, who had it in custody, and when it has to go.
package evidence

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// The errors that a [Landing] or [Vault] answers with, wrapped.
var (
	ErrNotFound = errors.New("file not found")
	ErrExists   = errors.New("file exists")
	// ErrChanged: the file is not the one that was opened any more. Whoever
	// overwrites evidence gets a finding, not a silent second reading.
	ErrChanged = errors.New("file changed while it was read")
	// ErrHeld: a legal hold, or a retention policy that is not over, keeps the
	// file. It goes away by itself or by a person, not by trying harder.
	ErrHeld = errors.New("file is under a hold or a retention policy")
)

// A Landing is where captures arrive: a container that the capture agents may
// write to, and so nothing to keep evidence in. A name that [CheckName]
// refuses is [ErrBadName] to it, and left out of List.
//
// Implementations pass the suite in evidencetest.
type Landing interface {
	// Open pins the file as it is now: ErrNotFound. What is read through it
	// is that version, or ErrChanged.
	Open(ctx context.Context, name string) (File, error)
	// List yields the files whose names begin with prefix. The walk ends at
	// the first error, which it yields last.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]
	// SetTags replaces the file's tags, at most 10: letters, digits and
	// space + - . / : = _ in keys (1-128) and values (0-256).
	SetTags(ctx context.Context, name string, tags map[string]string) error
	// Delete removes the version that etag names: ErrChanged, ErrNotFound.
	Delete(ctx context.Context, name, etag string) error
}

// A Vault keeps evidence: what is in it is never overwritten.
//
// Implementations pass the suite in evidencetest.
type Vault interface {
	// Create stores a new file: ErrExists, and then nothing was changed. A
	// reader that fails leaves no file behind.
	Create(ctx context.Context, name string, content io.Reader, tags map[string]string) (Info, error)
	// Open pins the file as it is now: ErrNotFound.
	Open(ctx context.Context, name string) (File, error)
	// List yields the files whose names begin with prefix.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]
	// Delete removes the version that etag names: ErrChanged, ErrNotFound,
	// ErrHeld. Who may, and when, is retention's to say.
	Delete(ctx context.Context, name, etag string) error
}

// Info is what a store says of a file. Name may hold anything that the
// capture agent, or somebody with its key, wrote.
type Info struct {
	Name     string
	Bytes    int64
	ETag     string
	Modified time.Time
	Tags     map[string]string // only from Open
}

// A File is one version of a stored file.
type File interface {
	Info() Info
	// Reader streams the file from its beginning in bounded memory. Reading
	// fails with ErrChanged if the stored file is not this version any more.
	// The context governs the whole stream.
	Reader(ctx context.Context) (io.ReadCloser, error)
}
