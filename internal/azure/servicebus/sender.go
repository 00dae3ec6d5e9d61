package servicebus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/go-amqp"

	"github.com/pcapwarden/pcapwarden/internal/incident"
	"github.com/pcapwarden/pcapwarden/internal/local/functionshost"
)

// sendTimeout bounds a Send with all its retries, settleTimeout what ends a
// delivery: on a lost connection the SDK tries that for most of a minute,
// whatever its retry options say.
const (
	sendTimeout   = time.Minute
	settleTimeout = 15 * time.Second
)

// A Sender is an [incident.Queue] on Service Bus. Several goroutines may use
// it at once.
type Sender struct {
	client *azservicebus.Client
	sender *azservicebus.Sender
	queue  string
}

var _ incident.Queue = (*Sender)(nil)

// NewSender returns a sender for the queue that the setting names: see the
// README's table of settings. It connects with the first message.
func NewSender(setting string, cred azcore.TokenCredential) (*Sender, error) {
	client, queue, err := open(setting, cred)
	if err != nil {
		return nil, err
	}
	sender, err := client.NewSender(queue, nil)
	if err != nil {
		return nil, fmt.Errorf("queue %q: %w", queue, err)
	}
	return &Sender{client, sender, queue}, nil
}

// Close ends the connection.
func (s *Sender) Close(ctx context.Context) error { return s.client.Close(ctx) }

// Send implements [incident.Queue]. The queue has to have duplicate detection
// on, so that a message whose answer was lost is not there twice.
func (s *Sender) Send(ctx context.Context, m incident.Message) error {
	if err := m.Check(); err != nil {
		return fmt.Errorf("send to queue %q: %w", s.queue, err)
	}
	message := &azservicebus.Message{
		MessageID:     &m.ID,
		Body:          m.Body,
		CorrelationID: optional(m.CorrelationID),
		Subject:       optional(m.Subject),
		ContentType:   optional(m.ContentType),
	}
	if m.TimeToLive > 0 {
		message.TimeToLive = new(max(m.TimeToLive, time.Millisecond))
	}
	if len(m.Properties) > 0 {
		message.ApplicationProperties = make(map[string]any, len(m.Properties))
		for name, value := range m.Properties {
			message.ApplicationProperties[name] = value
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, sendTimeout, errors.New("the queue did not answer in time"))
	defer cancel()
	return explain(ctx, s.sender.SendMessage(ctx, message, nil), fmt.Sprintf("send message %q to queue %q", m.ID, s.queue))
}

// Reach opens the link that messages would go over, and sends none: the queue
// is there, and the identity may send to it.
func (s *Sender) Reach(ctx context.Context) error {
	_, err := s.sender.NewMessageBatch(ctx, nil) // asks the link how much it takes
	return explain(ctx, err, fmt.Sprintf("open queue %q", s.queue))
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// explain turns an error of the SDK into one of ours: what was done comes
// first, and the context's cause wins.
func explain(ctx context.Context, err error, doing string) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", doing, context.Cause(ctx))
	case errors.Is(err, azservicebus.ErrMessageTooLarge):
		return fmt.Errorf("%s: %w", doing, incident.ErrTooLarge)
	}
	if e, ok := errors.AsType[*azservicebus.Error](err); ok {
		switch e.Code {
		case azservicebus.CodeNotFound, azservicebus.CodeUnauthorizedAccess:
			return fmt.Errorf("%s: %w: %w", doing, incident.ErrNoQueue, err)
		case azservicebus.CodeLockLost:
			return fmt.Errorf("%s: %w", doing, functionshost.ErrLockLost)
		}
	}
	if e, ok := errors.AsType[*amqp.Error](err); ok {
		switch e.Condition {
		case amqp.ErrCondNotFound, "com.microsoft:entity-disabled":
			return fmt.Errorf("%s: %w: %w", doing, incident.ErrNoQueue, err)
		case amqp.ErrCondMessageSizeExceeded:
			return fmt.Errorf("%s: %w", doing, incident.ErrTooLarge)
		}
	}
	return fmt.Errorf("%s: %w", doing, err)
}
