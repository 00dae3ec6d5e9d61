package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/pcapwarden/pcapwarden/functions/analyzecapture"
	"github.com/pcapwarden/pcapwarden/functions/captures"
	"github.com/pcapwarden/pcapwarden/functions/startcaptures"
	"github.com/pcapwarden/pcapwarden/functions/sweepcaptures"
	"github.com/pcapwarden/pcapwarden/internal/config"
	"github.com/pcapwarden/pcapwarden/internal/customhandler"
	"github.com/pcapwarden/pcapwarden/internal/local/loop"
)

// parts are the functions of each mode, by name.
var parts = map[config.Mode][]string{
	config.Control: {startcaptures.Name, sweepcaptures.Name, captures.Name},
	config.Analyze: {analyzecapture.Name},
}

// disabled is the app setting that has the Functions host leave a function
// out.
// https://learn.microsoft.com/azure/azure-functions/disable-function
func disabled(function string) string { return "AzureWebJobs." + function + ".Disabled" }

// splitApps are the two apps of a local run that share the work. The one that
// reads packets knows no Azure Resource Manager, and no queue to raise events on.
func splitApps() []loop.App {
	var apps []loop.App
	for _, mode := range []config.Mode{config.Control, config.Analyze} {
		settings := map[string]string{"PCAPWARDEN_MODE": string(mode)}
		for part, names := range parts {
			for _, name := range names {
				if !mode.Does(part) {
					settings[disabled(name)] = "true"
				}
			}
		}
		if mode == config.Analyze {
			settings["PCAPWARDEN_ARM_ENDPOINT"], settings["PCAPWARDEN_CONTEXT"] = "http://127.0.0.1:1", "off"
			settings["PCAPWARDEN_LANDED_QUEUE"] = ""
		}
		apps = append(apps, loop.App{Name: string(mode), Settings: settings})
	}
	return apps
}

// elsewhere stand in for the functions of the other app. The host should have
// them disabled; where it has not, each call says so. Nothing is lost by it:
// an alert is refused for good, a tick fails, and an event stays on the queue
// for the app that can read it.
func elsewhere(mode config.Mode) (stand []customhandler.Function) {
	refusal := func(name string) error {
		return fmt.Errorf("%s is not done by an app with PCAPWARDEN_MODE=%s: call the other app, and set %s=true in this one", name, mode, disabled(name))
	}
	for part, names := range parts {
		if mode.Does(part) {
			continue
		}
		for _, name := range names {
			switch name {
			case sweepcaptures.Name:
				stand = append(stand, customhandler.Timer(name, func(context.Context, customhandler.Tick) error { return refusal(name) }))
			case analyzecapture.Name:
				stand = append(stand, customhandler.ServiceBus(name, customhandler.Binary, 1<<20, func(context.Context, customhandler.Message) error {
					return refusal(name)
				}))
			default:
				stand = append(stand, customhandler.HTTP(name, 1<<20, func(context.Context, *customhandler.Request) (*customhandler.Response, error) {
					return nil, customhandler.Refused(http.StatusNotFound, refusal(name))
				}))
			}
		}
	}
	return stand
}
