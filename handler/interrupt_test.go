//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestInterrupted sends Ctrl-C to the local run at several moments: it ends at
// once, and nothing of it is left running.
func TestInterrupted(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, after := range []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, 400 * time.Millisecond, 2 * time.Second, 6 * time.Second} {
		dir := filepath.Join(t.TempDir(), "out")
		wg.Go(func() {
			var output bytes.Buffer
			cmd := exec.CommandContext(t.Context(), program, "local", "--out", dir)
			mark := fmt.Sprintf("PCAPWARDEN_TEST_RUN=%s", dir) // inherited by whatever it starts
			cmd.Env = append(os.Environ(), asProgram+"=1", mark)
			cmd.Stdout, cmd.Stderr = &output, &output
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			if err := cmd.Start(); err != nil {
				t.Error(err)
				return
			}
			time.Sleep(after)
			syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) // a terminal sends it to the whole group
			began := time.Now()
			err := cmd.Wait()
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() == 0 && exit.ProcessState.Success() {
				t.Errorf("interrupted after %v: ended with %v\n%s", after, err, &output)
			}
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("interrupted after %v: it took %v to end", after, took)
			}
			if left := running(t, mark); len(left) > 0 {
				t.Errorf("interrupted after %v: processes %v are left", after, left)
			}
		})
	}
}

// running lists the processes that have the mark in their environment.
func running(t *testing.T, mark string) (pids []string) {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range found {
		environ, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrPermission) || err != nil {
			continue
		}
		if strings.Contains(string(environ), mark) {
			pids = append(pids, filepath.Base(filepath.Dir(name)))
		}
	}
	return pids
}
