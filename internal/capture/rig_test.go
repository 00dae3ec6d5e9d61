package capture_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
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
	"github.com/pcapwarden/pcapwarden/internal/policy"
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
