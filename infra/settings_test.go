package infra_test

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/config"
	"github.com/pcapwarden/pcapwarden/test/bicep"
)

// notDeployed are the settings that no app in Azure has.
var notDeployed = map[string]string{
	"PCAPWARDEN_FAILPOINT": "for tests",
}

// theHosts are the settings that the Functions host reads, and we do not.
var theHosts = []string{
	"AzureWebJobsStorage__accountName", "AzureWebJobsStorage__credential", "AzureWebJobsStorage__clientId",
	"APPLICATIONINSIGHTS_CONNECTION_STRING", "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
	"PCAPWARDEN_SERVICEBUS__credential", "PCAPWARDEN_SERVICEBUS__clientId",
}

// settings are those of the app of a mode, as app.bicep has them.
func settings(t *testing.T, mode config.Mode) map[string]*bicep.Node {
	t.Helper()
	app := all(t)["app.bicep"]
	values := map[string]*bicep.Node{}
	for _, name := range []string{"everywhere", string(mode)} {
		i := slices.IndexFunc(app.Vars, func(v bicep.Var) bool { return v.Name == name })
		if i < 0 {
			t.Fatalf("app.bicep has no %s", name)
		}
		maps.Insert(values, app.Vars[i].Value.Props())
	}
	n := of(map[string]*bicep.File{"app.bicep": app}, "Microsoft.Web/sites/config", func(_ *bicep.File, r bicep.Resource) {
		if have, want := r.Body.At("properties").Text(), "union(everywhere, mode == 'control' ? control : analyze, empty(otlpEndpoint) ? {} : telemetry)"; have != want {
			t.Errorf("the settings are %s, want %s", have, want)
		}
	})
	if n != 1 {
		t.Fatalf("%d sets of settings", n)
	}
	return values
}

// sample is a value as an app would get it, queues of what stands in the file.
func sample(n *bicep.Node, mode config.Mode) string {
	switch n.Text() {
	case "tenant().tenantId", "identity.clientId", "sweeper.clientId":
		return "11111111-2222-4333-8444-555555555555"
	case "mode":
		return string(mode)
	case "starts", "context":
		return "on"
	case "environment().resourceManager": // they end so
		return "https://management.azure.com/"
	case "environment().authentication.loginEndpoint":
		return "https://login.microsoftonline.com/"
	case "signer":
		return "https://vault.vault.azure.net/keys/manifests"
	case "audience":
		return "api://pcapwarden"
	}
	text := n.Literal()
	for from, to := range map[string]string{"${records}": "https://records.blob.core.windows.net", "${vault}": "https://vault.blob.core.windows.net"} {
		text = strings.ReplaceAll(text, from, to)
	}
	return regexp.MustCompile(`\$\{[^}]*\}`).ReplaceAllString(text, "example")
}

// TestSettingsAreTheProgramsOwn: both apps start with what they are told, are
// told nothing that nobody reads, and together all there is.
func TestSettingsAreTheProgramsOwn(t *testing.T) {
	known := map[string]bool{}
	for _, s := range config.Settings {
		known[s.Name] = false
	}
	for _, mode := range []config.Mode{config.Control, config.Analyze} {
		given := settings(t, mode)
		for name, value := range given {
			switch _, ok := known[name]; {
			case ok:
				known[name] = true
			case strings.HasPrefix(name, "AzureWebJobs.") || slices.Contains(theHosts, name):
			default:
				t.Errorf("%s: nobody reads %s", mode, name)
			}
			if value.Text() == "" {
				t.Errorf("%s: %s is empty", mode, name)
			}
		}
		c, err := config.FromEnv(func(name string) string {
			if given[name] == nil {
				return ""
			}
			return sample(given[name], mode)
		})
		if err != nil {
			t.Errorf("%s does not start: %v", mode, err)
		}
		if c.Mode != mode {
			t.Errorf("%s starts as %s", mode, c.Mode)
		}
		if mode == config.Control && c.Auth != config.AuthEntra {
			t.Error("callers are not checked")
		}
	}
	for name, set := range known {
		if !set && notDeployed[name] == "" {
			t.Errorf("no app is told %s", name)
		}
	}
}

// TestEachAppHasItsFunctions: what the other app does is disabled.
func TestEachAppHasItsFunctions(t *testing.T) {
	folders, err := filepath.Glob("../functions/*/function.json")
	if err != nil || len(folders) == 0 {
		t.Fatalf("no functions: %v", err)
	}
	enabled := map[string][]string{}
	for _, mode := range []config.Mode{config.Control, config.Analyze} {
		given := settings(t, mode)
		for _, f := range folders {
			name := filepath.Base(filepath.Dir(f))
			if given["AzureWebJobs."+name+".Disabled"] == nil {
				enabled[name] = append(enabled[name], string(mode))
			}
		}
		for name, value := range given {
			function, ok := strings.CutPrefix(name, "AzureWebJobs.")
			if !ok {
				continue
			}
			function = strings.TrimSuffix(function, ".Disabled")
			if !slices.Contains(folders, filepath.Join("../functions", function, "function.json")) || value.Literal() != "true" {
				t.Errorf("%s: %s is of no function", mode, name)
			}
		}
	}
	for _, f := range folders {
		name := filepath.Base(filepath.Dir(f))
		want := []string{"control"}
		if name == "analyzecapture" {
			want = []string{"analyze"}
		}
		if !slices.Equal(enabled[name], want) && len(enabled[name]) != 2 {
			t.Errorf("%s runs in %v, want %v", name, enabled[name], want)
		}
	}
}

// TestQueuesAreTheSettings: queues and containers that are named are made.
func TestQueuesAreTheSettings(t *testing.T) {
	var queues []string
	of(all(t), "Microsoft.ServiceBus/namespaces/queues", func(_ *bicep.File, r bicep.Resource) {
		queues = append(queues, r.Body.At("name").Literal())
	})
	var containers []string
	of(all(t), "Microsoft.Storage/storageAccounts/blobServices/containers", func(_ *bicep.File, r bicep.Resource) {
		containers = append(containers, r.Body.At("name").Literal())
	})
	for _, mode := range []config.Mode{config.Control, config.Analyze} {
		for name, value := range settings(t, mode) {
			last := value.Literal()[strings.LastIndexByte(value.Literal(), '/')+1:]
			switch {
			case strings.HasPrefix(value.Literal(), "sb://"), name == "PCAPWARDEN_LANDED_QUEUE_NAME":
				if !slices.Contains(queues, last) {
					t.Errorf("%s names queue %s, which nobody makes", name, last)
				}
			case slices.Contains([]string{"PCAPWARDEN_LANDING", "PCAPWARDEN_RECORDS", "PCAPWARDEN_VAULT", "PCAPWARDEN_REPORTS"}, name):
				if !slices.Contains(containers, last) {
					t.Errorf("%s names container %s, which nobody makes", name, last)
				}
			}
		}
	}
}
