// Package loop plays the whole loop on one machine: an alert, a capture of
// real packets, the file that lands, and the findings on the incident queue.
// Everything but Azure itself is the real thing, the binary included.
package loop

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/incident"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
	"github.com/pcapwarden/pcapwarden/internal/local/agent"
	"github.com/pcapwarden/pcapwarden/internal/local/arm"
	"github.com/pcapwarden/pcapwarden/internal/local/functionshost"
	"github.com/pcapwarden/pcapwarden/internal/local/scenario"
)

// Files are the landing container, the vault or the reports.
type Files interface {
	evidence.Landing
	evidence.Vault
}

// Options of a run.
type Options struct {
	Scenario scenario.Scenario
	Dir      string // everything that the run leaves behind
	App      string // laid out as for deployment
	// Settings override the app's settings of a local run, which are folders
	// below Dir; nil overrides nothing.
	Settings map[string]string
	// Apps share the work, each with settings of its own over all others; the
	// first takes the alerts. None: one app does everything.
	Apps []App
	// Policy replaces the scenario's; nil does not.
	Policy []byte
	// Fault is asked about every request to the local ARM; nil: all is well.
	Fault func(*http.Request) *arm.Fault
	// Show is told each step as it happens, from one goroutine at a time.
	Show func(Step)

	// Open the stores and queues that the settings name.
	OpenLedger   func(ctx context.Context, setting string) (ledger.Store, error)
	OpenFiles    func(ctx context.Context, setting string) (Files, error)
	OpenQueue    func(setting string) (incident.Queue, error)
	OpenReceiver func(setting string) (functionshost.Receiver, error)
}

// An App is one of several that share the work.
type App struct {
	Name     string
	Settings map[string]string
}

// A Step is something that happened.
type Step struct {
	At   time.Duration // since the run began
	Who  string        // "alert", "capture", "traffic", ...
	What string
	Warn bool // a person should look
}

// An Outcome is what came of one machine's capture.
type Outcome struct {
	Machine string // name
	Role    string
	Case    capture.Case
	Matches bool // verdict and culprit are what the scenario expects
}

// patience is how long a scenario may take in all.
const patience = 90 * time.Second

// sweep is the schedule of a local run, as NCRONTAB: every two seconds.
const sweep = "*/2 * * * * *"

// Run plays a scenario from its alert to its message. When it returns nothing
// of it is running, whatever the error.
func Run(ctx context.Context, o Options) (_ []Outcome, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("the scenario took longer than %v", patience))
	defer cancel()
	l, err := Start(ctx, o)
	if err != nil {
		return nil, err
	}
	outcomes, err := l.play(ctx)
	err = errors.Join(err, l.Close())
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	return outcomes, err
}

// A Loop is a running app with everything around it: stores, queues, a local
// ARM, machines and a Functions host.
type Loop struct {
	options  Options
	began    time.Time
	settings map[string]string
	log      *slog.Logger

	Ledger  *capture.Ledger
	Landing Files
	Events  incident.Queue      // BlobCreated events
	Host    *functionshost.Host // of the first app
	Hosts   []*functionshost.Host

	stage   *scenario.Stage
	agent   *agent.Agent
	arm     string         // endpoint
	closers []func() error // in the order of opening
}

// Start starts everything, and returns when the app is ready.
func Start(ctx context.Context, o Options) (*Loop, error) {
	if o.Show == nil {
		o.Show = func(Step) {}
	}
	l := &Loop{options: o, began: time.Now(), settings: settings(o)}
	for _, start := range []func(context.Context) error{l.openLog, l.openStores, l.startMachines, l.startARM, l.startHosts} {
		if err := start(ctx); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	return l, nil
}

// Close ends everything, last first.
func (l *Loop) Close() error {
	var errs []error
	for len(l.closers) > 0 {
		last := len(l.closers) - 1
		errs = append(errs, l.closers[last]())
		l.closers = l.closers[:last]
	}
	return errors.Join(errs...)
}

func (l *Loop) closeLater(f func() error) { l.closers = append(l.closers, f) }

func (l *Loop) show(who, what string, args ...any) {
	l.options.Show(Step{At: time.Since(l.began), Who: who, What: fmt.Sprintf(what, args...)})
}

func (l *Loop) warn(who, what string, args ...any) {
	l.options.Show(Step{At: time.Since(l.began), Who: who, What: fmt.Sprintf(what, args...), Warn: true})
}

// settings are those of the app in a local run.
func settings(o Options) map[string]string {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		dir = o.Dir
	}
	all := map[string]string{
		"PCAPWARDEN_POLICY":            filepath.Join(dir, "policy.yaml"),
		"PCAPWARDEN_LANDING":           "file:" + filepath.Join(dir, "landing"),
		"PCAPWARDEN_RECORDS":           "file:" + filepath.Join(dir, "cases"),
		"PCAPWARDEN_VAULT":             "file:" + filepath.Join(dir, "vault"),
		"PCAPWARDEN_REPORTS":           "file:" + filepath.Join(dir, "reports"),
		"PCAPWARDEN_SIGNING_KEY":       "file:" + filepath.Join(dir, "signing.pem"),
		"PCAPWARDEN_INCIDENT_QUEUE":    "file:" + filepath.Join(dir, "incidents"),
		"PCAPWARDEN_LANDED_QUEUE":      "file:" + filepath.Join(dir, "landed"),
		"PCAPWARDEN_LANDED_QUEUE_NAME": "capture-landed",
		"PCAPWARDEN_SWEEP_SCHEDULE":    sweep,
		"PCAPWARDEN_CREDENTIAL":        "local",
		"PCAPWARDEN_FUNCTION_TIMEOUT":  "1m",
		"PCAPWARDEN_CLIENT_ID":         "",
		"PCAPWARDEN_AUTH":              "none", // nobody but this machine can call
	}
	maps.Copy(all, o.Settings)
	return all
}

func (l *Loop) openLog(context.Context) error {
	f, err := os.OpenFile(filepath.Join(l.options.Dir, "log.jsonl"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	l.closeLater(f.Close)
	l.log = slog.New(slog.NewJSONHandler(f, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return nil
}

func (l *Loop) openStores(ctx context.Context) error {
	store, err := l.options.OpenLedger(ctx, l.settings["PCAPWARDEN_RECORDS"])
	if err != nil {
		return err
	}
	l.Ledger = capture.NewLedger(store)
	if l.Landing, err = l.options.OpenFiles(ctx, l.settings["PCAPWARDEN_LANDING"]); err != nil {
		return err
	}
	for _, name := range []string{"PCAPWARDEN_VAULT", "PCAPWARDEN_REPORTS"} { // emulators have to make theirs
		if _, err := l.options.OpenFiles(ctx, l.settings[name]); err != nil {
			return err
		}
	}
	if l.Events, err = l.options.OpenQueue(l.settings["PCAPWARDEN_LANDED_QUEUE"]); err != nil {
		return err
	}
	policy := l.options.Policy
	if policy == nil {
		policy = l.options.Scenario.Policy(time.Now())
	}
	return os.WriteFile(l.settings["PCAPWARDEN_POLICY"], policy, 0o600)
}

func (l *Loop) startMachines(ctx context.Context) error {
	stage, err := l.options.Scenario.Stage(ctx)
	if err != nil {
		return err
	}
	l.stage = stage
	l.closeLater(stage.Close)
	l.show("packets", "%s", stage.Description)
	l.agent = agent.New(agent.Options{Wire: stage.Wire, Land: l.Land, Log: l.log})
	l.closeLater(l.agent.Close)
	return nil
}

func (l *Loop) startARM(ctx context.Context) error {
	server, err := arm.NewServer(world(l.options.Scenario), l.agent, arm.Options{RetryAfter: time.Second, Fault: l.options.Fault, Log: l.log})
	if err != nil {
		return err
	}
	listener, err := arm.Listen(0)
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() { served <- server.Serve(serving, listener) }()
	l.closeLater(func() error { stop(); return <-served })
	l.arm = "http://" + listener.Addr().String()
	l.show("azure", "local Resource Manager on %s", l.arm)
	return nil
}

func (l *Loop) startHosts(ctx context.Context) error {
	receiver, err := l.options.OpenReceiver(l.settings["PCAPWARDEN_LANDED_QUEUE"])
	if err != nil {
		return err
	}
	l.settings["PCAPWARDEN_ARM_ENDPOINT"] = l.arm
	apps := l.options.Apps
	if len(apps) == 0 {
		apps = []App{{}}
	}
	for _, app := range apps {
		h, err := l.startHost(ctx, app, receiver)
		if err != nil {
			return err
		}
		l.closeLater(func() error { h.Close(); return nil })
		l.Hosts = append(l.Hosts, h)
	}
	l.Host = l.Hosts[0]
	return nil
}

func (l *Loop) startHost(ctx context.Context, app App, receiver functionshost.Receiver) (*functionshost.Host, error) {
	settings := maps.Clone(l.settings)
	maps.Copy(settings, app.Settings)
	who := cmp.Or(app.Name, "host")
	log := functionshost.LogEvents(l.log.With("app", who))
	if app.Name != "" { // where people look what tells the apps apart
		text, err := json.MarshalIndent(map[string]any{"IsEncrypted": false, "Values": settings}, "", "  ")
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(l.options.Dir, app.Name+".settings.json"), text, 0o600); err != nil {
			return nil, err
		}
	}
	return functionshost.Start(ctx, functionshost.Config{
		AppDir:   l.options.App,
		Settings: settings,
		Queues:   map[string]functionshost.Receiver{settings["PCAPWARDEN_LANDED_QUEUE_NAME"]: receiver},
		Observe: func(e functionshost.Event) {
			log(e)
			l.observe(who, e)
		},
	})
}

// observe shows what a person should know of the host's doings.
func (l *Loop) observe(who string, e functionshost.Event) {
	switch {
	case e.Kind == functionshost.HandlerReady:
		l.show(who, "handler ready: %s", e.Text)
	case e.Kind == functionshost.HandlerExited, e.Kind == functionshost.HostStopped,
		e.Kind == functionshost.InvocationFailed, e.Kind == functionshost.MessageDeadLettered,
		e.Kind == functionshost.ListenerTrouble:
		l.warn(who, "%s: %s %s", e.Kind, e.Function, e.Text)
	case e.Kind == functionshost.HandlerLine && e.Level >= slog.LevelError:
		l.warn("handler", "%s", e.Text)
	}
}

// world is the scenario's Azure.
func world(s scenario.Scenario) arm.World {
	w := arm.World{
		Watchers: []arm.NetworkWatcher{{
			ID:     "/subscriptions/" + s.Subscription + "/resourceGroups/NetworkWatcherRG/providers/Microsoft.Network/networkWatchers/NetworkWatcher_" + s.Region,
			Region: s.Region,
		}},
		Storage: []arm.StorageAccount{{ID: s.Landing.ID, Region: s.Landing.Region}},
	}
	for _, m := range s.Machines {
		w.VMs = append(w.VMs, arm.VM{
			ID: m.ID, Region: m.Region, VMID: m.VMID, Tags: m.Tags, AgentType: "NetworkWatcherAgentLinux", Addresses: texts(m.Addresses),
		})
	}
	return w
}

func texts(addrs []netip.Addr) []string {
	var all []string
	for _, a := range addrs {
		all = append(all, a.String())
	}
	return all
}

// Land puts a finished file into the landing container and raises its event,
// twice: Event Grid delivers at least once.
func (l *Loop) Land(ctx context.Context, name string, content io.Reader, size int64) error {
	info, err := l.Landing.Create(ctx, name, content, nil)
	if errors.Is(err, evidence.ErrExists) {
		return nil
	}
	if err != nil {
		return err
	}
	s := l.options.Scenario
	id := fmt.Sprintf("%x-%x", time.Now().UnixNano(), size)
	event, err := agent.Landed{
		Account: s.Landing.ID, Endpoint: s.Landing.Endpoint, Container: arm.Container, Name: name,
		Size: size, ETag: info.ETag, Sequence: uint64(time.Now().UnixNano()), EventID: id, Time: time.Now(),
	}.Event()
	if err != nil {
		return err
	}
	l.show("landing", "%s, %d bytes", filepath.Base(name), size)
	for n := range 2 {
		// Another broker ID for the repetition: the queue must not hide it.
		err := l.Events.Send(ctx, incident.Message{
			ID: fmt.Sprintf("%s-%d", id, n), Subject: "Microsoft.Storage.BlobCreated", ContentType: "application/json", Body: event,
		})
		if err != nil {
			return err
		}
	}
	return nil
}
