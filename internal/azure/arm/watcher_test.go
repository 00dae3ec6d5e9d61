package arm_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/azure/arm"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	local "github.com/pcapwarden/pcapwarden/internal/local/arm"
)

const sessionID = watcherID + "/packetCaptures/pw-odd"

// answering returns a Watcher whose every request gets the same answer.
func answering(t *testing.T, status int, header http.Header, body string) *arm.Watcher {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), header)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	return watcherAt(t, server.URL, nil)
}

func TestStatusDocuments(t *testing.T) {
	started := time.Date(2022, 2, 7, 19, 50, 27, 687315600, time.UTC)
	tests := []struct {
		name   string
		status int
		body   string
		want   capture.Status
	}{
		{"running", 202, `{"captureStartTime":"2022-02-07T19:50:27.6873156Z","packetCaptureStatus":"Running","packetCaptureError":[]}`, capture.Status{State: capture.Running, Started: started}},
		{"stopped", 200, `{"captureStartTime":"2022-02-07T19:50:27.6873156Z","packetCaptureStatus":"Stopped","stopReason":"TimeExceeded"}`, capture.Status{State: capture.Stopped, Started: started, StopReason: "TimeExceeded"}},
		{"free_text_error", 200, `{"packetCaptureStatus":"Stopped","packetCaptureError":["x/0 does not\nexist"]}`, capture.Status{State: capture.Stopped, Errors: []string{"x/0 does not exist"}}},
		{"unknown_state", 200, `{"packetCaptureStatus":"Paused"}`, capture.Status{State: "Paused"}},
		{"unknown_time", 200, `{"captureStartTime":"yesterday","packetCaptureStatus":"Running"}`, capture.Status{State: capture.Running}},
		{"nulls", 200, `{"captureStartTime":null,"packetCaptureStatus":"NotStarted","stopReason":null,"packetCaptureError":null}`, capture.Status{State: capture.NotStarted}},
		{"no_body", 202, ``, capture.Status{State: capture.Undefined}},
		{"empty_document", 200, `{}`, capture.Status{State: capture.Undefined}},
		{"errors_are_objects", 200, `{"packetCaptureStatus":"Error","packetCaptureError":[{"code":"x"}]}`, capture.Status{State: capture.Failed, Errors: []string{"map[code:x]"}}},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			// Without a polling URL the SDK takes a 202 for an error; the
			// document is there all the same.
			got, err := answering(t, c.status, nil, c.body).Status(t.Context(), sessionID)
			if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
				t.Errorf("Status: %v (-want +got):\n%s", err, diff)
			}
		})
	}
	if s, err := answering(t, 200, nil, `<html>`).Status(t.Context(), sessionID); err == nil {
		t.Errorf("Status of HTML = %+v, want an error", s)
	}
	many := `{"packetCaptureStatus":"Stopped","packetCaptureError":["` + strings.Repeat(`gone","`, 999) + `gone"]}`
	if s, err := answering(t, 200, nil, many).Status(t.Context(), sessionID); err != nil || len(s.Errors) > 30 || !strings.Contains(s.Errors[len(s.Errors)-1], "980 more") {
		t.Errorf("a thousand errors became %d, the last %q, %v", len(s.Errors), s.Errors[len(s.Errors)-1], err)
	}
}

// Accepted is accepted, even where the SDK misses the header that says where
// to follow the operation.
func TestAcceptedWithoutPollingURL(t *testing.T) {
	w := answering(t, 202, nil, "")
	if err := w.Stop(t.Context(), sessionID); err != nil {
		t.Errorf("Stop: %v", err)
	}
	if err := w.Delete(t.Context(), sessionID); err != nil {
		t.Errorf("Delete: %v", err)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	followed := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed = true }))
	defer other.Close()
	_, err := answering(t, 307, http.Header{"Location": {other.URL}}, "").Machine(t.Context(), vmID)
	if err == nil || followed {
		t.Errorf("Machine: %v, followed: %v", err, followed)
	}
}

// An alert that hits many machines lists the watchers once.
func TestWatchersAreListedOnce(t *testing.T) {
	q := &requests{}
	s, w := serve(t, world(), local.Options{Fault: q.fault})
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if _, err := w.Start(t.Context(), spec(fmt.Sprintf("pw-%d", i))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s.Settle()
	if n := q.count("GET /subscriptions/" + subscription + "/providers/Microsoft.Network/networkWatchers"); n != 1 {
		t.Errorf("the watchers were listed %d times, want once", n)
	}
}

// direct hands requests to a handler without a network, for a test that moves
// the clock.
type direct struct{ http.Handler }

func (d direct) Do(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	d.ServeHTTP(rec, r)
	resp := rec.Result()
	resp.Request = r
	return resp, nil
}

type anyone struct{}

func (anyone) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "x", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func TestKnownWatchersExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &requests{}
		s, err := local.NewServer(world(), nil, local.Options{Fault: q.fault})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		w, err := arm.NewWatcher(anyone{}, arm.Options{Transport: direct{s}})
		if err != nil {
			t.Fatal(err)
		}
		listed := func() int {
			if _, err := w.List(t.Context(), subscription); err != nil {
				t.Fatal(err)
			}
			return q.count("GET /subscriptions/" + subscription + "/providers/Microsoft.Network/networkWatchers")
		}
		if first, second := listed(), listed(); first != 1 || second != 1 {
			t.Errorf("listed %d and %d times, want once", first, second)
		}
		time.Sleep(10 * time.Minute)
		if n := listed(); n != 2 {
			t.Errorf("listed %d times after ten minutes, want twice", n)
		}
	})
}

// Azure makes a watcher when a region is first used: one that was missing a
// moment ago may be there.
func TestNewWatcherIsSeenAtOnce(t *testing.T) {
	bare := world()
	bare.Watchers = nil
	s, w := serve(t, bare, local.Options{})
	if _, err := w.Start(t.Context(), spec("pw-new")); !errors.Is(err, capture.ErrNoWatcher) {
		t.Fatalf("Start: %v, want ErrNoWatcher", err)
	}
	if err := s.Update(func(w *local.World) { w.Watchers = world().Watchers }); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Start(t.Context(), spec("pw-new")); err != nil {
		t.Errorf("Start once there is a watcher: %v", err)
	}
}

type broken struct{}

func (broken) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, errors.New("ManagedIdentityCredential authentication failed.\nGET http://169.254.169.254/...\nRESPONSE 500\n{\"secret\":1}")
}

// A credential that fails is nobody's refusal: the identity's endpoint may be
// down.
func TestCredentialFails(t *testing.T) {
	w, err := arm.NewWatcher(broken{}, arm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Machine(t.Context(), vmID)
	_, denied := errors.AsType[*capture.DeniedError](err)
	if err == nil || denied || errors.Is(err, capture.ErrNotFound) || strings.ContainsAny(err.Error(), "\n{") || !strings.Contains(err.Error(), "authentication failed") {
		t.Errorf("Machine: %v", err)
	}
}

func TestNewWatcherEndpoints(t *testing.T) {
	for endpoint, ok := range map[string]bool{
		"":                                        true,
		"https://management.azure.com":            true,
		"https://management.chinacloudapi.cn":     true,
		"http://127.0.0.1:8080":                   true,
		"http://[::1]:8080":                       true,
		"http://localhost:8080":                   true,
		"http://management.azure.com":             false,
		"http://127.0.0.1.example.com":            false,
		"http://localhost@example.com":            false,
		"ftp://127.0.0.1":                         false,
		"management.azure.com":                    false,
		"https://management.azure.com?x=1":        false,
		"https://user:secret@management.azure.us": false,
	} {
		w, err := arm.NewWatcher(anyone{}, arm.Options{Endpoint: endpoint})
		if (err == nil) != ok || (w != nil) != ok {
			t.Errorf("NewWatcher(%q): %v, want it accepted: %v", endpoint, err, ok)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("NewWatcher(%q) repeats the password: %v", endpoint, err)
		}
	}
	if _, err := arm.NewWatcher(nil, arm.Options{}); err == nil {
		t.Error("NewWatcher without a credential gave no error")
	}
}
