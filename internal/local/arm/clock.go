package arm

import (
	"context"
	"sync"
	"time"
)

// clock is the agent of a server that has none: its sessions end on time, and
// have captured nothing.
type clock struct {
	mu      sync.Mutex
	running map[string]func(reason string)
}

func (c *clock) Start(_ context.Context, s Session) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running == nil {
		c.running = map[string]func(string){}
	}
	var once sync.Once
	end := func(reason string) { once.Do(func() { s.Done(Outcome{StopReason: reason}) }) }
	timer := time.AfterFunc(s.TimeLimit, func() {
		c.forget(s.ID)
		end(TimeExceeded)
	})
	c.running[s.ID] = func(reason string) {
		timer.Stop()
		end(reason)
	}
	return nil
}

func (c *clock) Stop(id string) error {
	if end := c.forget(id); end != nil {
		end(StoppedManually)
	}
	return nil
}

func (c *clock) forget(id string) func(string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	end := c.running[id]
	delete(c.running, id)
	return end
}
