package arm_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/azure/arm"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	local "github.com/pcapwarden/pcapwarden/internal/local/arm"
)

func spec(name string) capture.Spec {
	return capture.Spec{
		Name: name, Target: vmID, TargetType: capture.AzureVM, Region: "westeurope", StorageID: storageID,
		Filters: []capture.Filter{{Protocol: "TCP", RemotePort: "443"}}, TimeLimit: time.Minute, TotalBytes: 1 << 20,
	}
}

// start starts a session before anything is spoilt.
func start(t *testing.T, s *local.Server, w *arm.Watcher, name string) capture.Session {
	t.Helper()
	started, err := w.Start(t.Context(), spec(name))
	if err != nil {
		t.Fatal(err)
	}
	s.Settle()
	return started
}

// calls are the requests that a fault may hit, with the action each needs.
var calls = []struct {
	name   string
	action string
	method string
	path   string // suffix, lower case
	do     func(context.Context, *arm.Watcher, capture.Session) error
}{
	{"Machine", arm.ReadMachines, "GET", "/virtualmachines/shop-1", func(ctx context.Context, w *arm.Watcher, _ capture.Session) error {
		_, err := w.Machine(ctx, vmID)
		return err
	}},
	{"Machine_scale_set", arm.ReadScaleSets, "GET", "/virtualmachinescalesets/shop-set", func(ctx context.Context, w *arm.Watcher, _ capture.Session) error {
		_, err := w.Machine(ctx, setID)
		return err
	}},
	{"Machine_instances", arm.ReadScaleSetMachines, "GET", "/virtualmachinescalesets/shop-set/virtualmachines", func(ctx context.Context, w *arm.Watcher, _ capture.Session) error {
		_, err := w.Machine(ctx, setID)
		return err
	}},
	{"Start", arm.WriteCaptures, "PUT", "/packetcaptures/pw-new", func(ctx context.Context, w *arm.Watcher, _ capture.Session) error {
		_, err := w.Start(ctx, spec("pw-new"))
		return err
	}},
	{"Find", arm.ReadCaptures, "GET", "/packetcaptures/pw-old", func(ctx context.Context, w *arm.Watcher, _ capture.Session) error {
		_, err := w.Find(ctx, subscription, "westeurope", "pw-old")
		return err
	}},
	{"Status", arm.QueryCaptures, "POST", "/querystatus", func(ctx context.Context, w *arm.Watcher, s capture.Session) error {
		_, err := w.Status(ctx, s.ID)
		return err
	}},
	{"Stop", arm.StopCaptures, "POST", "/stop", func(ctx context.Context, w *arm.Watcher, s capture.Session) error {
		return w.Stop(ctx, s.ID)
	}},
	{"Delete", arm.DeleteCaptures, "DELETE", "/packetcaptures/pw-old", func(ctx context.Context, w *arm.Watcher, s capture.Session) error {
		return w.Delete(ctx, s.ID)
	}},
	{"List", arm.ReadCaptures, "GET", "/packetcaptures", func(ctx context.Context, w *arm.Watcher, _ capture.Session) error {
		_, err := w.List(ctx, subscription)
		return err
	}},
}

func TestFaultsOfEveryCall(t *testing.T) {
	type want struct {
		throttled, busy, denied, notFound bool
		wait                              time.Duration
	}
	faults := []struct {
		name  string
		fault local.Fault
		want  want
		tries int
		text  string // in the error
	}{
		{"throttled", local.Fault{Status: 429, Code: "TooManyRequests", Message: "Number of requests exceeded.", RetryAfter: 2 * time.Minute}, want{throttled: true, wait: 2 * time.Minute}, 1, "TooManyRequests"},
		{"throttled_without_a_time", local.Fault{Status: 429, Code: "TooManyRequests"}, want{throttled: true}, 1, "TooManyRequests"},
		{"busy", local.Fault{Status: 429, Code: "RetryableErrorDueToAnotherOperation", RetryAfter: 10 * time.Second}, want{busy: true, wait: 10 * time.Second}, 1, "another operation"},
		{"unavailable_for_a_time", local.Fault{Status: 503, Code: "ServerBusy", RetryAfter: time.Minute}, want{throttled: true, wait: time.Minute}, 1, "ServerBusy"},
		{"unauthorized", local.Fault{Status: 401, Code: "ExpiredAuthenticationToken", Message: "The access token expiry time is in the past."}, want{denied: true}, 1, "ExpiredAuthenticationToken"},
		{"forbidden", local.Fault{Status: 403, Code: "AuthorizationFailed", Message: "The client does not have authorization."}, want{denied: true}, 1, "AuthorizationFailed"},
		{"refused", local.Fault{Status: 400, Code: "InvalidRequestFormat", Message: "Cannot parse the request."}, want{denied: true}, 1, "InvalidRequestFormat"},
		{"locked", local.Fault{Status: 409, Code: "ScopeLocked", Message: "The scope cannot perform write operation because it is locked."}, want{denied: true}, 1, "ScopeLocked"},
		{"subscription_out_of_sight", local.Fault{Status: 404, Code: "SubscriptionNotFound"}, want{denied: true}, 1, "SubscriptionNotFound"},
		{"not_found_by_a_proxy", local.Fault{Status: 404}, want{}, 1, "HTTP 404"},
		{"broken", local.Fault{Status: 500, Code: "InternalServerError", Message: "An error occurred."}, want{}, 2, "An error occurred."},
		{"connection_lost", local.Fault{Drop: true}, want{}, 2, "no answer"},
	}
	for _, call := range calls {
		t.Run(call.name, func(t *testing.T) {
			t.Parallel()
			q := &requests{}
			s, w := serve(t, world(), local.Options{Fault: q.fault})
			old := start(t, s, w, "pw-old")
			for _, f := range faults {
				t.Run(f.name, func(t *testing.T) {
					var tries atomic.Int32
					q.set(func(r *http.Request) *local.Fault {
						if r.Method != call.method || !strings.HasSuffix(strings.ToLower(r.URL.Path), call.path) {
							return nil
						}
						tries.Add(1)
						return &f.fault
					})
					err := call.do(t.Context(), w, old)
					if err == nil {
						t.Fatal("no error")
					}
					throttled, isThrottled := errors.AsType[*capture.ThrottledError](err)
					busy, isBusy := errors.AsType[*arm.BusyError](err)
					denied, isDenied := errors.AsType[*capture.DeniedError](err)
					got := want{throttled: isThrottled, busy: isBusy, denied: isDenied, notFound: errors.Is(err, capture.ErrNotFound)}
					if isThrottled {
						got.wait = throttled.RetryAfter
					}
					if isBusy {
						got.wait = busy.RetryAfter
					}
					if got != f.want {
						t.Errorf("%v\nis %+v, want %+v", err, got, f.want)
					}
					if isDenied && denied.Action != call.action {
						t.Errorf("action %q, want %q", denied.Action, call.action)
					}
					// net/http itself tries a GET again on a fresh connection
					// when a kept one turns out to be dead.
					if n := int(tries.Load()); n != f.tries && !(f.fault.Drop && call.method == http.MethodGet && n == f.tries+1) {
						t.Errorf("%d requests, want %d", n, f.tries)
					}
					if !strings.Contains(err.Error(), f.text) || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), call.action) {
						t.Errorf("error %q: want one line with %q and %q", err, f.text, call.action)
					}
				})
			}
		})
	}
}

func TestOneFailureIsTriedAgain(t *testing.T) {
	q := &requests{}
	_, w := serve(t, world(), local.Options{Fault: q.fault})
	first := true
	q.set(func(*http.Request) *local.Fault {
		defer func() { first = false }()
		if first {
			return &local.Fault{Status: 503, Code: "ServiceUnavailable"}
		}
		return nil
	})
	if _, err := w.Machine(t.Context(), vmID); err != nil {
		t.Errorf("Machine after one 503: %v", err)
	}
}

func TestHangEndsWithTheContext(t *testing.T) {
	for _, call := range calls {
		t.Run(call.name, func(t *testing.T) {
			q := &requests{}
			s, w := serve(t, world(), local.Options{Fault: q.fault})
			old := start(t, s, w, "pw-old")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			q.set(func(r *http.Request) *local.Fault {
				if r.Method != call.method || !strings.HasSuffix(strings.ToLower(r.URL.Path), call.path) {
					return nil
				}
				cancel()
				return &local.Fault{Hang: true}
			})
			if err := call.do(ctx, w, old); !errors.Is(err, context.Canceled) {
				t.Errorf("%v, want context.Canceled", err)
			}
		})
	}
}

func TestDeadline(t *testing.T) {
	_, w := serve(t, world(), local.Options{Fault: func(*http.Request) *local.Fault { return &local.Fault{Hang: true} }})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := w.Machine(ctx, vmID); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want context.DeadlineExceeded", err)
	}
}

// Whoever starts a session may never learn that it did. The name decides:
// looking finds it, and starting again does not make a second.
func TestStartWithUnknownOutcome(t *testing.T) {
	for name, fault := range map[string]local.Fault{
		"answer_lost": {AfterEffect: true, Drop: true},
		"error_after": {AfterEffect: true, Status: 500, Code: "InternalServerError"},
		"gateway":     {AfterEffect: true, Status: 504},
	} {
		t.Run(name, func(t *testing.T) {
			q := &requests{}
			s, w := serve(t, world(), local.Options{Fault: q.fault})
			q.set(func(r *http.Request) *local.Fault {
				if r.Method == http.MethodPut {
					q.spoil = nil // once
					return &fault
				}
				return nil
			})
			_, err := w.Start(t.Context(), spec("pw-lost"))
			exists, ok := errors.AsType[*capture.ExistsError](err)
			if !ok {
				t.Fatalf("Start: %v, want the session that the first try made", err)
			}
			s.Settle()
			found, err := w.Find(t.Context(), subscription, "westeurope", "pw-lost")
			if err != nil || found.ID != exists.Session.ID {
				t.Errorf("Find = %+v, %v", found, err)
			}
			if all, err := w.List(t.Context(), subscription); err != nil || len(all) != 1 {
				t.Errorf("List = %d sessions, %v; want one", len(all), err)
			}
		})
	}
}

// A session of that name which is being deleted is not one to adopt.
func TestStartWhileTheNameIsDeleted(t *testing.T) {
	q := &requests{}
	s, w := serve(t, world(), local.Options{Fault: q.fault})
	start(t, s, w, "pw-old")
	q.set(func(r *http.Request) *local.Fault {
		if r.Method == http.MethodPut {
			return &local.Fault{Status: 409, Code: "AnotherOperationInProgress"}
		}
		return nil
	})
	_, err := w.Start(t.Context(), spec("pw-old"))
	if _, ok := errors.AsType[*arm.BusyError](err); !ok {
		t.Errorf("Start: %v, want a *BusyError", err)
	}
}

// A conflict need not be one of names.
func TestStartConflictOfAnotherKind(t *testing.T) {
	_, w := serve(t, world(), local.Options{Fault: func(r *http.Request) *local.Fault {
		if r.Method == http.MethodPut {
			return &local.Fault{Status: 409, Code: "OperationNotAllowed", Message: "The VM agent is not ready."}
		}
		return nil
	}})
	_, err := w.Start(t.Context(), spec("pw-new"))
	_, denied := errors.AsType[*capture.DeniedError](err)
	if err == nil || denied || errors.Is(err, capture.ErrNotFound) || !strings.Contains(err.Error(), "OperationNotAllowed") {
		t.Errorf("Start: %v, want what Azure said, as something that may go away", err)
	}
}

// Azure may accept a session and fail to start it afterwards.
func TestStartThatFailsLater(t *testing.T) {
	s, w := serve(t, world(), local.Options{Fault: func(r *http.Request) *local.Fault {
		if r.Method == http.MethodPut {
			return &local.Fault{FailOperation: "The extension reported a failure."}
		}
		return nil
	}})
	started := start(t, s, w, "pw-failing")
	if started.ProvisioningState != "Updating" {
		t.Errorf("Start = %q, want what Azure said first", started.ProvisioningState)
	}
	found, err := w.Find(t.Context(), subscription, "westeurope", "pw-failing")
	if err != nil || found.ProvisioningState != "Failed" {
		t.Errorf("Find = %+v, %v; want provisioning state Failed", found, err)
	}
	status, err := w.Status(t.Context(), started.ID)
	want := capture.Status{State: capture.Failed, Errors: []string{"The extension reported a failure."}}
	if diff := cmp.Diff(want, status); diff != "" || err != nil {
		t.Errorf("Status: %v (-want +got):\n%s", err, diff)
	}
}

func TestStopThatFailsLater(t *testing.T) {
	q := &requests{}
	s, w := serve(t, world(), local.Options{Fault: q.fault})
	old := start(t, s, w, "pw-old")
	q.set(func(r *http.Request) *local.Fault { return &local.Fault{FailOperation: "An error occurred."} })
	if err := w.Stop(t.Context(), old.ID); err != nil {
		t.Fatal(err)
	}
	s.Settle()
	if status, err := w.Status(t.Context(), old.ID); err != nil || status.State != capture.Running {
		t.Errorf("Status = %+v, %v; want it running still", status, err)
	}
}

// No method waits for an operation: what it costs is known in advance.
func TestRequestsPerCall(t *testing.T) {
	want := map[string]int{
		"Machine":           2, // its interface
		"Machine_scale_set": 2, "Machine_instances": 2,
		"Start": 1, "Find": 1, "Status": 1, "Stop": 1, "Delete": 1, "List": 1,
	}
	for _, call := range calls {
		q := &requests{}
		s, w := serve(t, world(), local.Options{Fault: q.fault})
		old := start(t, s, w, "pw-old")
		before := q.total()
		if err := call.do(t.Context(), w, old); err != nil {
			t.Errorf("%s: %v", call.name, err)
		}
		if got := q.total() - before; got != want[call.name] {
			t.Errorf("%s: %d requests, want %d", call.name, got, want[call.name])
		}
	}
}

func TestDeniedNamesTheMissingAction(t *testing.T) {
	_, w := serve(t, world(), local.Options{Fault: func(r *http.Request) *local.Fault {
		if r.Method != http.MethodPut {
			return nil
		}
		return &local.Fault{Status: 403, Code: "LinkedAuthorizationFailed", Message: "The client 'x' with object id 'x' has permission to perform action 'Microsoft.Network/networkWatchers/packetCaptures/write' on scope '/subscriptions/s'; however, it does not have permission to perform action(s) 'Microsoft.Storage/storageAccounts/listServiceSas/action' on the linked scope(s) 'y'."}
	}})
	_, err := w.Start(t.Context(), spec("pw-denied"))
	denied, ok := errors.AsType[*capture.DeniedError](err)
	if !ok || denied.Action != arm.ListServiceSAS {
		t.Errorf("%v: want the action on the storage account", err)
	}
}

func TestErrorsKeepSecretsOut(t *testing.T) {
	_, w := serve(t, world(), local.Options{Fault: func(*http.Request) *local.Fault {
		return &local.Fault{Status: 400, Code: strings.Repeat("C", 5000), Message: "line\nbreak \x1b[31m https://a.blob.core.windows.net/c/b.cap?sv=1&sig=SECRET eyJhbGciOiJIUzI1NiJ9.SECRETSECRET.SECRET " + strings.Repeat("long ", 5000)}
	}})
	_, err := w.Machine(t.Context(), vmID)
	if err == nil || strings.Contains(err.Error(), "SECRET") || strings.ContainsAny(err.Error(), "\n\x1b") || len(err.Error()) > 1000 {
		t.Errorf("error of %d bytes: %q", len(err.Error()), err)
	}
}

func TestWatcherDeletedMeanwhile(t *testing.T) {
	s, w := serve(t, world(), local.Options{})
	start(t, s, w, "pw-old") // the watcher is known now
	if err := s.Update(func(w *local.World) { w.Watchers = nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Start(t.Context(), spec("pw-new")); !errors.Is(err, capture.ErrNoWatcher) {
		t.Errorf("Start: %v, want ErrNoWatcher", err)
	}
	if _, err := w.Find(t.Context(), subscription, "westeurope", "pw-old"); !errors.Is(err, capture.ErrNoWatcher) {
		t.Errorf("Find: %v, want ErrNoWatcher", err)
	}
	if all, err := w.List(t.Context(), subscription); err != nil || len(all) != 0 {
		t.Errorf("List = %v, %v", all, err)
	}
}

func TestListKeepsWhatItCouldRead(t *testing.T) {
	two := world()
	two.Watchers = append(two.Watchers, local.NetworkWatcher{ID: strings.Replace(watcherID, "westeurope", "northeurope", 1), Region: "northeurope"})
	q := &requests{}
	s, w := serve(t, two, local.Options{Fault: q.fault})
	start(t, s, w, "pw-old")
	fault := local.Fault{Status: 500, Code: "InternalServerError"}
	q.set(func(r *http.Request) *local.Fault {
		if strings.Contains(r.URL.Path, "northeurope") {
			return &fault
		}
		return nil
	})
	all, err := w.List(t.Context(), subscription)
	if len(all) != 1 || all[0].Name != "pw-old" || err == nil || !strings.Contains(err.Error(), "northeurope") {
		t.Errorf("List = %+v, %v; want the session of one region and the error of the other", all, err)
	}
	fault = local.Fault{Status: 429, Code: "TooManyRequests", RetryAfter: time.Minute}
	_, err = w.List(t.Context(), subscription)
	if throttled, ok := errors.AsType[*capture.ThrottledError](err); !ok || throttled.RetryAfter != time.Minute {
		t.Errorf("List: %v, want a *capture.ThrottledError", err)
	}
}
