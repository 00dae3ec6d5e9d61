package folder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/failpoint"
	"github.com/pcapwarden/pcapwarden/internal/incident"
)

// A Queue is a directory of messages, called TIME-ID.json, each exactly the
// body that was sent; its properties lie in a subdirectory. A message that was
// delivered too often, or that its receiver gave up on, goes to the
// subdirectory $deadletter, with the reason beside it.
//
// It follows Service Bus: peek-lock, delivery count, duplicate detection by
// message ID, dead-lettering.
// https://learn.microsoft.com/azure/service-bus-messaging/message-transfers-locks-settlement
type Queue struct {
	tree    *tree
	options Options
	now     clock
	arrived chan struct{} // a message came or was abandoned in this process
}

var _ incident.Queue = (*Queue)(nil)

// Options are the properties of a queue; the zero value is a Service Bus
// queue as the portal makes it, with duplicate detection on.
type Options struct {
	LockDuration     time.Duration // 0: 1 minute
	MaxDeliveryCount int           // 0: 10
	DuplicateWindow  time.Duration // 0: 10 minutes
	MaxMessageBytes  int           // body and properties; 0: 256 KiB, as in the Standard tier
}

// DeadLetters is the subdirectory of the messages that nobody could handle.
const DeadLetters = "$deadletter"

// timeLayout sorts by time, also as text, and is a file name everywhere.
const timeLayout = "20060102T150405.000000000Z"

// OpenQueue opens the queue in dir, which it makes when it is missing.
func OpenQueue(dir string, options Options) (*Queue, error) {
	t, err := openTree(dir, ownQueue)
	if err != nil {
		return nil, err
	}
	if options.LockDuration == 0 {
		options.LockDuration = time.Minute
	}
	if options.MaxDeliveryCount == 0 {
		options.MaxDeliveryCount = 10
	}
	if options.DuplicateWindow == 0 {
		options.DuplicateWindow = 10 * time.Minute
	}
	if options.MaxMessageBytes == 0 {
		options.MaxMessageBytes = 256 << 10
	}
	return &Queue{tree: t, options: options, now: wallClock, arrived: make(chan struct{}, 1)}, nil
}

// Close lets the directory go. Locks stay held until they run out.
func (q *Queue) Close() error { return q.tree.root.Close() }

// Reach reports whether the directory is still there.
func (q *Queue) Reach(context.Context) error {
	_, err := q.tree.root.Stat(".")
	return err
}

// broker is what the queue knows of a message beyond its body.
type broker struct {
	MessageID     string            `json:"messageId"`
	CorrelationID string            `json:"correlationId,omitzero"`
	Subject       string            `json:"subject,omitzero"`
	ContentType   string            `json:"contentType,omitzero"`
	Properties    map[string]string `json:"properties,omitempty"`
	Enqueued      time.Time         `json:"enqueued"`
	Expires       time.Time         `json:"expires,omitzero"`
	DeliveryCount int               `json:"deliveryCount"`
	LockToken     string            `json:"lockToken,omitzero"`
	LockedUntil   time.Time         `json:"lockedUntil,omitzero"`

	DeadLetterReason      string `json:"deadLetterReason,omitzero"`
	DeadLetterDescription string `json:"deadLetterDescription,omitzero"`
}

// sent is what duplicate detection knows of a message ID.
type sent struct {
	Message string    `json:"message"` // file
	At      time.Time `json:"at"`
	// Taken: it was in the queue for sure. Before, only its file can tell,
	// because a sender may die between writing this and writing that.
	Taken bool `json:"taken"`
}

// Send implements [incident.Queue].
func (q *Queue) Send(ctx context.Context, m incident.Message) error {
	if err := q.send(ctx, m); err != nil {
		return fmt.Errorf("send message %q: %w", m.ID, err)
	}
	select {
	case q.arrived <- struct{}{}:
	default: // somebody is to be woken already
	}
	return nil
}

func (q *Queue) send(ctx context.Context, m incident.Message) error {
	if err := m.Check(); err != nil {
		return err
	}
	size := len(m.Body) + len(m.ID) + len(m.CorrelationID) + len(m.Subject) + len(m.ContentType)
	for name, value := range m.Properties {
		size += len(name) + len(value)
	}
	if size > q.options.MaxMessageBytes {
		return fmt.Errorf("%w: %d bytes, at most %d", incident.ErrTooLarge, size, q.options.MaxMessageBytes)
	}
	if _, err := q.tree.root.Stat(q.tree.own); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: folder %q was removed", incident.ErrNoQueue, q.tree.dir)
	}
	return q.tree.alone(ctx, func() error {
		now := q.now().UTC()
		before, err := q.sent(m.ID)
		if err != nil {
			return err
		}
		if before.Message != "" && now.Sub(before.At) < q.options.DuplicateWindow {
			if before.Taken || q.holds(before.Message) {
				return nil
			}
		}
		// The time in the name is the sequence number too, so it is unique.
		name := messageFile(now, m.ID)
		for q.holds(name) {
			now = now.Add(1)
			name = messageFile(now, m.ID)
		}
		b := broker{
			MessageID: m.ID, CorrelationID: m.CorrelationID, Subject: m.Subject, ContentType: m.ContentType,
			Properties: m.Properties, Enqueued: now,
		}
		if m.TimeToLive > 0 {
			b.Expires = now.Add(m.TimeToLive)
		}
		if err := q.writeBroker(name, b); err != nil {
			return err
		}
		failpoint.Here("folder.send.properties")
		if err := q.remember(m.ID, sent{Message: name, At: now}); err != nil {
			return err
		}
		failpoint.Here("folder.send.remembered")
		if err := q.tree.write(name, m.Body); err != nil { // from here on it is sent
			return err
		}
		failpoint.Here("folder.send.body")
		return q.forget(now)
	})
}

func messageFile(at time.Time, id string) string { return at.Format(timeLayout) + "-" + id + ".json" }

// enqueued takes a message's name apart; ok is false for a file that Send did
// not name.
func enqueued(file string) (at time.Time, id string, ok bool) {
	stem, ok := strings.CutSuffix(file, ".json")
	if !ok || len(stem) < len(timeLayout)+2 || stem[len(timeLayout)] != '-' {
		return at, "", false
	}
	at, err := time.Parse(timeLayout, stem[:len(timeLayout)])
	id = stem[len(timeLayout)+1:]
	return at, id, err == nil && incident.IsID(id)
}

func (q *Queue) holds(file string) bool {
	_, err := q.tree.stat(file)
	return err == nil
}

func (q *Queue) brokerFile(file string) string { return q.tree.own + "/messages/" + file }

func (q *Queue) writeBroker(file string, b broker) error {
	return q.tree.writeJSON(q.brokerFile(file), b)
}

func (q *Queue) sentFile(id string) string { return q.tree.own + "/sent/" + id }

func (q *Queue) sent(id string) (s sent, err error) {
	body, err := q.tree.root.ReadFile(q.sentFile(id))
	if err != nil {
		return s, absent(err)
	}
	if json.Unmarshal(body, &s) != nil {
		return sent{}, nil // not ours: rather a message twice than one that nobody can send
	}
	return s, nil
}

func (q *Queue) remember(id string, s sent) error { return q.tree.writeJSON(q.sentFile(id), s) }

// forget drops the message IDs whose window is over, and what dead senders
// left, now and then.
func (q *Queue) forget(now time.Time) error {
	sweep := q.tree.own + "/swept"
	if info, err := q.tree.stat(sweep); err == nil && now.Sub(info.ModTime()) < q.options.DuplicateWindow {
		return nil
	}
	entries, err := fs.ReadDir(q.tree.root.FS(), q.tree.own+"/sent")
	if err != nil {
		return err
	}
	for _, e := range entries {
		s, err := q.sent(e.Name())
		if err != nil {
			return err
		}
		// A message that is still here may yet be sent again by a slow
		// sender; its entry is small.
		if now.Sub(s.At) >= q.options.DuplicateWindow && !q.holds(s.Message) {
			if err := q.tree.root.Remove(q.sentFile(e.Name())); err != nil {
				return err
			}
		}
	}
	// Properties of messages whose sender died before it wrote the body.
	entries, err = fs.ReadDir(q.tree.root.FS(), q.tree.own+"/messages")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !q.holds(e.Name()) {
			if err := q.tree.root.Remove(q.brokerFile(e.Name())); err != nil {
				return err
			}
		}
	}
	return q.tree.write(sweep, nil)
}
