package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/local/arm"
)

// TestFleet has one alert hit 300 machines while Azure throttles every tenth
// request and the handler is killed twice: each machine gets one capture, and
// no more requests are under way than may be.
func TestFleet(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	const machines = 300
	o := localOptions(t, "partner-tls")
	s := o.Scenario
	o.Policy = []byte(strings.NewReplacer("startsPerHour: 60", "startsPerHour: 1000").Replace(string(s.Policy(time.Now()))))
	o.World = &arm.World{
		Watchers: []arm.NetworkWatcher{{
			ID:     "/subscriptions/" + s.Subscription + "/resourceGroups/NetworkWatcherRG/providers/Microsoft.Network/networkWatchers/NetworkWatcher_" + s.Region,
			Region: s.Region,
		}},
		Storage: []arm.StorageAccount{{ID: s.Landing.ID, Region: s.Landing.Region}},
	}
	var targets []string
	for n := range machines {
		vm := arm.VM{
			ID:     s.Machines[0].ID[:strings.LastIndexByte(s.Machines[0].ID, '/')+1] + fmt.Sprintf("node%03d", n),
			Region: s.Region, VMID: fmt.Sprint("vm", n), Tags: s.Machines[0].Tags, AgentType: arm.AgentLinux, Addresses: []string{"10.0.0.4"},
		}
		o.World.VMs = append(o.World.VMs, vm)
		targets = append(targets, strings.ToLower(vm.ID))
	}
	kills := make(chan struct{}, 2)
	var calls atomic.Int64
	var mu sync.Mutex
	asked := map[string]int{} // sessions, by path; those that were accepted
	o.Fault = func(r *http.Request) *arm.Fault {
		n := calls.Add(1)
		if n == 40 || n == 400 {
			kills <- struct{}{}
		}
		if n%10 == 0 {
			return &arm.Fault{Status: http.StatusTooManyRequests, Code: "TooManyRequests", RetryAfter: time.Second}
		}
		if r.Method == http.MethodPut {
			mu.Lock()
			asked[strings.ToLower(r.URL.Path)]++
			mu.Unlock()
		}
		return nil
	}
	l := startVerifying(t, o)
	var killing sync.WaitGroup
	killing.Go(func() {
		for range 2 {
			select {
			case <-kills:
				l.Host.Kill()
			case <-t.Context().Done():
				return
			}
		}
	})

	var body map[string]any
	if err := json.Unmarshal(s.Alert(time.Now().UTC(), time.Time{}), &body); err != nil {
		t.Fatal(err)
	}
	body["data"].(map[string]any)["essentials"].(map[string]any)["alertTargetIDs"] = targets
	if err := l.Raise(mustJSON(body)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for try := range 10 { // as other action groups of the same rule do
		status, answer, err := l.Post(t.Context(), mustJSON(body))
		if err == nil && status == http.StatusAccepted {
			break
		}
		if try == 9 {
			t.Fatalf("the alert was answered %d %s, %v", status, answer, err)
		}
		time.Sleep(time.Second)
	}
	states := map[capture.State]int{}
	for states[capture.Capturing] < machines && time.Since(began) < 5*time.Minute {
		time.Sleep(200 * time.Millisecond)
		clear(states)
		for c, err := range l.Ledger.OpenCases(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			states[c.State]++
		}
	}
	took := time.Since(began)
	killing.Wait()
	traffic := l.ARM.Traffic()
	t.Logf("%d captures started in %v: %d requests, %d of them throttled, at most %d at once",
		states[capture.Capturing], took.Round(100*time.Millisecond), traffic.Requests, traffic.Throttled, traffic.Most)
	if states[capture.Capturing] != machines {
		t.Errorf("states %v, want %d that capture", states, machines)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(asked) != machines {
		t.Errorf("%d sessions, want one for each machine", len(asked))
	}
	if most := slices.Max(slices.Collect(maps.Values(asked))); most > 1 {
		t.Errorf("a session was asked for %d times, want once", most)
	}
	if traffic.Throttled < 50 {
		t.Errorf("%d requests were throttled", traffic.Throttled)
	}
	if traffic.Most > inFlight {
		t.Errorf("%d requests at once, want at most %d", traffic.Most, inFlight)
	}
}
