package main

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/local/loop"
)

// TestTheLogTellsTheStory plays one incident from its alert until its evidence
// is deleted: who reads its lines in the log, fewer than 30, learns what
// happened, in order.
func TestTheLogTellsTheStory(t *testing.T) {
	if testing.Short() {
		t.Skip("takes two minutes")
	}
	t.Parallel()
	o := localOptions(t, "partner-tls")
	o.Policy = []byte(strings.Replace(string(o.Scenario.Policy(time.Now())), "retention: 7d", "retention: 45s", 1))
	l := startVerifying(t, o)
	outcomes, err := l.Play(t.Context())
	if err != nil || len(outcomes) != 1 {
		t.Fatalf("outcomes %+v, %v", outcomes, err)
	}
	c := outcomes[0].Case
	for range 1500 {
		if c, err = l.Ledger.Case(t.Context(), c.Incident, c.ID); err != nil {
			t.Fatal(err)
		}
		if c.State == capture.Expired {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if c.State != capture.Expired {
		t.Fatalf("the case is %s, %s; want its evidence deleted", c.State, c.Reason)
	}
	lines := linesOf(t, o, c.Incident)
	t.Logf("%d lines:\n%s", len(lines), strings.Join(lines, "\n"))
	if len(lines) >= 30 {
		t.Errorf("%d lines, want fewer than 30", len(lines))
	}
	rest := lines
	for _, station := range []string{
		"alert accepted", "capture started", "alert resolved", "capture stopped", "findings sent",
		"session deleted", "evidence deleted",
	} {
		n := 0
		for n < len(rest) && !strings.HasPrefix(rest[n], station) {
			n++
		}
		if n == len(rest) {
			t.Errorf("no line %q where it belongs", station)
			continue
		}
		rest = rest[n+1:]
	}
}

// linesOf are the handler's lines about an incident, without their times.
func linesOf(t *testing.T, o loop.Options, incident string) (lines []string) {
	t.Helper()
	f, err := os.Open(filepath.Join(o.Dir, "log.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	scan := bufio.NewScanner(f)
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		if !strings.Contains(scan.Text(), incident) {
			continue
		}
		var line map[string]any
		if err := json.Unmarshal(scan.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line["msg"] == "invocation log" { // the same line, as the host shows it with its invocation
			continue
		}
		if text, ok := line["text"].(string); ok { // as the host heard it from the handler
			var inner map[string]any
			if json.Unmarshal([]byte(text), &inner) == nil {
				line = inner
			}
		}
		msg, _ := line["msg"].(string)
		for _, key := range []string{"time", "level", "msg", "incident", "invocation", "function"} {
			delete(line, key)
		}
		rest, err := json.Marshal(line)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, msg+" "+string(rest))
	}
	if err := scan.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}
