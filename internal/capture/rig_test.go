package capture_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/alert"
	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/azure/arm"
	"github.com/pcapwarden/pcapwarden/internal/azure/credential"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
	local "github.com/pcapwarden/pcapwarden/internal/local/arm"
	"github.com/pcapwarden/pcapwarden/internal/local/folder"
	"github.com/pcapwarden/pcapwarden/internal/policy"
	"github.com/pcapwarden/pcapwarden/internal/resourceid"
)

const (
	sub     = "11111111-1111-1111-1111-111111111111"
	group   = "/subscriptions/" + sub + "/resourceGroups/shop/providers/"
	vms     = group + "Microsoft.Compute/virtualMachines/"
	setID   = group + "Microsoft.Compute/virtualMachineScaleSets/uniform"
	flexID  = group + "Microsoft.Compute/virtualMachineScaleSets/flexible"
	nics    = group + "Microsoft.Network/networkInterfaces/"
	watcher = "/subscriptions/" + sub + "/resourceGroups/NetworkWatcherRG/providers/Microsoft.Network/networkWatchers/"
)

var t0 = time.Date(2026, 3, 17, 2, 10, 0, 0, time.UTC)

const policyText = `version: 1
limits: {timeLimit: 15m, totalBytes: 256MiB, activePerVM: 2, startsPerHour: STARTS}
scope:
  subscriptions: [11111111-1111-1111-1111-111111111111]
  resourceGroups: [shop]
  requireTag: {pcapwarden: allowed}
landing:
  - {region: westeurope, storageAccountId: "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/shop/providers/Microsoft.Storage/storageAccounts/shoplanding"}
  - {region: northeurope, storageAccountId: "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/shop/providers/Microsoft.Storage/storageAccounts/northlanding"}
  - {region: eastus, storageAccountId: "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/shop/providers/Microsoft.Storage/storageAccounts/shoplanding"}
profiles:
  - name: tls
    when: {alertRule: [tls]}
    capture: {timeLimit: 5m, totalBytes: 100MiB, instances: 2, filters: [{protocol: TCP, remotePort: "443"}]}
    approval: {mode: standing, reason: uploads, owner: net, approver: lead, expires: 2027-01-01}
    retention: 7d
  - name: dns
    when: {alertRule: [dns]}
    capture: {timeLimit: 5m, totalBytes: 100MiB, filters: [{protocol: UDP, remotePort: "53"}]}
    approval: {mode: standing, reason: lookups, owner: net, approver: lead, expires: 2027-01-01}
    retention: 7d
  - name: asked
    when: {alertRule: [asked]}
    capture: {timeLimit: 5m, totalBytes: 100MiB, filters: [{protocol: TCP, remotePort: "22"}]}
    approval: {mode: required, reason: intrusion, owner: soc, expires: 2027-01-01}
    retention: 7d
`

// vm is a machine that can be captured on.
func vm(name string) local.VM {
	return local.VM{
		ID: vms + name, Region: "westeurope", VMID: "id-of-" + name, Tags: map[string]string{"pcapwarden": "allowed"},
		AgentType: local.AgentLinux, Addresses: []string{"10.0.0.4"},
	}
}

func shop() local.World {
	tags := map[string]string{"pcapwarden": "allowed"}
	w := local.World{
		VMs: []local.VM{vm("web1"), vm("web2"), vm("web3")},
		ScaleSets: []local.ScaleSet{{
			ID: setID, Region: "westeurope", Tags: tags, AgentType: local.AgentLinux,
			Instances: []local.Instance{
				{ID: "0", AgentType: local.AgentLinux, Power: "deallocated"},
				{ID: "1", AgentType: local.AgentLinux},
				{ID: "2", AgentType: local.AgentLinux, Outdated: true},
				{ID: "3"},
				{ID: "4", AgentType: local.AgentLinux},
				{ID: "10", AgentType: local.AgentLinux},
			},
		}, {ID: flexID, Region: "westeurope", Tags: tags, Flexible: true}},
		Watchers: []local.NetworkWatcher{{ID: watcher + "west", Region: "westeurope"}, {ID: watcher + "east", Region: "eastus"}},
		Storage: []local.StorageAccount{
			{ID: group + "Microsoft.Storage/storageAccounts/shoplanding", Region: "westeurope"},
			{ID: group + "Microsoft.Storage/storageAccounts/northlanding", Region: "northeurope"},
		},
	}
	for _, name := range []string{"flex1", "flex2", "flex3"} {
		v := vm(name)
		v.ScaleSet = flexID
		w.VMs = append(w.VMs, v)
	}
	return w
}

// A tester is a test, or one try of a random one.
type tester interface {
	Helper()
	Logf(format string, args ...any)
	Error(args ...any)
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Cleanup(f func())
}

// A rig is an app with a pretended Azure around it, and a clock to turn.
type rig struct {
	tester
	store   ledger.Store
	server  *local.Server
	arm     *arm.Watcher
	agent   *agent
	policy  *policy.Policy
	starts  bool
	early   bool // people delete evidence before its date
	clock   *clock
	landed  []string // URLs whose event did not come yet
	notices map[string]capture.Notice

	mu      sync.Mutex
	fault   func(*http.Request) *local.Fault
	expired map[string]int   // evidence deleted, by case
	keep    map[string]error // why evidence can't be deleted, by case
	asked   map[string]int   // sessions asked for, by target
}

func newRig(t testing.TB, w local.World, starts int) *rig {
	t.Helper()
	return newRigIn(t, w, starts, openFolder(t))
}

func openFolder(t testing.TB) ledger.Store {
	t.Helper()
	store, err := folder.OpenLedger(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func newRigIn(t tester, w local.World, starts int, store ledger.Store) *rig {
	t.Helper()
	r := &rig{
		tester: t, store: store, clock: &clock{now: t0}, starts: true, notices: map[string]capture.Notice{},
		expired: map[string]int{}, keep: map[string]error{}, asked: map[string]int{},
	}
	p, err := policy.Load([]byte(strings.Replace(policyText, "STARTS", fmt.Sprint(starts), 1)))
	if err != nil {
		t.Fatal(err)
	}
	r.policy = p
	r.agent = &agent{clock: r.clock, running: map[string]local.Session{}, land: func(url string) { r.mu.Lock(); r.landed = append(r.landed, url); r.mu.Unlock() }}
	r.server, err = local.NewServer(w, r.agent, local.Options{Token: "t", Fault: r.strike})
	if err != nil {
		t.Fatal(err)
	}
	l, err := local.Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- r.server.Serve(ctx, l) }()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 32
	client := &http.Client{Transport: transport}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	cred, err := credential.Loopback("http://"+l.Addr().String(), "t")
	if err != nil {
		t.Fatal(err)
	}
	if r.arm, err = arm.NewWatcher(cred, arm.Options{Endpoint: "http://" + l.Addr().String(), Transport: client}); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) strike(req *http.Request) *local.Fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	if req.Method == http.MethodPut {
		r.asked[req.URL.Path]++
	}
	if r.fault == nil {
		return nil
	}
	return r.fault(req)
}

func (r *rig) setFault(f func(*http.Request) *local.Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = f
}

// An app is one process of the program.
type app struct {
	*capture.Starter
	sweeper *capture.Sweeper
	desk    *capture.Desk
	life    *life
}

// app starts a process. What it held in memory dies with it.
func (r *rig) app() *app {
	l := &life{}
	store := mortalStore{r.store, l}
	az := mortalWatcher{r.arm, l}
	s := &capture.Starter{
		Watcher: az, Directory: r.arm, Ledger: capture.NewLedger(store), Policy: r.policy, Audit: audit.New(store),
		Notify: func(_ context.Context, n capture.Notice) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.notices[strings.Join([]string{string(n.Kind), n.Case.Incident, n.Case.ID, n.Title, n.Reason}, "|")] = n
			return nil
		},
		Now: r.clock.Now, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Off: !r.starts,
	}
	sweeper := &capture.Sweeper{Starter: s, Recover: func(context.Context, capture.Case) (int, error) { return 0, nil }, Expire: func(_ context.Context, c capture.Case) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if err := r.keep[c.ID]; err != nil {
			return err
		}
		if c.Hold != nil || r.clock.Now().Before(c.DeleteAfter) && !r.early {
			r.Errorf("evidence of %s is deleted at %s, due at %s, hold %v", c.ID, r.clock.Now(), c.DeleteAfter, c.Hold)
		}
		r.expired[c.ID]++
		return nil
	}}
	return &app{s, sweeper, &capture.Desk{Sweeper: sweeper}, l}
}

// fire sends an alert.
func (r *rig) fire(a *app, al alert.Alert) capture.Result {
	r.Helper()
	result, err := a.Start(context.Background(), &al, "")
	if err != nil && !errors.Is(err, errKilled) {
		r.Fatal(err)
	}
	r.server.Settle()
	return result
}

// sweep runs one sweep and returns its error.
func (r *rig) sweep(a *app) error {
	_, err := a.sweeper.Sweep(context.Background())
	r.server.Settle()
	return err
}

// pass turns the clock, with a sweep each minute and the analysis of what
// landed, as in life.
func (r *rig) pass(a *app, d time.Duration) {
	r.Helper()
	for end := r.clock.Now().Add(d); r.clock.Now().Before(end); {
		r.clock.turn(time.Minute)
		r.agent.tick()
		r.server.Settle()
		r.analyse()
		if err := r.sweep(a); err != nil && !errors.Is(err, errKilled) {
			r.Logf("sweep at %s: %v", r.clock.Now().Format(time.TimeOnly), err)
		}
	}
}

// analyse does what the third function does to the records.
func (r *rig) analyse() {
	r.Helper()
	l := capture.NewLedger(r.store) // in a process of its own
	r.mu.Lock()
	urls := r.landed
	r.landed = nil
	r.mu.Unlock()
	for _, url := range urls {
		c, err := l.ByPath(context.Background(), url)
		if err != nil {
			continue // a stranger's
		}
		if _, err := l.Change(context.Background(), c.Incident, c.ID, func(c *capture.Case) error {
			if c.File(url) != nil {
				return ledger.ErrUnchanged
			}
			c.Files = append(c.Files, capture.File{Name: url, Sent: r.clock.Now()})
			if !c.State.Done() && len(c.Files) >= max(1, len(c.Instances)) {
				c.State = capture.Analysed
			}
			return nil
		}); err != nil {
			r.Fatal(err)
		}
	}
}

// one returns the case of a result, as it is recorded now.
func (r *rig) one(a *app, result capture.Result) capture.Case {
	r.Helper()
	if len(result.Cases) != 1 {
		r.Fatalf("%d cases, want 1; refused %v", len(result.Cases), result.Refused)
	}
	return r.now(a, result.Cases[0])
}

func (r *rig) now(a *app, c capture.Case) capture.Case {
	r.Helper()
	c, err := a.Ledger.Case(context.Background(), c.Incident, c.ID)
	if err != nil {
		r.Fatal(err)
	}
	return c
}

// want checks a case's state, and a word of its reason.
func (r *rig) want(c capture.Case, state capture.State, says string) {
	r.Helper()
	if c.State != state || !strings.Contains(c.Reason, says) {
		r.Errorf("case is %s, %q; want %s, ...%s...\n%v", c.State, c.Reason, state, says, c.History)
	}
}

// noticed counts the notices of a kind that say something.
func (r *rig) noticed(kind capture.NoticeKind, says string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, notice := range r.notices {
		if notice.Kind == kind && strings.Contains(notice.Title+": "+notice.Reason, says) {
			n++
		}
	}
	return n
}

// puts counts the sessions that were asked for.
func (r *rig) puts() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.asked)
}

// verified checks that the audit log is whole and returns its entries.
func (r *rig) verified() []audit.Entry {
	r.Helper()
	report, err := audit.Verify(context.Background(), r.store, "")
	if err != nil {
		r.Fatal(err)
	}
	if !report.Intact() {
		r.Errorf("the audit log is broken: %q", report.Problems)
	}
	var all []audit.Entry
	for e, err := range audit.New(r.store).All(context.Background()) {
		if err != nil {
			r.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// fired is an alert of a rule on machines, which may be IDs or names.
func (r *rig) fired(id, rule string, targets ...string) alert.Alert {
	a := alert.Alert{ID: id, Rule: rule, Severity: "Sev1", SignalType: "Metric", Condition: alert.Fired, Fired: r.clock.Now()}
	for _, given := range targets {
		t := alert.Target{Type: alert.ComputerName, Name: given, Given: given, Source: "test"}
		if parsed, err := resourceid.Parse(given); err == nil {
			t.ID, t.Name = parsed, ""
			switch {
			case parsed.Is(resourceid.TypeVM):
				t.Type = alert.VM
			case parsed.Is(resourceid.TypeScaleSet):
				t.Type = alert.ScaleSet
			case parsed.Is(resourceid.TypeNetworkInterface):
				t.Type = alert.NetworkInterface
			}
		}
		a.Targets = append(a.Targets, t)
	}
	return a
}

func resolved(a alert.Alert) alert.Alert {
	a.Condition = alert.Resolved
	return a
}

// A clock is turned by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) turn(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.now = c.now.Add(d) }

// An agent captures by the test's clock.
type agent struct {
	clock *clock
	land  func(url string)
	// deaf agents do not stop at their limit, as if Azure did not keep it;
	// mute ones land no file.
	deaf, mute bool

	mu      sync.Mutex
	running map[string]local.Session
	began   map[string]time.Time
	longest time.Duration
	names   map[string]bool // of sessions that ever ran
	most    int             // on one machine at once
	total   map[string]int  // sessions ever, by target
}

func (a *agent) Start(_ context.Context, s local.Session) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.began == nil {
		a.began, a.total, a.names = map[string]time.Time{}, map[string]int{}, map[string]bool{}
	}
	a.running[s.ID], a.began[s.ID] = s, a.clock.Now()
	a.total[strings.ToLower(s.Target)]++
	a.names[s.Name] = true
	n := 0
	for _, other := range a.running {
		if strings.EqualFold(other.Target, s.Target) {
			n++
		}
	}
	a.most = max(a.most, n)
	return nil
}

func (a *agent) Stop(id string) error { a.end(id, local.StoppedManually); return nil }

func (a *agent) end(id, reason string) {
	a.mu.Lock()
	s, ok := a.running[id]
	delete(a.running, id)
	if ok {
		a.longest = max(a.longest, a.clock.Now().Sub(a.began[id]))
	}
	mute := a.mute
	a.mu.Unlock()
	if !ok {
		return
	}
	if !mute {
		a.land(s.URL)
	}
	s.Done(local.Outcome{StopReason: reason})
}

// tick ends what is over its limit.
func (a *agent) tick() {
	a.mu.Lock()
	var over []string
	for id, s := range a.running {
		if !a.deaf && !a.clock.Now().Before(a.began[id].Add(s.TimeLimit)) {
			over = append(over, id)
		}
	}
	a.mu.Unlock()
	for _, id := range over {
		a.end(id, local.TimeExceeded)
	}
}

// targets are the machines that are captured on now, by name.
func (a *agent) targets() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var names []string
	for _, s := range a.running {
		names = append(names, s.Target[strings.LastIndexByte(s.Target, '/')+1:])
	}
	slices.Sort(names)
	return names
}
