package arm_test

import (
	"context"
	"net/http"
	"sync"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/azure/arm"
	"github.com/pcapwarden/pcapwarden/internal/azure/credential"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/capture/capturetest"
	local "github.com/pcapwarden/pcapwarden/internal/local/arm"
)

const (
	subscription = "11111111-1111-1111-1111-111111111111"
	group        = "/subscriptions/" + subscription + "/resourceGroups/Shop-RG/providers/"
	vmID         = group + "Microsoft.Compute/virtualMachines/Shop-1"
	goneID       = group + "Microsoft.Compute/virtualMachines/Shop-9"
	setID        = group + "Microsoft.Compute/virtualMachineScaleSets/Shop-Set"
	flexID       = group + "Microsoft.Compute/virtualMachineScaleSets/Shop-Flex"
	storageID    = group + "Microsoft.Storage/storageAccounts/shoplanding"
	watcherID    = "/subscriptions/" + subscription + "/resourceGroups/NetworkWatcherRG/providers/Microsoft.Network/networkWatchers/NetworkWatcher_westeurope"
)

// world is one region with everything, spelled as Azure sometimes does.
func world() local.World {
	return local.World{
		VMs: []local.VM{{
			ID: vmID, Region: "West Europe", VMID: "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
			Tags: map[string]string{"pcapwarden": "allowed"}, AgentType: local.AgentLinux, Addresses: []string{"10.0.0.4", "10.0.0.5"},
		}},
		ScaleSets: []local.ScaleSet{{
			ID: setID, Region: "westeurope", AgentType: local.AgentLinux,
			Instances: []local.Instance{
				{ID: "0", AgentType: local.AgentLinux, Addresses: []string{"10.0.1.4"}},
				{ID: "1", AgentType: local.AgentLinux, Addresses: []string{"10.0.1.5"}},
			},
		}},
		Watchers: []local.NetworkWatcher{{ID: watcherID, Region: "West Europe"}},
		Storage:  []local.StorageAccount{{ID: storageID, Region: "westeurope"}},
	}
}

// serve runs a local ARM over HTTP until the test ends.
func serve(t *testing.T, w local.World, o local.Options) (*local.Server, *arm.Watcher) {
	t.Helper()
	o.Token = "local"
	s, err := local.NewServer(w, nil, o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := local.Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	client := &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}
	t.Cleanup(client.CloseIdleConnections) // the server waits for them
	return s, watcherAt(t, "http://"+l.Addr().String(), client)
}

func watcherAt(t *testing.T, endpoint string, client *http.Client) *arm.Watcher {
	t.Helper()
	cred, err := credential.Loopback(endpoint, "local")
	if err != nil {
		t.Fatal(err)
	}
	o := arm.Options{Endpoint: endpoint, ApplicationID: "pcapwarden-test"}
	if client != nil {
		o.Transport = client
	}
	w, err := arm.NewWatcher(cred, o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

var (
	_ capture.Watcher   = (*arm.Watcher)(nil)
	_ capture.Directory = (*arm.Watcher)(nil)
)

func TestAgainstLocalARM(t *testing.T) {
	capturetest.Run(t, func(t *testing.T) capturetest.Fixture {
		s, w := serve(t, world(), local.Options{PageSize: 1})
		return capturetest.Fixture{
			Watcher: w, Subscription: subscription, Region: "westeurope", Unwatched: "northeurope",
			VM: vmID, Gone: goneID, ScaleSet: setID, Storage: storageID, Settle: s.Settle,
		}
	})
}

// requests counts what reaches a server, and lets a test spoil it.
type requests struct {
	mu    sync.Mutex
	seen  map[string]int
	spoil func(*http.Request) *local.Fault
}

func (q *requests) fault(r *http.Request) *local.Fault {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.seen == nil {
		q.seen = map[string]int{}
	}
	q.seen[r.Method+" "+r.URL.Path]++
	if q.spoil == nil {
		return nil
	}
	return q.spoil(r)
}

func (q *requests) set(spoil func(*http.Request) *local.Fault) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.spoil = spoil
}

func (q *requests) count(request string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.seen[request]
}

func (q *requests) total() (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, c := range q.seen {
		n += c
	}
	return n
}
