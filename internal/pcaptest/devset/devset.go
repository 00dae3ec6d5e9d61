// Package devset finds captures of others, with what tshark 4.0.17 counts in
// them, for the tests that hold our counts against it, and what others
// published of alerts and schemas. None of it is in this repository: tests
// skip where it is not at hand.
package devset

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const truth = ".truth.json"

// A File is a capture.
type File struct{ Path string }

// Files returns the captures in the folder that PCAPWARDEN_DEVSET names, or in
// one beside the repository; without any it skips the test.
func Files(t testing.TB) []File {
	t.Helper()
	files := AtHand(t)
	if len(files) == 0 {
		t.Skipf("no captures in %s: set PCAPWARDEN_DEVSET to compare with tshark's counts", Folder(t))
	}
	return files
}

// AtHand returns the captures that there are, which may be none: for tests
// that have others as well.
func AtHand(t testing.TB) []File {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(Folder(t), "*"+truth))
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Logf("no captures in %s: without them; set PCAPWARDEN_DEVSET", Folder(t))
	}
	files := make([]File, len(names))
	for i, name := range names {
		files[i].Path = strings.TrimSuffix(name, truth)
	}
	return files
}

// Folder is where the captures lie, if they do: PCAPWARDEN_DEVSET, or beside
// the repository.
func Folder(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("PCAPWARDEN_DEVSET"); dir != "" {
		return dir
	}
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for !isRoot(root) {
		up := filepath.Dir(root)
		if up == root {
			t.Fatal("the test does not run in the repository")
		}
		root = up
	}
	return filepath.Join(root, "../shared/captures/devset")
}

func isRoot(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// Beside is where something else lies that was handed over with the captures.
func Beside(t testing.TB, path string) string {
	t.Helper()
	return filepath.Join(Folder(t), "../..", path)
}

// Name is what the capture's own test is called.
func (f File) Name() string { return filepath.Base(f.Path) }

// Open opens the capture for as long as the test runs.
func (f File) Open(t testing.TB) *os.File {
	t.Helper()
	file, err := os.Open(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return file
}

// Truth reads into v what tshark counts.
func (f File) Truth(t testing.TB, v any) {
	t.Helper()
	text, err := os.ReadFile(f.Path + truth)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatalf("read %s: %v", f.Path+truth, err)
	}
}
