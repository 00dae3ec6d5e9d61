package report

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

func checkWidth(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if n := columns(strings.TrimSuffix(line, "\n")); n > width {
			t.Errorf("line has %d columns: %q", n, line)
		}
	}
}

func TestText(t *testing.T) {
	for _, e := range examples() {
		if e.incident != nil || e.name == "whole" {
			continue
		}
		t.Run(e.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := Text(&b, e.page.Analysis); err != nil {
				t.Fatal(err)
			}
			checkWidth(t, b.String())
			if e.name == "hostile" {
				return // its width is what matters
			}
			golden := filepath.Join("testdata", e.name+".txt")
			if *update {
				if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Errorf("Text (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTextOfSeveral(t *testing.T) {
	var b bytes.Buffer
	a, _ := partnerTLS()
	if err := Text(&b, a, unreadable()); err != nil {
		t.Fatal(err)
	}
	first, second, found := strings.Cut(b.String(), "\n"+strings.Repeat("=", width)+"\n")
	if !found || !strings.Contains(first, "Verdict: tls-rejected") || !strings.Contains(second, "Verdict: inconclusive") {
		t.Errorf("Text of two:\n%s", b.String())
	}
}

func TestJSONRoundTrip(t *testing.T) {
	for _, e := range examples()[:5] {
		t.Run(e.name, func(t *testing.T) {
			var first, second bytes.Buffer
			if err := JSON(&first, e.page.Analysis); err != nil {
				t.Fatal(err)
			}
			read, err := ReadJSON(bytes.NewReader(first.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			if read.Capture.File != strings.ToValidUTF8(e.page.Analysis.Capture.File, "\ufffd") {
				t.Errorf("file = %q, want %q", read.Capture.File, e.page.Analysis.Capture.File)
			}
			if err := JSON(&second, read); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(first.String(), second.String()); diff != "" {
				t.Errorf("a document that was read is written otherwise (-first +second):\n%s", diff)
			}
		})
	}
}

func TestReadJSONRefuses(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"another schema", `{"schema":"other/v9"}`, `schema is "other/v9"`},
		{"an array", `[]`, "read analysis"},
		{"half a document", `{"schema":`, "read analysis"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := ReadJSON(strings.NewReader(test.in)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("ReadJSON(%s) = %v, want an error with %q", test.in, err, test.want)
			}
		})
	}
}

func TestJSONOfSeveralIsAnArray(t *testing.T) {
	var b bytes.Buffer
	if err := JSON(&b, &analysis.Analysis{}, &analysis.Analysis{}); err != nil {
		t.Fatal(err)
	}
	if s := b.String(); !strings.HasPrefix(s, "[") {
		t.Errorf("JSON of two begins with %q", s[:20])
	}
}
