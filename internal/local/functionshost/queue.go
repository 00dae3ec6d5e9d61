package functionshost

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// settleTimeout bounds the end of a delivery, also while the host closes.
	settleTimeout = 10 * time.Second
	// receivePause follows an error of a receiver.
	receivePause = time.Second
	// leastRenewal keeps a receiver with odd locks from being asked all the
	// time.
	leastRenewal = 50 * time.Millisecond
)

// queue invokes one function for every message of a Service Bus queue.
type queue struct {
	function      *function
	receiver      Receiver
	maxConcurrent int
	maxDeliveries int
	maxRenewal    time.Duration // 0: for ever
	invoke        func(value) error
	observe       func(Event)
}

func (h *Host) newQueue(f *function) *queue {
	return &queue{
		function: f, receiver: h.config.Queues[f.trigger.QueueName],
		maxConcurrent: max(1, h.file.maxConcurrent), maxDeliveries: h.config.MaxDeliveryCount, maxRenewal: h.file.maxLockRenewal,
		observe: h.observe,
		invoke: func(v value) error {
			_, err := h.invoke(f, v)
			return err
		},
	}
}

// run receives until ctx ends, and then waits for what it began.
func (q *queue) run(ctx context.Context) {
	var handling sync.WaitGroup
	defer handling.Wait()
	slots := make(chan struct{}, q.maxConcurrent)
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		d, err := q.receiver.Receive(ctx)
		if err != nil {
			<-slots
			if ctx.Err() != nil {
				return
			}
			q.event(ListenerTrouble, slog.LevelWarn, "", fmt.Sprintf("receive from %q: %v", q.function.trigger.QueueName, err))
			if !sleep(ctx, receivePause) {
				return
			}
			continue
		}
		handling.Go(func() {
			defer func() { <-slots }()
			q.handle(ctx, d)
		})
	}
}

// handle invokes the function and ends the delivery by what became of it: a
// custom handler settles no message itself.
func (q *queue) handle(ctx context.Context, d Delivery) {
	ctx = context.WithoutCancel(ctx)
	q.event(MessageReceived, slog.LevelInfo, d.MessageID, fmt.Sprintf("delivery %d from %s", d.DeliveryCount, q.function.trigger.QueueName))
	renewing, stop := context.WithCancel(ctx)
	var renewal sync.WaitGroup
	renewal.Go(func() { q.renew(renewing, d) })
	err := q.invoke(messageValue(q.function, d))
	stop()
	renewal.Wait()

	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	switch {
	case err == nil:
		q.settled(MessageCompleted, slog.LevelInfo, d, d.Complete(ctx), "")
	case d.DeliveryCount >= q.maxDeliveries:
		const reason = "MaxDeliveryCountExceeded"
		text := fmt.Sprintf("delivered %d times, the last time: %v", d.DeliveryCount, err)
		q.settled(MessageDeadLettered, slog.LevelError, d, d.DeadLetter(ctx, reason, text), text)
	default:
		q.settled(MessageAbandoned, slog.LevelWarn, d, d.Abandon(ctx), "it is delivered again")
	}
}

// renew renews the lock in the middle of its time, until the host would no
// longer: then another receiver may get the message, too.
func (q *queue) renew(ctx context.Context, d Delivery) {
	if d.Renew == nil || d.LockedUntil.IsZero() {
		return
	}
	started, locked := time.Now(), d.LockedUntil
	for {
		if !sleep(ctx, max(time.Until(locked)/2, leastRenewal)) {
			return
		}
		if q.maxRenewal > 0 && time.Since(started) > q.maxRenewal {
			q.event(ListenerTrouble, slog.LevelWarn, d.MessageID, fmt.Sprintf("the lock is not renewed any more after %v (maxAutoLockRenewalDuration)", q.maxRenewal))
			return
		}
		var err error
		if locked, err = d.Renew(ctx); err != nil {
			if ctx.Err() == nil {
				q.event(ListenerTrouble, slog.LevelWarn, d.MessageID, fmt.Sprintf("renew the lock: %v", err))
			}
			return
		}
	}
}

func (q *queue) settled(kind Kind, level slog.Level, d Delivery, err error, text string) {
	if err != nil {
		q.event(ListenerTrouble, slog.LevelWarn, d.MessageID, fmt.Sprintf("%s, but the queue did not take that: %v", kind, err))
		return
	}
	q.event(kind, level, d.MessageID, text)
}

func (q *queue) event(kind Kind, level slog.Level, message, text string) {
	q.observe(Event{Kind: kind, Level: level, Function: q.function.name, Message: message, Text: text})
}
