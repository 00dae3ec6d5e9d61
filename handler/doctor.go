package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/config"
	"github.com/pcapwarden/pcapwarden/internal/doctor"
)

// doctorCommand looks at all that the app needs, one line each, and exits with
// 1 when something is wrong.
func doctorCommand(ctx context.Context, e environment, args []string) int {
	flags := flag.NewFlagSet("pcapwarden doctor", flag.ContinueOnError)
	flags.SetOutput(e.stderr)
	flags.Usage = func() {
		fmt.Fprint(e.stderr, `usage: pcapwarden doctor [FLAGS]

Looks whether the app could do its work with these settings: settings, policy,
identity, permissions, Network Watchers, stores, queues. It changes nothing but
for one record that it makes and deletes. What it finds is true for the identity
that it runs as; in Azure that is the app's own.

`)
		flags.PrintDefaults()
	}
	vm := flags.String("vm", "", "ARM `ID` of a machine: could something be captured on it?")
	settings := flags.String("settings", "", "`FILE` like local.settings.json, over the environment")
	patience := flags.Duration("timeout", 20*time.Second, "how long each check may take")
	format := choice{"text", []string{"text", "json"}}
	flags.Var(&format, "format", "`FORMAT` of the answer: text or json")
	rest, err := parse(flags, args)
	if err != nil {
		return usageCode(err)
	}
	if len(rest) > 0 || *patience <= 0 {
		fmt.Fprintln(e.stderr, "pcapwarden doctor: want flags alone, and a --timeout above 0")
		return exitUsage
	}
	getenv := e.getenv
	if *settings != "" {
		if getenv, err = settingsOver(e.getenv, *settings); err != nil {
			fmt.Fprintf(e.stderr, "pcapwarden doctor: %v\n", err)
			return exitUsage
		}
	}
	lines := examine(ctx, getenv, *vm, *patience)
	print := doctor.Text
	if format.value == "json" {
		print = doctor.JSON
	}
	if err := print(e.stdout, lines); err != nil || !doctor.Healthy(lines) {
		return exitError
	}
	return exitOK
}

// settingsOver reads a settings file of the Functions tools, whose values win.
func settingsOver(getenv func(string) string, file string) (func(string) string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var f struct{ Values map[string]string }
	if err := json.Unmarshal(text, &f); err != nil || f.Values == nil {
		return nil, fmt.Errorf("%s: want {\"Values\": {NAME: TEXT}}, as in local.settings.json", file)
	}
	return func(name string) string {
		if v, ok := f.Values[name]; ok {
			return v
		}
		return getenv(name)
	}, nil
}

// examine runs every check that the settings allow.
func examine(ctx context.Context, getenv func(string) string, vm string, patience time.Duration) []doctor.Line {
	cfg, err := config.FromEnv(getenv)
	lines := doctor.Mistakes("settings", err, "correct it; the README has the table of settings")
	for i := range lines {
		lines[i].Check = "settings"
	}
	if err == nil {
		lines = append(lines, doctor.Line{Check: "settings", Subject: "PCAPWARDEN_MODE=" + string(cfg.Mode), Status: doctor.OK, What: "every setting can be read"})
	}
	p := &patient{cfg: cfg, getenv: getenv, vm: vm, now: time.Now()}
	lines = append(lines, p.host()...)
	known, checks := p.checks(ctx)
	lines = append(lines, known...)
	return append(lines, doctor.Run(ctx, checks, patience)...)
}
