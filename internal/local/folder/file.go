package folder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/pcapwarden/pcapwarden/internal/evidence"
)

// file is one version of a file.
type file struct {
	store *Files
	path  string
	info  evidence.Info
}

// Open implements [evidence.Landing] and [evidence.Vault].
func (s *Files) Open(ctx context.Context, name string) (evidence.File, error) {
	p, err := pathOf(name)
	if err == nil {
		err = context.Cause(ctx)
	}
	var info evidence.Info
	if err == nil {
		info, err = s.stat(name, p)
	}
	if err == nil {
		info.Tags, err = s.tags(info.ETag)
	}
	if err != nil {
		return nil, fmt.Errorf("open file %q: %w", name, err)
	}
	return &file{s, p, info}, nil
}

// Info implements [evidence.File].
func (f *file) Info() evidence.Info { return f.info }

// Reader implements [evidence.File].
func (f *file) Reader(ctx context.Context) (io.ReadCloser, error) {
	if err := f.same(); err != nil {
		return nil, err
	}
	open, err := f.store.tree.root.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = evidence.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read file %q: %w", f.info.Name, err)
	}
	return &reader{ctx: ctx, file: f, open: open}, nil
}

// same compares the stored file with the version that was opened.
func (f *file) same() error {
	now, err := f.store.stat(f.info.Name, f.path)
	if err == nil && now.ETag != f.info.ETag {
		err = evidence.ErrChanged
	}
	if err != nil {
		return fmt.Errorf("read file %q: %w", f.info.Name, err)
	}
	return nil
}

// stretch is how much is read between two looks at the version, as much as
// one ranged request to the Blob service.
const stretch = 4 << 20

// reader looks at the version after it read and before it hands out, so that
// what it handed out by its last byte was never another version's.
type reader struct {
	ctx      context.Context
	file     *file
	open     *os.File
	read     int64
	verified int64
	err      error
}

func (r *reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.ctx.Err() != nil {
		r.err = fmt.Errorf("read file %q: %w", r.file.info.Name, context.Cause(r.ctx))
		return 0, r.err
	}
	n, err := r.open.Read(p)
	r.read += int64(n)
	if err != nil || r.read >= r.file.info.Bytes || r.read-r.verified >= stretch {
		if changed := r.file.same(); changed != nil {
			r.err = changed
			return 0, r.err
		}
		r.verified = r.read
	}
	r.err = err
	return n, err
}

func (r *reader) Close() error { return r.open.Close() }
