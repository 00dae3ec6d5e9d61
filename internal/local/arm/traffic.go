package arm

import (
	"net/http"
	"sync"
)

// Traffic is what the server was asked so far.
type Traffic struct {
	Requests  int
	Throttled int // answered 429
	Most      int // requests at once
}

// Traffic returns what the server was asked so far.
func (s *Server) Traffic() Traffic {
	s.traffic.mu.Lock()
	defer s.traffic.mu.Unlock()
	return s.traffic.Traffic
}

type counter struct {
	mu sync.Mutex
	Traffic
	now int
}

// begin counts a request. It ends with the first call of what is returned,
// which takes the answer's status.
func (c *counter) begin() func(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Requests++
	c.now++
	c.Most = max(c.Most, c.now)
	var once sync.Once
	return func(status int) {
		once.Do(func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.now--
			if status == http.StatusTooManyRequests {
				c.Throttled++
			}
		})
	}
}
