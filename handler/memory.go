package main

import (
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// ordinary is what Go's memory stays below for ordinary captures of any
	// length. Left alone the collector lets the heap grow to twice of what is
	// alive before it looks: too late when much is, too often when little is.
	ordinary = 44 << 20
	percent  = 400
	// share is how much of the processor time the collector may take for it.
	// A flood needs the memory that it needs: it gets more before the
	// collector does nothing but look for what is not there.
	share = 0.2
)

// keepSmall has the collector keep memory small until stop is called. Who
// sets GOGC or GOMEMLIMIT knows better.
func keepSmall(getenv func(string) string) (stop func()) {
	if getenv("GOGC") != "" || getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	before, often := debug.SetMemoryLimit(ordinary), debug.SetGCPercent(percent)
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		limit, last := int64(ordinary), spent()
		for {
			select {
			case <-done:
				debug.SetMemoryLimit(before)
				debug.SetGCPercent(often)
				return
			case <-tick.C:
			}
			now := spent()
			if now.alive > uint64(limit/2) && now.since(last) > share {
				limit += limit / 4
				debug.SetMemoryLimit(limit)
			}
			last = now
		}
	}()
	return func() { close(done) }
}

// effort is what the collector did so far.
type effort struct {
	collecting, working float64 // seconds of processor time
	alive               uint64  // bytes, after the last collection
}

func spent() effort {
	s := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/cpu/classes/user:cpu-seconds"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return effort{s[0].Value.Float64(), s[1].Value.Float64(), s[2].Value.Uint64()}
}

// since is the collector's part of the time since then.
func (e effort) since(then effort) float64 {
	collecting := e.collecting - then.collecting
	return collecting / max(collecting+e.working-then.working, 1e-9)
}
