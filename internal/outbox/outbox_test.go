package outbox_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/incident"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
	"github.com/pcapwarden/pcapwarden/internal/local/folder"
	"github.com/pcapwarden/pcapwarden/internal/outbox"
)

// line is a queue that remembers the IDs of what it was sent.
type line struct {
	sent   []string
	before func() error // asked before a message is taken
	after  func()       // called when it is taken
}

func (l *line) Send(_ context.Context, m incident.Message) error {
	if err := l.before(); err != nil {
		return err
	}
	l.sent = append(l.sent, m.ID)
	l.after()
	return nil
}

// stored returns an outbox with one entry, and its store.
func stored(t *testing.T, q *line, now func() time.Time) (*outbox.Box, ledger.Records[outbox.Entry]) {
	t.Helper()
	records, err := folder.OpenLedger(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	q.before, q.after = func() error { return nil }, func() {}
	l := capture.NewLedger(records)
	c := capture.Case{Schema: capture.CaseSchema, ID: "pc-one", Incident: "inc-one", State: capture.Ended, DeleteAfter: time.Now().Add(time.Hour)}
	if _, _, err := l.Open(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	b := outbox.New(records, outbox.Box{Ledger: l, Queue: q, Audit: audit.New(records), Now: now, Log: slog.New(slog.DiscardHandler)})
	e := outbox.Entry{
		Incident: "inc-one", Case: "pc-one", Keep: true, File: capture.File{Name: "one.cap"},
		Message: incident.Message{ID: "m-1", CorrelationID: "inc-one", Subject: incident.TypeFinding, ContentType: "application/json", Body: []byte("{}")},
	}
	for range 2 { // the second finds the first
		if err := b.Put(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	return b, ledger.In[outbox.Entry](records, "outbox/")
}

func TestStoredBeforeSentAndSentAfterAFailure(t *testing.T) {
	var q line
	b, entries := stored(t, &q, time.Now)
	down := errors.New("down")
	q.before = func() error {
		if e, err := entries.Read(t.Context(), "m-1"); err != nil || !e.Sent.IsZero() {
			t.Errorf("before it is sent the store has %+v, %v", e, err)
		}
		return down
	}
	if err := b.Deliver(t.Context(), "m-1"); !errors.Is(err, down) {
		t.Errorf("delivered: %v, want that the queue is down", err)
	}
	down = nil
	for range 2 {
		if err := b.Deliver(t.Context(), "m-1"); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(q.sent, []string{"m-1"}) {
		t.Errorf("sent %v, want m-1 once", q.sent)
	}
	if _, err := entries.Read(t.Context(), "m-1"); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("the entry is still there: %v", err)
	}
}

// TestSentAgainWithItsID ends after the message is sent and before that is
// recorded.
func TestSentAgainWithItsID(t *testing.T) {
	var q line
	b, _ := stored(t, &q, time.Now)
	ctx, kill := context.WithCancel(t.Context())
	q.after = kill
	if err := b.Deliver(ctx, "m-1"); err == nil {
		t.Fatal("nothing was interrupted")
	}
	q.after = func() {}
	if err := b.Deliver(t.Context(), "m-1"); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(q.sent, []string{"m-1", "m-1"}) {
		t.Errorf("sent %v, want m-1 again", q.sent)
	}
}

func TestFlushEndsAtItsDeadline(t *testing.T) {
	var q line
	later := time.Now().Add(time.Hour)
	now := time.Now
	b, _ := stored(t, &q, func() time.Time { return now() })
	now = func() time.Time { return later }
	if err := b.Flush(t.Context(), later); err != nil || len(q.sent) != 0 {
		t.Errorf("sent %v, %v after the deadline", q.sent, err)
	}
	if err := b.Flush(t.Context(), later.Add(time.Minute)); err != nil || len(q.sent) != 1 {
		t.Errorf("sent %v, %v; want one", q.sent, err)
	}
}
