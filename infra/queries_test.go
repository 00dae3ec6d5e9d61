package infra_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestQueriesAreUsed: each query is one that a rule or the workbook asks.
func TestQueriesAreUsed(t *testing.T) {
	found, err := filepath.Glob("queries/*.kql")
	if err != nil || len(found) < 10 {
		t.Fatalf("%d queries: %v", len(found), err)
	}
	used := map[string]bool{}
	for _, f := range sorted(all(t)) {
		for n := range f.Root.All("call_expression") {
			if n.Children[0].Text() == "loadTextContent" {
				used[n.Children[1].Children[0].Literal()] = true
			}
		}
	}
	for _, name := range found {
		if !used[filepath.ToSlash(name)] {
			t.Errorf("%s is asked by nobody", name)
		}
		delete(used, filepath.ToSlash(name))
	}
	for name := range used {
		t.Errorf("%s does not exist", name)
	}
}

// TestQueriesKnowTheEvents: a log line that is renamed would leave a query that
// finds nothing, and says so to nobody.
func TestQueriesKnowTheEvents(t *testing.T) {
	logged := literals(t)
	event := regexp.MustCompile(`(?:event|tostring\(e\.msg\)) (?:==|in) (\([^)]*\)|"[^"]*")`)
	word := regexp.MustCompile(`"([^"]*)"`)
	field := regexp.MustCompile(`\be\.([a-z_]+)`)
	events := 0
	for name, text := range queries(t) {
		for _, m := range event.FindAllStringSubmatch(text, -1) {
			for _, w := range word.FindAllStringSubmatch(m[1], -1) {
				events++
				if !logged[w[1]] && !slices.Contains(states, strings.TrimPrefix(w[1], "capture ")) {
					t.Errorf("%s: nobody logs %q", name, w[1])
				}
			}
		}
		for _, m := range field.FindAllStringSubmatch(text, -1) {
			if !logged[m[1]] && !slices.Contains([]string{"msg", "level"}, m[1]) {
				t.Errorf("%s: no line has a field %s", name, m[1])
			}
		}
	}
	if events < 10 {
		t.Errorf("only %d events were looked at", events)
	}
}

// TestQueriesKnowTheMetrics: the same, for metrics.
func TestQueriesKnowTheMetrics(t *testing.T) {
	recorded := literals(t)
	name := regexp.MustCompile(`\bName (?:==|in) (\([^)]*\)|"[^"]*")`)
	word := regexp.MustCompile(`"([^"]*)"`)
	metrics := 0
	for file, text := range queries(t) {
		if !strings.Contains(text, "AppMetrics") {
			continue
		}
		for _, m := range name.FindAllStringSubmatch(text, -1) {
			for _, w := range word.FindAllStringSubmatch(m[1], -1) {
				metrics++
				if !recorded[w[1]] {
					t.Errorf("%s: nobody records %q", file, w[1])
				}
			}
		}
	}
	if metrics < 5 {
		t.Errorf("only %d metrics were looked at", metrics)
	}
}

// states are those that the line "capture STATE" ends with.
var states = []string{"failed"}

// TestPlaceholdersAreFilled: each query that names an identity gets it.
func TestPlaceholdersAreFilled(t *testing.T) {
	placeholder := regexp.MustCompile(`[A-Z]+_IDENTITY`)
	watch, err := os.ReadFile("watch.bicep")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range queries(t) {
		for _, p := range placeholder.FindAllString(text, -1) {
			i := strings.Index(string(watch), filepath.Base(name))
			if i < 0 || !strings.Contains(strings.SplitN(string(watch[i:]), "\n", 2)[0], "'"+p+"'") {
				t.Errorf("%s: watch.bicep does not say who %s is", name, p)
			}
		}
	}
}

// queries are the texts of the queries, without their comments.
func queries(t *testing.T) map[string]string {
	t.Helper()
	found, err := filepath.Glob("queries/*.kql")
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, name := range found {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(text), "// ") {
			t.Errorf("%s does not say what it asks", name)
		}
		texts[name] = regexp.MustCompile(`(?m)(^|\s)//.*$`).ReplaceAllString(string(text), "")
	}
	return texts
}

// literals are the strings of the program's own source.
func literals(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	word := regexp.MustCompile(`"([^"\\\n]*)"`)
	for _, root := range []string{"../internal", "../functions", "../handler"} {
		err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			text, err := os.ReadFile(name)
			for _, m := range word.FindAllStringSubmatch(string(text), -1) {
				all[m[1]] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestLinesAreNotSampled: rules look for lines that are missing, and the
// workbook counts them.
func TestLinesAreNotSampled(t *testing.T) {
	text, err := os.ReadFile("../host.json")
	if err != nil {
		t.Fatal(err)
	}
	var host struct {
		Logging struct {
			ApplicationInsights struct {
				SamplingSettings struct{ ExcludedTypes string }
			}
		}
	}
	if err := json.Unmarshal(text, &host); err != nil {
		t.Fatal(err)
	}
	whole := strings.Split(host.Logging.ApplicationInsights.SamplingSettings.ExcludedTypes, ";")
	for _, kind := range []string{"Trace", "Request", "Exception"} {
		if !slices.Contains(whole, kind) {
			t.Errorf("some of each %s are left out", kind)
		}
	}
}
