package main

import (
	"runtime/debug"
	"testing"
)

func TestEffort(t *testing.T) {
	then := effort{collecting: 1, working: 9}
	if got := (effort{collecting: 2, working: 12}).since(then); got != 0.25 {
		t.Errorf("one second of four: since = %v, want 0.25", got)
	}
	if now := spent(); now.since(now) != 0 {
		t.Errorf("no time passed: since = %v, want 0", now.since(now))
	}
}

// The environment of Go's own runtime wins.
func TestKeepSmall(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		stop := keepSmall(func(asked string) string {
			if asked == name {
				return "100"
			}
			return ""
		})
		if got := debug.SetMemoryLimit(-1); got != before {
			t.Errorf("with %s set the limit is %d, want %d", name, got, before)
		}
		stop()
	}
}
