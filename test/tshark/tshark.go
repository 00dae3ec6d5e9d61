// Package tshark asks tshark what it sees in a capture, for the tests that
// hold ours against it.
package tshark

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
)

// Installed says whether this machine has it.
func Installed() bool {
	_, err := exec.LookPath("tshark")
	return err == nil
}

// Need skips the test on a machine without it.
func Need(t testing.TB) {
	t.Helper()
	if !Installed() {
		t.Skip("no tshark on this machine to compare with")
	}
}

// warning is what it says to root, whatever the file.
const warning = "Running as user \"root\" and group \"root\". This could be dangerous.\n"

// Fields returns these fields of every frame of a file, and what tshark says
// against the file: of one that was cut it says so, and shows what is there.
func Fields(t testing.TB, file string, fields []string, options ...string) (frames [][]string, complaint string) {
	t.Helper()
	args := append([]string{"-n", "-r", file, "-T", "fields"}, options...)
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	cmd := exec.CommandContext(t.Context(), "tshark", args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	complaint = strings.ReplaceAll(said.String(), warning, "")
	if err != nil {
		complaint += err.Error()
	}
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if len(f) != len(fields) {
			t.Fatalf("tshark says %q of a frame, want %d fields", line, len(fields))
		}
		frames = append(frames, f)
	}
	return frames, complaint
}
