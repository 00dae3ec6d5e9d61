package loop

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Stage lays the app out for deployment, as "make stage" does, out of what
// the program carries.
func Stage(app fs.FS, program, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	err := fs.WalkDir(app, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(app, path)
		if err != nil {
			return err
		}
		target := filepath.Join(dir, filepath.Base(path))
		if d.Name() == "function.json" { // a direct child of the app's root
			target = filepath.Join(dir, filepath.Base(filepath.Dir(path)), d.Name())
			if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
				return err
			}
		}
		return os.WriteFile(target, text, 0o600)
	})
	if err != nil {
		return fmt.Errorf("lay out the app in %q: %w", dir, err)
	}
	link := filepath.Join(dir, "pcapwarden")
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Symlink(program, link)
}
