package policy_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/pcapwarden/pcapwarden/internal/policy"
)

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(policy.Schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("policy.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("policy.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asJSON reads a policy as an editor does. A date is text to JSON.
func asJSON(t *testing.T, text string) any {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	untime(&document)
	var v any
	if err := document.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func untime(n *yaml.Node) {
	if n.Tag == "!!timestamp" {
		n.Tag = "!!str"
	}
	for _, child := range n.Content {
		untime(child)
	}
}

func TestSchemaAccepts(t *testing.T) {
	sample, err := os.ReadFile("../../policy.sample.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := schema(t)
	for name, text := range map[string]string{
		"sample":                    string(sample),
		"valid":                     valid,
		"required_without_approver": change(t, "mode: standing, reason: agreed, owner: noc, approver: soc", "mode: required, reason: agreed, owner: noc"),
		"placeholder":               change(t, filterLine, `{localIP: "{alert.SourceAddress}", within: 10.0.0.0/8}`),
		"port_number":               change(t, `"443"`, "443"),
		"port_list":                 change(t, `"443"`, `"80;443;"`),
		"address_list":              change(t, "203.0.113.0/28", "[10.0.0.0/24, 10.1.0.0/24]"),
		"alerts":                    change(t, "version: 1", "version: 1\nalerts: {reread: required}"),
		"records":                   change(t, "version: 1", "version: 1\nrecords: {retention: 90d}"),
		"days":                      change(t, "retention: 7d", "retention: 12h"),
	} {
		load(t, text) // what the schema accepts here, Load does
		if err := s.Validate(asJSON(t, text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSchemaRefuses(t *testing.T) {
	s := schema(t)
	tests := []struct{ name, old, new string }{
		{"version", "version: 1", "version: 2"},
		{"unknown_key", "    retention: 7d", "    retention: 7d\n    keep: 8d"},
		{"no_retention", "    retention: 7d\n", ""},
		{"no_time_limit", "      timeLimit: 5m\n", ""},
		{"no_byte_limit", "      totalBytes: 100MiB\n", ""},
		{"no_filters", "      filters:\n        - " + filterLine + "\n", ""},
		{"wide_filter", filterLine, "{protocol: TCP}"},
		{"empty_when", "{alertRule: [upload-failures], severity: [Sev0, Sev1], signalType: [Metric, Log], targetType: [vm, vmss]}", "{}"},
		{"severity", "Sev0, Sev1", "Sev9"},
		{"no_approver", "approver: soc, ", ""},
		{"no_owner", "owner: noc, ", ""},
		{"subscription", "[" + subscription + "]", "['*']"},
		{"group", "robots-rg", "robots-*"},
		{"name", "name: partner-tls", "name: Partner"},
		{"size", "100MiB", "100MB"},
		{"time", "timeLimit: 5m", "timeLimit: 300"},
		{"ipv6", "203.0.113.0/28", "'2001:db8::1'"},
		{"port", `"443"`, "https"},
		{"storage_account", group + "Microsoft.Storage/storageAccounts/landingweu", "landingweu"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := change(t, tt.old, tt.new)
			if err := s.Validate(asJSON(t, text)); err == nil {
				t.Error("the schema accepts it")
			}
			if _, err := policy.Load([]byte(text)); err == nil {
				t.Error("Load accepts it")
			}
		})
	}
}
