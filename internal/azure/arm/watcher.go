// Package arm runs packet captures through Azure Resource Manager: it
// implements [capture.Watcher] with Network Watcher, and looks targets up.
//
// No method waits for Azure's long-running operations: a start takes some ten
// seconds there, the status of a running session as long, and the sweep looks
// again anyway. What Azure says at once is enough, and it is read from the
// first answer.
package arm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azarm "github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9"
)

// Options says which Azure, and how to reach it. The zero value is the
// public cloud.
type Options struct {
	// Endpoint is the URL of Azure Resource Manager: empty for the public
	// cloud, another for a sovereign one or the local ARM. Plain http is for
	// loopback alone.
	Endpoint string
	// Audience is what tokens are asked for; empty: the endpoint, in the
	// public cloud https://management.azure.com.
	Audience string
	// Transport sends the requests; nil: an HTTP client of its own.
	Transport policy.Transporter
	// ApplicationID goes into the User-Agent; at most 24 characters.
	ApplicationID string
	// TryTimeout bounds one request; 0: 30 s.
	TryTimeout time.Duration
	// InFlight is how many requests may be under way at once, whatever asks
	// for them; 0: 32.
	InFlight int
}

// A Watcher runs captures in every subscription that its credential reaches.
// It is safe for concurrent use.
type Watcher struct {
	cred    azcore.TokenCredential
	options azarm.ClientOptions

	mu   sync.Mutex
	subs map[string]*clients // by subscription, lower case

	accounts accounts
}

// clients are bound to a subscription by the SDK.
type clients struct {
	captures  *armnetwork.PacketCapturesClient
	watchers  *armnetwork.WatchersClient
	nics      *armnetwork.InterfacesClient
	endpoints *armnetwork.PrivateEndpointsClient
	balancers *armnetwork.LoadBalancersClient
	publicIPs *armnetwork.PublicIPAddressesClient
	tags      *armnetwork.ServiceTagsClient
	vms       *armcompute.VirtualMachinesClient
	scaleSets *armcompute.VirtualMachineScaleSetsClient
	instances *armcompute.VirtualMachineScaleSetVMsClient
	places    places
}

// NewWatcher returns a Watcher that signs in with cred. It sends nothing yet.
func NewWatcher(cred azcore.TokenCredential, o Options) (*Watcher, error) {
	if cred == nil {
		return nil, errors.New("azure resource manager needs a credential")
	}
	resourceManager := cloud.AzurePublic.Services[cloud.ResourceManager]
	plain := false
	if o.Endpoint != "" {
		var err error
		if plain, err = checkEndpoint(o.Endpoint); err != nil {
			return nil, err
		}
		resourceManager = cloud.ServiceConfiguration{Endpoint: o.Endpoint, Audience: strings.TrimSuffix(o.Endpoint, "/")}
	}
	if o.Audience != "" {
		resourceManager.Audience = o.Audience
	}
	transport := o.Transport
	if transport == nil {
		transport = newTransport()
	}
	w := &Watcher{cred: cred, subs: map[string]*clients{}}
	w.options = azarm.ClientOptions{
		// The SDK would register the resource provider by itself, which takes
		// rights that this identity should not have.
		DisableRPRegistration: true,
		ClientOptions: policy.ClientOptions{
			Cloud: cloud.Configuration{
				ActiveDirectoryAuthorityHost: cloud.AzurePublic.ActiveDirectoryAuthorityHost,
				Services:                     map[cloud.ServiceName]cloud.ServiceConfiguration{cloud.ResourceManager: resourceManager},
			},
			Transport:                       observed{bounded{transport, make(chan struct{}, or(o.InFlight, 32))}},
			Telemetry:                       policy.TelemetryOptions{ApplicationID: o.ApplicationID},
			InsecureAllowCredentialWithHTTP: plain,
			Retry: policy.RetryOptions{
				MaxRetries:    1,
				RetryDelay:    400 * time.Millisecond,
				MaxRetryDelay: time.Second,
				TryTimeout:    or(o.TryTimeout, 30*time.Second),
				ShouldRetry:   again,
			},
		},
	}
	return w, nil
}

// checkEndpoint reports whether an endpoint is plain HTTP, which would send
// the token in clear text: only to this machine.
func checkEndpoint(endpoint string) (plain bool, err error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" {
		// It is not repeated: it may hold a password.
		return false, errors.New("the endpoint is not the plain URL of an Azure Resource Manager")
	}
	switch u.Scheme {
	case "https":
		return false, nil
	case "http":
		if a, err := netip.ParseAddr(u.Hostname()); u.Hostname() == "localhost" || err == nil && a.IsLoopback() {
			return true, nil
		}
		return false, fmt.Errorf("endpoint %q sends the token in clear text: use https", endpoint)
	}
	return false, fmt.Errorf("endpoint %q: want https", endpoint)
}

// again lets the SDK try once more after a short pause. Throttling is not
// among it: the invocation has better things to do than to sleep, and the
// caller knows what else must wait. Nor is a request that timed out.
func again(r *http.Response, err error) bool {
	if err != nil {
		return !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled)
	}
	switch r.StatusCode {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// newTransport returns a client for many requests to one host at a time. It
// follows no redirects: Azure Resource Manager sends none. Without the pings a
// connection that died quietly would hang every request on it.
func newTransport() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 32
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 10 * time.Second}
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// bounded lets no more requests out at once than it has slots, and ends an
// answer that is larger than any real one: 10,000 sessions, the most that a
// region holds, are some 15 MB.
type bounded struct {
	policy.Transporter
	slots chan struct{}
}

const maxAnswer = 64 << 20

func (b bounded) Do(r *http.Request) (*http.Response, error) {
	select {
	case b.slots <- struct{}{}:
		defer func() { <-b.slots }()
	case <-r.Context().Done():
		return nil, context.Cause(r.Context())
	}
	resp, err := b.Transporter.Do(r)
	if err == nil && resp.Body != nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, maxAnswer)
	}
	return resp, err
}

// clientsOf returns a resource's ID in its parts, and the clients of its
// subscription.
func (w *Watcher) clientsOf(resource string) (*azarm.ResourceID, *clients, error) {
	id, err := parseID(resource)
	if err != nil {
		return nil, nil, err
	}
	c, err := w.clients(id.SubscriptionID)
	return id, c, err
}

// clients returns the clients of a subscription, and makes them when it is
// first seen: they keep tokens and connections.
func (w *Watcher) clients(subscription string) (*clients, error) {
	key := strings.ToLower(subscription)
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.subs[key]; c != nil {
		return c, nil
	}
	network, err := armnetwork.NewClientFactory(subscription, w.cred, &w.options)
	if err != nil {
		return nil, fmt.Errorf("set up the network clients: %w", err)
	}
	compute, err := armcompute.NewClientFactory(subscription, w.cred, &w.options)
	if err != nil {
		return nil, fmt.Errorf("set up the compute clients: %w", err)
	}
	c := &clients{
		captures:  network.NewPacketCapturesClient(),
		watchers:  network.NewWatchersClient(),
		nics:      network.NewInterfacesClient(),
		endpoints: network.NewPrivateEndpointsClient(),
		balancers: network.NewLoadBalancersClient(),
		publicIPs: network.NewPublicIPAddressesClient(),
		tags:      network.NewServiceTagsClient(),
		vms:       compute.NewVirtualMachinesClient(),
		scaleSets: compute.NewVirtualMachineScaleSetsClient(),
		instances: compute.NewVirtualMachineScaleSetVMsClient(),
		places:    places{turn: make(chan struct{}, 1)},
	}
	w.subs[key] = c
	return c, nil
}

// deref returns what p points to, or the zero value: in the SDK's models
// everything may be missing.
func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
