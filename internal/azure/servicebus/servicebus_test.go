package servicebus

import (
	"context"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"github.com/pcapwarden/pcapwarden/internal/incident/queuetest"
	"github.com/pcapwarden/pcapwarden/internal/local/functionshost"
	broker "github.com/pcapwarden/pcapwarden/test/servicebus"
)

func TestQueue(t *testing.T) {
	namespace := broker.Start(t)
	queuetest.Run(t, func(t *testing.T) queuetest.Place {
		options := broker.Options{LockDuration: 5 * time.Second, MaxDeliveryCount: 3, DuplicateWindow: time.Minute}
		setting := namespace.Setting(namespace.NewQueue(t, options))
		return queuetest.Place{
			Queue:            newSender(t, setting),
			One:              newReceiver(t, setting),
			Other:            newReceiver(t, setting),
			DeadLetters:      func(t *testing.T) []queuetest.DeadLetter { return deadLetters(t, setting) },
			LockDuration:     options.LockDuration,
			MaxDeliveryCount: options.MaxDeliveryCount,
			Pass:             time.Sleep, // another process has the clock
		}
	})
}

func newSender(t *testing.T, setting string) *Sender {
	t.Helper()
	s, err := NewSender(setting, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	return s
}

func newReceiver(t *testing.T, setting string) functionshost.Receiver {
	t.Helper()
	r, err := NewReceiver(setting, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(context.Background()) })
	return r
}

func deadLetters(t *testing.T, setting string) (dead []queuetest.DeadLetter) {
	client, queue, err := open(setting, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close(context.Background())
	r, err := client.NewReceiverForQueue(queue, &azservicebus.ReceiverOptions{SubQueue: azservicebus.SubQueueDeadLetter})
	if err != nil {
		t.Fatal(err)
	}
	messages, err := r.PeekMessages(t.Context(), 10, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		dead = append(dead, queuetest.DeadLetter{
			MessageID: m.MessageID, Reason: value(m.DeadLetterReason), Description: value(m.DeadLetterErrorDescription), Body: m.Body,
		})
	}
	return dead
}
