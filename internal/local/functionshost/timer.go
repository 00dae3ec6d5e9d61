package functionshost

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// timer fires one function by its schedule, never over itself.
type timer struct {
	function *function
	invoke   func(value) error
	observe  func(Event)

	mu   sync.Mutex
	last time.Time // zero before the first run
}

func (h *Host) newTimer(f *function) *timer {
	return &timer{function: f, observe: h.observe, invoke: func(v value) error {
		_, err := h.invoke(f, v)
		return err
	}}
}

// run fires until ctx ends. A run that outlasts occurrences skips them.
func (t *timer) run(ctx context.Context) {
	if t.function.trigger.RunOnStartup {
		t.fire(ctx)
	}
	var next time.Time
	for {
		after := time.Now()
		if after.Before(next) {
			after = next // the clock was set back: not the same occurrence again
		}
		next = t.function.schedule.next(after)
		if next.IsZero() {
			t.observe(Event{Kind: ListenerTrouble, Level: slog.LevelWarn, Function: t.function.name, Text: "the schedule has no occurrence"})
			return
		}
		if !sleep(ctx, time.Until(next)) {
			return
		}
		t.fire(ctx)
	}
}

// fire runs one occurrence, repeated by the retry policy. What still fails
// then is over: the host does not make it up.
func (t *timer) fire(ctx context.Context) {
	v := t.value()
	started := time.Now()
	err := t.invoke(v)
	if retry := t.function.retry; retry != nil {
		for n := 1; err != nil && (n <= retry.max || retry.max < 0); n++ {
			if !sleep(ctx, retry.wait(n)) {
				break
			}
			v.metadata.set("RetryContext", jsonOf(map[string]any{
				"RetryCount": n, "MaxRetryCount": retry.max, "Instance": nil,
				"Exception": map[string]string{"ClassName": "System.Net.Http.HttpRequestException"},
			}))
			err = t.invoke(v)
		}
	}
	if reason, ok := errors.AsType[*InvocationError](err); ok && reason.Hangs {
		t.observe(Event{Kind: ListenerTrouble, Level: slog.LevelWarn, Function: t.function.name, Text: "until it ends, no other occurrence of the timer would run"})
	}
	t.mu.Lock()
	t.last = started
	t.mu.Unlock()
}

// value is the timer as it is now. Without monitor, and when it fires more
// than once a minute, the host keeps no status.
func (t *timer) value() value {
	trigger := t.function.trigger
	now := time.Now()
	if trigger.UseMonitor != nil && !*trigger.UseMonitor || t.function.schedule.isFrequent(now) {
		return timerValue(t.function, nil, false)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	// The occurrence that runs now, or the next when it is fired by hand.
	next := t.function.schedule.next(now.Add(-time.Second))
	return timerValue(t.function, &scheduleStatus{t.last, next, t.last}, false)
}

// sleep waits and reports whether ctx still goes on.
func sleep(ctx context.Context, d time.Duration) bool {
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-wait.C:
		return true
	case <-ctx.Done():
		return false
	}
}
