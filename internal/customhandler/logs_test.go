package customhandler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLogsNameTheirInvocation(t *testing.T) {
	var buf bytes.Buffer
	log := slog.New(LogHandler(slog.NewJSONHandler(&buf, nil)))
	deep := log.With("case", "c1").WithGroup("g").With("k", 1)
	h, err := New(log, Options{}, Timer("sweep", func(ctx context.Context, _ Tick) error {
		if InvocationID(ctx) != invocationID || FunctionName(ctx) != "sweep" || !strings.HasPrefix(TraceParent(ctx), "00-0af7651916cd43dd") {
			t.Errorf("context says %q, %q, %q", InvocationID(ctx), FunctionName(ctx), TraceParent(ctx))
		}
		deep.InfoContext(ctx, "hello", "n", 2)
		deep.DebugContext(ctx, "not this one")
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	r := hostRequest("/sweep", strings.NewReader(tickJSON))
	r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	log.Info("outside")

	var got []map[string]any
	for line := range strings.Lines(buf.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		delete(m, "time")
		delete(m, "duration_ms")
		got = append(got, m)
	}
	ids := func(m map[string]any) map[string]any {
		m["level"], m["invocation"], m["function"], m["trace"] = "INFO", invocationID, "sweep", "0af7651916cd43dd8448eb211c80319c"
		return m
	}
	want := []map[string]any{
		ids(map[string]any{"msg": "hello", "case": "c1", "g": map[string]any{"k": 1.0, "n": 2.0}}),
		ids(map[string]any{"msg": "invocation done"}),
		{"level": "INFO", "msg": "outside"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("console (-want +got):\n%s", diff)
	}
	a := checkAnswer(t, w)
	if len(a.Logs) != 2 || !strings.HasSuffix(a.Logs[0], "level=INFO msg=hello case=c1 g.k=1 g.n=2") || !strings.Contains(a.Logs[1], `msg="invocation done"`) {
		t.Errorf("Logs = %q", a.Logs)
	}
}

func TestLogsOfAnAnswerAreCapped(t *testing.T) {
	var buf bytes.Buffer
	log := slog.New(LogHandler(slog.NewJSONHandler(&buf, nil)))
	tests := []struct {
		name       string
		line       string
		times      int
		kept, more int
	}{
		{"many_lines", "x", 500, maxLines, 401},
		{"long_lines", strings.Repeat("é", 2000), 40, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, err := New(log, Options{}, Timer("sweep", func(ctx context.Context, _ Tick) error {
				for range tt.times {
					log.InfoContext(ctx, tt.line)
				}
				return nil
			}))
			if err != nil {
				t.Fatal(err)
			}
			_, a := post(t, h, "/sweep", tickJSON)
			size := 0
			for _, l := range a.Logs {
				size += len(l)
			}
			if size > maxLineBytes+200 {
				t.Errorf("%d bytes of logs", size)
			}
			if tt.more == 0 {
				return
			}
			if want := fmt.Sprintf("%d more lines are in the console log only", tt.more); len(a.Logs) != tt.kept+1 || a.Logs[tt.kept] != want {
				t.Errorf("%d lines, the last %q; want %d and %q", len(a.Logs), a.Logs[len(a.Logs)-1], tt.kept+1, want)
			}
		})
	}
}

// What a caller wrote may be quoted, but does nothing where it is read: not in
// the caller's answer, nor in the lines that the host files.
func TestForeignTextIsInert(t *testing.T) {
	const foreign = "<script>\x1b[31m${jndi:x}\u202e"
	h, _ := newHandler(t, Options{}, HTTP("start", 100, func(context.Context, *Request) (*Response, error) {
		return nil, Permanent(errors.New("the rule is " + foreign))
	}))
	_, a := post(t, h, "/start", alertInvocation("{}"))
	body := a.Outputs["res"].Body
	for where, text := range map[string]string{"answer": body, "log": strings.Join(a.Logs, "\n")} {
		for _, bad := range []string{"<script", "\x1b", "${", "\u202e"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s has %q as it is: %s", where, bad, text)
			}
		}
	}
	var p problem
	if err := json.Unmarshal([]byte(body), &p); err != nil || p.Detail != "the rule is "+foreign {
		t.Errorf("the answer says %q, %v", p.Detail, err)
	}
}

// Ids come from a header: nothing but an id gets into logs and answers.
func TestForeignIDs(t *testing.T) {
	for _, id := range []string{"", "a b", "x\ninjected", strings.Repeat("a", 65)} {
		var got string
		h, _ := newHandler(t, Options{}, Timer("sweep", func(ctx context.Context, _ Tick) error { got = InvocationID(ctx); return nil }))
		r := hostRequest("/sweep", strings.NewReader(tickJSON))
		r.Header["X-Azure-Functions-Invocationid"] = []string{id}
		r.Header.Set("Traceparent", "00-"+strings.Repeat("0", 32)+"-b7ad6b7169203331-01")
		h.ServeHTTP(httptest.NewRecorder(), r)
		if !strings.HasPrefix(got, "local-") {
			t.Errorf("id %q became %q", id, got)
		}
	}
}
