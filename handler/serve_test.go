package main

import (
	"bytes"
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
	tests := []struct {
		name string
		env  map[string]string
		says []string
	}{
		{"no settings", nil, []string{"PCAPWARDEN_POLICY is not set", "PCAPWARDEN_RECORDS is not set", "PCAPWARDEN_INCIDENT_QUEUE is not set"}},
		{"broken policy", complete, []string{"line 1", "line 4", "line 5", "version", "Upper Case", "retention"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			code := run(t.Context(), environment{func(k string) string { return tt.env[k] }, strings.NewReader(""), &out, &errs}, []string{"serve"})
			if code == 0 {
				t.Error("exit code 0: the host would never start it again")
			}
			for _, s := range tt.says {
				if !strings.Contains(errs.String(), s) {
					t.Errorf("it does not say %q:\n%s", s, &errs)
				}
			}
		})
	}
}
