package loop

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/local/agent"
	"github.com/pcapwarden/pcapwarden/internal/local/arm"
	"github.com/pcapwarden/pcapwarden/internal/local/functionshost"
	"github.com/pcapwarden/pcapwarden/internal/local/scenario"
)

// What [Start] starts, one after the other.

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
	if l.options.World != nil {
		return nil
	}
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
	var agent arm.Agent // by the clock
	azure := l.options.World
	if azure == nil {
		azure, agent = new(world(l.options.Scenario)), l.agent
	}
	server, err := arm.NewServer(*azure, agent, arm.Options{RetryAfter: time.Second, Fault: l.options.Fault, Log: l.log})
	if err != nil {
		return err
	}
	l.ARM = server
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
		Network: s.Network,
	}
	for _, m := range s.Machines {
		w.VMs = append(w.VMs, arm.VM{
			ID: m.ID, Region: m.Region, VMID: m.VMID, Tags: m.Tags, AgentType: arm.AgentLinux, Addresses: texts(m.Addresses), Subnet: m.Subnet,
		})
	}
	for _, m := range s.Neighbours {
		w.VMs = append(w.VMs, arm.VM{ID: m.ID, Region: m.Region, VMID: m.VMID, Addresses: texts(m.Addresses), Subnet: m.Subnet})
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
