package servicebus

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/incident"
	broker "github.com/pcapwarden/pcapwarden/test/servicebus"
)

// What trying again does not mend is told apart from what it does.
func TestNoQueue(t *testing.T) {
	namespace := broker.Start(t)
	existing := namespace.Setting(namespace.NewQueue(t, broker.Options{}))
	for _, test := range []struct{ name, setting string }{
		{"missing", namespace.Setting("nothing-here")},
		{"wrong_key", strings.Replace(existing, "SAS_KEY_VALUE", "WRONG_KEY", 1)},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := newSender(t, test.setting).Send(t.Context(), incident.Message{ID: "one"})
			if !errors.Is(err, incident.ErrNoQueue) {
				t.Errorf("Send = %v, want ErrNoQueue", err)
			}
			if err != nil && (strings.Contains(err.Error(), "WRONG_KEY") || strings.Contains(err.Error(), "SharedAccessSignature")) {
				t.Errorf("the error shows a secret: %v", err)
			}
			if _, err := newReceiver(t, test.setting).Receive(t.Context()); !errors.Is(err, incident.ErrNoQueue) {
				t.Errorf("Receive = %v, want ErrNoQueue", err)
			}
		})
	}
}

// A broker that is gone is an error within the caller's time, of a kind that
// may go away; ending a delivery of its messages does not hang either.
func TestBrokerDies(t *testing.T) {
	namespace, kill := broker.StartOwn(t)
	setting := namespace.Setting(namespace.NewQueue(t, broker.Options{}))
	s, r := newSender(t, setting), newReceiver(t, setting)
	if err := s.Send(t.Context(), incident.Message{ID: "one"}); err != nil {
		t.Fatal(err)
	}
	d, err := r.Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	kill()
	why := errors.New("the host is going down")
	for verb, call := range map[string]func(context.Context) error{
		"Send":     func(ctx context.Context) error { return s.Send(ctx, incident.Message{ID: "two"}) },
		"Complete": d.Complete,
		"Receive":  func(ctx context.Context) error { _, err := r.Receive(ctx); return err },
	} {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, why)
		err := call(ctx)
		cancel()
		if err == nil || errors.Is(err, incident.ErrNoQueue) || errors.Is(err, incident.ErrTooLarge) {
			t.Errorf("%s without a broker = %v, want an error that may go away", verb, err)
		}
	}
}
