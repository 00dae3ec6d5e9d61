package arm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	sub        = "/subscriptions/11111111-1111-1111-1111-111111111111"
	shop       = sub + "/resourceGroups/Shop-RG/providers/"
	vm1        = shop + "Microsoft.Compute/virtualMachines/Shop-1"
	set1       = shop + "Microsoft.Compute/virtualMachineScaleSets/Shop-Set"
	flex1      = shop + "Microsoft.Compute/virtualMachineScaleSets/Shop-Flex"
	storage1   = shop + "Microsoft.Storage/storageAccounts/shoplanding"
	storageEU2 = shop + "Microsoft.Storage/storageAccounts/elsewhere"
	keyless    = shop + "Microsoft.Storage/storageAccounts/keyless"
	watcher1   = sub + "/resourceGroups/NetworkWatcherRG/providers/Microsoft.Network/networkWatchers/NetworkWatcher_westeurope"
	api        = "?api-version=2025-05-01"
)

func testWorld() World {
	return World{
		VMs: []VM{{ID: vm1, Region: "westeurope", AgentType: AgentLinux, Addresses: []string{"10.0.0.4"}}},
		ScaleSets: []ScaleSet{
			{ID: set1, Region: "westeurope", AgentType: AgentLinux, Instances: []Instance{
				{ID: "0", AgentType: AgentLinux, Addresses: []string{"10.0.1.4"}}, {ID: "3", AgentType: AgentLinux},
			}},
			{ID: flex1, Region: "westeurope", Flexible: true},
		},
		Watchers: []NetworkWatcher{{ID: watcher1, Region: "West Europe"}},
		Storage: []StorageAccount{
			{ID: storage1, Region: "westeurope"}, {ID: storageEU2, Region: "northeurope"}, {ID: keyless, Region: "westeurope", NoSharedKey: true},
		},
	}
}

// An agent of the test's: it captures nothing, and tells what it was asked.
type fakeAgent struct {
	mu      sync.Mutex
	fail    map[string]error // Start, by target
	started []Session
	running map[string]Session
	stopped []string
	bytes   int64
}

func (a *fakeAgent) Start(_ context.Context, s Session) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.fail[s.Target]; err != nil {
		return err
	}
	if a.running == nil {
		a.running = map[string]Session{}
	}
	a.started = append(a.started, s)
	a.running[s.ID] = s
	return nil
}

func (a *fakeAgent) Stop(id string) error {
	a.mu.Lock()
	a.stopped = append(a.stopped, id)
	a.mu.Unlock()
	a.end(id, Outcome{StopReason: StoppedManually, Bytes: a.bytes})
	return nil
}

func (a *fakeAgent) end(id string, o Outcome) {
	a.mu.Lock()
	s, ok := a.running[id]
	delete(a.running, id)
	a.mu.Unlock()
	if ok {
		s.Done(o)
	}
}

func newServer(t *testing.T, a Agent, o Options) *Server {
	t.Helper()
	s, err := NewServer(testWorld(), a, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// reply is an answer, read.
type reply struct {
	status int
	header http.Header
	doc    map[string]any
	raw    string
}

// code is the error's.
func (r reply) code() string {
	e, _ := r.doc["error"].(map[string]any)
	code, _ := e["code"].(string)
	return code
}

func (r reply) properties() map[string]any {
	p, _ := r.doc["properties"].(map[string]any)
	return p
}

func (s *Server) ask(t *testing.T, method, url, body string) reply {
	t.Helper()
	return s.send(t, method, url, body, http.Header{"Authorization": {"Bearer x"}})
}

func (s *Server) send(t *testing.T, method, url, body string, h http.Header) reply {
	t.Helper()
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	r.Header = h
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, r)
	got := reply{status: rec.Code, header: rec.Header(), raw: rec.Body.String()}
	if rec.Body.Len() > 0 && !bytes.Equal(rec.Body.Bytes(), null) {
		if err := json.Unmarshal(rec.Body.Bytes(), &got.doc); err != nil {
			t.Fatalf("%s %s answered %q: %v", method, url, rec.Body, err)
		}
	}
	return got
}

// follow asks a URL that an answer named.
func (s *Server) follow(t *testing.T, r reply, header string) reply {
	t.Helper()
	url := r.header.Get(header)
	if url == "" {
		t.Fatalf("no %s in %v", header, r.header)
	}
	return s.ask(t, "GET", url, "")
}

const capture1 = watcher1 + "/packetCaptures/pc1"

func createBody(target, more string) string {
	return fmt.Sprintf(`{"properties":{"target":%q,"storageLocation":{"storageId":%q}%s}}`, target, storage1, more)
}

func (s *Server) create(t *testing.T, url, body string) reply {
	t.Helper()
	r := s.ask(t, "PUT", url+api, body)
	if r.status != http.StatusCreated {
		t.Fatalf("PUT answered %d: %s", r.status, r.raw)
	}
	s.Settle()
	return r
}

func TestRefusals(t *testing.T) {
	good := createBody(vm1, "")
	with := func(body string) string { return `{"properties":` + body + `}` }
	land := `"storageLocation":{"storageId":"` + storage1 + `"}`
	tests := []struct {
		name, method, url, body string
		status                  int
		code                    string
	}{
		{"no_api_version", "GET", capture1, "", 400, "MissingApiVersionParameter"},
		{"odd_api_version", "GET", capture1 + "?api-version=latest", "", 400, "InvalidApiVersionParameter"},
		{"unknown_subscription", "GET", "/subscriptions/22222222-1111-1111-1111-111111111111/providers/Microsoft.Network/networkWatchers" + api, "", 404, "SubscriptionNotFound"},
		{"unknown_type", "GET", shop + "Microsoft.Web/sites/x" + api, "", 404, "InvalidResourceType"},
		{"no_provider", "GET", sub + api, "", 404, "InvalidResourceType"},
		{"method", "PATCH", capture1 + api, good, 405, "MethodNotAllowed"},
		{"unknown_watcher", "PUT", strings.Replace(capture1, "westeurope", "nowhere", 1) + api, good, 404, "NotFound"},
		{"unknown_capture", "GET", capture1 + api, "", 404, "NotFound"},
		{"stop_unknown_capture", "POST", capture1 + "/stop" + api, "", 404, "NotFound"},
		{"query_unknown_capture", "POST", capture1 + "/queryStatus" + api, "", 404, "NotFound"},
		{"unknown_vm", "GET", vm1 + "x" + api, "", 404, "ResourceNotFound"},
		{"unknown_scale_set", "GET", set1 + "x" + api, "", 404, "ResourceNotFound"},
		{"unknown_instance", "GET", set1 + "/virtualMachines/9" + api, "", 404, "ResourceNotFound"},
		{"unknown_operation", "GET", sub + "/providers/Microsoft.Network/locations/westeurope/operations/x" + api, "", 404, "OperationNotFound"},
		{"not_json", "PUT", capture1 + api, "<xml>", 400, "InvalidRequestContent"},
		{"wrong_type", "PUT", capture1 + api, with(`{"target":7}`), 400, "InvalidRequestContent"},
		{"no_properties", "PUT", capture1 + api, `{}`, 400, "InvalidRequestFormat"},
		{"no_target", "PUT", capture1 + api, with(`{` + land + `}`), 400, "InvalidRequestFormat"},
		{"no_storage", "PUT", capture1 + api, with(`{"target":"` + vm1 + `"}`), 400, "InvalidRequestFormat"},
		{"empty_storage", "PUT", capture1 + api, with(`{"target":"` + vm1 + `","storageLocation":{}}`), 400, "InvalidRequestFormat"},
		{"file_of_another_kind", "PUT", capture1 + api, with(`{"target":"` + vm1 + `","storageLocation":{"filePath":"/etc/passwd"}}`), 400, "InvalidRequestFormat"},
		{"unknown_target", "PUT", capture1 + api, createBody(vm1+"x", ""), 404, "ResourceNotFound"},
		{"unknown_storage", "PUT", capture1 + api, with(`{"target":"` + vm1 + `","storageLocation":{"storageId":"` + storage1 + `x"}}`), 404, "ResourceNotFound"},
		{"storage_in_another_region", "PUT", capture1 + api, with(`{"target":"` + vm1 + `","storageLocation":{"storageId":"` + storageEU2 + `"}}`), 400, "InvalidRequestFormat"},
		{"storage_without_keys", "PUT", capture1 + api, with(`{"target":"` + vm1 + `","storageLocation":{"storageId":"` + keyless + `"}}`), 403, "KeyBasedAuthenticationNotPermitted"},
		{"scale_set_as_vm", "PUT", capture1 + api, createBody(set1, ""), 404, "ResourceNotFound"},
		{"flexible_scale_set", "PUT", capture1 + api, createBody(flex1, `,"targetType":"AzureVMSS"`), 400, "InvalidRequestFormat"},
		{"target_type", "PUT", capture1 + api, createBody(vm1, `,"targetType":"AzureArc"`), 400, "InvalidRequestFormat"},
		{"scope_both_ways", "PUT", capture1 + api, createBody(set1, `,"targetType":"AzureVMSS","scope":{"include":["0"],"exclude":["3"]}`), 400, "InvalidRequestFormat"},
		{"protocol", "PUT", capture1 + api, createBody(vm1, `,"filters":[{"protocol":"ICMP"}]`), 400, "InvalidRequestFormat"},
		{"null_filter", "PUT", capture1 + api, createBody(vm1, `,"filters":[null]`), 400, "InvalidRequestFormat"},
		{"time_limit_zero", "PUT", capture1 + api, createBody(vm1, `,"timeLimitInSeconds":0`), 400, "InvalidRequestFormat"},
		{"time_limit_long", "PUT", capture1 + api, createBody(vm1, `,"timeLimitInSeconds":18001`), 400, "InvalidRequestFormat"},
		{"bytes_zero", "PUT", capture1 + api, createBody(vm1, `,"totalBytesPerSession":0`), 400, "InvalidRequestFormat"},
		{"bytes_huge", "PUT", capture1 + api, createBody(vm1, `,"totalBytesPerSession":4294967296`), 400, "InvalidRequestFormat"},
		{"packet_bytes_negative", "PUT", capture1 + api, createBody(vm1, `,"bytesToCapturePerPacket":-1`), 400, "InvalidRequestFormat"},
		{"continuous", "PUT", capture1 + api, createBody(vm1, `,"continuousCapture":true`), 400, "InvalidRequestFormat"},
		{"name", "PUT", watcher1 + "/packetCaptures/a%20b" + api, good, 400, "InvalidResourceName"},
		{"name_with_slash", "PUT", watcher1 + "/packetCaptures/a%2Fb" + api, good, 400, "InvalidResourceName"},
		{"too_large", "PUT", capture1 + api, createBody(vm1, `,"x":"`+strings.Repeat("x", maxBody)+`"`), 413, "RequestContentTooLarge"},
		{"expand_without_filter", "GET", shop + "Microsoft.Compute/virtualMachines" + api + "&$expand=instanceView", "", 400, "BadRequest"},
		{"odd_filter", "GET", shop + "Microsoft.Compute/virtualMachines" + api + "&$filter=name", "", 400, "BadRequest"},
	}
	s := newServer(t, nil, Options{})
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			r := s.ask(t, c.method, c.url, c.body)
			if r.status != c.status || r.code() != c.code {
				t.Errorf("answered %d %q, want %d %q: %s", r.status, r.code(), c.status, c.code, r.raw)
			}
		})
	}
	if list := s.ask(t, "GET", watcher1+"/packetCaptures"+api, ""); len(list.doc["value"].([]any)) != 0 {
		t.Errorf("refused requests left captures: %s", list.raw)
	}
}

func TestToken(t *testing.T) {
	for _, c := range []struct {
		name, configured, header string
		status                   int
	}{
		{"any", "", "Bearer x", 200}, {"none", "", "", 401}, {"basic", "", "Basic x", 401}, {"empty", "", "Bearer ", 401},
		{"right", "secret", "bearer secret", 200}, {"wrong", "secret", "Bearer guess", 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, nil, Options{Token: c.configured})
			if r := s.send(t, "GET", vm1+api, "", http.Header{"Authorization": {c.header}}); r.status != c.status || strings.Contains(r.raw, "secret") {
				t.Errorf("answered %d, want %d: %s", r.status, c.status, r.raw)
			}
		})
	}
}

// IDs come in any case: alerts write them in lower case.
func TestPathsMindNoCase(t *testing.T) {
	s := newServer(t, nil, Options{})
	s.create(t, strings.ToLower(capture1), createBody(strings.ToUpper(vm1), ""))
	for _, url := range []string{capture1, strings.ToUpper(capture1)} {
		if r := s.ask(t, "GET", url+api, ""); r.status != 200 {
			t.Errorf("GET %s answered %d", url, r.status)
		}
	}
}

func TestNewServerChecksItsWorld(t *testing.T) {
	for name, w := range map[string]World{
		"vm":      {VMs: []VM{{ID: "shop-1"}}},
		"set":     {ScaleSets: []ScaleSet{{ID: vm1}}},
		"watcher": {Watchers: []NetworkWatcher{{ID: watcher1 + "/packetCaptures/x"}}},
		"storage": {Storage: []StorageAccount{{ID: sub + "/providers/Microsoft.Storage/storageAccounts/x"}}},
	} {
		if _, err := NewServer(w, nil, Options{}); err == nil {
			t.Errorf("%s: a wrong ID was taken", name)
		}
	}
	s := newServer(t, nil, Options{})
	if err := s.Update(func(w *World) { w.VMs[0].ID = "x"; w.Watchers = nil }); err == nil {
		t.Error("Update took a wrong ID")
	}
	if r := s.ask(t, "GET", watcher1+api, ""); r.status != 200 {
		t.Error("a refused Update changed the world")
	}
}

func TestServeOnLoopbackOnly(t *testing.T) {
	s := newServer(t, nil, Options{})
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Skip(err)
	}
	if err := s.Serve(t.Context(), l); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("Serve on every interface: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is open still: %v", err)
	}
}

func TestServeUntilTheContextEnds(t *testing.T) {
	agent := &fakeAgent{}
	s := newServer(t, agent, Options{Fault: func(r *http.Request) *Fault { return &Fault{Hang: r.URL.RawQuery == "hang"} }})
	l, err := Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- s.Serve(ctx, l) }()
	s.create(t, capture1, createBody(vm1, ""))
	hung := make(chan error)
	go func() {
		_, err := http.Get("http://" + l.Addr().String() + "/?hang")
		hung <- err
	}()
	r, err := http.Get("http://" + l.Addr().String() + vm1 + api)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusUnauthorized {
		t.Errorf("answered %d", r.StatusCode)
	}
	cancel()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := <-hung; err == nil {
		t.Error("a request that hangs got an answer")
	}
	if diff := cmp.Diff([]string{strings.ToLower(capture1)}, agent.stopped); diff != "" {
		t.Errorf("sessions stopped at the end (-want +got):\n%s", diff)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add("PUT", capture1+api, createBody(vm1, `,"filters":[{"protocol":"Tcp","localPort":"80"}],"scope":{"include":["0"]}`))
	f.Add("PUT", capture1+api, createBody(set1, `,"targetType":"AzureVMSS","scope":{"include":["0",null,"/x/"]}`))
	f.Add("POST", capture1+"/queryStatus"+api, "")
	f.Add("DELETE", capture1+api, "")
	f.Add("GET", shop+"Microsoft.Compute/virtualMachines"+api+"&$filter='virtualMachineScaleSet/id' eq '"+flex1+"'", "")
	f.Add("GET", set1+"/virtualMachines"+api+"&$skiptoken=-5", "")
	s, err := NewServer(testWorld(), nil, Options{PageSize: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(s.Close)
	f.Fuzz(func(t *testing.T, method, url, body string) {
		r, err := http.NewRequest(method, "http://127.0.0.1", strings.NewReader(body))
		if err != nil {
			return
		}
		if r.URL, err = r.URL.Parse(url); err != nil {
			return
		}
		r.Header.Set("Authorization", "Bearer x")
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, r)
		if rec.Code >= 500 {
			t.Errorf("%s %q answered %d: %s", method, url, rec.Code, rec.Body)
		}
	})
}
