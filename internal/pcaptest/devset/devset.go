// Package devset finds captures of others, with what tshark 4.0.17 counts in
// them, for the tests that hold our counts against it. They are not in this
// repository: tests skip where they are not at hand.
package devset

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// beside is where the captures lie, as seen from a package in internal.
const beside = "../../../shared/captures/devset"

const truth = ".truth.json"

// A File is a capture.
type File struct{ Path string }

// Files returns the captures in the folder that PCAPWARDEN_DEVSET names, or in
// one beside the repository; without any it skips the test.
func Files(t testing.TB) []File {
	t.Helper()
	dir := os.Getenv("PCAPWARDEN_DEVSET")
	if dir == "" {
		dir = beside
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"+truth))
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Skipf("no captures in %s: set PCAPWARDEN_DEVSET to compare with tshark's counts", dir)
	}
	files := make([]File, len(names))
	for i, name := range names {
		files[i].Path = strings.TrimSuffix(name, truth)
	}
	return files
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
