package arm_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azfake "github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"
	computefake "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9"
	networkfake "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9/fake"

	"github.com/pcapwarden/pcapwarden/internal/capture/capturetest"
)

// The SDK's own fakes are a second opinion on what the client sends and
// reads: they parse paths and bodies, and encode answers, with code that is
// not ours. They have neither long-running operations as Azure has them nor
// state, so the state here is a map, and what an operation does is done at
// once. No test of the suite has to be excepted for it; what the fakes do not
// exercise is the 202 of a running session's status (they answer 200), the
// headers of operations, and api-version and token checks.
func TestAgainstSDKFakes(t *testing.T) {
	capturetest.Run(t, func(t *testing.T) capturetest.Fixture {
		a := &azure{captures: map[string]*armnetwork.PacketCaptureResult{}, stopped: map[string]bool{}}
		server := httptest.NewServer(a.handler())
		t.Cleanup(server.Close)
		return capturetest.Fixture{
			Watcher: watcherAt(t, server.URL, nil), Subscription: subscription, Region: "westeurope", Unwatched: "northeurope",
			VM: vmID, Gone: goneID, ScaleSet: setID, Storage: storageID, Settle: func() {},
		}
	})
}

// azure is the state behind the fakes.
type azure struct {
	mu       sync.Mutex
	captures map[string]*armnetwork.PacketCaptureResult // by name, lower case
	stopped  map[string]bool
}

// handler serves the fakes over HTTP. They dispatch on the client's method,
// which the client passes in its context: here it is derived from the request.
func (a *azure) handler() http.Handler {
	captures := networkfake.NewPacketCapturesServerTransport(a.captureFakes())
	watchers := networkfake.NewWatchersServerTransport(&networkfake.WatchersServer{NewListAllPager: listWatchers})
	vms := computefake.NewVirtualMachinesServerTransport(&computefake.VirtualMachinesServer{Get: readVM})
	sets := computefake.NewVirtualMachineScaleSetsServerTransport(&computefake.VirtualMachineScaleSetsServer{Get: readSet})
	instances := computefake.NewVirtualMachineScaleSetVMsServerTransport(&computefake.VirtualMachineScaleSetVMsServer{Get: readInstance, NewListPager: listInstances})
	return dispatch([]fakeRoute{
		{"PUT", `/packetCaptures/[^/]+$`, "PacketCapturesClient.BeginCreate", captures},
		{"GET", `/packetCaptures/[^/]+$`, "PacketCapturesClient.Get", captures},
		{"DELETE", `/packetCaptures/[^/]+$`, "PacketCapturesClient.BeginDelete", captures},
		{"POST", `/packetCaptures/[^/]+/stop$`, "PacketCapturesClient.BeginStop", captures},
		{"POST", `/packetCaptures/[^/]+/queryStatus$`, "PacketCapturesClient.BeginGetStatus", captures},
		{"GET", `/packetCaptures$`, "PacketCapturesClient.NewListPager", captures},
		{"GET", `/networkWatchers$`, "WatchersClient.NewListAllPager", watchers},
		{"GET", `/virtualMachineScaleSets/[^/]+/virtualMachines$`, "VirtualMachineScaleSetVMsClient.NewListPager", instances},
		{"GET", `/virtualMachineScaleSets/[^/]+/virtualMachines/[^/]+$`, "VirtualMachineScaleSetVMsClient.Get", instances},
		{"GET", `/virtualMachineScaleSets/[^/]+$`, "VirtualMachineScaleSetsClient.Get", sets},
		{"GET", `/virtualMachines/[^/]+$`, "VirtualMachinesClient.Get", vms},
	})
}

// fakeRoute says which fake answers a request.
type fakeRoute struct {
	method, path, api string
	to                interface {
		Do(*http.Request) (*http.Response, error)
	}
}

// dispatch serves fakes over HTTP.
func dispatch(routes []fakeRoute) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, route := range routes {
			if r.Method != route.method || !regexp.MustCompile(route.path).MatchString(r.URL.Path) {
				continue
			}
			ctx := context.WithValue(r.Context(), runtime.CtxAPINameKey{}, route.api)
			resp, err := route.to.Do(r.WithContext(ctx))
			if answer, ok := errors.AsType[*azcore.ResponseError](err); ok {
				resp, err = answer.RawResponse, nil
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusNotImplemented)
				return
			}
			defer resp.Body.Close()
			maps.Copy(w.Header(), resp.Header)
			w.WriteHeader(resp.StatusCode)
			io.Copy(w, resp.Body)
			return
		}
		http.Error(w, "no fake for "+r.Method+" "+r.URL.Path, http.StatusNotImplemented)
	})
}

func (a *azure) captureFakes() *networkfake.PacketCapturesServer {
	type ctx = context.Context
	return &networkfake.PacketCapturesServer{
		BeginCreate: func(_ ctx, _, _, name string, p armnetwork.PacketCapture, _ *armnetwork.PacketCapturesClientBeginCreateOptions) (ok azfake.PollerResponder[armnetwork.PacketCapturesClientCreateResponse], fail azfake.ErrorResponder) {
			a.mu.Lock()
			defer a.mu.Unlock()
			in := p.Properties
			switch {
			case !strings.EqualFold(*in.Target, vmID) && !strings.EqualFold(*in.Target, setID):
				fail.SetResponseError(http.StatusNotFound, "ResourceNotFound")
				return ok, fail
			case a.captures[strings.ToLower(name)] != nil:
				fail.SetResponseError(http.StatusConflict, "Conflict")
				return ok, fail
			}
			made := &armnetwork.PacketCaptureResult{
				ID: new(watcherID + "/packetCaptures/" + name), Name: &name,
				Properties: &armnetwork.PacketCaptureResultProperties{
					ProvisioningState: new(armnetwork.ProvisioningStateSucceeded), Target: in.Target, TargetType: in.TargetType, Filters: in.Filters, Scope: in.Scope,
					TimeLimitInSeconds: in.TimeLimitInSeconds, TotalBytesPerSession: in.TotalBytesPerSession, BytesToCapturePerPacket: in.BytesToCapturePerPacket,
					StorageLocation: &armnetwork.PacketCaptureStorageLocation{
						StorageID:   in.StorageLocation.StorageID,
						StoragePath: new("https://shoplanding.blob.core.windows.net/network-watcher-logs/x/" + name + ".cap"),
					},
				},
			}
			a.captures[strings.ToLower(name)] = made
			ok.SetTerminalResponse(http.StatusCreated, armnetwork.PacketCapturesClientCreateResponse{PacketCaptureResult: *made}, nil)
			return ok, fail
		},
		Get: func(_ ctx, _, _, name string, _ *armnetwork.PacketCapturesClientGetOptions) (ok azfake.Responder[armnetwork.PacketCapturesClientGetResponse], fail azfake.ErrorResponder) {
			if found := a.find(name, &fail); found != nil {
				ok.SetResponse(http.StatusOK, armnetwork.PacketCapturesClientGetResponse{PacketCaptureResult: *found}, nil)
			}
			return ok, fail
		},
		BeginGetStatus: func(_ ctx, _, _, name string, _ *armnetwork.PacketCapturesClientBeginGetStatusOptions) (ok azfake.PollerResponder[armnetwork.PacketCapturesClientGetStatusResponse], fail azfake.ErrorResponder) {
			if found := a.find(name, &fail); found != nil {
				r := armnetwork.PacketCaptureQueryStatusResult{
					ID: found.ID, Name: found.Name, CaptureStartTime: new(time.Now()), PacketCaptureStatus: new(armnetwork.PcStatusRunning),
				}
				a.mu.Lock()
				defer a.mu.Unlock()
				if a.stopped[strings.ToLower(name)] {
					r.PacketCaptureStatus, r.StopReason = new(armnetwork.PcStatusStopped), new("Manual")
				}
				ok.SetTerminalResponse(http.StatusOK, armnetwork.PacketCapturesClientGetStatusResponse{PacketCaptureQueryStatusResult: r}, nil)
			}
			return ok, fail
		},
		BeginStop: func(_ ctx, _, _, name string, _ *armnetwork.PacketCapturesClientBeginStopOptions) (ok azfake.PollerResponder[armnetwork.PacketCapturesClientStopResponse], fail azfake.ErrorResponder) {
			if a.find(name, &fail) != nil {
				a.mu.Lock()
				defer a.mu.Unlock()
				a.stopped[strings.ToLower(name)] = true
				ok.SetTerminalResponse(http.StatusOK, armnetwork.PacketCapturesClientStopResponse{}, nil)
			}
			return ok, fail
		},
		BeginDelete: func(_ ctx, _, _, name string, _ *armnetwork.PacketCapturesClientBeginDeleteOptions) (ok azfake.PollerResponder[armnetwork.PacketCapturesClientDeleteResponse], fail azfake.ErrorResponder) {
			if a.find(name, &fail) != nil {
				a.mu.Lock()
				defer a.mu.Unlock()
				delete(a.captures, strings.ToLower(name))
				delete(a.stopped, strings.ToLower(name))
				// The fake would take 200, the client does not.
				ok.SetTerminalResponse(http.StatusNoContent, armnetwork.PacketCapturesClientDeleteResponse{}, nil)
			}
			return ok, fail
		},
		NewListPager: func(_, _ string, _ *armnetwork.PacketCapturesClientListOptions) (pages azfake.PagerResponder[armnetwork.PacketCapturesClientListResponse]) {
			a.mu.Lock()
			defer a.mu.Unlock()
			var page armnetwork.PacketCapturesClientListResponse
			for _, c := range a.captures {
				page.Value = append(page.Value, c)
			}
			pages.AddPage(http.StatusOK, page, nil)
			return pages
		},
	}
}

func (a *azure) find(name string, fail *azfake.ErrorResponder) *armnetwork.PacketCaptureResult {
	a.mu.Lock()
	defer a.mu.Unlock()
	found := a.captures[strings.ToLower(name)]
	if found == nil {
		fail.SetResponseError(http.StatusNotFound, "NotFound")
	}
	return found
}

func listWatchers(*armnetwork.WatchersClientListAllOptions) (pages azfake.PagerResponder[armnetwork.WatchersClientListAllResponse]) {
	pages.AddPage(http.StatusOK, armnetwork.WatchersClientListAllResponse{WatcherListResult: armnetwork.WatcherListResult{
		Value: []*armnetwork.Watcher{{ID: new(watcherID), Location: new("West Europe")}},
	}}, nil)
	return pages
}

func fakeStatuses() []*armcompute.InstanceViewStatus {
	return []*armcompute.InstanceViewStatus{{Code: new("ProvisioningState/succeeded")}, {Code: new("PowerState/running")}}
}

func fakeViews() []*armcompute.VirtualMachineExtensionInstanceView {
	return []*armcompute.VirtualMachineExtensionInstanceView{{
		Name: new("anything"), Type: new("Microsoft.Azure.NetworkWatcher.NetworkWatcherAgentLinux"), Statuses: fakeStatuses(),
	}}
}

func readVM(_ context.Context, _, name string, o *armcompute.VirtualMachinesClientGetOptions) (ok azfake.Responder[armcompute.VirtualMachinesClientGetResponse], fail azfake.ErrorResponder) {
	if !strings.EqualFold(name, "Shop-1") {
		fail.SetResponseError(http.StatusNotFound, "ResourceNotFound")
		return ok, fail
	}
	vm := armcompute.VirtualMachine{ID: new(vmID), Name: new("Shop-1"), Location: new("West Europe"), Properties: &armcompute.VirtualMachineProperties{VMID: new("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee")}}
	if o != nil && o.Expand != nil {
		vm.Properties.InstanceView = &armcompute.VirtualMachineInstanceView{Statuses: fakeStatuses(), Extensions: fakeViews()}
	}
	ok.SetResponse(http.StatusOK, armcompute.VirtualMachinesClientGetResponse{VirtualMachine: vm}, nil)
	return ok, fail
}

func readSet(_ context.Context, _, name string, _ *armcompute.VirtualMachineScaleSetsClientGetOptions) (ok azfake.Responder[armcompute.VirtualMachineScaleSetsClientGetResponse], fail azfake.ErrorResponder) {
	ok.SetResponse(http.StatusOK, armcompute.VirtualMachineScaleSetsClientGetResponse{VirtualMachineScaleSet: armcompute.VirtualMachineScaleSet{
		ID: new(setID), Name: &name, Location: new("westeurope"),
		Properties: &armcompute.VirtualMachineScaleSetProperties{
			OrchestrationMode: new(armcompute.OrchestrationModeUniform),
			VirtualMachineProfile: &armcompute.VirtualMachineScaleSetVMProfile{ExtensionProfile: &armcompute.VirtualMachineScaleSetExtensionProfile{
				Extensions: []*armcompute.VirtualMachineScaleSetExtension{{Name: new("anything"), Properties: &armcompute.VirtualMachineScaleSetExtensionProperties{
					Publisher: new("Microsoft.Azure.NetworkWatcher"), Type: new("NetworkWatcherAgentLinux"),
				}}},
			}},
		},
	}}, nil)
	return ok, fail
}

func fakeInstance(id string) armcompute.VirtualMachineScaleSetVM {
	return armcompute.VirtualMachineScaleSetVM{
		ID: new(setID + "/virtualMachines/" + id), InstanceID: &id, Name: new("Shop-Set_" + id), Location: new("westeurope"),
		Properties: &armcompute.VirtualMachineScaleSetVMProperties{
			LatestModelApplied: new(true),
			InstanceView:       &armcompute.VirtualMachineScaleSetVMInstanceView{Statuses: fakeStatuses(), Extensions: fakeViews()},
		},
	}
}

func readInstance(_ context.Context, _, _, id string, _ *armcompute.VirtualMachineScaleSetVMsClientGetOptions) (ok azfake.Responder[armcompute.VirtualMachineScaleSetVMsClientGetResponse], fail azfake.ErrorResponder) {
	if id != "0" && id != "1" {
		fail.SetResponseError(http.StatusNotFound, "ResourceNotFound")
		return ok, fail
	}
	ok.SetResponse(http.StatusOK, armcompute.VirtualMachineScaleSetVMsClientGetResponse{VirtualMachineScaleSetVM: fakeInstance(id)}, nil)
	return ok, fail
}

func listInstances(_, _ string, _ *armcompute.VirtualMachineScaleSetVMsClientListOptions) (pages azfake.PagerResponder[armcompute.VirtualMachineScaleSetVMsClientListResponse]) {
	pages.AddPage(http.StatusOK, armcompute.VirtualMachineScaleSetVMsClientListResponse{VirtualMachineScaleSetVMListResult: armcompute.VirtualMachineScaleSetVMListResult{
		Value: []*armcompute.VirtualMachineScaleSetVM{new(fakeInstance("0")), new(fakeInstance("1"))},
	}}, nil)
	return pages
}
