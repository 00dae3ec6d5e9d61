package infra_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/pcaptest/devset"
	"github.com/pcapwarden/pcapwarden/test/bicep"
)

// versions are the API versions that the files may use, one a type. Those that
// are marked have no published schema at hand: only the version is checked.
var versions = map[string]string{
	"Microsoft.Authorization/locks":                                                  "2020-05-01 unchecked",
	"Microsoft.Authorization/roleAssignments":                                        "2022-04-01",
	"Microsoft.Authorization/roleDefinitions":                                        "2022-04-01",
	"Microsoft.Consumption/budgets":                                                  "2023-11-01 unchecked",
	"Microsoft.EventGrid/systemTopics":                                               "2025-02-15",
	"Microsoft.EventGrid/systemTopics/eventSubscriptions":                            "2025-02-15",
	"Microsoft.Insights/actionGroups":                                                "2023-01-01",
	"Microsoft.Insights/components":                                                  "2020-02-02",
	"Microsoft.Insights/diagnosticSettings":                                          "2021-05-01-preview unchecked",
	"Microsoft.Insights/metricAlerts":                                                "2018-03-01",
	"Microsoft.Insights/scheduledQueryRules":                                         "2023-12-01 unchecked",
	"Microsoft.Insights/workbooks":                                                   "2023-06-01 unchecked",
	"Microsoft.KeyVault/vaults":                                                      "2024-11-01",
	"Microsoft.KeyVault/vaults/keys":                                                 "2024-11-01",
	"Microsoft.ManagedIdentity/userAssignedIdentities":                               "2024-11-30",
	"Microsoft.Network/networkSecurityGroups":                                        "2025-05-01",
	"Microsoft.Network/privateDnsZones":                                              "2020-06-01 unchecked",
	"Microsoft.Network/privateDnsZones/virtualNetworkLinks":                          "2020-06-01 unchecked",
	"Microsoft.Network/privateEndpoints":                                             "2025-05-01",
	"Microsoft.Network/privateEndpoints/privateDnsZoneGroups":                        "2025-05-01",
	"Microsoft.Network/virtualNetworks":                                              "2025-05-01",
	"Microsoft.OperationalInsights/workspaces":                                       "2025-07-01",
	"Microsoft.Resources/resourceGroups":                                             "2024-11-01 unchecked",
	"Microsoft.ServiceBus/namespaces":                                                "2024-01-01",
	"Microsoft.ServiceBus/namespaces/networkRuleSets":                                "2024-01-01",
	"Microsoft.ServiceBus/namespaces/queues":                                         "2024-01-01",
	"Microsoft.Storage/storageAccounts":                                              "2025-06-01",
	"Microsoft.Storage/storageAccounts/blobServices":                                 "2025-06-01",
	"Microsoft.Storage/storageAccounts/blobServices/containers":                      "2025-06-01",
	"Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies": "2025-06-01",
	"Microsoft.Storage/storageAccounts/managementPolicies":                           "2025-06-01",
	"Microsoft.Web/serverfarms":                                                      "2024-11-01",
	"Microsoft.Web/sites":                                                            "2024-11-01",
	"Microsoft.Web/sites/basicPublishingCredentialsPolicies":                         "2024-11-01",
	"Microsoft.Web/sites/config":                                                     "2024-11-01",
}

func TestVersionsArePinned(t *testing.T) {
	used := map[string]bool{}
	for _, f := range sorted(all(t)) {
		for _, r := range f.Resources {
			used[r.Type] = true
			if want, _, _ := strings.Cut(versions[r.Type], " "); r.APIVersion != want {
				t.Errorf("%s: %s is %s@%s, want %s", f.Name, r.Symbol, r.Type, r.APIVersion, cmp.Or(want, "no such type"))
			}
		}
	}
	for kind := range versions {
		if !used[kind] {
			t.Errorf("%s is pinned and not used", kind)
		}
	}
}

// TestResourcesAreWhatAzureTakes compares properties and their values with the
// schemas of Azure Resource Manager. They come from
// https://github.com/Azure/azure-resource-manager-schemas; PCAPWARDEN_SCHEMAS
// names the folder that has them as arm/VERSION/PROVIDER.json.
func TestResourcesAreWhatAzureTakes(t *testing.T) {
	dir := cmp.Or(os.Getenv("PCAPWARDEN_SCHEMAS"), devset.Beside(t, "schemas"))
	found, err := filepath.Glob(filepath.Join(dir, "arm", "*", "*.json"))
	if err != nil || len(found) == 0 {
		t.Skipf("skipped: no schemas in %s; set PCAPWARDEN_SCHEMAS", dir)
	}
	types := map[string]schema{} // TYPE@VERSION, in lower case
	for _, name := range found {
		readSchemas(t, name, types)
	}
	checked := 0
	for _, f := range sorted(all(t)) {
		for _, r := range f.Resources {
			s, ok := types[strings.ToLower(r.Type+"@"+r.APIVersion)]
			if unchecked := strings.HasSuffix(versions[r.Type], " unchecked"); ok == unchecked {
				t.Errorf("%s has a schema: %t, the table says %t", r.Type, ok, !unchecked)
			}
			if !ok || r.Existing {
				continue
			}
			checked++
			for _, mistake := range s.mistakes(f, r.Body, r.Symbol) {
				t.Errorf("%s: %s", f.Name, mistake)
			}
		}
	}
	if checked < 40 {
		t.Errorf("only %d resources were checked", checked)
	}
	t.Logf("%d resources checked", checked)
}

// TestSchemasCatchMistakes holds the check to its word.
func TestSchemasCatchMistakes(t *testing.T) {
	dir := cmp.Or(os.Getenv("PCAPWARDEN_SCHEMAS"), devset.Beside(t, "schemas"))
	types := map[string]schema{}
	name := filepath.Join(dir, "arm", "2024-01-01", "Microsoft.ServiceBus.json")
	if _, err := os.Stat(name); err != nil {
		t.Skipf("skipped: %v", err)
	}
	readSchemas(t, name, types)
	for name, body := range map[string]string{
		"unknown_property":  "{ name: 'q', properties: { requireDuplicateDetection: true } }",
		"wrong_type":        "{ name: 'q', properties: { maxDeliveryCount: '10' } }",
		"wrong_value":       "{ name: 'q', properties: { status: 'On' } }",
		"missing":           "{ name: 'q' }",
		"unknown_top_level": "{ name: 'q', location: 'x', propertys: {} }",
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "x.bicep")
			text := "resource q 'Microsoft.ServiceBus/namespaces/queues@2024-01-01' = " + body + "\n"
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			f := bicep.Parse(t, file)[0]
			s := types["microsoft.servicebus/namespaces/queues@2024-01-01"]
			if m := s.mistakes(f, f.Resources[0].Body, "q"); len(m) == 0 {
				t.Error("nothing is found")
			}
		})
	}
}

// A schema is a piece of JSON Schema, draft 4, and the document it is from.
type schema struct {
	document map[string]any
	rule     map[string]any
}

func readSchemas(t *testing.T, name string, types map[string]schema) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var document map[string]any
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for section, v := range document {
		definitions, ok := v.(map[string]any)
		if !ok || !strings.HasSuffix(strings.ToLower(section), "resourcedefinitions") {
			continue
		}
		for _, d := range definitions {
			s := schema{document, d.(map[string]any)}
			kind, version := s.property("type").first(), s.property("apiVersion").first()
			types[strings.ToLower(kind+"@"+version)] = s
		}
	}
}

func (s schema) property(name string) schema {
	properties, _ := s.rule["properties"].(map[string]any)
	rule, _ := properties[name].(map[string]any)
	return schema{s.document, rule}
}

func (s schema) first() string {
	values, _ := s.rule["enum"].([]any)
	if len(values) == 0 {
		return ""
	}
	return fmt.Sprint(values[0])
}

// choices resolves references and alternatives; what a template expression may
// be is anything, and left out.
func (s schema) choices() []schema {
	if ref, ok := s.rule["$ref"].(string); ok {
		name, local := strings.CutPrefix(ref, "#/definitions/")
		if !local {
			return nil
		}
		rule, _ := s.document["definitions"].(map[string]any)[name].(map[string]any)
		return schema{s.document, rule}.choices()
	}
	for _, key := range []string{"oneOf", "anyOf"} {
		alternatives, ok := s.rule[key].([]any)
		if !ok {
			continue
		}
		var all []schema
		for _, a := range alternatives {
			rule, _ := a.(map[string]any)
			for _, c := range (schema{s.document, rule}).choices() {
				all = append(all, c.with(s))
			}
		}
		return all
	}
	return []schema{s}
}

// with adds what stands beside the alternatives.
func (s schema) with(outer schema) schema {
	beside, ok := outer.rule["properties"].(map[string]any)
	if !ok {
		return s
	}
	rule := map[string]any{}
	maps.Copy(rule, s.rule)
	properties := map[string]any{}
	for _, from := range []any{beside, s.rule["properties"]} {
		from, _ := from.(map[string]any)
		maps.Copy(properties, from)
	}
	rule["properties"] = properties
	return schema{s.document, rule}
}

// ours are the properties that Bicep has, and Azure never sees.
var ours = []string{"name", "parent", "scope", "dependsOn"}

// mistakes are those of a value, as long as it is plain what the value is.
func (s schema) mistakes(f *bicep.File, n *bicep.Node, path string) []string {
	if n = plain(f, n); n != nil && n.Type == "call_expression" { // concat, union: what they join
		var wrong []string
		for _, part := range n.Children[1].Children {
			for _, m := range s.mistakes(f, part, path) {
				if !strings.Contains(m, " lacks ") { // another part may have it
					wrong = append(wrong, m)
				}
			}
		}
		return wrong
	}
	choices := s.choices()
	if n == nil || len(choices) == 0 {
		return nil
	}
	if n.Type == "ternary_expression" {
		return append(s.mistakes(f, n.Children[1], path), s.mistakes(f, n.Children[2], path)...)
	}
	var fewest []string
	for i, c := range choices {
		m := c.wrong(f, n, path)
		if i == 0 || len(m) < len(fewest) {
			fewest = m
		}
	}
	return fewest
}

// plain follows a name to the variable, and calls to what they are made of.
func plain(f *bicep.File, n *bicep.Node) *bicep.Node {
	switch n.Type {
	case "identifier":
		for _, v := range f.Vars {
			if v.Name == n.Text() {
				return plain(f, v.Value)
			}
		}
		return nil
	case "call_expression":
		if name := n.Children[0].Text(); name == "concat" || name == "union" {
			return n
		}
		return nil
	case "for_statement", "object", "array", "string", "number", "boolean", "ternary_expression":
		return n
	}
	return nil
}

func (s schema) wrong(f *bicep.File, n *bicep.Node, path string) []string {
	at := fmt.Sprintf("line %d: %s", n.Line(), path)
	want, _ := s.rule["type"].(string)
	have := map[string]string{"object": "object", "array": "array", "for_statement": "array", "string": "string", "number": "integer", "boolean": "boolean"}[n.Type]
	if want == "number" {
		want = "integer"
	}
	if want != "" && want != have {
		return []string{fmt.Sprintf("%s is a %s, want a %s", at, have, want)}
	}
	var wrong []string
	switch n.Type {
	case "string":
		values, _ := s.rule["enum"].([]any)
		if n.Whole() && len(values) > 0 && !slices.Contains(values, any(n.Literal())) {
			return []string{fmt.Sprintf("%s is %q, want one of %v", at, n.Literal(), values)}
		}
	case "array":
		rule, _ := s.rule["items"].(map[string]any)
		for i, item := range n.Items() {
			wrong = append(wrong, schema{s.document, rule}.mistakes(f, item, fmt.Sprintf("%s[%d]", path, i))...)
		}
	case "for_statement":
		rule, _ := s.rule["items"].(map[string]any)
		return schema{s.document, rule}.mistakes(f, n.Children[len(n.Children)-1], path+"[]")
	case "object":
		return s.wrongObject(f, n, path)
	}
	return wrong
}

func (s schema) wrongObject(f *bicep.File, n *bicep.Node, path string) []string {
	top := !strings.Contains(path, ".")
	properties, _ := s.rule["properties"].(map[string]any)
	others, open := s.rule["additionalProperties"].(map[string]any)
	var wrong []string
	have := map[string]bool{}
	for name, value := range n.Props() {
		have[name] = true
		if top && slices.Contains(ours, name) {
			continue
		}
		rule, known := properties[name].(map[string]any)
		switch {
		case known:
		case open:
			rule = others
		case len(properties) == 0:
			continue // anything goes
		default:
			wrong = append(wrong, fmt.Sprintf("line %d: %s has no property %s", value.Line(), path, name))
			continue
		}
		wrong = append(wrong, schema{s.document, rule}.mistakes(f, value, path+"."+name)...)
	}
	required, _ := s.rule["required"].([]any)
	for _, r := range required {
		name := fmt.Sprint(r)
		if !have[name] && !(top && slices.Contains([]string{"name", "type", "apiVersion"}, name)) {
			wrong = append(wrong, fmt.Sprintf("line %d: %s lacks %s", n.Line(), path, name))
		}
	}
	return wrong
}
