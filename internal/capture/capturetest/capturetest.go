// Package capturetest knows what every [capture.Watcher] does: its suite runs
// against each implementation.
package capturetest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/capture"
)

// A Fixture is an implementation, and a small world that it works on: one
// subscription with a region that has a network watcher, and no sessions.
type Fixture struct {
	Watcher      capture.Watcher
	Subscription string
	Region       string // lower case, without spaces
	// Unwatched is a region without a network watcher.
	Unwatched string
	// VM runs and has the agent; ID as Azure spells it, with upper-case letters.
	VM string
	// Gone is the ID that a VM might have, of none that exists.
	Gone string
	// ScaleSet is uniform, its instances "0" and "1" run and have the agent.
	ScaleSet string
	// Storage is the ID of an account in the region.
	Storage string
	// Settle returns when what was accepted has been carried out.
	Settle func()
	// Except names the tests that the implementation cannot pass, and why.
	Except map[string]string
}

// suite is in an order that reads like a capture's life.
var suite = []struct {
	name string
	test func(*testing.T, Fixture)
}{
	{"machine", testMachine},
	{"machine_spelled_differently", testMachineSpelling},
	{"machine_gone", testMachineGone},
	{"scale_set", testScaleSet},
	{"scale_set_instance", testScaleSetInstance},
	{"not_a_machine", testNotAMachine},
	{"start", testStart},
	{"start_on_instances", testStartOnInstances},
	{"start_twice", testStartTwice},
	{"start_without_limits", testStartWithoutLimits},
	{"start_on_whole_scale_set", testStartOnWholeScaleSet},
	{"start_without_watcher", testStartWithoutWatcher},
	{"start_on_nothing", testStartOnNothing},
	{"find", testFind},
	{"find_nothing", testFindNothing},
	{"status", testStatus},
	{"status_of_nothing", testStatusOfNothing},
	{"stop", testStop},
	{"stop_nothing", testStopNothing},
	{"delete", testDelete},
	{"delete_running", testDeleteRunning},
	{"delete_nothing", testDeleteNothing},
	{"list", testList},
	{"foreign_session_id", testForeignSessionID},
	{"cancelled", testCancelled},
}

// Run runs the suite. Each test gets a fixture of its own.
func Run(t *testing.T, fixture func(t *testing.T) Fixture) {
	for _, c := range suite {
		t.Run(c.name, func(t *testing.T) {
			f := fixture(t)
			if why, ok := f.Except[c.name]; ok {
				t.Skipf("not for this implementation: %s", why)
			}
			c.test(t, f)
		})
	}
}

// spec is a session on the fixture's VM.
func (f Fixture) spec(name string) capture.Spec {
	return capture.Spec{
		Name: name, Target: f.VM, TargetType: capture.AzureVM, Region: f.Region, StorageID: f.Storage,
		Filters: []capture.Filter{
			{Protocol: "TCP", RemoteIP: "203.0.113.0-203.0.113.15", RemotePort: "443"},
			{Protocol: "Any", LocalIP: "10.0.0.4"},
		},
		TimeLimit: 5 * time.Minute, TotalBytes: 100 << 20, BytesPerPacket: 128,
	}
}

func (f Fixture) start(t *testing.T, s capture.Spec) capture.Session {
	t.Helper()
	started, err := f.Watcher.Start(t.Context(), s)
	if err != nil {
		t.Fatalf("Start(%q): %v", s.Name, err)
	}
	f.Settle()
	return started
}

func wantIs(t *testing.T, call string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", call, err, want)
	}
}

func wantDenied(t *testing.T, call string, err error) {
	t.Helper()
	denied, ok := errors.AsType[*capture.DeniedError](err)
	if !ok || denied.Action == "" {
		t.Errorf("%s: %v, want a *capture.DeniedError that names an action", call, err)
	}
}

func testMachine(t *testing.T, f Fixture) {
	m, err := f.Watcher.Machine(t.Context(), f.VM)
	if err != nil {
		t.Fatal(err)
	}
	if m.ID != f.VM || m.Type != capture.AzureVM || m.Region != f.Region || m.Power != "running" || m.VMID == "" {
		t.Errorf("Machine = %+v", m)
	}
	if !m.Agent.Present || m.Agent.Type == "" || m.Agent.ProvisioningState != "Succeeded" {
		t.Errorf("agent = %+v, want one that is ready", m.Agent)
	}
}

// Alerts write IDs in lower case.
func testMachineSpelling(t *testing.T, f Fixture) {
	m, err := f.Watcher.Machine(t.Context(), strings.ToLower(f.VM))
	if err != nil {
		t.Fatal(err)
	}
	if m.ID != f.VM {
		t.Errorf("ID = %q, want it as Azure spells it: %q", m.ID, f.VM)
	}
}

func testMachineGone(t *testing.T, f Fixture) {
	_, err := f.Watcher.Machine(t.Context(), f.Gone)
	wantIs(t, "Machine of a VM that is gone", err, capture.ErrNotFound)
}

func testScaleSet(t *testing.T, f Fixture) {
	m, err := f.Watcher.Machine(t.Context(), f.ScaleSet)
	if err != nil {
		t.Fatal(err)
	}
	if m.ID != f.ScaleSet || m.Type != capture.AzureVMSS || m.Region != f.Region || !m.Agent.Present {
		t.Errorf("Machine = %+v", m)
	}
	var ids []string
	for _, i := range m.Instances {
		ids = append(ids, i.ID)
		if i.Name == "" || i.Power != "running" || !i.LatestModel || !i.Agent.Present {
			t.Errorf("instance = %+v", i)
		}
	}
	if diff := cmp.Diff([]string{"0", "1"}, ids); diff != "" {
		t.Errorf("instances (-want +got):\n%s", diff)
	}
}

func testScaleSetInstance(t *testing.T, f Fixture) {
	m, err := f.Watcher.Machine(t.Context(), f.ScaleSet+"/virtualMachines/1")
	if err != nil {
		t.Fatal(err)
	}
	if m.ID != f.ScaleSet || m.Type != capture.AzureVMSS || len(m.Instances) != 1 || m.Instances[0].ID != "1" {
		t.Errorf("Machine of an instance = %+v, want its scale set with that instance", m)
	}
	_, err = f.Watcher.Machine(t.Context(), f.ScaleSet+"/virtualMachines/77")
	wantIs(t, "Machine of an instance that is gone", err, capture.ErrNotFound)
}

func testNotAMachine(t *testing.T, f Fixture) {
	for _, target := range []string{"", "vm", f.Storage, f.VM + "/../x", f.VM + "?api-version=1", "/subscriptions/" + f.Subscription} {
		_, err := f.Watcher.Machine(t.Context(), target)
		wantDenied(t, "Machine("+target+")", err)
	}
}

func testStart(t *testing.T, f Fixture) {
	spec := f.spec("pw-start")
	got, err := f.Watcher.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if got.ID == "" || got.ProvisioningState == "" {
		t.Errorf("session = %+v, want an ID and a provisioning state", got)
	}
	if !strings.Contains(got.StoragePath, "/network-watcher-logs/") {
		t.Errorf("storage path = %q, want where the file will be", got.StoragePath)
	}
	want := capture.Session{
		ID: got.ID, Name: spec.Name, Region: f.Region, ProvisioningState: got.ProvisioningState,
		Target: spec.Target, TargetType: spec.TargetType, StoragePath: got.StoragePath,
		TimeLimit: spec.TimeLimit, TotalBytes: spec.TotalBytes, BytesPerPacket: spec.BytesPerPacket, Filters: spec.Filters,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Start (-want +got):\n%s", diff)
	}
	f.Settle()
	later, err := f.Watcher.Find(t.Context(), f.Subscription, f.Region, spec.Name)
	if err != nil {
		t.Fatal(err)
	}
	want.ProvisioningState = "Succeeded"
	if diff := cmp.Diff(want, later); diff != "" {
		t.Errorf("Find after Start (-want +got):\n%s", diff)
	}
}

func testStartOnInstances(t *testing.T, f Fixture) {
	spec := f.spec("pw-instances")
	spec.Target, spec.TargetType, spec.Instances = f.ScaleSet, capture.AzureVMSS, []string{"1"}
	got := f.start(t, spec)
	if got.Target != f.ScaleSet || got.TargetType != capture.AzureVMSS || got.StoragePath == "" {
		t.Errorf("session = %+v", got)
	}
}

func testStartTwice(t *testing.T, f Fixture) {
	first := f.start(t, f.spec("pw-twice"))
	same := f.spec("pw-twice")
	other := f.spec("pw-twice")
	other.TimeLimit, other.Filters = time.Minute, nil
	for _, spec := range []capture.Spec{same, other} {
		_, err := f.Watcher.Start(t.Context(), spec)
		exists, ok := errors.AsType[*capture.ExistsError](err)
		if !ok {
			t.Fatalf("second Start: %v, want a *capture.ExistsError", err)
		}
		if s := exists.Session; s.ID != first.ID || s.TimeLimit != first.TimeLimit || s.StoragePath != first.StoragePath || !cmp.Equal(s.Filters, first.Filters) {
			t.Errorf("existing session = %+v, want the first as it was: %+v", s, first)
		}
	}
	all, err := f.Watcher.List(t.Context(), f.Subscription)
	if err != nil || len(all) != 1 {
		t.Errorf("List = %d sessions, %v; want one", len(all), err)
	}
}

// A session without limits would run for hours after the app has died.
func testStartWithoutLimits(t *testing.T, f Fixture) {
	for _, spoil := range []func(*capture.Spec){
		func(s *capture.Spec) { s.TimeLimit = 0 },
		func(s *capture.Spec) { s.TimeLimit = 5*time.Hour + time.Second },
		func(s *capture.Spec) { s.TotalBytes = 0 },
		func(s *capture.Spec) { s.StorageID = "" },
		func(s *capture.Spec) { s.Name = "" },
		func(s *capture.Spec) { s.TargetType = "" },
	} {
		spec := f.spec("pw-limits")
		spoil(&spec)
		_, err := f.Watcher.Start(t.Context(), spec)
		wantDenied(t, "Start of a spec with something missing", err)
	}
	nothingStarted(t, f)
}

func testStartOnWholeScaleSet(t *testing.T, f Fixture) {
	spec := f.spec("pw-whole")
	spec.Target, spec.TargetType = f.ScaleSet, capture.AzureVMSS
	for _, instances := range [][]string{nil, {}, {""}, {f.VM}} {
		spec.Instances = instances
		_, err := f.Watcher.Start(t.Context(), spec)
		wantDenied(t, "Start on a scale set without instances of it", err)
	}
	nothingStarted(t, f)
}

func nothingStarted(t *testing.T, f Fixture) {
	t.Helper()
	f.Settle()
	if all, err := f.Watcher.List(t.Context(), f.Subscription); err != nil || len(all) != 0 {
		t.Errorf("List = %d sessions, %v; want none", len(all), err)
	}
}

func testStartWithoutWatcher(t *testing.T, f Fixture) {
	spec := f.spec("pw-unwatched")
	spec.Region = f.Unwatched
	_, err := f.Watcher.Start(t.Context(), spec)
	wantIs(t, "Start in a region without a watcher", err, capture.ErrNoWatcher)
}

func testStartOnNothing(t *testing.T, f Fixture) {
	spec := f.spec("pw-nothing")
	spec.Target = f.Gone
	_, err := f.Watcher.Start(t.Context(), spec)
	wantIs(t, "Start on a VM that is gone", err, capture.ErrNotFound)
	nothingStarted(t, f)
}

func testFind(t *testing.T, f Fixture) {
	s := f.start(t, f.spec("pw-find"))
	for _, region := range []string{f.Region, strings.ToUpper(f.Region)} {
		got, err := f.Watcher.Find(t.Context(), f.Subscription, region, "pw-find")
		if err != nil || got.ID != s.ID || got.Region != f.Region {
			t.Errorf("Find in %q = %+v, %v", region, got, err)
		}
	}
}

func testFindNothing(t *testing.T, f Fixture) {
	_, err := f.Watcher.Find(t.Context(), f.Subscription, f.Region, "pw-absent")
	wantIs(t, "Find of a name that nobody used", err, capture.ErrNotFound)
	_, err = f.Watcher.Find(t.Context(), f.Subscription, f.Unwatched, "pw-absent")
	wantIs(t, "Find in a region without a watcher", err, capture.ErrNoWatcher)
}

func testStatus(t *testing.T, f Fixture) {
	s := f.start(t, f.spec("pw-status"))
	got, err := f.Watcher.Status(t.Context(), s.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got.State != capture.Running || got.Started.IsZero() || got.StopReason != "" || len(got.Errors) != 0 {
		t.Errorf("Status of a running session = %+v", got)
	}
	if _, err := f.Watcher.Status(t.Context(), strings.ToLower(s.ID)); err != nil {
		t.Errorf("Status by the ID in lower case: %v", err)
	}
}

func (f Fixture) absent(s capture.Session) string { return s.ID + "-absent" }

func testStatusOfNothing(t *testing.T, f Fixture) {
	s := f.start(t, f.spec("pw-there"))
	_, err := f.Watcher.Status(t.Context(), f.absent(s))
	wantIs(t, "Status of a session that does not exist", err, capture.ErrNotFound)
}

func testStop(t *testing.T, f Fixture) {
	s := f.start(t, f.spec("pw-stop"))
	for range 2 { // stopping what is stopped is no error
		if err := f.Watcher.Stop(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
		f.Settle()
		got, err := f.Watcher.Status(t.Context(), s.ID)
		if err != nil || got.State != capture.Stopped || got.StopReason != "Manual" {
			t.Errorf("Status after Stop = %+v, %v", got, err)
		}
	}
	if _, err := f.Watcher.Find(t.Context(), f.Subscription, f.Region, "pw-stop"); err != nil {
		t.Errorf("Find after Stop: %v: a stopped session stays until it is deleted", err)
	}
}

func testStopNothing(t *testing.T, f Fixture) {
	s := f.start(t, f.spec("pw-there"))
	wantIs(t, "Stop of a session that does not exist", f.Watcher.Stop(t.Context(), f.absent(s)), capture.ErrNotFound)
}

func testDelete(t *testing.T, f Fixture) {
	s := f.start(t, f.spec("pw-delete"))
	if err := f.Watcher.Stop(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	f.Settle()
	gone(t, f, s)
}

func testDeleteRunning(t *testing.T, f Fixture) { gone(t, f, f.start(t, f.spec("pw-delete"))) }

// gone deletes a session, twice, and looks for it.
func gone(t *testing.T, f Fixture, s capture.Session) {
	t.Helper()
	for range 2 {
		if err := f.Watcher.Delete(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
		f.Settle()
	}
	_, err := f.Watcher.Find(t.Context(), f.Subscription, f.Region, s.Name)
	wantIs(t, "Find after Delete", err, capture.ErrNotFound)
	nothingStarted(t, f)
	f.start(t, f.spec(s.Name)) // the name is free again
}

func testDeleteNothing(t *testing.T, f Fixture) {
	s := f.start(t, f.spec("pw-there"))
	if err := f.Watcher.Delete(t.Context(), f.absent(s)); err != nil {
		t.Errorf("Delete of a session that does not exist: %v", err)
	}
	if _, err := f.Watcher.Find(t.Context(), f.Subscription, f.Region, s.Name); err != nil {
		t.Errorf("its neighbour: %v", err)
	}
}

func testList(t *testing.T, f Fixture) {
	nothingStarted(t, f)
	want := map[string]bool{}
	for _, name := range []string{"pw-a", "pw-b", "someone-elses"} {
		want[f.start(t, f.spec(name)).ID] = true
	}
	all, err := f.Watcher.List(t.Context(), f.Subscription)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, s := range all {
		got[s.ID] = true
		if s.Region != f.Region || s.Target != f.VM || s.Name == "" {
			t.Errorf("session = %+v", s)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
}

// A session's ID comes out of a record: what is not one goes nowhere.
func testForeignSessionID(t *testing.T, f Fixture) {
	for _, id := range []string{"", "x", f.VM, "/subscriptions/" + f.Subscription + "/../x"} {
		_, err := f.Watcher.Status(t.Context(), id)
		wantDenied(t, "Status("+id+")", err)
		wantDenied(t, "Stop("+id+")", f.Watcher.Stop(t.Context(), id))
		wantDenied(t, "Delete("+id+")", f.Watcher.Delete(t.Context(), id))
	}
}

func testCancelled(t *testing.T, f Fixture) {
	s := f.start(t, f.spec("pw-cancelled"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := f.Watcher.Machine(ctx, f.VM)
	wantIs(t, "Machine", err, context.Canceled)
	_, err = f.Watcher.Start(ctx, f.spec("pw-other"))
	wantIs(t, "Start", err, context.Canceled)
	_, err = f.Watcher.Status(ctx, s.ID)
	wantIs(t, "Status", err, context.Canceled)
	wantIs(t, "Stop", f.Watcher.Stop(ctx, s.ID), context.Canceled)
	wantIs(t, "Delete", f.Watcher.Delete(ctx, s.ID), context.Canceled)
	_, err = f.Watcher.List(ctx, f.Subscription)
	wantIs(t, "List", err, context.Canceled)
}
