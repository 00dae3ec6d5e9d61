package telemetry_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/telemetry"
)

var update = flag.Bool("update", false, "rewrite docs/TELEMETRY.md")

const begin, end = "<!-- metrics: go test ./internal/telemetry -update -->\n", "<!-- end of metrics -->\n"

// TestPage holds docs/TELEMETRY.md's table against the code.
func TestPage(t *testing.T) {
	const file = "../../docs/TELEMETRY.md"
	var table strings.Builder
	table.WriteString("| metric | kind | unit | labels | what |\n|---|---|---|---|---|\n")
	for _, d := range telemetry.All {
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s | %s |\n", d.Name, d.Kind, d.Unit, strings.Join(d.Labels, ", "), d.Doc)
	}
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := bytes.Cut(page, []byte(begin))
	_, after, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", file)
	}
	want := string(before) + begin + table.String() + end + string(after)
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(page) {
		t.Errorf("%s is stale: go test ./internal/telemetry -update", file)
	}
}

// TestLabelsAreFew: a label that grows with what exists makes every metric
// expensive, and tells who reads it names that are none of his business.
func TestLabelsAreFew(t *testing.T) {
	known := map[string]bool{"result": true, "reason": true, "why": true, "cap": true, "severity": true, "op": true, "code": true, "kind": true, "state": true, "action": true, "version": true}
	names := map[string]bool{}
	for _, d := range telemetry.All {
		for _, l := range d.Labels {
			if !known[l] {
				t.Errorf("%s has the label %q: which fixed words does it have?", d.Name, l)
			}
		}
		if len(d.Labels) > 2 || names[d.Name] {
			t.Errorf("%s is defined twice, or has %d labels", d.Name, len(d.Labels))
		}
		names[d.Name] = true
	}
}
