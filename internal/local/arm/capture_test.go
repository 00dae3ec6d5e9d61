package arm

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pcapwarden/pcapwarden/internal/capture"
)

// A capture's life, with the status codes and headers that Azure was seen to
// answer with.
func TestLife(t *testing.T) {
	s := newServer(t, &fakeAgent{bytes: 24}, Options{})
	created := s.ask(t, "PUT", capture1+api, createBody(vm1, ""))
	if created.status != 201 || created.header.Get("Retry-After") != "10" || created.header.Get("Location") != "" {
		t.Errorf("PUT answered %d %v", created.status, created.header)
	}
	if created.properties()["provisioningState"] != "Updating" {
		t.Errorf("PUT answered %s", created.raw)
	}
	s.Settle()
	want := map[string]any{"status": "Succeeded"}
	if diff := cmp.Diff(want, s.follow(t, created, "Azure-AsyncOperation").doc); diff != "" {
		t.Errorf("operation (-want +got):\n%s", diff)
	}
	read := s.ask(t, "GET", capture1+api, "")
	if read.properties()["provisioningState"] != "Succeeded" || read.doc["type"] != "Microsoft.Network/networkWatchers/packetCaptures" {
		t.Errorf("GET answered %s", read.raw)
	}

	running := s.ask(t, "POST", capture1+"/queryStatus"+api, "")
	if running.status != 202 || running.header.Get("Azure-AsyncOperation") != "" || running.doc["packetCaptureStatus"] != "Running" {
		t.Errorf("queryStatus answered %d %v %s", running.status, running.header, running.raw)
	}
	s.Settle()
	if diff := cmp.Diff(running.doc, s.follow(t, running, "Location").doc); diff != "" {
		t.Errorf("the status later (-first +later):\n%s", diff)
	}
	if _, has := running.doc["stopReason"]; has {
		t.Errorf("a running session has a stop reason: %s", running.raw)
	}

	stopped := s.ask(t, "POST", capture1+"/stop"+api, "")
	s.Settle()
	if stopped.status != 202 || stopped.raw != "" {
		t.Errorf("stop answered %d %q", stopped.status, stopped.raw)
	}
	want = map[string]any{"status": "Succeeded", "properties": map[string]any{}}
	if diff := cmp.Diff(want, s.follow(t, stopped, "Azure-AsyncOperation").doc); diff != "" {
		t.Errorf("stop's operation (-want +got):\n%s", diff)
	}
	if r := s.follow(t, stopped, "Location"); r.status != 200 || r.raw != "null" {
		t.Errorf("stop's result: %d %q", r.status, r.raw)
	}
	after := s.ask(t, "POST", capture1+"/queryStatus"+api, "")
	if after.status != 200 || after.header.Get("Location") != "" || after.doc["packetCaptureStatus"] != "Stopped" || after.doc["stopReason"] != "Manual" {
		t.Errorf("queryStatus after stop: %d %s", after.status, after.raw)
	}

	deleted := s.ask(t, "DELETE", capture1+api, "")
	s.Settle()
	if deleted.status != 202 || s.follow(t, deleted, "Azure-AsyncOperation").doc["status"] != "Succeeded" {
		t.Errorf("DELETE answered %d", deleted.status)
	}
	if r := s.follow(t, deleted, "Location"); r.status != 204 || r.raw != "" {
		t.Errorf("delete's result: %d %q", r.status, r.raw)
	}
	if r := s.ask(t, "GET", capture1+api, ""); r.status != 404 {
		t.Errorf("GET after DELETE answered %d", r.status)
	}
	if r := s.ask(t, "DELETE", capture1+api, ""); r.status != 204 {
		t.Errorf("second DELETE answered %d", r.status)
	}
}

// Azure echoes what it was asked with its gaps filled.
func TestEcho(t *testing.T) {
	s := newServer(t, nil, Options{})
	r := s.create(t, capture1, createBody(set1, `,"targetType":"AzureVMSS","scope":{"include":["0","3"]},"filters":[{"protocol":"Tcp","localPort":"80"},{"localIPAddress":"not an address"}]`))
	want := map[string]any{
		"provisioningState": "Updating", "target": set1, "targetType": "AzureVMSS",
		"scope":                   map[string]any{"include": []any{set1 + "/virtualMachines/0", set1 + "/virtualMachines/3"}, "exclude": []any{}},
		"bytesToCapturePerPacket": 0.0, "totalBytesPerSession": 1073741824.0, "timeLimitInSeconds": 18000.0,
		"filters": []any{
			map[string]any{"protocol": "TCP", "localIPAddress": "", "localPort": "80", "remoteIPAddress": "", "remotePort": ""},
			map[string]any{"protocol": "Any", "localIPAddress": "not an address", "localPort": "", "remoteIPAddress": "", "remotePort": ""},
		},
	}
	got := r.properties()
	delete(got, "storageLocation")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("properties (-want +got):\n%s", diff)
	}
	r = s.create(t, capture1+"-vm", createBody(vm1, ""))
	if diff := cmp.Diff(map[string]any{"include": []any{}, "exclude": []any{}}, r.properties()["scope"]); diff != "" {
		t.Errorf("scope (-want +got):\n%s", diff)
	}
}

func TestEtagIsTheWatchers(t *testing.T) {
	s := newServer(t, nil, Options{})
	first := s.create(t, capture1, createBody(vm1, "")).doc["etag"]
	s.create(t, capture1+"2", createBody(vm1, ""))
	one, two, watcher := s.ask(t, "GET", capture1+api, ""), s.ask(t, "GET", capture1+"2"+api, ""), s.ask(t, "GET", watcher1+api, "")
	if one.doc["etag"] != two.doc["etag"] || one.doc["etag"] != watcher.doc["etag"] || one.doc["etag"] == first {
		t.Errorf("etags %v, %v, watcher %v, at first %v", one.doc["etag"], two.doc["etag"], watcher.doc["etag"], first)
	}
}

func TestSameNameAgain(t *testing.T) {
	s := newServer(t, nil, Options{})
	first := s.create(t, capture1, createBody(vm1, ""))
	same := s.ask(t, "PUT", capture1+api, createBody(strings.ToLower(vm1), ""))
	if same.status != 200 || same.properties()["storageLocation"].(map[string]any)["storagePath"] != first.properties()["storageLocation"].(map[string]any)["storagePath"] {
		t.Errorf("the same again answered %d %s", same.status, same.raw)
	}
	if other := s.ask(t, "PUT", capture1+api, createBody(vm1, `,"timeLimitInSeconds":60`)); other.status != 409 || other.code() != "Conflict" {
		t.Errorf("another of that name answered %d %s", other.status, other.raw)
	}
}

func TestWhereTheFileGoes(t *testing.T) {
	const day = `/\d{4}/\d\d/\d\d/`
	const lowSet = `subscriptions/11111111-1111-1111-1111-111111111111/resourcegroups/shop-rg/providers/microsoft\.compute/virtualmachinescalesets/shop-set`
	tests := []struct {
		name, body, blob string
		agent            []string // per session
	}{
		{"vm", createBody(vm1, ""), `subscriptions/11111111-1111-1111-1111-111111111111/resourcegroups/shop-rg/providers/microsoft\.compute/virtualmachines/shop-1` + day + `packetcapture_\d\d_\d\d_\d\d_\d{3}\.cap`, []string{""}},
		{"one_instance", createBody(set1, `,"targetType":"AzureVMSS","scope":{"include":["3"]}`), lowSet + `/virtualMachines/3` + day + `packetCapture_\d\d_\d\d_\d\d_\d{3}\.cap`, []string{""}},
		{"one_left", createBody(set1, `,"targetType":"AzureVMSS","scope":{"exclude":["0"]}`), lowSet + `/virtualMachines/3` + day + `packetCapture_\d\d_\d\d_\d\d_\d{3}\.cap`, []string{""}},
		{"all_instances", createBody(set1, `,"targetType":"AzureVMSS"`), lowSet + day + `packetCapture_\d\d_\d\d_\d\d_\d{3}`, []string{"/0.cap", "/3.cap"}},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			agent := &fakeAgent{}
			s := newServer(t, agent, Options{})
			r := s.create(t, capture1, c.body)
			path, _ := r.properties()["storageLocation"].(map[string]any)["storagePath"].(string)
			if !regexp.MustCompile(`^https://shoplanding\.blob\.core\.windows\.net/network-watcher-logs/` + c.blob + `$`).MatchString(path) {
				t.Errorf("storage path %q", path)
			}
			_, blob, _ := strings.Cut(path, "/network-watcher-logs/")
			var want, got []string
			for _, end := range c.agent {
				want = append(want, blob+end, path+end)
			}
			for _, a := range agent.started {
				got = append(got, a.BlobName, a.URL)
			}
			if diff := cmp.Diff(want, got, cmpopts.SortSlices(strings.Compare)); diff != "" {
				t.Errorf("the agent's files (-want +got):\n%s", diff)
			}
		})
	}
	s := newServer(t, nil, Options{BlobEndpoint: func(account string) string { return "http://127.0.0.1:10000/" + account }})
	if r := s.create(t, capture1, createBody(vm1, "")); !strings.Contains(r.raw, `"http://127.0.0.1:10000/shoplanding/network-watcher-logs/subscriptions/`) {
		t.Errorf("another blob endpoint: %s", r.raw)
	}
}

// Two captures of a machine at the same time write two files.
func TestFilesNeverMeet(t *testing.T) {
	s := newServer(t, nil, Options{})
	seen := map[any]bool{}
	for _, name := range []string{"a", "b", "c", "d"} {
		seen[s.create(t, capture1+name, createBody(vm1, "")).properties()["storageLocation"].(map[string]any)["storagePath"]] = true
	}
	if len(seen) != 4 {
		t.Errorf("four captures write %d files", len(seen))
	}
}

func TestWhatTheAgentIsAsked(t *testing.T) {
	agent := &fakeAgent{}
	s := newServer(t, agent, Options{})
	s.create(t, capture1, createBody(vm1, `,"timeLimitInSeconds":60,"totalBytesPerSession":1000,"bytesToCapturePerPacket":64,"filters":[{"protocol":"udp","remoteIPAddress":"10.0.0.1","remotePort":"53"}]`))
	want := []Session{{
		ID: strings.ToLower(capture1), Name: "pc1", Target: vm1, Addresses: []string{"10.0.0.4"},
		Filters:   []capture.Filter{{Protocol: "UDP", RemoteIP: "10.0.0.1", RemotePort: "53"}},
		TimeLimit: time.Minute, TotalBytes: 1000, BytesPerPacket: 64, StorageAccount: strings.ToLower(storage1),
	}}
	if diff := cmp.Diff(want, agent.started, cmpopts.IgnoreFields(Session{}, "BlobName", "URL", "Started", "Done")); diff != "" {
		t.Errorf("sessions (-want +got):\n%s", diff)
	}
}

func (s *Server) status(t *testing.T) (state, reason string, errs []any) {
	t.Helper()
	r := s.ask(t, "POST", capture1+"/queryStatus"+api, "")
	state, _ = r.doc["packetCaptureStatus"].(string)
	reason, _ = r.doc["stopReason"].(string)
	errs, _ = r.doc["packetCaptureError"].([]any)
	return state, reason, errs
}

func TestOutcomes(t *testing.T) {
	tests := []struct {
		name          string
		outcome       Outcome
		state, reason string
	}{
		{"time", Outcome{StopReason: TimeExceeded, Bytes: 24}, "Stopped", "TimeExceeded"},
		{"size", Outcome{Bytes: 1000}, "Stopped", ""},
		{"errors_and_a_file", Outcome{Errors: []string{"dropped"}, Bytes: 24}, "Stopped", ""},
		{"errors_alone", Outcome{Errors: []string{"no space left"}}, "Error", ""},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			agent := &fakeAgent{}
			s := newServer(t, agent, Options{})
			s.create(t, capture1, createBody(vm1, ""))
			agent.end(strings.ToLower(capture1), c.outcome)
			if state, reason, errs := s.status(t); state != c.state || reason != c.reason || len(errs) != len(c.outcome.Errors) {
				t.Errorf("status %s, %q, %v", state, reason, errs)
			}
		})
	}
}

// An agent may be done before Start has returned.
func TestDoneAtOnce(t *testing.T) {
	s := newServer(t, instant{}, Options{})
	s.create(t, capture1, createBody(vm1, ""))
	if state, reason, _ := s.status(t); state != "Stopped" || reason != TimeExceeded {
		t.Errorf("status %s, %q", state, reason)
	}
}

type instant struct{}

func (instant) Start(_ context.Context, s Session) error {
	s.Done(Outcome{StopReason: TimeExceeded})
	s.Done(Outcome{StopReason: "again"}) // must not count
	return nil
}
func (instant) Stop(string) error { return nil }

func TestAgentRefuses(t *testing.T) {
	agent := &fakeAgent{fail: map[string]error{vm1: errors.New("operation not permitted")}}
	s := newServer(t, agent, Options{})
	r := s.create(t, capture1, createBody(vm1, ""))
	if op := s.follow(t, r, "Azure-AsyncOperation"); op.doc["status"] != "Failed" {
		t.Errorf("operation: %s", op.raw)
	}
	if r := s.ask(t, "GET", capture1+api, ""); r.properties()["provisioningState"] != "Failed" {
		t.Errorf("GET: %s", r.raw)
	}
	state, _, errs := s.status(t)
	if diff := cmp.Diff([]any{"operation not permitted"}, errs); state != "Error" || diff != "" {
		t.Errorf("status %s (-want +got):\n%s", state, diff)
	}
}

// An agent that does not come up is given up.
func TestAgentHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, hanging{}, Options{})
		s.create(t, capture1, createBody(vm1, ""))
		if state, _, _ := s.status(t); state != "Error" {
			t.Errorf("status %s", state)
		}
	})
}

type hanging struct{}

func (hanging) Start(ctx context.Context, _ Session) error { <-ctx.Done(); return ctx.Err() }
func (hanging) Stop(string) error                          { return nil }

func TestMachinesThatCannot(t *testing.T) {
	tests := []struct {
		name   string
		change func(*World)
		text   string
	}{
		{"stopped", func(w *World) { w.VMs[0].Power = "deallocated" }, "does not exist or is in stopped state."},
		{"no_agent", func(w *World) { w.VMs[0].AgentType = "" }, "agent extension is not ready"},
		{"agent_broken", func(w *World) { w.VMs[0].AgentState = "Failed" }, "agent extension is not ready"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			agent := &fakeAgent{}
			s := newServer(t, agent, Options{})
			if err := s.Update(c.change); err != nil {
				t.Fatal(err)
			}
			s.create(t, capture1, createBody(vm1, ""))
			state, _, errs := s.status(t)
			if state != "Error" || len(errs) != 1 || !strings.Contains(errs[0].(string), c.text) || len(agent.started) != 0 {
				t.Errorf("status %s, %v; the agent started %d", state, errs, len(agent.started))
			}
		})
	}
}

// Instances that are gone are told in the status, the others captured.
func TestSomeInstancesGone(t *testing.T) {
	agent := &fakeAgent{bytes: 24}
	s := newServer(t, agent, Options{})
	s.create(t, capture1, createBody(set1, `,"targetType":"AzureVMSS","scope":{"include":["0","3","9"]}`))
	state, _, errs := s.status(t)
	if diff := cmp.Diff([]any{set1 + "/virtualMachines/9 does not exist or is in stopped state."}, errs); state != "Running" || diff != "" {
		t.Errorf("status %s (-want +got):\n%s", state, diff)
	}
	if err := s.Update(func(w *World) { w.ScaleSets[0].Instances = w.ScaleSets[0].Instances[:1] }); err != nil {
		t.Fatal(err)
	}
	s.Settle()
	if state, _, errs := s.status(t); state != "Running" || len(errs) != 2 {
		t.Errorf("one instance less: status %s, %v", state, errs)
	}
	if err := s.Update(func(w *World) { w.ScaleSets[0].Instances[0].Power = "stopped" }); err != nil {
		t.Fatal(err)
	}
	s.Settle()
	if state, reason, errs := s.status(t); state != "Stopped" || reason != "" || len(errs) != 3 {
		t.Errorf("no instance left: status %s, %q, %v; want it stopped without a reason, as Azure has it", state, reason, errs)
	}
}

func TestMachineGoesAway(t *testing.T) {
	agent := &fakeAgent{}
	s := newServer(t, agent, Options{})
	s.create(t, capture1, createBody(vm1, ""))
	if err := s.Update(func(w *World) { w.VMs = nil }); err != nil {
		t.Fatal(err)
	}
	s.Settle()
	if state, reason, errs := s.status(t); state != "Stopped" || reason != "" || len(errs) != 1 || len(agent.stopped) != 1 {
		t.Errorf("status %s, %q, %v; agent stopped %v", state, reason, errs, agent.stopped)
	}
}

func TestDeleteStopsFirst(t *testing.T) {
	agent := &fakeAgent{}
	s := newServer(t, agent, Options{})
	s.create(t, capture1, createBody(set1, `,"targetType":"AzureVMSS"`))
	s.ask(t, "DELETE", capture1+api, "")
	s.Settle()
	if len(agent.stopped) != 2 || len(agent.running) != 0 {
		t.Errorf("stopped %v, running %v", agent.stopped, agent.running)
	}
}

func TestOperationsThatFail(t *testing.T) {
	agent := &fakeAgent{}
	var fault *Fault
	s := newServer(t, agent, Options{Fault: func(*http.Request) *Fault { return fault }})
	s.create(t, capture1, createBody(vm1, ""))
	for _, c := range []struct{ method, url string }{{"POST", capture1 + "/stop" + api}, {"DELETE", capture1 + api}} {
		fault = &Fault{FailOperation: "An error occurred."}
		r := s.ask(t, c.method, c.url, "")
		fault = nil
		s.Settle()
		op := s.follow(t, r, "Azure-AsyncOperation")
		if e, _ := op.doc["error"].(map[string]any); r.status != 202 || op.doc["status"] != "Failed" || e["message"] != "An error occurred." {
			t.Errorf("%s answered %d, its operation %s", c.method, r.status, op.raw)
		}
		if r := s.ask(t, "GET", capture1+api, ""); r.properties()["provisioningState"] != "Succeeded" {
			t.Errorf("after a failed %s: %s", c.method, r.raw)
		}
	}
	if state, _, _ := s.status(t); state != "Running" || len(agent.stopped) != 0 {
		t.Errorf("status %s, stopped %v", state, agent.stopped)
	}
}

// Without an agent the clock decides.
func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil, Options{})
		s.create(t, capture1, createBody(vm1, `,"timeLimitInSeconds":60`))
		time.Sleep(59 * time.Second)
		if state, _, _ := s.status(t); state != "Running" {
			t.Errorf("after 59 s: %s", state)
		}
		s.Settle()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if state, reason, _ := s.status(t); state != "Stopped" || reason != TimeExceeded {
			t.Errorf("after 61 s: %s, %q", state, reason)
		}
	})
}

func TestRestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.json")
	first, err := NewServer(testWorld(), &fakeAgent{}, Options{StateFile: file})
	if err != nil {
		t.Fatal(err)
	}
	created := first.create(t, capture1, createBody(vm1, ""))
	first.create(t, capture1+"-gone", createBody(vm1, ""))
	first.ask(t, "DELETE", capture1+"-gone"+api, "")
	first.Settle()
	// The first server is not closed: it dies.

	second := newServer(t, &fakeAgent{}, Options{StateFile: file})
	read := second.ask(t, "GET", capture1+api, "")
	if diff := cmp.Diff(created.properties()["storageLocation"], read.properties()["storageLocation"]); diff != "" || read.status != 200 {
		t.Errorf("GET after a restart answered %d (-before +after):\n%s", read.status, diff)
	}
	state, _, errs := second.status(t)
	if diff := cmp.Diff([]any{"AgentStopped"}, errs); state != "Stopped" || diff != "" {
		t.Errorf("status %s (-want +got):\n%s", state, diff)
	}
	if r := second.ask(t, "GET", capture1+"-gone"+api, ""); r.status != 404 {
		t.Errorf("a deleted capture is back: %d", r.status)
	}
	second.ask(t, "DELETE", capture1+api, "")
	second.Settle()
	third := newServer(t, nil, Options{StateFile: file})
	if r := third.ask(t, "GET", capture1+api, ""); r.status != 404 {
		t.Errorf("a capture deleted after the restart is back: %d", r.status)
	}
}

func TestStateFileThatIsNone(t *testing.T) {
	for name, content := range map[string]string{
		"cut":   `{"Sessions":[{"ID":"`,
		"odd":   `{"Sessions":[{"ID":"x"}]}`,
		"null":  `{"Sessions":[null]}`,
		"bare":  `{"Sessions":[{"ID":"` + capture1 + `"}]}`,
		"array": `[]`,
	} {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := NewServer(testWorld(), nil, Options{StateFile: file}); err == nil || !strings.Contains(err.Error(), "delete the file") {
			t.Errorf("%s: %v, want an error that says what to do", name, err)
		}
	}
}
