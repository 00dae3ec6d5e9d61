package internal_test

import (
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/pcapwarden/pcapwarden/"

// rules say who may not import whom, and why. A path stands for itself and
// everything below it.
var rules = []struct {
	importers []string
	imported  []string
	because   string
}{
	{
		[]string{"internal/pcap", "internal/packet", "internal/flow", "internal/dissect", "internal/finding", "internal/detect", "internal/series", "internal/service", "internal/verdict", "internal/analysis", "internal/compare", "internal/report", "internal/redact", "internal/excerpt"},
		[]string{"github.com/Azure", module + "internal/azure", module + "internal/local", module + "internal/config", module + "internal/customhandler", module + "internal/capture", module + "internal/policy", "net/http"},
		"reading a capture asks nobody: the same bytes always give the same analysis, and hostile bytes reach nothing",
	},
	{
		[]string{"internal/controlplane"},
		[]string{"github.com/Azure", module + "internal/azure", module + "internal/local", module + "internal/config", module + "internal/customhandler", module + "internal/capture", module + "internal/policy", module + "internal/analysis", module + "internal/pcap", module + "internal/packet", "net/http", "log"},
		"it asks through its Source alone, about the flows it is given: neither a packet nor a vendor gets further",
	},
	{
		[]string{"internal/alert", "internal/policy", "internal/resourceid"},
		[]string{"github.com/Azure", module + "internal/azure", module + "internal/local", module + "internal/capture", "net/http", "os"},
		"what an alert may start is decided by its text, the policy and the clock alone, so that a dry run tells the truth",
	},
	{
		[]string{"internal/capture", "internal/evidence", "internal/custody", "internal/ledger", "internal/incident", "internal/outbox"},
		[]string{"github.com/Azure", module + "internal/azure", module + "internal/local", module + "internal/config", module + "internal/customhandler"},
		"the domain says what it needs in interfaces; adapters come to it",
	},
	{
		[]string{"internal/capture", "internal/alert", "internal/policy", "internal/azure/arm"},
		[]string{module + "internal/pcap", module + "internal/packet", module + "internal/dissect", module + "internal/analysis"},
		"the side that may start captures never parses packets",
	},
	{
		[]string{"functions"},
		[]string{"github.com/Azure", module + "internal/azure", module + "internal/local", module + "internal/config", module + "functions"},
		"a function turns a trigger into a call of the domain; it knows neither vendors nor its neighbours",
	},
	{
		[]string{"internal/azure/arm"},
		[]string{module + "internal/azure/blob", module + "internal/azure/servicebus"},
		"adapters stand alone",
	},
	{
		[]string{"internal/azure/blob"},
		[]string{module + "internal/azure/arm", module + "internal/azure/servicebus"},
		"adapters stand alone",
	},
	{
		[]string{"internal/azure/servicebus"},
		[]string{module + "internal/azure/arm", module + "internal/azure/blob"},
		"adapters stand alone",
	},
	{
		[]string{"internal/azure/keyvault"},
		[]string{module + "internal/azure/arm", module + "internal/azure/blob", module + "internal/azure/servicebus"},
		"adapters stand alone",
	},
	{
		[]string{"internal/doctor"},
		[]string{"github.com/Azure", module + "internal/azure", module + "internal/local", module + "internal/config", module + "internal/capture"},
		"the doctor looks at what it is given through the eyes of the app itself",
	},
	{
		[]string{"internal/customhandler"},
		[]string{module + "internal", "github.com/Azure"},
		"the protocol knows nothing of what it carries",
	},
	{
		[]string{"internal/pcap", "internal/flow", "internal/dissect", "internal/detect", "internal/series", "internal/service", "internal/verdict", "internal/analysis", "internal/compare", "internal/redact", "internal/excerpt"},
		[]string{"log", "log/slog", "go.opentelemetry.io", module + "internal/telemetry"},
		"what is found is returned; what packets hold never reaches a log or a trace",
	},
}

// everybodys may be imported by all: what is printed is inert everywhere.
const everybodys = module + "internal/inert"

// only says who alone may import something.
var only = []struct {
	imported  string
	importers []string
	because   string
}{
	{"github.com/Azure", []string{"internal/azure", "internal/local/arm", "handler", "test"}, "vendor names stay in their adapters"},
	{"github.com/google/gopacket", []string{"internal/packet"}, "its readers and DNS layer fail on hostile files; it decodes headers, or judges who does"},
	{"go.opentelemetry.io/otel/sdk", []string{"internal/telemetry/otlp"}, "what is measured is one thing, where it goes another"},
	{"go.opentelemetry.io/otel/exporters", []string{"internal/telemetry/otlp"}, "what is measured is one thing, where it goes another"},
	{module + "internal/telemetry/otlp", []string{"handler", "internal/telemetry/otlp"}, "the program decides whether anything is exported"},
	{"os/exec", []string{"internal/local", "test", "handler"}, "nothing that runs in Azure starts a program"},
	{module + "internal/failpoint", []string{"handler", "functions", "internal/capture", "internal/outbox", "internal/local/folder"}, "steps are those of the walks and of the stores that have to survive them"},
	{module + "internal/azure", []string{"handler", "internal/azure", "test"}, "wire.go alone names both Azure and the domain"},
	{module + "internal/local", []string{"handler", "internal/local", "test", "internal/azure/servicebus"}, "nothing in Azure needs the local run; the Service Bus receiver serves its host"},
}

func TestImports(t *testing.T) {
	seen := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); path != ".." && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "testdata" || name == "build" || path == filepath.Join("..", "internal", "tools")) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		seen++
		rel, err := filepath.Rel("..", path)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(rel))
		// A package that ends in "test" is a suite for the tests of others.
		test := strings.HasSuffix(path, "_test.go") || strings.HasSuffix(dir, "test")
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range f.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			check(t, rel, dir, imported, test)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 50 {
		t.Errorf("only %d files were looked at", seen)
	}
}

func check(t *testing.T, file, dir, imported string, test bool) {
	if !test {
		for _, r := range rules {
			for _, importer := range r.importers {
				for _, forbidden := range r.imported {
					if within(dir, importer) && within(imported, forbidden) && imported != everybodys {
						t.Errorf("%s imports %s: %s", file, imported, r.because)
					}
				}
			}
		}
	}
	for _, o := range only {
		if !within(imported, o.imported) {
			continue
		}
		allowed := test && !strings.HasPrefix(imported, "github.com/google/gopacket")
		for _, importer := range o.importers {
			allowed = allowed || within(dir, importer)
		}
		if !allowed {
			t.Errorf("%s imports %s, which is for %s: %s", file, imported, strings.Join(o.importers, ", "), o.because)
		}
	}
}

func within(path, parent string) bool {
	return path == parent || strings.HasPrefix(path, parent+"/")
}

// TestNoVagueNames keeps out the packages that end up holding everything.
func TestNoVagueNames(t *testing.T) {
	vague := []string{"util", "utils", "common", "helper", "helpers", "types", "constants", "misc", "base", "shared"}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if path != ".." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || d.Name() == "build") {
			return filepath.SkipDir
		}
		for _, name := range vague {
			if d.Name() == name {
				if _, err := build.ImportDir(path, 0); err == nil {
					t.Errorf("%s: name the package for what it knows", path)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
