package folder

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/incident"
	"github.com/pcapwarden/pcapwarden/internal/incident/queuetest"
)

func openQueue(t *testing.T, dir string, o Options, now clock) *Queue {
	t.Helper()
	q, err := OpenQueue(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	q.now = now
	return q
}

func TestQueue(t *testing.T) {
	queuetest.Run(t, func(t *testing.T) queuetest.Place {
		dir := t.TempDir()
		now, pass := testClock()
		options := Options{LockDuration: 30 * time.Second, MaxDeliveryCount: 3}
		return queuetest.Place{
			Queue:            openQueue(t, dir, options, now),
			One:              openQueue(t, dir, options, now),
			Other:            openQueue(t, dir, options, now),
			DeadLetters:      func(t *testing.T) []queuetest.DeadLetter { return deadLetters(t, dir) },
			LockDuration:     options.LockDuration,
			MaxDeliveryCount: options.MaxDeliveryCount,
			Pass:             pass,
		}
	})
}

func deadLetters(t *testing.T, dir string) (dead []queuetest.DeadLetter) {
	files, err := filepath.Glob(filepath.Join(dir, DeadLetters, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		reason, err := os.ReadFile(file + ".reason")
		if err != nil {
			t.Fatal(err)
		}
		var b broker
		if err := json.Unmarshal(reason, &b); err != nil {
			t.Fatal(err)
		}
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		dead = append(dead, queuetest.DeadLetter{
			MessageID: b.MessageID, Reason: b.DeadLetterReason, Description: b.DeadLetterDescription, Body: body,
		})
	}
	return dead
}

// What a person, or a script, sees: *.json are the messages, as sent.
func TestQueueFolder(t *testing.T) {
	dir := t.TempDir()
	at := time.Date(2026, 10, 8, 2, 4, 5, 0, time.UTC)
	q := openQueue(t, dir, Options{}, func() time.Time { return at })
	for _, id := range []string{"b", "a"} {
		if err := q.Send(t.Context(), incident.Message{ID: id, Body: []byte("{\n\"" + id + "\"}")}); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]string{}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got[filepath.Base(file)] = string(body)
	}
	want := map[string]string{
		"20261008T020405.000000000Z-a.json": "{\n\"a\"}",
		"20261008T020405.000000000Z-b.json": "{\n\"b\"}",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("*.json (-want +got):\n%s", diff)
	}
}

func TestQueueTakesWhatWasPutThere(t *testing.T) {
	dir := t.TempDir()
	q := openQueue(t, dir, Options{}, wallClock)
	for name, body := range map[string]string{
		"20261008T020405.000000000Z-by-hand.json": "{}",
		"notes.json":                               "not a message",
		"20261008T020405.000000000Z-..json":        "no id",
		"20261008T020405.000000000Z-half.json.tmp": "half",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, err := q.Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d.MessageID != "by-hand" || string(d.Body) != "{}" || d.DeliveryCount != 1 {
		t.Errorf("received %q, %q, delivery %d, want the file", d.MessageID, d.Body, d.DeliveryCount)
	}
	if err := d.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if files, err := q.messages(); err != nil || len(files) != 0 {
		t.Errorf("messages left: %q, %v", files, err)
	}
}

// A removed folder is not an empty queue.
func TestQueueRemoved(t *testing.T) {
	dir := t.TempDir()
	q := openQueue(t, filepath.Join(dir, "q"), Options{}, wallClock)
	if err := os.RemoveAll(filepath.Join(dir, "q")); err != nil {
		t.Fatal(err)
	}
	if err := q.Send(t.Context(), incident.Message{ID: "a"}); !errors.Is(err, incident.ErrNoQueue) {
		t.Errorf("Send = %v, want ErrNoQueue", err)
	}
}

// Duplicate detection ends with its window, and so does what it remembers.
func TestQueueForgets(t *testing.T) {
	dir := t.TempDir()
	now, pass := testClock()
	q := openQueue(t, dir, Options{DuplicateWindow: time.Minute, LockDuration: time.Hour}, now)
	for n := range 3 {
		if err := q.Send(t.Context(), incident.Message{ID: "same"}); err != nil {
			t.Fatal(err)
		}
		d, err := q.Receive(t.Context())
		if err != nil {
			t.Fatalf("message %d of the same ID, after the window: %v", n, err)
		}
		if err := d.Complete(t.Context()); err != nil {
			t.Fatal(err)
		}
		pass(61 * time.Second)
	}
	if err := q.Send(t.Context(), incident.Message{ID: "other"}); err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"sent", "messages", "tmp"} {
		entries, err := fs.ReadDir(q.tree.root.FS(), ownQueue+"/"+sub)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.Contains(e.Name(), "same") {
				t.Errorf("%s/%s is left for ever", sub, e.Name())
			}
		}
	}
}
