// Package page looks at HTML pages as a browser does: with axe-core for those
// who cannot see them, and for what they ask of the network.
package page

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/test/node"
)

// A Look is one page in one theme ("light", "dark") and width in CSS pixels.
type Look struct {
	File       string
	Theme      string
	Width      int
	Console    []string // what the browser had to say
	Requests   []string // what the page asked for beside itself
	Overflow   int      // CSS pixels that the page is wider than its window
	Passes     int      // rules of axe-core that it holds
	Violations []Violation
}

// A Violation is a rule of axe-core that a page breaks.
type Violation struct {
	ID, Impact, Help string
	Nodes            []string // the first of them, and why
}

// Serious reports whether somebody cannot use the page because of it.
func (v Violation) Serious() bool { return v.Impact == "serious" || v.Impact == "critical" }

// browsers are the names of Chromium, by preference; CHROMIUM overrides them.
var browsers = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}

func browser() (string, error) {
	if name := os.Getenv("CHROMIUM"); name != "" {
		return exec.LookPath(name)
	}
	for _, name := range browsers {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no Chromium: install the package chromium, or set CHROMIUM to a browser of its kind")
}

// Open looks at pages, by name, in both themes and both wide and narrow.
// Without Chromium or Node.js the test is skipped, except in CI. With
// PCAPWARDEN_PICTURES set to a folder, it writes what it sees there.
func Open(t testing.TB, pages map[string][]byte) []Look {
	t.Helper()
	chromium, err := browser()
	if err != nil {
		node.Unavailable(t, fmt.Errorf("page: %w", err))
	}
	dir, err := node.Folder("page")
	if err != nil {
		node.Unavailable(t, fmt.Errorf("page: %w", err))
	}
	args := []string{filepath.Join(dir, "check.js"), chromium, os.Getenv("PCAPWARDEN_PICTURES")}
	folder := t.TempDir()
	for _, name := range sorted(pages) {
		file := filepath.Join(folder, name+".html")
		if err := os.WriteFile(file, pages[name], 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, file)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = 5 * time.Second // the browser's processes hold the pipes
	if err := cmd.Run(); err != nil {
		t.Fatalf("look at pages: %v\n%s", err, stderr.Bytes())
	}
	var looks []Look
	for line := range strings.Lines(stdout.String()) {
		var l Look
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("look at pages: %v: %s", err, line)
		}
		looks = append(looks, l)
	}
	if want := 4 * len(pages); len(looks) != want {
		t.Fatalf("looked %d times, want %d\n%s", len(looks), want, stderr.Bytes())
	}
	return looks
}

func sorted(pages map[string][]byte) []string {
	names := make([]string, 0, len(pages))
	for name := range pages {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
