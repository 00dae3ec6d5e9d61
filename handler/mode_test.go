package main

import (
	"go/parser"
	gotoken "go/token"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/config"
	"github.com/pcapwarden/pcapwarden/internal/incident"
	"github.com/pcapwarden/pcapwarden/internal/local/loop"
	"github.com/pcapwarden/pcapwarden/internal/local/scenario"
)

// TestStoriesInTwoApps plays each story with two processes: one has the
// captures, the other the packets. The one with the packets is given an Azure
// Resource Manager that nobody answers at.
func TestStoriesInTwoApps(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	playAll(t, splitApps(), func(scenario.Scenario, string, []loop.Outcome) {})
}

// TestEachAppRefusesTheOthersWork leaves every function enabled in both apps,
// as somebody might who forgot the settings of the host.
func TestEachAppRefusesTheOthersWork(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	for _, mode := range []config.Mode{config.Control, config.Analyze} {
		t.Run(string(mode), func(t *testing.T) {
			o := localOptions(t, "partner-tls")
			o.Settings["PCAPWARDEN_MODE"] = string(mode)
			o.Settings["PCAPWARDEN_SWEEP_SCHEDULE"] = "0 0 0 1 1 *" // fired by hand
			l := startLoop(t, o)
			wants := "PCAPWARDEN_MODE=" + string(mode)

			status, answer, err := l.Post(t.Context(), o.Scenario.Alert(time.Now().UTC(), time.Time{}))
			if err != nil {
				t.Fatal(err)
			}
			refused := status == http.StatusNotFound && strings.Contains(string(answer), wants)
			if refused == mode.Does(config.Control) {
				t.Errorf("an alert was answered %d %s", status, answer)
			}
			status, _, text := call(t, l, http.MethodGet, "captures", "", "", "")
			if refused := status == http.StatusNotFound && strings.Contains(text, wants); refused == mode.Does(config.Control) {
				t.Errorf("a person was answered %d %s", status, text)
			}
			if err := l.Host.Fire(t.Context(), "sweepcaptures", nil); (err == nil) != mode.Does(config.Control) {
				t.Errorf("a sweep ended with %v", err)
			}

			// An event is delivered until it is a dead letter; it is not lost.
			if mode == config.Control {
				if err := l.Events.Send(t.Context(), incident.Message{ID: "event", Body: []byte(`{}`)}); err != nil {
					t.Fatal(err)
				}
				s := &stand{Loop: l, options: o}
				eventually(t, "the event is a dead letter", func() bool { return s.dead(t, "event") })
				eventually(t, "the log says why", func() bool {
					return strings.Contains(logOf(t, o.Dir), "analyzecapture is not done by an app with "+wants)
				})
			}
		})
	}
}

func logOf(t *testing.T, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "log.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestPartsAreApart reads the imports of the two halves of the wiring: the one
// has no way to a packet, the other none to Azure Resource Manager.
func TestPartsAreApart(t *testing.T) {
	tests := []struct {
		file   string
		has    string // proof that the right file was read
		hasNot []string
	}{
		{"wirecontrol.go", "azure/arm", []string{"analyzecapture", "/analysis", "/pcap", "/packet", "/flow", "/dissect", "/detect", "/excerpt", "/redact"}},
		{"wireanalyze.go", "analyzecapture", []string{"azure/arm", "startcaptures", "sweepcaptures", "functions/captures", "armnetwork"}},
	}
	for _, tt := range tests {
		f, err := parser.ParseFile(gotoken.NewFileSet(), tt.file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, spec := range f.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			found = found || strings.HasSuffix(path, tt.has)
			for _, no := range tt.hasNot {
				if strings.Contains(strings.TrimPrefix(path, "github.com/pcapwarden/pcapwarden"), no) {
					t.Errorf("%s imports %s", tt.file, path)
				}
			}
		}
		if !found {
			t.Errorf("%s does not import %s: is this the file that is meant?", tt.file, tt.has)
		}
	}
}

// TestEveryModeHasEveryFunction: the host finds code behind each function.json
// in each mode, for work or for a refusal.
func TestEveryModeHasEveryFunction(t *testing.T) {
	dir := t.TempDir()
	env := map[string]string{
		"PCAPWARDEN_POLICY": "../policy.sample.yaml", "PCAPWARDEN_RECORDS": "file:" + dir + "/cases", "PCAPWARDEN_VAULT": "file:" + dir + "/vault",
		"PCAPWARDEN_REPORTS": "file:" + dir + "/reports", "PCAPWARDEN_INCIDENT_QUEUE": "file:" + dir + "/incidents",
		"PCAPWARDEN_LANDED_QUEUE": "file:" + dir + "/landed", "PCAPWARDEN_CREDENTIAL": "local",
		"PCAPWARDEN_ARM_ENDPOINT": "http://127.0.0.1:1", "PCAPWARDEN_AUTH": "none",
	}
	for _, mode := range []config.Mode{config.All, config.Control, config.Analyze} {
		env["PCAPWARDEN_MODE"] = string(mode)
		cfg, err := config.FromEnv(func(k string) string { return env[k] })
		if err != nil {
			t.Fatal(err)
		}
		built, err := wire(t.Context(), cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		for _, f := range built {
			if names[f.Name] {
				t.Errorf("%s: %s is there twice", mode, f.Name)
			}
			names[f.Name] = true
		}
		for name := range functions {
			if !names[name] {
				t.Errorf("%s: %s has no code", mode, name)
			}
		}
	}
}
