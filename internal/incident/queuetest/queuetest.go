// Package queuetest knows what an [incident.Queue] and the receiver at its
// other end promise: a suite that every implementation passes.
package queuetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/incident"
	"github.com/pcapwarden/pcapwarden/internal/local/functionshost"
)

// A Place is an empty queue of at most 256 KiB a message.
type Place struct {
	Queue       incident.Queue
	One, Other  functionshost.Receiver // as two processes have them
	DeadLetters func(t *testing.T) []DeadLetter

	LockDuration     time.Duration
	MaxDeliveryCount int // at least 2
	Pass             func(time.Duration)
}

// A DeadLetter is a message that nobody could handle.
type DeadLetter struct {
	MessageID, Reason, Description string
	Body                           []byte
}

// Run tests the queues that open makes, one per subtest.
func Run(t *testing.T, open func(t *testing.T) Place) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, p Place)
	}{
		{"a_message_arrives_as_sent", arrives},
		{"oldest_first", oldestFirst},
		{"completed_is_gone", completed},
		{"abandoned_comes_again", abandoned},
		{"given_up_after_too_many", givenUp},
		{"dead_lettered", deadLettered},
		{"a_lock_ends", lockEnds},
		{"a_lock_is_renewed", lockRenewed},
		{"sent_twice_is_one", duplicates},
		{"each_message_to_one_receiver", oneReceiver},
		{"too_large", tooLarge},
		{"too_late", tooLate},
		{"bad_messages", badMessages},
		{"cancelled", cancelled},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, open(t))
		})
	}
}

func send(t *testing.T, p Place, id string) {
	t.Helper()
	if err := p.Queue.Send(t.Context(), incident.Message{ID: id, Body: []byte(`{"id":"` + id + `"}`)}); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, r functionshost.Receiver) functionshost.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	d, err := r.Receive(ctx)
	if err != nil {
		t.Fatalf("Receive: %v", err)
	}
	return d
}

// empty fails if a message can be had. A wait that is too short can only miss
// a fault, never invent one.
func empty(t *testing.T, r functionshost.Receiver) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if d, err := r.Receive(ctx); err == nil {
		t.Errorf("Receive = message %q, delivery %d, want none", d.MessageID, d.DeliveryCount)
	} else if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Receive = %v, want the context's error", err)
	}
}

// settled calls one of a delivery's functions.
func settled(t *testing.T, verb string, call func(context.Context) error) {
	t.Helper()
	if err := call(t.Context()); err != nil {
		t.Fatalf("%s: %v", verb, err)
	}
}

func arrives(t *testing.T, p Place) {
	m := incident.Message{
		ID:            "abc_DEF-012",
		CorrelationID: "INC-7",
		Subject:       "io.pcapwarden.finding.v1",
		ContentType:   "application/cloudevents+json; charset=utf-8",
		Properties:    map[string]string{"cloudEvents_type": "x", "severity": "high", "odd": "é\n\x00\""},
		TimeToLive:    time.Hour,
		Body:          append([]byte("{\"a\": 1}\n\x00\xff"), bytes.Repeat([]byte("x"), 60<<10)...),
	}
	before := time.Now()
	if err := p.Queue.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	d := receive(t, p.One)
	got := incident.Message{
		ID: d.MessageID, CorrelationID: d.CorrelationID, Subject: d.Subject, ContentType: d.ContentType,
		Properties: map[string]string{}, TimeToLive: m.TimeToLive, Body: d.Body,
	}
	for name, value := range d.Properties {
		got.Properties[name], _ = value.(string)
	}
	if diff := cmp.Diff(m, got); diff != "" {
		t.Errorf("the message changed on its way (-want +got):\n%s", diff)
	}
	if d.DeliveryCount != 1 || d.SequenceNumber == 0 {
		t.Errorf("delivery %d, sequence number %d, want the first delivery and a number", d.DeliveryCount, d.SequenceNumber)
	}
	if early := before.Add(-time.Minute); d.Enqueued.Before(early) || !d.LockedUntil.After(d.Enqueued) {
		t.Errorf("enqueued %v, locked until %v, want both after %v", d.Enqueued, d.LockedUntil, early)
	}
	settled(t, "Complete", d.Complete)
}

func oldestFirst(t *testing.T, p Place) {
	var want, got []string
	for n := range 12 {
		want = append(want, fmt.Sprintf("m%d", n))
		send(t, p, want[n])
	}
	last := int64(0)
	for range want {
		d := receive(t, p.One)
		got = append(got, d.MessageID)
		if d.SequenceNumber <= last {
			t.Errorf("sequence number %d after %d", d.SequenceNumber, last)
		}
		last = d.SequenceNumber
		settled(t, "Complete", d.Complete)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func completed(t *testing.T, p Place) {
	send(t, p, "one")
	d := receive(t, p.One)
	settled(t, "Complete", d.Complete)
	if err := d.Complete(t.Context()); err == nil {
		t.Error("a message was completed twice")
	}
	p.Pass(p.LockDuration + time.Second)
	empty(t, p.One)
	empty(t, p.Other)
}

func abandoned(t *testing.T, p Place) {
	send(t, p, "one")
	d := receive(t, p.One)
	empty(t, p.Other) // while it is locked
	settled(t, "Abandon", d.Abandon)
	again := receive(t, p.Other)
	if again.MessageID != "one" || again.DeliveryCount != 2 || again.SequenceNumber != d.SequenceNumber {
		t.Errorf("message %q, delivery %d, sequence number %d, want the same one a second time",
			again.MessageID, again.DeliveryCount, again.SequenceNumber)
	}
	settled(t, "Complete", again.Complete)
}

func givenUp(t *testing.T, p Place) {
	send(t, p, "poison")
	for n := range p.MaxDeliveryCount {
		d := receive(t, p.One)
		if d.DeliveryCount != n+1 {
			t.Errorf("delivery %d, want %d", d.DeliveryCount, n+1)
		}
		settled(t, "Abandon", d.Abandon)
	}
	empty(t, p.One)
	dead := p.DeadLetters(t)
	if len(dead) != 1 || dead[0].MessageID != "poison" || dead[0].Reason != "MaxDeliveryCountExceeded" || string(dead[0].Body) != `{"id":"poison"}` {
		t.Errorf("dead letters = %+v, want the message and MaxDeliveryCountExceeded", dead)
	}
}

func deadLettered(t *testing.T, p Place) {
	send(t, p, "odd")
	d := receive(t, p.One)
	if err := d.DeadLetter(t.Context(), "UnknownBlob", "no capture of ours wrote it"); err != nil {
		t.Fatal(err)
	}
	empty(t, p.One)
	want := []DeadLetter{{"odd", "UnknownBlob", "no capture of ours wrote it", []byte(`{"id":"odd"}`)}}
	if diff := cmp.Diff(want, p.DeadLetters(t)); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
}

func lockEnds(t *testing.T, p Place) {
	send(t, p, "one")
	slow := receive(t, p.One)
	p.Pass(p.LockDuration + time.Second)
	d := receive(t, p.Other)
	if d.DeliveryCount != 2 {
		t.Errorf("delivery %d, want 2", d.DeliveryCount)
	}
	_, renew := slow.Renew(t.Context())
	for verb, err := range map[string]error{
		"Renew": renew, "Complete": slow.Complete(t.Context()), "Abandon": slow.Abandon(t.Context()),
		"DeadLetter": slow.DeadLetter(t.Context(), "x", "y"),
	} {
		if !errors.Is(err, functionshost.ErrLockLost) {
			t.Errorf("%s after the lock ended = %v, want ErrLockLost", verb, err)
		}
	}
	settled(t, "Complete of the second delivery", d.Complete)
	if dead := p.DeadLetters(t); len(dead) != 0 {
		t.Errorf("dead letters = %+v, want none", dead)
	}
}

func lockRenewed(t *testing.T, p Place) {
	send(t, p, "one")
	d := receive(t, p.One)
	p.Pass(p.LockDuration / 2)
	until, err := d.Renew(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !until.After(d.LockedUntil) {
		t.Errorf("renewed until %v, was %v before", until, d.LockedUntil)
	}
	p.Pass(p.LockDuration * 3 / 4)
	empty(t, p.Other)
	settled(t, "Complete", d.Complete)
}

func duplicates(t *testing.T, p Place) {
	send(t, p, "one")
	send(t, p, "one")
	d := receive(t, p.One)
	send(t, p, "one")
	settled(t, "Complete", d.Complete)
	send(t, p, "one")
	empty(t, p.One)
	send(t, p, "One") // another
	if d := receive(t, p.One); d.MessageID != "One" {
		t.Errorf("received %q, want %q", d.MessageID, "One")
	}
}

func oneReceiver(t *testing.T, p Place) {
	const messages = 24
	for n := range messages {
		send(t, p, fmt.Sprintf("m%d", n))
	}
	var mu sync.Mutex
	got := map[string]int{}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for n := range 4 {
		r := []functionshost.Receiver{p.One, p.Other}[n%2]
		all.Go(func() {
			for {
				d, err := r.Receive(ctx)
				if err != nil {
					return
				}
				if err := d.Complete(t.Context()); err != nil {
					t.Errorf("Complete: %v", err)
				}
				mu.Lock()
				got[d.MessageID]++
				if len(got) == messages {
					cancel()
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for id, times := range got {
		if times != 1 {
			t.Errorf("message %q was delivered %d times", id, times)
		}
	}
	if len(got) != messages {
		t.Errorf("%d of %d messages were delivered", len(got), messages)
	}
}

func tooLarge(t *testing.T, p Place) {
	err := p.Queue.Send(t.Context(), incident.Message{ID: "large", Body: make([]byte, 257<<10)})
	if !errors.Is(err, incident.ErrTooLarge) {
		t.Errorf("Send of 257 KiB = %v, want ErrTooLarge", err)
	}
	empty(t, p.One)
	if err := p.Queue.Send(t.Context(), incident.Message{ID: "fits", Body: make([]byte, 250<<10)}); err != nil {
		t.Errorf("Send of 250 KiB after it: %v", err)
	}
	if d := receive(t, p.One); len(d.Body) != 250<<10 {
		t.Errorf("received %d bytes", len(d.Body))
	}
}

func tooLate(t *testing.T, p Place) {
	if err := p.Queue.Send(t.Context(), incident.Message{ID: "old", TimeToLive: time.Second}); err != nil {
		t.Fatal(err)
	}
	p.Pass(1500 * time.Millisecond)
	empty(t, p.One)
}

func badMessages(t *testing.T, p Place) {
	for _, m := range []incident.Message{
		{ID: ""},
		{ID: "../../x"},
		{ID: "a b"},
		{ID: "a\n"},
		{ID: "é"},
		{ID: strings.Repeat("x", 129)},
		{ID: "late", TimeToLive: -time.Second},
		{ID: "wide", Properties: map[string]string{"k": strings.Repeat("x", 33<<10)}},
	} {
		if err := p.Queue.Send(t.Context(), m); err == nil {
			t.Errorf("Send took the message %.40q", m.ID)
		}
	}
	empty(t, p.One)
	send(t, p, strings.Repeat("x", 128))
	receive(t, p.One)
}

func cancelled(t *testing.T, p Place) {
	why := errors.New("the host is going down")
	ctx, cancel := context.WithCancelCause(t.Context())
	var all sync.WaitGroup
	var receiveErr error
	all.Go(func() { _, receiveErr = p.One.Receive(ctx) })
	cancel(why)
	all.Wait()
	if !errors.Is(receiveErr, why) {
		t.Errorf("Receive = %v, want the context's cause", receiveErr)
	}
	if err := p.Queue.Send(ctx, incident.Message{ID: "one"}); !errors.Is(err, why) {
		t.Errorf("Send = %v, want the context's cause", err)
	}
	send(t, p, "two")
	if d := receive(t, p.Other); d.MessageID != "two" {
		t.Errorf("received %q, want %q", d.MessageID, "two")
	}
}
