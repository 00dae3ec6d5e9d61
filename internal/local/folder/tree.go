package folder

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

// tree is a directory whose files appear, change and go as a whole, one at a
// time, whichever process does it. The paths of its methods use slashes.
type tree struct {
	dir  string
	root *os.Root      // nothing outside can be named, by "..", nor by a symbolic link
	own  string        // subdirectory of the package's own files
	turn chan struct{} // holds one token: goroutines queue here, so that only processes contend for the file
}

// abandonedAfter is the age at which a half-written file has no writer any
// more.
const abandonedAfter = 24 * time.Hour

func openTree(dir, own string) (*tree, error) {
	// Evidence and cases: for their owner's eyes.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	t := &tree{dir: dir, root: root, own: own, turn: make(chan struct{}, 1)}
	t.turn <- struct{}{}
	if err := root.MkdirAll(own+"/tmp", 0o700); err != nil {
		return nil, errors.Join(fmt.Errorf("open folder %q: %w", dir, err), root.Close())
	}
	entries, err := fs.ReadDir(root.FS(), own+"/tmp")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open folder %q: %w", dir, err), root.Close())
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > abandonedAfter {
			_ = root.Remove(own + "/tmp/" + e.Name()) // the next one to open tries again
		}
	}
	return t, nil
}

// alone runs change while no other process and no other goroutine is inside
// alone on the same directory.
func (t *tree) alone(ctx context.Context, change func() error) error {
	select {
	case <-t.turn:
		defer func() { t.turn <- struct{}{} }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	f, err := t.root.OpenFile(t.own+"/lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close() // which gives the lock back
	for wait := time.Millisecond; ; wait = min(2*wait, 16*time.Millisecond) {
		if ok, err := tryLock(f); err != nil {
			return fmt.Errorf("lock folder %q: %w", t.dir, err)
		} else if ok {
			return change()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("lock folder %q: %w", t.dir, context.Cause(ctx))
		case <-time.After(wait):
		}
	}
}

// stage writes content to a file of its own, for move to put in place, and
// returns that file's name. Nothing is left of a content that fails.
func (t *tree) stage(content io.Reader) (staged string, err error) {
	staged = t.own + "/tmp/" + rand.Text()
	f, err := t.root.OpenFile(staged, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.root.Remove(staged))
		}
	}()
	if _, err := io.Copy(onlyWriter{f}, content); err != nil {
		return "", errors.Join(err, f.Close())
	}
	// The file system's clock ticks in milliseconds; a version needs finer.
	now := time.Now()
	if err := t.root.Chtimes(staged, now, now); err != nil {
		return "", errors.Join(err, f.Close())
	}
	if err := f.Sync(); err != nil {
		return "", errors.Join(err, f.Close())
	}
	return staged, f.Close()
}

// onlyWriter keeps io.Copy from handing the reader to the file, where a
// context would go unheard.
type onlyWriter struct{ io.Writer }

// move puts a staged file in place of whatever is at the path. Call it alone.
func (t *tree) move(staged, to string) error {
	if err := t.makeParents(to); err != nil {
		return err
	}
	if err := t.root.Rename(staged, to); err != nil {
		return err
	}
	return t.sync(path.Dir(to))
}

// write puts body at the path. Call it alone.
func (t *tree) write(to string, body []byte) error {
	staged, err := t.stage(bytes.NewReader(body))
	if err != nil {
		return err
	}
	if err := t.move(staged, to); err != nil {
		return errors.Join(err, t.root.Remove(staged))
	}
	return nil
}

// writeJSON puts v at the path. Call it alone.
func (t *tree) writeJSON(to string, v any) error {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return t.write(to, append(body, '\n'))
}

// remove deletes the file and the directories that this leaves empty, so that
// their names are free again. Call it alone.
func (t *tree) remove(p string) error {
	if err := t.root.Remove(p); err != nil {
		return err
	}
	for dir := path.Dir(p); dir != "." && dir != t.own; dir = path.Dir(dir) {
		if t.root.Remove(dir) != nil {
			return t.sync(dir) // not empty
		}
	}
	return t.sync(".")
}

// stat finds a regular file; anything else is fs.ErrNotExist.
func (t *tree) stat(p string) (fs.FileInfo, error) {
	info, err := t.root.Lstat(p)
	if errors.Is(err, syscall.ENOTDIR) || err == nil && !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "stat", Path: p, Err: fs.ErrNotExist}
	}
	return info, err
}

// version is the ETag of a file: another one after every change, ours or that
// of somebody who copied a file here by hand.
func version(info fs.FileInfo) string {
	return fmt.Sprintf("%x-%x-%x", info.ModTime().UnixNano(), info.Size(), inode(info))
}

func (t *tree) makeParents(p string) error {
	dir := path.Dir(p)
	if info, err := t.root.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	if err := t.makeParents(dir); err != nil {
		return err
	}
	if err := t.root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return t.sync(path.Dir(dir))
}

func (t *tree) sync(dir string) error {
	d, err := t.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(syncDirectory(d), d.Close())
}

// walk yields the paths of the regular files, in the order of the names that
// decode makes of them, leaving out the package's own and the directories that
// can't hold a name with the prefix. It keeps one directory in memory a level.
func (t *tree) walk(ctx context.Context, prefix string, decode func(string) (string, bool)) iter.Seq2[string, error] {
	type entry struct {
		file, name string
		dir        bool
	}
	return func(yield func(string, error) bool) {
		var visit func(dir, name string) bool
		visit = func(dir, name string) bool {
			if ctx.Err() != nil {
				yield("", fmt.Errorf("list folder %q: %w", t.dir, context.Cause(ctx)))
				return false
			}
			found, err := fs.ReadDir(t.root.FS(), dir)
			if errors.Is(err, fs.ErrNotExist) && dir != "." {
				return true // deleted meanwhile
			}
			if err != nil {
				yield("", fmt.Errorf("list folder %q: %w", t.dir, err))
				return false
			}
			entries := make([]entry, 0, len(found))
			for _, e := range found {
				decoded, ok := decode(e.Name())
				if !ok || dir == "." && e.Name() == t.own || !e.IsDir() && !e.Type().IsRegular() {
					continue
				}
				n := name + decoded
				if e.IsDir() {
					n += "/" // sorts "a-b" before "a/b", as the whole names do
				}
				if strings.HasPrefix(n, prefix) || e.IsDir() && strings.HasPrefix(prefix, n) {
					entries = append(entries, entry{path.Join(dir, e.Name()), n, e.IsDir()})
				}
			}
			slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
			for _, e := range entries {
				if e.dir && !visit(e.file, e.name) || !e.dir && !yield(e.name, nil) {
					return false
				}
			}
			return true
		}
		visit(".", "")
	}
}
