package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestRun: checks run at once and are told in order, and one that hangs does
// not keep the others from being told.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var checks []Check
		for _, took := range []time.Duration{3 * time.Second, time.Hour, time.Second} {
			checks = append(checks, Check{Name: took.String(), Look: func(ctx context.Context) []Line {
				select {
				case <-time.After(took):
					return []Line{Good("it", "fine")}
				case <-ctx.Done():
					return []Line{Bad("it", context.Cause(ctx), "wait")}
				}
			}})
		}
		began := time.Now()
		lines := Run(t.Context(), checks, 10*time.Second)
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("it took %v", took)
		}
		var got []string
		for _, l := range lines {
			got = append(got, l.Check+" "+string(l.Status))
		}
		if s := strings.Join(got, ", "); s != "3s ok, 1h0m0s wrong, 1s ok" {
			t.Error(s)
		}
		if Healthy(lines) || !strings.Contains(lines[1].What, "no answer within 10s") {
			t.Errorf("%+v", lines[1])
		}
	})
}

// TestOneLineEach: what a service answers stays on its line, and does nothing
// where it is shown.
func TestOneLineEach(t *testing.T) {
	evil := errors.New("a\r\nwrong  forged: line\x1b[31m\u202e " + strings.Repeat("x", 10_000))
	lines := append(Mistakes("settings", errors.Join(errors.New("one"), errors.Join(errors.New("two"), evil)), "mend"), Good("a\nb", "ok"))
	var text, doc bytes.Buffer
	if err := Text(&text, lines); err != nil {
		t.Fatal(err)
	}
	if err := JSON(&doc, lines); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(text.String(), "\n"); n != len(lines) || n != 4 {
		t.Errorf("%d lines of text for %d findings:\n%s", n, len(lines), &text)
	}
	for _, out := range []string{text.String(), doc.String()} {
		if strings.ContainsAny(out, "\x1b\r\u202e") {
			t.Errorf("it is not harmless: %q", out[:min(len(out), 300)])
		}
	}
	if text.Len() > 3000 {
		t.Errorf("%d bytes of text", text.Len())
	}
	var back struct {
		Healthy bool
		Checks  []Line
	}
	if err := json.Unmarshal(doc.Bytes(), &back); err != nil || back.Healthy || len(back.Checks) != 4 {
		t.Errorf("%+v, %v", back, err)
	}
}

// TestRightsUnknown: an identity that may not ask for its permissions is not
// said to lack them.
func TestRightsUnknown(t *testing.T) {
	c := Rights(Scope{ID: "/s", Actions: []string{"a/read"}, Role: "r"}, func(context.Context, string) (func(string) bool, error) {
		return nil, errors.New("403")
	})
	lines := c.Look(t.Context())
	if len(lines) != 1 || lines[0].Status != Unknown || !Healthy(lines) || !strings.Contains(lines[0].Do, "a/read") {
		t.Errorf("%+v", lines)
	}
}
