package functionshost

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

const probeInterval = 25 * time.Millisecond

// probe asks for / until the handler answers anything at all.
func (w *worker) probe(p *process) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	timeout := time.NewTimer(w.file.initTimeout)
	defer timeout.Stop()
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	go func() {
		<-p.exited
		cancel()
	}()
	for {
		select {
		case <-p.exited:
			return
		case <-timeout.C:
			w.mu.Lock()
			p.late = fmt.Sprintf("did not answer GET / within %v (initializationTimeout)", w.file.initTimeout)
			w.mu.Unlock()
			kill(p.cmd.Process)
			return
		case <-tick.C:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url()+"/", nil)
		if err != nil {
			return
		}
		resp, err := w.client.Do(req)
		if err != nil {
			continue
		}
		resp.Body.Close()
		w.observe(Event{Kind: HandlerReady, Level: slog.LevelInfo, Text: w.url()})
		w.set(ready, nil)
		return
	}
}

// errorBucket counts the ends of handlers that the host takes for errors.
type errorBucket struct {
	count int
	last  time.Time
}

// add reports whether this error is one too many: the third, with less than
// half an hour between each and the next.
func (b *errorBucket) add(now time.Time) bool {
	if now.Sub(b.last) >= 30*time.Minute {
		b.count = 0
	}
	b.count, b.last = b.count+1, now
	return b.count >= 3
}
