package functionshost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func newTestTimer(t *testing.T, schedule string, invoke func(value) error) *timer {
	t.Helper()
	s, err := parseSchedule(schedule)
	if err != nil {
		t.Fatal(err)
	}
	return &timer{function: &function{name: "f", schedule: s}, observe: func(Event) {}, invoke: invoke}
}

// A timer fires at its times, never over itself, and skips what it missed.
func TestTimerRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // from midnight, 1 January 2000, UTC
		type run struct{ At, Last, Next string }
		var got []run
		var tm *timer
		takes := []time.Duration{0, 90 * time.Second, 0}
		tm = newTestTimer(t, "0 * * * * *", func(v value) error {
			var timer struct{ ScheduleStatus struct{ Last, Next string } }
			if err := json.Unmarshal(v.data, &timer); err != nil {
				t.Error(err)
			}
			got = append(got, run{time.Now().UTC().Format("15:04:05"), timer.ScheduleStatus.Last, timer.ScheduleStatus.Next})
			time.Sleep(takes[len(got)-1])
			return errors.New("failed, and not made up for")
		})
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute+time.Second)
		defer cancel()
		tm.run(ctx)
		want := []run{
			{"00:01:00", "0001-01-01T00:00:00+00:00", "2000-01-01T00:01:00+00:00"},
			{"00:02:00", "2000-01-01T00:01:00+00:00", "2000-01-01T00:02:00+00:00"},
			{"00:04:00", "2000-01-01T00:02:00+00:00", "2000-01-01T00:04:00+00:00"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("runs (-want +got):\n%s", diff)
		}
	})
}

func TestTimerRetries(t *testing.T) {
	tests := []struct {
		name   string
		policy retryPolicy
		fails  int
		want   []string
	}{
		{"fixed", retryPolicy{2, 10 * time.Second, 10 * time.Second}, 9, []string{"0s ", "10s 1", "20s 2"}},
		{"exponential", retryPolicy{4, time.Second, 3 * time.Second}, 9, []string{"0s ", "1s 1", "3s 2", "6s 3", "9s 4"}},
		{"succeeds", retryPolicy{-1, time.Second, time.Second}, 2, []string{"0s ", "1s 1", "2s 2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				started := time.Now()
				var got []string
				tm := newTestTimer(t, "0 0 0 1 1 *", func(v value) error {
					var m struct{ RetryContext struct{ RetryCount int } }
					if err := json.Unmarshal(v.metadata.json(), &m); err != nil {
						t.Error(err)
					}
					got = append(got, strings.TrimSuffix(fmt.Sprintf("%v %d", time.Since(started), m.RetryContext.RetryCount), "0"))
					if len(got) > tt.fails {
						return nil
					}
					return errors.New("x")
				})
				tm.function.retry = &tt.policy
				tm.fire(t.Context())
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("calls (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestTimerStatusIsOptional(t *testing.T) {
	often := newTestTimer(t, "*/10 * * * * *", nil)
	unmonitored := newTestTimer(t, "0 * * * * *", nil)
	unmonitored.function.trigger.UseMonitor = new(false)
	for _, tm := range []*timer{often, unmonitored} {
		if v := tm.value(); !strings.Contains(string(v.data), `"ScheduleStatus":null`) {
			t.Errorf("timer = %s, want no status", v.data)
		}
	}
}

func newTestQueue(r Receiver, invoke func(value) error) *queue {
	return &queue{
		function: &function{name: "f", trigger: binding{DataType: "binary"}}, receiver: r,
		maxConcurrent: 2, maxDeliveries: 10, maxRenewal: 5 * time.Minute, invoke: invoke, observe: func(Event) {},
	}
}

// No more messages run than may, and a receiver's error does not end it.
func TestQueueRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		flaky := &flakyReceiver{Receiver: m, errors: 2}
		var running, most, calls atomic.Int32
		q := newTestQueue(flaky, func(value) error {
			calls.Add(1)
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(time.Second)
			running.Add(-1)
			return nil
		})
		for range 5 {
			m.send("x", 1)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second+500*time.Millisecond)
		defer cancel()
		q.run(ctx)
		// Two seconds of errors, then two at a time; the last one, begun at 4 s, still ends.
		if calls.Load() != 5 || most.Load() != 2 || running.Load() != 0 || len(m.ended) != 5 {
			t.Errorf("%d calls, %d at once, %d running, %d ended", calls.Load(), most.Load(), running.Load(), len(m.ended))
		}
	})
}

type flakyReceiver struct {
	Receiver
	errors int
}

func (r *flakyReceiver) Receive(ctx context.Context) (Delivery, error) {
	if r.errors > 0 {
		r.errors--
		return Delivery{}, errors.New("link detached")
	}
	return r.Receiver.Receive(ctx)
}

// The lock is renewed while the function runs, but not for ever.
func TestQueueRenewsLocks(t *testing.T) {
	tests := []struct {
		name     string
		takes    time.Duration
		err      error
		renewals int
	}{
		{"short", 10 * time.Second, nil, 0},
		{"long", 110 * time.Second, nil, 3},
		{"longer_than_renewed", time.Hour, nil, 10},
		{"lost", 2 * time.Minute, errors.New("lock lost"), 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const lock = time.Minute
				m := newMemory()
				m.send("x", 1)
				d := <-m.messages
				renewals := 0
				d.LockedUntil = time.Now().Add(lock)
				d.Renew = func(context.Context) (time.Time, error) {
					renewals++
					return time.Now().Add(lock), tt.err
				}
				q := newTestQueue(m, func(value) error { time.Sleep(tt.takes); return nil })
				q.handle(t.Context(), d)
				if renewals != tt.renewals {
					t.Errorf("%d renewals, want %d", renewals, tt.renewals)
				}
				if got := <-m.ended; got != "completed" {
					t.Errorf("the message was %s", got)
				}
			})
		})
	}
}
