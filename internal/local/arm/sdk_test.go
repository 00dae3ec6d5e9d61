package arm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azarm "github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9"
	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/pcaptest/devset"
)

type anyToken struct{}

func (anyToken) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "x", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// The SDK's own pollers follow our operations to their end: the long way
// round, which this product never takes, but others' tools do.
func TestSDKPollers(t *testing.T) {
	var fault *Fault
	s := newServer(t, nil, Options{RetryAfter: time.Millisecond, Fault: func(r *http.Request) *Fault {
		if r.Method == "PUT" || r.Method == "POST" || r.Method == "DELETE" {
			return fault
		}
		return nil
	}})
	server := httptest.NewServer(s)
	defer server.Close()
	client, err := armnetwork.NewPacketCapturesClient(strings.TrimPrefix(sub, "/subscriptions/"), anyToken{}, &azarm.ClientOptions{
		DisableRPRegistration: true,
		ClientOptions: policy.ClientOptions{
			InsecureAllowCredentialWithHTTP: true,
			Cloud: cloud.Configuration{Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
				cloud.ResourceManager: {Endpoint: server.URL, Audience: server.URL},
			}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	const group, watcher, name = "NetworkWatcherRG", "NetworkWatcher_westeurope", "pc1"
	ctx, often := t.Context(), &runtime.PollUntilDoneOptions{Frequency: time.Millisecond}
	body := armnetwork.PacketCapture{Properties: &armnetwork.PacketCaptureParameters{
		Target: new(vm1), StorageLocation: &armnetwork.PacketCaptureStorageLocation{StorageID: new(storage1)},
	}}
	create, err := client.BeginCreate(ctx, group, watcher, name, body, nil)
	if err != nil {
		t.Fatal(err)
	}
	created, err := create.PollUntilDone(ctx, often)
	if err != nil || *created.Properties.ProvisioningState != armnetwork.ProvisioningStateSucceeded {
		t.Fatalf("created: %+v, %v", created, err)
	}
	query, err := client.BeginGetStatus(ctx, group, watcher, name, nil)
	if err != nil || query.Done() {
		t.Fatalf("BeginGetStatus of a running session: done at once, or %v", err)
	}
	if r, err := query.PollUntilDone(ctx, often); err != nil || *r.PacketCaptureStatus != armnetwork.PcStatusRunning {
		t.Errorf("status: %+v, %v", r, err)
	}
	stop, err := client.BeginStop(ctx, group, watcher, name, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stop.PollUntilDone(ctx, often); err != nil {
		t.Errorf("stop: %v", err)
	}
	if query, err = client.BeginGetStatus(ctx, group, watcher, name, nil); err != nil || !query.Done() {
		t.Errorf("BeginGetStatus of a stopped session: not done, or %v", err)
	}
	remove, err := client.BeginDelete(ctx, group, watcher, name, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := remove.PollUntilDone(ctx, often); err != nil {
		t.Errorf("delete: %v", err)
	}

	fault = &Fault{FailOperation: "An error occurred."}
	create, err = client.BeginCreate(ctx, group, watcher, name, body, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = create.PollUntilDone(ctx, often)
	if r, ok := errors.AsType[*azcore.ResponseError](err); !ok || r.ErrorCode != "InternalServerError" {
		t.Errorf("a creation that fails: %v", err)
	}
}

// shape reduces a document to the names and kinds of what it holds.
func shape(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			out[k] = shape(e)
		}
		return out
	case []any:
		if len(v) == 0 {
			return "list"
		}
		return []any{shape(v[0])}
	}
	return fmt.Sprintf("%T", v)
}

// TestRecordedShapes compares our answers with traffic that was recorded at
// Azure, where a copy of it is at hand.
func TestRecordedShapes(t *testing.T) {
	dir := devset.Beside(t, "samples/networkwatcher/recorded")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no recorded traffic in %s: set PCAPWARDEN_DEVSET", dir)
	}
	recorded := func(name string) (doc any) {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = json.Unmarshal(b, &doc)
		}
		if err != nil {
			t.Fatal(err)
		}
		return doc
	}
	// The recorded requests go to our server, their targets replaced.
	s := newServer(t, nil, Options{})
	request := func(name string) string {
		doc := recorded(name).(map[string]any)
		doc["properties"].(map[string]any)["target"] = set1
		b, _ := json.Marshal(doc)
		return string(b)
	}
	all := s.create(t, capture1, request("vmss_create_all_instances.request.json"))
	scoped := capture1 + "-scoped"
	s.create(t, scoped, request("vmss_create_scoped.request.json"))
	running := s.ask(t, "POST", capture1+"/queryStatus"+api, "")
	s.Settle()
	stopped := capture1 + "-stopped"
	s.create(t, stopped, createBody(vm1, ""))
	s.ask(t, "POST", stopped+"/stop"+api, "")
	s.Settle()
	for _, c := range []struct {
		file string
		got  reply
	}{
		{"vmss_create_all_instances.response_201.json", all},
		{"vmss_get_all_instances.response_200.json", s.ask(t, "GET", capture1+api, "")},
		{"querystatus_running.response_202_and_200.json", running},
		{"querystatus_running.response_202_and_200.json", s.follow(t, running, "Location")},
		{"querystatus_stopped_manual.response_200.json", s.ask(t, "POST", stopped+"/queryStatus"+api, "")},
		{"get_notfound.response_404.json", s.ask(t, "GET", capture1+"-none"+api, "")},
		{"networkwatchers_listall.response_200.json", s.ask(t, "GET", sub+"/providers/Microsoft.Network/networkWatchers"+api, "")},
		{"list_two_sessions_same_vm.response_200.json", s.listed(t, capture1)},
		{"vmss_get_scoped.response_200.json", s.ask(t, "GET", scoped+api, "")},
	} {
		if diff := cmp.Diff(shape(recorded(c.file)), shape(any(c.got.doc))); diff != "" {
			t.Errorf("%s (-recorded +ours):\n%s", c.file, diff)
		}
	}
	headers := recorded("lro_headers.json").(map[string]any)
	for call, got := range map[string]reply{
		"create PUT":                 s.ask(t, "PUT", capture1+"-headers"+api, createBody(vm1, "")),
		"queryStatus POST (running)": running,
		"stop POST":                  s.ask(t, "POST", capture1+"/stop"+api, ""),
		"delete DELETE":              s.ask(t, "DELETE", scoped+api, ""),
	} {
		want := headers[call].(map[string]any)
		if float64(got.status) != want["status"] {
			t.Errorf("%s answered %d, recorded %v", call, got.status, want["status"])
		}
		for _, h := range []string{"Azure-AsyncOperation", "Location"} {
			if _, was := want["headers"].(map[string]any)[h]; was != (got.header.Get(h) != "") {
				t.Errorf("%s: header %s is %q, recorded: %v", call, h, got.header.Get(h), was)
			}
		}
	}
	s.Settle()
}

// listed is a list of one capture that was asked for as the recorded one: a
// file on the machine, no filters.
func (s *Server) listed(t *testing.T, like string) reply {
	t.Helper()
	other := newServer(t, nil, Options{})
	other.create(t, like, `{"properties":{"target":"`+vm1+`","storageLocation":{"filePath":"capture\\capture.cap"}}}`)
	return other.ask(t, "GET", watcher1+"/packetCaptures"+api, "")
}
