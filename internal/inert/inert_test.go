package inert

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
)

func TestJSON(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"plain", `{"a":"b c","d":[1,2.5,null]}`, `{"a":"b c","d":[1,2.5,null]}`},
		{"other scripts", `"Übertragung 転送 é"`, `"Übertragung 転送 é"`},
		{"markup", `"<script>"`, `"\u003cscript\u003e"`},
		{"expression", `"${jndi:x} $5 $"`, `"\u0024{jndi:x} $5 $"`},
		{"direction", "\"a\u202eb\"", `"a\u202eb"`},
		{"invisible", "\"a\u200bb\"", `"a\u200bb"`},
		{"beyond 16 bits", "\"\U000e0001\"", `"\udb40\udc01"`},
		{"terminal", "\x1b[31m", `\u001b[31m`},
		{"one control of eight bits", "\u009b31m", `\u009b31m`},
		{"indented", "{\n\t\"a\": 1\r\n}\n", "{\n\t\"a\": 1 \n}\n"},
		{"back to the line's beginning", "a\rb", "a b"},
		{"broken UTF-8", "a\xffb", `a\ufffdb`},
		{"nothing", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(JSON([]byte(tt.text))); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestWriterOfALog(t *testing.T) {
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(Writer(&out), nil)).Info("alert", "rule", "<b>\u202e\x1b[0m${x}")
	for _, bad := range []string{"<b>", "\u202e", "\x1b", "${"} {
		if strings.Contains(out.String(), bad) {
			t.Errorf("%q is in the log as it is: %s", bad, &out)
		}
	}
	var line struct{ Rule string }
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Rule != "<b>\u202e\x1b[0m${x}" {
		t.Errorf("the log says %q, %v", line.Rule, err)
	}
}

func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":"<${\u0000"}`, "\"\u202e\U000e0001\"", "x\xff", "$", "\"x\"\r"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got := JSON(bytes.Clone(text))
		for _, bad := range []string{"<", ">", "${", "\x1b", "\x00", "\u202e", "\u2066"} {
			if bytes.Contains(got, []byte(bad)) {
				t.Errorf("%q is in %q", bad, got)
			}
		}
		var before, after any
		if json.Unmarshal(text, &before) != nil {
			return
		}
		if err := json.Unmarshal(got, &after); err != nil {
			t.Fatalf("%q became %q, which is no JSON: %v", text, got, err)
		}
		a, _ := json.Marshal(before)
		b, _ := json.Marshal(after)
		if !bytes.Equal(a, b) {
			t.Errorf("%s became %s", a, b)
		}
	})
}
