package config

import (
	"maps"
	"strings"
	"testing"
	"time"
)

func good() map[string]string {
	return map[string]string{
		"PCAPWARDEN_POLICY":         "policy.yaml",
		"PCAPWARDEN_RECORDS":        "file:cases",
		"PCAPWARDEN_VAULT":          "https://vault.blob.core.windows.net/vault",
		"PCAPWARDEN_REPORTS":        "file:reports",
		"PCAPWARDEN_INCIDENT_QUEUE": "sb://bus.servicebus.windows.net/incidents",
		"PCAPWARDEN_LANDED_QUEUE":   "file:landed",
		"PCAPWARDEN_CLIENT_ID":      "00000000-0000-0000-0000-000000000000",
		"PCAPWARDEN_TENANT_ID":      "11111111-0000-0000-0000-000000000000",
		"PCAPWARDEN_AUDIENCE":       "api://pcapwarden",
	}
}

func TestFromEnv(t *testing.T) {
	env := good()
	c, err := FromEnv(func(k string) string { return env[k] })
	if err != nil {
		t.Fatal(err)
	}
	if c.Landing != "https://{account}.blob.core.windows.net/network-watcher-logs" || c.FunctionTimeout != 29*time.Minute {
		t.Errorf("defaults: Landing = %q, FunctionTimeout = %v", c.Landing, c.FunctionTimeout)
	}
}

func TestFromEnvReportsEveryMistake(t *testing.T) {
	env := map[string]string{
		"PCAPWARDEN_RECORDS":          "cases",
		"PCAPWARDEN_VAULT":            "http://vault.example/vault",
		"PCAPWARDEN_INCIDENT_QUEUE":   "amqp://bus/incidents",
		"PCAPWARDEN_ARM_ENDPOINT":     "http://192.0.2.1",
		"PCAPWARDEN_FUNCTION_TIMEOUT": "1s",
		"PCAPWARDEN_LOG_LEVEL":        "loud",
		"PCAPWARDEN_CREDENTIAL":       "password",
		"PCAPWARDEN_TENANT_ID":        "common",
		"PCAPWARDEN_AUTHORITY":        "http://login.example",
	}
	_, err := FromEnv(func(k string) string { return env[k] })
	if err == nil {
		t.Fatal("no error")
	}
	for _, name := range []string{
		"POLICY", "RECORDS", "VAULT", "REPORTS", "INCIDENT_QUEUE", "LANDED_QUEUE",
		"ARM_ENDPOINT", "FUNCTION_TIMEOUT", "LOG_LEVEL", "CREDENTIAL",
		"TENANT_ID", "AUDIENCE", "AUTHORITY",
	} {
		if n := strings.Count(err.Error(), "PCAPWARDEN_"+name+":") + strings.Count(err.Error(), "PCAPWARDEN_"+name+" is"); n != 1 {
			t.Errorf("%s is named %d times in:\n%v", name, n, err)
		}
	}
}

func TestFromEnvNeverQuotesAKey(t *testing.T) {
	env := good()
	env["PCAPWARDEN_RECORDS"] = "DefaultEndpointsProtocol=https;AccountKey=c2VjcmV0"
	env["PCAPWARDEN_INCIDENT_QUEUE"] = "SharedAccessKey=c2VjcmV0"
	_, err := FromEnv(func(k string) string { return env[k] })
	if err == nil || strings.Contains(err.Error(), "c2VjcmV0") {
		t.Errorf("error = %v", err)
	}
}

func TestLocalCredentialStaysHere(t *testing.T) {
	tests := []struct {
		endpoint string
		ok       bool
	}{
		{"http://127.0.0.1:8080", true},
		{"http://localhost:8080", true},
		{"https://management.azure.com", false},
	}
	for _, tt := range tests {
		env := good()
		env["PCAPWARDEN_CREDENTIAL"] = "local"
		env["PCAPWARDEN_ARM_ENDPOINT"] = tt.endpoint
		if _, err := FromEnv(func(k string) string { return env[k] }); (err == nil) != tt.ok {
			t.Errorf("%s: error = %v, want ok = %v", tt.endpoint, err, tt.ok)
		}
	}
}

func TestAuth(t *testing.T) {
	tests := []struct {
		name string
		env  map[string]string
		says string // empty: accepted
	}{
		{"entra", nil, ""},
		{"no tenant", map[string]string{"PCAPWARDEN_TENANT_ID": ""}, "PCAPWARDEN_TENANT_ID: not set"},
		{"neither", map[string]string{"PCAPWARDEN_TENANT_ID": "", "PCAPWARDEN_AUDIENCE": ""}, "PCAPWARDEN_TENANT_ID, PCAPWARDEN_AUDIENCE: not set"},
		{"none", map[string]string{"PCAPWARDEN_AUTH": "none", "PCAPWARDEN_TENANT_ID": "", "PCAPWARDEN_AUDIENCE": ""}, ""},
		{"none in Azure", map[string]string{"PCAPWARDEN_AUTH": "none", "WEBSITE_SITE_NAME": "app"}, "this is Azure"},
		{"none beside a managed identity", map[string]string{"PCAPWARDEN_AUTH": "none", "IDENTITY_ENDPOINT": "http://127.0.0.1"}, "this is Azure"},
		{"none on an instance", map[string]string{"PCAPWARDEN_AUTH": "none", "WEBSITE_INSTANCE_ID": "3c1f"}, "this is Azure"},
		{"none in Azure, where nobody calls", map[string]string{"PCAPWARDEN_AUTH": "none", "PCAPWARDEN_MODE": "analyze", "WEBSITE_POD_NAME": "p"}, "this is Azure"},
		{"nobody calls", map[string]string{"PCAPWARDEN_MODE": "analyze", "PCAPWARDEN_TENANT_ID": "", "PCAPWARDEN_AUDIENCE": ""}, ""},
		{"off", map[string]string{"PCAPWARDEN_AUTH": "off"}, "want one of entra, none"},
		{"authority here", map[string]string{"PCAPWARDEN_AUTHORITY": "http://127.0.0.1:1/"}, ""},
		{"authority with a password", map[string]string{"PCAPWARDEN_AUTHORITY": "https://a:b@login.example"}, "https://HOST"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env := good()
			maps.Copy(env, tt.env)
			_, err := FromEnv(func(k string) string { return env[k] })
			switch {
			case tt.says == "" && err != nil:
				t.Error(err)
			case tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "\n")):
				t.Errorf("error = %v, want one line that says %q", err, tt.says)
			}
		})
	}
}

// TestModes: an app is not asked for settings that its part has no use for.
func TestModes(t *testing.T) {
	tests := []struct {
		mode, says string // empty: accepted
	}{
		{"", "PCAPWARDEN_LANDED_QUEUE is not set"},
		{"all", "PCAPWARDEN_LANDED_QUEUE is not set"},
		{"control", "PCAPWARDEN_LANDED_QUEUE is not set"},
		{"analyze", ""},
		{"both", "want one of all, control, analyze"},
	}
	for _, tt := range tests {
		env := good()
		env["PCAPWARDEN_LANDED_QUEUE"], env["PCAPWARDEN_MODE"] = "", tt.mode
		_, err := FromEnv(func(k string) string { return env[k] })
		if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("mode %q: %v, want %q", tt.mode, err, tt.says)
		}
	}
}
