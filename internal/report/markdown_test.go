package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The tickets of the examples are as they were reviewed; go test -update
// writes them anew.
func TestMarkdown(t *testing.T) {
	for _, e := range examples() {
		t.Run(e.name, func(t *testing.T) {
			got := renderMarkdown(t, e)
			checkTables(t, string(got))
			withoutCode(t, string(got))
			if len(got) > maxTicket {
				t.Errorf("the ticket has %d bytes, want at most %d", len(got), maxTicket)
			}
			if strings.Contains(e.name, "hostile") || e.name == "nothing" {
				return
			}
			golden := filepath.Join("testdata", e.name+".md")
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(plainProgram(string(want)), plainProgram(string(got))); diff != "" {
				t.Errorf("ticket (-want +got):\n%s", diff)
			}
		})
	}
}

// plainProgram leaves out the version of the program, which the build knows.
func plainProgram(s string) string { return strings.ReplaceAll(s, program(), "pcapwarden") }

func TestDefang(t *testing.T) {
	for in, want := range map[string]string{
		"evil.example": "evil[.]example", "203.0.113.9": "203[.]0[.]113[.]9", "203.0.113.9:443": "203[.]0[.]113[.]9:443", "203.0.113.0/28": "203[.]0[.]113[.]0/28",
		"10.0.0.4": "10.0.0.4", "10.0.0.4:53": "10.0.0.4:53", "127.0.0.1": "127.0.0.1", "2001:db8::1": "2001:db8::1", "[2001:db8::1]:443": "[2001:db8::1]:443",
		"http://a.example/x.y": "http[:]//a[.]example/x[.]y", "plain": "plain", "": "",
	} {
		if got := defang(in); got != want {
			t.Errorf("defang(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestProseMarksNames(t *testing.T) {
	r := reader{names: []string{"two words", "short"}, kinds: []string{"tcp.reset"}}
	tests := []struct {
		in   string
		want []piece
	}{
		{"Nothing strange, at 15:52:10 UTC (95.5 %).", []piece{{"Nothing strange, at 15:52:10 UTC (95.5 %).", false}}},
		{"It asks (evil.example), twice.", []piece{{"It asks (", false}, {"evil.example", true}, {"), twice.", false}}},
		{"See tcp.reset and tcp.other.", []piece{{"See tcp.reset and ", false}, {"tcp.other", true}, {".", false}}},
		{"Named two words here", []piece{{"Named ", false}, {"two words", true}, {" here", false}}},
		{"10.0.0.4:53 took 1.5 µs, 3 of 4 – not more", []piece{{"10.0.0.4:53 took 1.5 µs, 3 of 4 – not more", false}}},
		{"file slow.pcap", []piece{{"file slow.pcap", false}}},
		{"a\u202eb", []piece{{`a\u{202E}b`, true}}},
		{"", nil},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, r.prose(tt.in)); diff != "" {
			t.Errorf("prose(%q) (-want +got):\n%s", tt.in, diff)
		}
	}
	total := 0
	for _, p := range r.prose(strings.Repeat("word ", 5000)) {
		total += len(p.Text)
	}
	if total > maxProse+10 {
		t.Errorf("a sentence has %d bytes", total)
	}
}

func TestMarkup(t *testing.T) {
	for in, want := range map[string]string{
		"plain words": "plain words", "- a": `\- a`, "1. one": `1\. one`, "3 of 3": "3 of 3", "a_b": `a\_b`, "by @oncall!": "by `\\u{40}oncall`\\!",
		"# heading": "`#` heading", "to 10.0.0.4:53, then": "to `10.0.0.4:53`, then", "=SUM": "`'=SUM`",
	} {
		if got := mdText(in); got != want {
			t.Errorf("mdText(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{"": "–", "a`b|c": "`a\\u{60}b\\u{7C}c`", "=1": "`'=1`"} {
		if got := mdCodeRaw(in); got != want {
			t.Errorf("mdCodeRaw(%q) = %q, want %q", in, got, want)
		}
	}
}
