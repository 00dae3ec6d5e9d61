package servicebus

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"github.com/pcapwarden/pcapwarden/internal/local/functionshost"
)

// A Receiver is a [functionshost.Receiver] on Service Bus, for runs in which
// no Functions host of Azure's receives. Several goroutines may use it at once.
type Receiver struct {
	client   *azservicebus.Client
	receiver *azservicebus.Receiver
	queue    string
	turn     chan struct{} // holds one token: the SDK bears one ReceiveMessages at a time
}

var _ functionshost.Receiver = (*Receiver)(nil)

// NewReceiver returns a receiver for the queue that the setting names, as
// NewSender does. It connects with the first Receive.
func NewReceiver(setting string, cred azcore.TokenCredential) (*Receiver, error) {
	client, queue, err := open(setting, cred)
	if err != nil {
		return nil, err
	}
	receiver, err := client.NewReceiverForQueue(queue, &azservicebus.ReceiverOptions{ReceiveMode: azservicebus.ReceiveModePeekLock})
	if err != nil {
		return nil, fmt.Errorf("queue %q: %w", queue, err)
	}
	turn := make(chan struct{}, 1)
	turn <- struct{}{}
	return &Receiver{client, receiver, queue, turn}, nil
}

// Close ends the connection. Messages that are held come again when their
// locks run out.
func (r *Receiver) Close(ctx context.Context) error { return r.client.Close(ctx) }

// Reach looks at the queue without taking anything off it: it is there, and
// the identity may receive from it.
func (r *Receiver) Reach(ctx context.Context) error {
	_, err := r.receiver.PeekMessages(ctx, 1, nil)
	return explain(ctx, err, fmt.Sprintf("look into queue %q", r.queue))
}

// Receive implements [functionshost.Receiver].
func (r *Receiver) Receive(ctx context.Context) (functionshost.Delivery, error) {
	select {
	case <-r.turn:
		defer func() { r.turn <- struct{}{} }()
	case <-ctx.Done():
		return functionshost.Delivery{}, context.Cause(ctx)
	}
	for {
		messages, err := r.receiver.ReceiveMessages(ctx, 1, nil)
		if err != nil {
			return functionshost.Delivery{}, explain(ctx, err, fmt.Sprintf("receive from queue %q", r.queue))
		}
		if len(messages) > 0 {
			return r.deliver(messages[0]), nil
		}
		// None and no error: the link was closed and is opened anew.
		if ctx.Err() != nil {
			return functionshost.Delivery{}, context.Cause(ctx)
		}
	}
}

func (r *Receiver) deliver(m *azservicebus.ReceivedMessage) functionshost.Delivery {
	var over atomic.Bool
	end := func(verb string, settle func(context.Context) error) func(context.Context) error {
		return func(ctx context.Context) error {
			doing := fmt.Sprintf("%s message %q of queue %q", verb, m.MessageID, r.queue)
			if over.Load() { // the SDK would say that all is well
				return fmt.Errorf("%s: %w", doing, functionshost.ErrLockLost)
			}
			ctx, cancel := context.WithTimeoutCause(ctx, settleTimeout, errors.New("the queue did not answer in time"))
			defer cancel()
			err := explain(ctx, settle(ctx), doing)
			if err == nil && verb != "renew lock of" || errors.Is(err, functionshost.ErrLockLost) {
				over.Store(true)
			}
			return err
		}
	}
	renew := end("renew lock of", func(ctx context.Context) error { return r.receiver.RenewMessageLock(ctx, m, nil) })
	return functionshost.Delivery{
		MessageID:      m.MessageID,
		CorrelationID:  value(m.CorrelationID),
		Subject:        value(m.Subject),
		ContentType:    value(m.ContentType),
		Properties:     m.ApplicationProperties,
		Body:           m.Body,
		DeliveryCount:  int(m.DeliveryCount),
		SequenceNumber: value(m.SequenceNumber),
		Enqueued:       value(m.EnqueuedTime),
		LockedUntil:    value(m.LockedUntil),
		Complete:       end("complete", func(ctx context.Context) error { return r.receiver.CompleteMessage(ctx, m, nil) }),
		Abandon:        end("abandon", func(ctx context.Context) error { return r.receiver.AbandonMessage(ctx, m, nil) }),
		DeadLetter: func(ctx context.Context, reason, description string) error {
			return end("dead-letter", func(ctx context.Context) error {
				return r.receiver.DeadLetterMessage(ctx, m, &azservicebus.DeadLetterOptions{Reason: &reason, ErrorDescription: &description})
			})(ctx)
		},
		Renew: func(ctx context.Context) (time.Time, error) {
			if err := renew(ctx); err != nil {
				return time.Time{}, err
			}
			return value(m.LockedUntil), nil
		},
	}
}

func value[T any](p *T) (zero T) {
	if p == nil {
		return zero
	}
	return *p
}
