// Package loop plays the whole loop on one machine: an alert, a capture of
// real packets, the file that lands, and the findings on the incident queue.
// Everything but Azure itself is the real thing, the binary included.
package loop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
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
	// World replaces the scenario's Azure; its captures run by the clock alone
	// and land no file. Nil does not.
	World *arm.World
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

// Run plays a scenario from its alert to its message. When it returns nothing
// of it is running, whatever the error.
func Run(ctx context.Context, o Options) (_ []Outcome, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("the scenario took longer than %v", patience))
	defer cancel()
	l, err := Start(ctx, o)
	if err != nil {
		return nil, err
	}
	outcomes, err := l.Play(ctx)
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
	ARM     *arm.Server

	stage   *scenario.Stage
	agent   *agent.Agent
	arm     string         // the local ARM's endpoint
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
