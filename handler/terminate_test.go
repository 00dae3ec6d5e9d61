//go:build linux

package main

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/local/arm"
	"github.com/pcapwarden/pcapwarden/internal/local/loop"
)

// TestF43Terminated ends the handler as a deployment or a scale-in does, by
// SIGTERM and, if that takes too long, SIGKILL, while Azure has not answered
// its start of a capture: the next process goes on, with one capture and one
// message.
func TestF43Terminated(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	tests := []struct {
		name  string
		fault arm.Fault
		kill  bool
	}{
		{"in time", arm.Fault{Delay: 500 * time.Millisecond}, false},
		{"too late", arm.Fault{AfterEffect: true, Hang: true}, true},
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, tt := range tests {
		o := localOptions(t, "partner-tls")
		o.Settings["PCAPWARDEN_TEST_RUN"] = o.Dir // tells its processes from others'
		signal := func(s syscall.Signal) {
			for _, pid := range running(t, "PCAPWARDEN_TEST_RUN="+o.Dir) {
				if n, err := strconv.Atoi(pid); err == nil {
					syscall.Kill(n, s)
				}
			}
		}
		var mu sync.Mutex
		created := map[string]int{}
		o.Fault = func(r *http.Request) *arm.Fault {
			if r.Method != http.MethodPut {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			created[strings.ToLower(r.URL.Path)]++
			if len(created) > 1 || created[strings.ToLower(r.URL.Path)] > 1 {
				return nil
			}
			wg.Go(func() {
				signal(syscall.SIGTERM)
				if tt.kill {
					time.Sleep(time.Second)
					signal(syscall.SIGKILL)
				}
			})
			return &tt.fault
		}
		wg.Go(func() {
			outcomes, err := loop.Run(t.Context(), o)
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if len(outcomes) != 1 || !outcomes[0].Matches || len(created) != 1 {
				t.Errorf("%s: outcomes %+v, sessions asked for %v; want one", tt.name, outcomes, created)
			}
			if got := len(messages(t, o.Dir)); got != 1 {
				t.Errorf("%s: %d incident messages, want 1", tt.name, got)
			}
		})
	}
}
