package functionshost

import (
	"context"
	"errors"
	"time"
)

// ErrLockLost says that a message is not its receiver's any more: it is, or
// was, delivered again. Nothing is to be done about it.
var ErrLockLost = errors.New("message lock was lost")

// A Receiver hands out the messages of a queue under a lock each, as Service
// Bus does in peek-lock mode.
//
// The folder queue and the Service Bus adapter implement it.
type Receiver interface {
	// Receive waits for the next message; it returns ctx's error when ctx
	// ends first.
	Receive(ctx context.Context) (Delivery, error)
}

// A Delivery is one message, locked for its receiver. Exactly one of
// Complete, Abandon and DeadLetter ends it; when the lock runs out first, the
// message is delivered again.
type Delivery struct {
	MessageID      string
	CorrelationID  string
	Subject        string
	ContentType    string
	Properties     map[string]any
	Body           []byte
	DeliveryCount  int // 1 on the first delivery
	SequenceNumber int64
	Enqueued       time.Time
	LockedUntil    time.Time

	Complete   func(ctx context.Context) error
	Abandon    func(ctx context.Context) error
	DeadLetter func(ctx context.Context, reason, description string) error
	Renew      func(ctx context.Context) (lockedUntil time.Time, err error)
}
