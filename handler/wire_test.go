package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pcapwarden/pcapwarden/functions/analyzecapture"
	"github.com/pcapwarden/pcapwarden/functions/captures"
	"github.com/pcapwarden/pcapwarden/functions/health"
	"github.com/pcapwarden/pcapwarden/functions/startcaptures"
	"github.com/pcapwarden/pcapwarden/functions/sweepcaptures"
	"github.com/pcapwarden/pcapwarden/internal/config"
)

// functions are the app's, by name, with the trigger that their code reads.
var functions = map[string]string{
	startcaptures.Name:  "httpTrigger",
	sweepcaptures.Name:  "timerTrigger",
	analyzecapture.Name: "serviceBusTrigger",
	captures.Name:       "httpTrigger",
	health.Name:         "httpTrigger",
}

// anonymous are the functions that anybody may call.
var anonymous = map[string]bool{health.Name: true}

// methods are those of the functions that people and Azure call.
var methods = map[string][]string{
	startcaptures.Name: {"post"},
	captures.Name:      {"get", "post", "delete"},
	health.Name:        {"get"},
}

type binding struct {
	Type       string   `json:"type"`
	Direction  string   `json:"direction"`
	Name       string   `json:"name"`
	DataType   string   `json:"dataType"`
	AuthLevel  string   `json:"authLevel"`
	Methods    []string `json:"methods"`
	QueueName  string   `json:"queueName"`
	Connection string   `json:"connection"`
	Schedule   string   `json:"schedule"`
}

func TestEveryFunctionHasItsCodeAndBack(t *testing.T) {
	found, err := filepath.Glob("../functions/*/function.json")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range found {
		name := filepath.Base(filepath.Dir(file))
		names = append(names, name)
		trigger, ok := functions[name]
		if !ok {
			t.Errorf("%s: no Go function has that name", file)
			continue
		}
		var f struct {
			Bindings []binding `json:"bindings"`
		}
		readJSON(t, file, &f)
		in := slices.IndexFunc(f.Bindings, func(b binding) bool { return b.Direction == "in" })
		if in < 0 || f.Bindings[in].Type != trigger {
			t.Errorf("%s: the code reads a %s", file, trigger)
			continue
		}
		switch b := f.Bindings[in]; trigger {
		case "httpTrigger":
			level := "function"
			if anonymous[name] {
				level = "anonymous"
			}
			if b.AuthLevel != level || !slices.Equal(b.Methods, methods[name]) {
				t.Errorf("%s: want %v %s, have %s %v", file, methods[name], level, b.AuthLevel, b.Methods)
			}
			if !slices.ContainsFunc(f.Bindings, func(b binding) bool { return b.Type == "http" && b.Direction == "out" && b.Name == "res" }) {
				t.Errorf("%s: without an http output called res no caller is ever told to try again", file)
			}
		case "serviceBusTrigger":
			if b.DataType != "binary" {
				t.Errorf("%s: dataType is %q; only binary keeps the message apart from the metadata", file, b.DataType)
			}
		}
	}
	for name := range functions {
		if !slices.Contains(names, name) {
			t.Errorf("function %s has no function.json", name)
		}
	}
}

func TestSettingsAreTheSameEverywhere(t *testing.T) {
	var sample struct{ Values map[string]string }
	readJSON(t, "../local.settings.sample.json", &sample)
	known := map[string]bool{"FUNCTIONS_WORKER_RUNTIME": true, "AzureWebJobsStorage": true}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range config.Settings {
		known[s.Name] = true
		if _, ok := sample.Values[s.Name]; !ok {
			t.Errorf("local.settings.sample.json lacks %s", s.Name)
		}
		if !strings.Contains(string(readme), "`"+s.Name+"`") {
			t.Errorf("the README's table of settings lacks %s", s.Name)
		}
	}
	for name := range sample.Values {
		if !known[name] {
			t.Errorf("local.settings.sample.json has %s, which nobody reads", name)
		}
	}
	reference := regexp.MustCompile(`%([A-Z_a-z]+)%`)
	found, err := filepath.Glob("../functions/*/function.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range found {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range reference.FindAllStringSubmatch(string(text), -1) {
			if !known[m[1]] {
				t.Errorf("%s refers to %s, which is no setting", file, m[1])
			}
		}
	}
}

// TestSampleSettingsAreAccepted reads the sample as the app would.
func TestSampleSettingsAreAccepted(t *testing.T) {
	var sample struct{ Values map[string]string }
	readJSON(t, "../local.settings.sample.json", &sample)
	if _, err := config.FromEnv(func(name string) string { return sample.Values[name] }); err != nil {
		t.Error(err)
	}
}

func TestHostJSON(t *testing.T) {
	var host struct {
		FunctionTimeout string `json:"functionTimeout"`
		CustomHandler   struct {
			Description struct {
				DefaultExecutablePath string   `json:"defaultExecutablePath"`
				Arguments             []string `json:"arguments"`
			} `json:"description"`
			EnableForwardingHTTPRequest bool `json:"enableForwardingHttpRequest"`
		} `json:"customHandler"`
		Extensions struct {
			ServiceBus struct {
				MaxAutoLockRenewalDuration string `json:"maxAutoLockRenewalDuration"`
			} `json:"serviceBus"`
		} `json:"extensions"`
	}
	readJSON(t, "../host.json", &host)
	if host.CustomHandler.Description.DefaultExecutablePath != "pcapwarden" {
		t.Errorf("the host starts %q", host.CustomHandler.Description.DefaultExecutablePath)
	}
	if host.CustomHandler.EnableForwardingHTTPRequest {
		t.Error("requests are forwarded: the handler speaks the default protocol")
	}
	// The lock of an event must outlive its analysis, or two instances do it.
	if host.Extensions.ServiceBus.MaxAutoLockRenewalDuration < host.FunctionTimeout {
		t.Errorf("locks are renewed for %s, functions run for %s", host.Extensions.ServiceBus.MaxAutoLockRenewalDuration, host.FunctionTimeout)
	}
	c, err := config.FromEnv(func(string) string { return "" })
	if err == nil {
		t.Fatal("no settings at all are accepted")
	}
	if got := c.FunctionTimeout.Minutes(); got >= 30 {
		t.Errorf("invocations give up after %v minutes, the host kills them after 30", got)
	}
}

func readJSON(t *testing.T, file string, v any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}
