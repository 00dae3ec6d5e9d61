package folder

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/failpoint"
	"github.com/pcapwarden/pcapwarden/internal/local/functionshost"
)

var _ functionshost.Receiver = (*Queue)(nil)

// pollInterval is how often a receiver looks for what other processes sent
// and for locks that ran out.
const pollInterval = 50 * time.Millisecond

// Receive implements [functionshost.Receiver]. The oldest message that nobody
// holds comes first.
func (q *Queue) Receive(ctx context.Context) (functionshost.Delivery, error) {
	for {
		d, ok, err := q.next(ctx)
		if err != nil {
			return functionshost.Delivery{}, fmt.Errorf("receive message: %w", err)
		}
		if ok {
			return d, nil
		}
		select {
		case <-q.arrived:
		case <-time.After(pollInterval):
		case <-ctx.Done():
			return functionshost.Delivery{}, context.Cause(ctx)
		}
	}
}

func (q *Queue) next(ctx context.Context) (d functionshost.Delivery, ok bool, err error) {
	files, err := q.messages()
	if err != nil || len(files) == 0 {
		return d, false, err // without the lock: an idle queue disturbs nobody
	}
	err = q.tree.alone(ctx, func() error {
		if files, err = q.messages(); err != nil {
			return err
		}
		for _, file := range files {
			if d, ok, err = q.deliver(file); ok || err != nil {
				return err
			}
		}
		return nil
	})
	return d, ok, err
}

// messages returns the names of the messages, oldest first.
func (q *Queue) messages() ([]string, error) {
	entries, err := fs.ReadDir(q.tree.root.FS(), ".") // sorted
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if _, _, ok := enqueued(e.Name()); ok && e.Type().IsRegular() {
			files = append(files, e.Name())
		}
	}
	return files, nil
}

// deliver locks a message, if it is there to be had.
func (q *Queue) deliver(file string) (d functionshost.Delivery, ok bool, err error) {
	b, err := q.broker(file)
	if err != nil {
		return d, false, err
	}
	now := q.now().UTC()
	switch {
	case now.Before(b.LockedUntil):
		return d, false, nil
	case !b.Expires.IsZero() && !now.Before(b.Expires):
		return d, false, q.leave(file, b)
	case b.DeliveryCount >= q.options.MaxDeliveryCount:
		return d, false, q.deadLetter(file, b, "MaxDeliveryCountExceeded",
			fmt.Sprintf("delivered %d times without being completed", b.DeliveryCount))
	}
	body, err := q.tree.root.ReadFile(file)
	if err != nil {
		return d, false, absent(err) // a person removed it
	}
	b.DeliveryCount++
	b.LockToken = rand.Text()
	b.LockedUntil = now.Add(q.options.LockDuration)
	if err := q.writeBroker(file, b); err != nil {
		return d, false, err
	}
	failpoint.Here("folder.receive.locked")
	token := b.LockToken
	properties := make(map[string]any, len(b.Properties))
	for name, value := range b.Properties {
		properties[name] = value
	}
	return functionshost.Delivery{
		MessageID: b.MessageID, CorrelationID: b.CorrelationID, Subject: b.Subject, ContentType: b.ContentType,
		Properties: properties, Body: body, DeliveryCount: b.DeliveryCount,
		SequenceNumber: b.Enqueued.UnixNano(), Enqueued: b.Enqueued, LockedUntil: b.LockedUntil,
		Complete: func(ctx context.Context) error {
			return q.settle(ctx, "complete", file, token, func(b broker) error { return q.leave(file, b) })
		},
		Abandon: func(ctx context.Context) error {
			return q.settle(ctx, "abandon", file, token, func(b broker) error {
				b.LockToken, b.LockedUntil = "", time.Time{}
				return q.writeBroker(file, b)
			})
		},
		DeadLetter: func(ctx context.Context, reason, description string) error {
			return q.settle(ctx, "dead-letter", file, token, func(b broker) error {
				return q.deadLetter(file, b, reason, description)
			})
		},
		Renew: func(ctx context.Context) (until time.Time, err error) {
			err = q.settle(ctx, "renew lock of", file, token, func(b broker) error {
				b.LockedUntil = q.now().UTC().Add(q.options.LockDuration)
				until = b.LockedUntil
				return q.writeBroker(file, b)
			})
			return until, err
		},
	}, true, nil
}

// settle does what its holder wants with a message, if it still holds it.
func (q *Queue) settle(ctx context.Context, verb, file, token string, do func(broker) error) error {
	err := q.tree.alone(ctx, func() error {
		b, err := q.broker(file)
		if err != nil {
			return err
		}
		if b.LockToken != token || !q.now().Before(b.LockedUntil) || !q.holds(file) {
			return functionshost.ErrLockLost
		}
		return do(b)
	})
	if err != nil {
		return fmt.Errorf("%s message %q: %w", verb, file, err)
	}
	select {
	case q.arrived <- struct{}{}: // abandoned, perhaps
	default:
	}
	return nil
}

// broker reads what is known of a message. One that was put here by hand, or
// whose properties were, has those that its name tells.
func (q *Queue) broker(file string) (b broker, err error) {
	body, err := q.tree.root.ReadFile(q.brokerFile(file))
	if err == nil && json.Unmarshal(body, &b) == nil {
		return b, nil
	}
	at, id, _ := enqueued(file)
	return broker{MessageID: id, ContentType: "application/json", Enqueued: at}, absent(err)
}

// leave takes a message out of the queue. Its ID is marked first: a sender
// that comes again must not take the missing file for one never written.
func (q *Queue) leave(file string, b broker) error {
	if err := q.took(file, b); err != nil {
		return err
	}
	failpoint.Here("folder.leave.marked")
	if err := q.tree.remove(file); err != nil {
		return err
	}
	failpoint.Here("folder.leave.removed")
	return absent(q.tree.root.Remove(q.brokerFile(file)))
}

// deadLetter moves a message to where people look for what went wrong.
func (q *Queue) deadLetter(file string, b broker, reason, description string) error {
	if err := q.took(file, b); err != nil {
		return err
	}
	b.LockToken, b.LockedUntil = "", time.Time{}
	b.DeadLetterReason, b.DeadLetterDescription = reason, description
	if err := q.tree.writeJSON(DeadLetters+"/"+file+".reason", b); err != nil {
		return err
	}
	failpoint.Here("folder.deadletter.reason")
	if err := errors.Join(q.tree.root.Rename(file, DeadLetters+"/"+file), q.tree.sync("."), q.tree.sync(DeadLetters)); err != nil {
		return err
	}
	failpoint.Here("folder.deadletter.moved")
	return absent(q.tree.root.Remove(q.brokerFile(file)))
}

func (q *Queue) took(file string, b broker) error {
	s, err := q.sent(b.MessageID)
	if err != nil || s.Message != file {
		return err // another message of that ID by now, or the window is over
	}
	s.Taken = true
	return q.remember(b.MessageID, s)
}
