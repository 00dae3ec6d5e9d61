// Package incident turns an analysis into the message that the incident queue
// carries to people and to other systems.
package incident

import (
	"context"
	"time"
)

// A Message is what goes onto the incident queue.
type Message struct {
	ID            string // deterministic: sending it again is no second message; [A-Za-z0-9_-]{1,128}
	CorrelationID string // the incident
	Subject       string // the CloudEvents type
	ContentType   string
	Properties    map[string]string // for subscribers' filters; never a secret
	TimeToLive    time.Duration     // 0: the queue's
	Body          []byte
}

// A Queue carries messages at least once, and knows a message it had already
// by its ID.
//
// Implementations pass the suite in queuetest.
type Queue interface {
	// Send returns when the queue has taken the message. Any error may go
	// away, unless errors.Is says ErrTooLarge or ErrNoQueue.
	Send(ctx context.Context, m Message) error
}
