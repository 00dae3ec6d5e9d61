// Package infra holds what is deployed to Azure. Its tests check that without
// Azure: what the files say, not what Azure makes of it.
package infra_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pcapwarden/pcapwarden/test/bicep"
)

// entries are the files that are deployed by themselves.
var entries = []string{"main.bicep", "alerts.bicep"}

var once struct {
	sync.Mutex
	files map[string]*bicep.File
}

// all are the Bicep files of this folder, by name.
func all(t *testing.T) map[string]*bicep.File {
	t.Helper()
	once.Lock()
	defer once.Unlock()
	if once.files != nil {
		return once.files
	}
	names, err := filepath.Glob("*.bicep")
	if err != nil || len(names) < 10 {
		t.Fatalf("only %d files: %v", len(names), err)
	}
	files := map[string]*bicep.File{}
	for _, f := range bicep.Parse(t, names...) {
		for _, e := range f.Errors {
			t.Errorf("%s: %s", f.Name, e)
		}
		files[f.Name] = f
	}
	if t.Failed() {
		t.FailNow()
	}
	once.files = files
	return files
}

// sorted yields files in the order of their names.
func sorted(files map[string]*bicep.File) []*bicep.File {
	var in []*bicep.File
	for _, name := range slices.Sorted(maps.Keys(files)) {
		in = append(in, files[name])
	}
	return in
}

// of yields the resources of a type that the files declare.
func of(files map[string]*bicep.File, kind string, each func(*bicep.File, bicep.Resource)) int {
	seen := 0
	for _, f := range sorted(files) {
		for _, r := range f.Resources {
			if strings.EqualFold(r.Type, kind) && !r.Existing {
				seen++
				each(f, r)
			}
		}
	}
	return seen
}

func TestSyntax(t *testing.T) { all(t) }

// TestBrokenSyntaxIsSeen holds the parser to its word: it is no compiler.
func TestBrokenSyntaxIsSeen(t *testing.T) {
	good, err := os.ReadFile("queues.bicep")
	if err != nil {
		t.Fatal(err)
	}
	broken := map[string]string{
		"a_brace_too_few":  strings.Replace(string(good), "  }\n}", "  }\n", 1),
		"a_string_is_open": strings.Replace(string(good), "'default'", "'default", 1),
		"a_colon_too_few":  strings.Replace(string(good), "location: location", "location location", 1),
		"a_typing_error":   strings.Replace(string(good), "param sku string", "para sku string", 1),
		"no_ASCII":         strings.Replace(string(good), "param sku", "param \u0455ku", 1),
	}
	for name, text := range broken {
		t.Run(name, func(t *testing.T) {
			if text == string(good) {
				t.Fatal("nothing is broken")
			}
			file := filepath.Join(t.TempDir(), "x.bicep")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if f := bicep.Parse(t, file)[0]; len(f.Errors) == 0 {
				t.Error("it is taken for Bicep")
			}
		})
	}
}

// TestEveryFileIsDeployed finds the module that nobody names.
func TestEveryFileIsDeployed(t *testing.T) {
	files := all(t)
	used := map[string]bool{}
	var follow func(name string)
	follow = func(name string) {
		if used[name] {
			return
		}
		used[name] = true
		if files[name] == nil {
			t.Errorf("%s does not exist", name)
			return
		}
		for _, m := range files[name].Modules {
			follow(m.Path)
		}
	}
	for _, e := range entries {
		follow(e)
	}
	for name := range files {
		if !used[name] {
			t.Errorf("%s is deployed by nobody", name)
		}
	}
}

// TestParameters compares what azd gives with what main.bicep takes.
func TestParameters(t *testing.T) {
	main := all(t)["main.bicep"]
	text, err := os.ReadFile("main.parameters.json")
	if err != nil {
		t.Fatal(err)
	}
	var given struct {
		Parameters map[string]struct{ Value any }
	}
	if err := json.Unmarshal(text, &given); err != nil {
		t.Fatal(err)
	}
	known := map[string]bicep.Param{}
	for _, p := range main.Params {
		known[p.Name] = p
		if _, ok := given.Parameters[p.Name]; !ok && p.Default == nil {
			t.Errorf("main.parameters.json lacks %s", p.Name)
		}
	}
	for name, v := range given.Parameters {
		p, ok := known[name]
		if !ok {
			t.Errorf("main.bicep takes no %s", name)
			continue
		}
		if _, list := v.Value.([]any); list != (p.Type == "array") {
			t.Errorf("%s is a %s, not %T", name, p.Type, v.Value)
		}
	}
}
