package folder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"

	"github.com/pcapwarden/pcapwarden/internal/evidence"
)

// Files is an [evidence.Landing] and an [evidence.Vault] in a directory. A
// file lies under its own name, its unusual characters written as %XX; a name
// can't be a file and the folder of others at once.
//
// A file that somebody copied there is one of them.
type Files struct{ tree *tree }

var (
	_ evidence.Landing = (*Files)(nil)
	_ evidence.Vault   = (*Files)(nil)
)

// OpenFiles opens the files in dir, which it makes when it is missing.
func OpenFiles(dir string) (*Files, error) {
	t, err := openTree(dir, ownFiles)
	if err != nil {
		return nil, err
	}
	return &Files{t}, nil
}

// Close lets the directory go.
func (s *Files) Close() error { return s.tree.root.Close() }

// Create implements [evidence.Vault]. Nothing interrupts a Read of content
// that hangs; the context is looked at after each.
func (s *Files) Create(ctx context.Context, name string, content io.Reader, tags map[string]string) (evidence.Info, error) {
	return s.put(ctx, "create", name, content, tags, func(p string) error {
		_, err := s.tree.root.Lstat(p)
		if err == nil {
			return evidence.ErrExists
		}
		return absent(err)
	})
}

// Put stores a file, in place of one that has the name. It is what a capture
// agent does to a landing; nobody does it to a vault.
func (s *Files) Put(ctx context.Context, name string, content io.Reader) (evidence.Info, error) {
	return s.put(ctx, "put", name, content, nil, func(string) error { return nil })
}

func (s *Files) put(ctx context.Context, verb, name string, content io.Reader, tags map[string]string, allowed func(path string) error) (info evidence.Info, err error) {
	p, err := pathOf(name)
	if err == nil {
		err = evidence.CheckTags(tags)
	}
	if err == nil {
		err = allowed(p) // before anything is read; what counts is the second look
	}
	if err != nil {
		return info, fmt.Errorf("%s file %q: %w", verb, name, err)
	}
	staged, err := s.tree.stage(contextReader{ctx, content})
	if err != nil {
		return info, fmt.Errorf("%s file %q: %w", verb, name, err)
	}
	err = s.tree.alone(ctx, func() error {
		if err := allowed(p); err != nil {
			return err
		}
		version, err := s.tree.stat(staged)
		if err != nil {
			return err
		}
		info = describe(name, version)
		if err := s.tag(info.ETag, tags); err != nil {
			return err
		}
		return s.tree.move(staged, p)
	})
	if err != nil {
		if gone := s.tree.root.Remove(staged); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
		return evidence.Info{}, fmt.Errorf("%s file %q: %w", verb, name, err)
	}
	info.Tags = maps.Clone(tags)
	return info, nil
}

// SetTags implements [evidence.Landing]. As in Azure, the file's ETag stays.
func (s *Files) SetTags(ctx context.Context, name string, tags map[string]string) error {
	p, err := pathOf(name)
	if err == nil {
		err = evidence.CheckTags(tags)
	}
	if err == nil {
		err = s.tree.alone(ctx, func() error {
			info, err := s.stat(name, p)
			if err != nil {
				return err
			}
			return s.tag(info.ETag, tags)
		})
	}
	if err != nil {
		return fmt.Errorf("tag file %q: %w", name, err)
	}
	return nil
}

// Delete implements [evidence.Landing] and [evidence.Vault].
func (s *Files) Delete(ctx context.Context, name, etag string) error {
	p, err := pathOf(name)
	if err == nil {
		err = s.tree.alone(ctx, func() error {
			info, err := s.stat(name, p)
			if err != nil {
				return err
			}
			if info.ETag != etag {
				return evidence.ErrChanged
			}
			return errors.Join(s.tree.remove(p), s.tag(etag, nil))
		})
	}
	if err != nil {
		return fmt.Errorf("delete file %q: %w", name, err)
	}
	return nil
}

// List implements [evidence.Landing] and [evidence.Vault]. It leaves out what
// has no name that a file may have.
func (s *Files) List(ctx context.Context, prefix string) iter.Seq2[evidence.Info, error] {
	return func(yield func(evidence.Info, error) bool) {
		for name, err := range s.tree.walk(ctx, prefix, nameOf) {
			var info evidence.Info
			if err == nil {
				var p string
				if p, err = pathOf(name); err != nil {
					continue // longer than a name may be
				}
				if info, err = s.stat(name, p); errors.Is(err, evidence.ErrNotFound) {
					continue // deleted meanwhile
				}
			}
			if !yield(info, err) || err != nil {
				return
			}
		}
	}
}

// stat describes the file at path p, without its tags.
func (s *Files) stat(name, p string) (evidence.Info, error) {
	info, err := s.tree.stat(p)
	if errors.Is(err, fs.ErrNotExist) {
		return evidence.Info{}, evidence.ErrNotFound
	}
	if err != nil {
		return evidence.Info{}, err
	}
	return describe(name, info), nil
}

func describe(name string, info fs.FileInfo) evidence.Info {
	return evidence.Info{Name: name, Bytes: info.Size(), ETag: version(info), Modified: info.ModTime()}
}

// tag keeps the tags of one version under its ETag, so that they can be
// written before that version is in place and are never another's.
func (s *Files) tag(etag string, tags map[string]string) error {
	file := s.tagFile(etag)
	if len(tags) == 0 {
		if _, err := s.tree.stat(file); err != nil {
			return absent(err)
		}
		return s.tree.remove(file)
	}
	return s.tree.writeJSON(file, tags)
}

func (s *Files) tags(etag string) (tags map[string]string, err error) {
	body, err := s.tree.root.ReadFile(s.tagFile(etag))
	if err != nil {
		return nil, absent(err)
	}
	err = json.Unmarshal(body, &tags)
	return tags, err
}

func (s *Files) tagFile(etag string) string { return s.tree.own + "/tags/" + etag + ".json" }

// contextReader ends with the context's cause between two reads.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.r.Read(p)
}
