package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestServeRefuses starts the handler with what it cannot work with: it says
// all that is wrong, and exits with a code that is not 0, which the host would
// take for intended.
func TestServeRefuses(t *testing.T) {
	dir := t.TempDir()
	policy := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(policy, []byte("version: 2\nscope: {}\nprofiles:\n  - name: Upper Case\n    retention: soon\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	complete := map[string]string{
		"PCAPWARDEN_POLICY": policy, "PCAPWARDEN_RECORDS": "file:" + dir + "/cases", "PCAPWARDEN_VAULT": "file:" + dir + "/vault",
		"PCAPWARDEN_REPORTS": "file:" + dir + "/reports", "PCAPWARDEN_INCIDENT_QUEUE": "file:" + dir + "/incidents",
		"PCAPWARDEN_LANDED_QUEUE": "file:" + dir + "/landed", "PCAPWARDEN_CREDENTIAL": "local",
		"PCAPWARDEN_ARM_ENDPOINT": "http://127.0.0.1:1", "FUNCTIONS_CUSTOMHANDLER_PORT": "1",
		"PCAPWARDEN_AUTH": "none",
	}
	good := filepath.Join(dir, "good.yaml")
	sample, err := os.ReadFile("../policy.sample.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(good, sample, 0o600); err != nil {
		t.Fatal(err)
	}
	// with is the complete settings and a good policy, with other values.
	with := func(pairs ...string) map[string]string {
		env := maps.Clone(complete)
		env["PCAPWARDEN_POLICY"] = good
		for i := 0; i < len(pairs); i += 2 {
			env[pairs[i]] = pairs[i+1]
		}
		return env
	}
	tests := []struct {
		name string
		env  map[string]string
		says []string
	}{
		{"no settings", nil, []string{"PCAPWARDEN_POLICY is not set", "PCAPWARDEN_RECORDS is not set", "PCAPWARDEN_INCIDENT_QUEUE is not set"}},
		{"policy missing", with("PCAPWARDEN_POLICY", dir+"/none.yaml"), []string{"PCAPWARDEN_POLICY: open"}},
		{"records are a file", with("PCAPWARDEN_RECORDS", "file:"+policy), []string{"PCAPWARDEN_RECORDS: "}},
		{"vault is a file", with("PCAPWARDEN_VAULT", "file:"+policy), []string{"PCAPWARDEN_VAULT: "}},
		{"no account", with("PCAPWARDEN_REPORTS", "https://example.com/reports"), []string{"PCAPWARDEN_REPORTS: "}},
		{"a key in a setting", with("PCAPWARDEN_INCIDENT_QUEUE", "Endpoint=sb://bus.servicebus.windows.net/;SharedAccessKeyName=a;SharedAccessKey=c2VjcmV0;EntityPath=q"), []string{"PCAPWARDEN_INCIDENT_QUEUE: "}},
		{"no key to sign with", with("PCAPWARDEN_SIGNING_KEY", "file:"+policy), []string{"PCAPWARDEN_SIGNING_KEY: "}},
		{"callers unchecked in Azure", with("WEBSITE_INSTANCE_ID", "3c1f"), []string{"PCAPWARDEN_AUTH is none, and this is Azure"}},
		{"another protocol", with("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), []string{"OTEL_EXPORTER_OTLP_PROTOCOL: "}},
		{"no such mode", with("PCAPWARDEN_MODE", "both"), []string{"PCAPWARDEN_MODE: "}},
		{"broken policy", complete, []string{"line 1", "line 4", "line 5", "version", "Upper Case", "retention"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			code := run(t.Context(), environment{func(k string) string { return tt.env[k] }, strings.NewReader(""), &out, &errs}, []string{"serve"})
			if code == 0 {
				t.Error("exit code 0: the host would never start it again")
			}
			for line := range strings.Lines(errs.String()) { // the host logs each by itself
				if !strings.Contains(line, "PCAPWARDEN_") && !strings.Contains(line, "OTEL_") {
					t.Errorf("a line does not say what it is about: %q", line)
				}
			}
			if strings.Contains(errs.String(), "c2VjcmV0") {
				t.Errorf("it tells a key:\n%s", &errs)
			}
			for _, s := range tt.says {
				if !strings.Contains(errs.String(), s) {
					t.Errorf("it does not say %q:\n%s", s, &errs)
				}
			}
		})
	}
}
