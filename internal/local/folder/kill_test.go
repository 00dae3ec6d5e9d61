package folder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/failpoint"
	"github.com/pcapwarden/pcapwarden/internal/incident"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
)

// The tests below need other processes: this binary again, with a role.
const roleSetting = "PCAPWARDEN_FOLDER_TEST_ROLE"

func TestMain(m *testing.M) {
	role, dir, found := strings.Cut(os.Getenv(roleSetting), "@")
	if !found {
		os.Exit(m.Run())
	}
	if err := roles[role](dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

var roles = map[string]func(dir string) error{
	"count":      count,
	"send":       func(dir string) error { return withQueue(dir, sendOne) },
	"complete":   func(dir string) error { return withQueue(dir, settleOne) },
	"deadletter": func(dir string) error { return withQueue(dir, deadLetterOne) },
	"upload":     upload,
}

// process starts this binary in a role, with a failpoint armed if one is named.
func process(t *testing.T, role, dir, point string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), roleSetting+"="+role+"@"+dir, "FAILPOINT=")
	if point != "" {
		cmd.Env = append(cmd.Env, "FAILPOINT="+point+"@"+filepath.Join(t.TempDir(), "was-here"))
	}
	cmd.Stderr = t.Output()
	return cmd
}

const increments = 25

func count(dir string) error {
	l, err := OpenLedger(dir)
	if err != nil {
		return err
	}
	ctx := context.Background()
	for done := 0; done < increments; {
		body, etag, err := l.Read(ctx, "counter")
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(string(body))
		if err != nil {
			return err
		}
		if _, err = l.Update(ctx, "counter", etag, []byte(strconv.Itoa(n+1))); err == nil {
			done++
		} else if !errors.Is(err, ledger.ErrConflict) {
			return err
		}
	}
	return nil
}

func TestLedgerAcrossProcesses(t *testing.T) {
	dir := t.TempDir()
	l, err := OpenLedger(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Create(t.Context(), "counter", []byte("0")); err != nil {
		t.Fatal(err)
	}
	const processes = 3
	var running []*exec.Cmd
	for range processes {
		cmd := process(t, "count", dir, "")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		running = append(running, cmd)
	}
	for _, cmd := range running {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	body, _, err := l.Read(t.Context(), "counter")
	if want := strconv.Itoa(processes * increments); err != nil || string(body) != want {
		t.Errorf("counter = %q, %v, want %s", body, err, want)
	}
}

func withQueue(dir string, do func(*Queue) error) error {
	if err := failpoint.Arm(os.Getenv("FAILPOINT")); err != nil {
		return err
	}
	q, err := OpenQueue(dir, Options{})
	if err != nil {
		return err
	}
	return do(q)
}

func sendOne(q *Queue) error {
	return q.Send(context.Background(), incident.Message{ID: "one", Subject: "s", Body: []byte("body")})
}

func settleOne(q *Queue) error {
	d, err := q.Receive(context.Background())
	if err != nil {
		return err
	}
	return d.Complete(context.Background())
}

func deadLetterOne(q *Queue) error {
	d, err := q.Receive(context.Background())
	if err != nil {
		return err
	}
	return d.DeadLetter(context.Background(), "Odd", "for the test")
}

// Whatever the step at which a process is killed: a message that is sent again
// is there once, and one that was settled again is gone.
func TestQueueKilled(t *testing.T) {
	for _, test := range []struct{ role, point string }{
		{"send", "folder.send.properties"},
		{"send", "folder.send.remembered"},
		{"send", "folder.send.body"},
		{"complete", "folder.receive.locked"},
		{"complete", "folder.leave.marked"},
		{"complete", "folder.leave.removed"},
		{"deadletter", "folder.deadletter.reason"},
		{"deadletter", "folder.deadletter.moved"},
	} {
		t.Run(test.point, func(t *testing.T) {
			dir := t.TempDir()
			now, pass := testClock()
			q := openQueue(t, dir, Options{}, now)
			if test.role != "send" {
				if err := sendOne(q); err != nil {
					t.Fatal(err)
				}
			}
			cmd := process(t, test.role, dir, test.point)
			if err := cmd.Run(); err == nil {
				t.Fatal("the process was not killed")
			}
			pass(2 * time.Minute) // the lock of the dead ends, the window does not
			if err := sendOne(q); err != nil {
				t.Fatal(err)
			}
			left, err := q.messages()
			if err != nil {
				t.Fatal(err)
			}
			gone := test.point == "folder.leave.removed" || test.point == "folder.deadletter.moved"
			if gone && len(left) != 0 || !gone && len(left) != 1 {
				t.Fatalf("in the queue after sending again: %q", left)
			}
			if !gone {
				d, err := q.Receive(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if string(d.Body) != "body" || d.Subject != "s" {
					t.Errorf("received %q, %q, want the message whole", d.Subject, d.Body)
				}
				if test.role == "deadletter" {
					err = d.DeadLetter(t.Context(), "Odd", "again")
				} else {
					err = d.Complete(t.Context())
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := sendOne(q); err != nil {
				t.Fatal(err)
			}
			if left, err := q.messages(); err != nil || len(left) != 0 {
				t.Errorf("a settled message came back: %q, %v", left, err)
			}
			if dead := deadLetters(t, dir); test.role == "deadletter" && len(dead) != 1 || test.role != "deadletter" && len(dead) != 0 {
				t.Errorf("dead letters: %+v", dead)
			}
		})
	}
}

func upload(dir string) error {
	s, err := OpenFiles(dir)
	if err != nil {
		return err
	}
	_, err = s.Create(context.Background(), "a.cap", os.Stdin, nil)
	return err
}

// A writer that is killed halfway leaves no file, and holds nobody up.
func TestFilesKilledMidway(t *testing.T) {
	dir := t.TempDir()
	s := openFiles(t, dir)
	cmd := process(t, "upload", dir, "")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// More than the pipe holds: once it is written, some of it was read.
	if _, err := io.CopyN(in, zeros{}, 1<<20); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if cmd.Wait() == nil {
		t.Fatal("the process was not killed")
	}
	if _, err := s.Open(t.Context(), "a.cap"); !errors.Is(err, evidence.ErrNotFound) {
		t.Errorf("Open = %v, want ErrNotFound", err)
	}
	for info := range s.List(t.Context(), "") {
		t.Errorf("listed: %q", info.Name)
	}
	if _, err := s.Create(t.Context(), "a.cap", strings.NewReader("whole"), nil); err != nil {
		t.Errorf("Create: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
