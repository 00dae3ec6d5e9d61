package capture_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	local "github.com/pcapwarden/pcapwarden/internal/local/arm"
)

// A clock is turned by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) turn(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.now = c.now.Add(d) }

// An agent captures by the test's clock.
type agent struct {
	clock *clock
	land  func(url string)
	// deaf agents do not stop at their limit, as if Azure did not keep it;
	// mute ones land no file.
	deaf, mute bool

	mu      sync.Mutex
	running map[string]local.Session
	began   map[string]time.Time
	longest time.Duration
	names   map[string]bool // of sessions that ever ran
	most    int             // on one machine at once
	total   map[string]int  // sessions ever, by target
}

func (a *agent) Start(_ context.Context, s local.Session) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.began == nil {
		a.began, a.total, a.names = map[string]time.Time{}, map[string]int{}, map[string]bool{}
	}
	a.running[s.ID], a.began[s.ID] = s, a.clock.Now()
	a.total[strings.ToLower(s.Target)]++
	a.names[s.Name] = true
	n := 0
	for _, other := range a.running {
		if strings.EqualFold(other.Target, s.Target) {
			n++
		}
	}
	a.most = max(a.most, n)
	return nil
}

func (a *agent) Stop(id string) error { a.end(id, local.StoppedManually); return nil }

func (a *agent) end(id, reason string) {
	a.mu.Lock()
	s, ok := a.running[id]
	delete(a.running, id)
	if ok {
		a.longest = max(a.longest, a.clock.Now().Sub(a.began[id]))
	}
	mute := a.mute
	a.mu.Unlock()
	if !ok {
		return
	}
	if !mute {
		a.land(s.URL)
	}
	s.Done(local.Outcome{StopReason: reason})
}

// tick ends what is over its limit.
func (a *agent) tick() {
	a.mu.Lock()
	var over []string
	for id, s := range a.running {
		if !a.deaf && !a.clock.Now().Before(a.began[id].Add(s.TimeLimit)) {
			over = append(over, id)
		}
	}
	a.mu.Unlock()
	for _, id := range over {
		a.end(id, local.TimeExceeded)
	}
}

// targets are the machines that are captured on now, by name.
func (a *agent) targets() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var names []string
	for _, s := range a.running {
		names = append(names, s.Target[strings.LastIndexByte(s.Target, '/')+1:])
	}
	slices.Sort(names)
	return names
}
