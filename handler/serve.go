package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/config"
	"github.com/pcapwarden/pcapwarden/internal/customhandler"
	"github.com/pcapwarden/pcapwarden/internal/failpoint"
	"github.com/pcapwarden/pcapwarden/internal/inert"
	"github.com/pcapwarden/pcapwarden/internal/telemetry"
	"github.com/pcapwarden/pcapwarden/internal/telemetry/otlp"
)

// drain is how long running invocations may take to finish after SIGTERM.
const drain = 25 * time.Second

func serve(ctx context.Context, e environment, args []string) int {
	flags := flag.NewFlagSet("pcapwarden serve", flag.ContinueOnError)
	flags.SetOutput(e.stderr)
	if err := flags.Parse(args); err != nil {
		return usageCode(err)
	}
	// The host takes a line on stderr for an error and one on stdout for
	// information; what is logged says its level itself.
	// Serve sees signals itself, to tell them from other ends.
	err := serveHost(context.WithoutCancel(ctx), e)
	if stopped, ok := errors.AsType[*customhandler.StoppedError](err); err != nil && !ok {
		for line := range strings.Lines(err.Error()) { // the host logs each by itself
			fmt.Fprintf(e.stderr, "pcapwarden serve: %s\n", strings.TrimSpace(line))
		}
	} else if ok {
		fmt.Fprintf(e.stdout, "pcapwarden serve: %v\n", stopped)
	}
	return customhandler.ExitCode(err)
}

func serveHost(ctx context.Context, e environment) error {
	cfg, err := config.FromEnv(e.getenv)
	if err != nil {
		return err
	}
	if err := failpoint.Arm(cfg.Failpoint); err != nil {
		return err
	}
	out := slog.NewJSONHandler(inert.Writer(e.stdout), &slog.HandlerOptions{Level: cfg.LogLevel})
	app := appID(e.getenv)
	about, err := otlp.About(ctx, e.getenv, buildVersion(), string(cfg.Mode), app)
	if err != nil {
		return err
	}
	exporter, err := otlp.Start(ctx, e.getenv, about, slog.New(out))
	if err != nil {
		return err
	}
	defer exporter.Close()
	telemetry.Build.Set(ctx, 1, buildVersion())
	log := slog.New(customhandler.LogHandler(exporter.Handler(out)))
	functions, err := wire(ctx, cfg, log)
	if err != nil {
		return err
	}
	h, err := customhandler.New(log, customhandler.Options{Timeout: cfg.FunctionTimeout, Observe: observe(exporter, app)}, functions...)
	if err != nil {
		return err
	}
	// An open port means ready: everything else is by now.
	l, err := customhandler.Listen(e.getenv)
	if err != nil {
		return err
	}
	log.InfoContext(ctx, "ready", "version", buildVersion(), "functions", len(functions))
	return customhandler.Serve(ctx, log, l, h, drain)
}

// usageCode is the exit code of a command line that can't be parsed; asking
// for help is no mistake.
func usageCode(err error) int {
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	return exitUsage
}
