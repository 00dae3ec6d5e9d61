package functionshost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/customhandler"
)

// testMode makes the test binary something else than the tests: a handler, or
// a host to be killed.
const testMode = "FUNCTIONSHOST_TEST_MODE"

func TestMain(m *testing.M) {
	switch mode := os.Getenv(testMode); mode {
	case "":
		os.Exit(m.Run())
	case "host":
		os.Exit(hostToBeKilled())
	case "good":
		os.Exit(goodHandler())
	case "bad":
		os.Exit(badHandler())
	default:
		os.Exit(earlyExit(mode))
	}
}

// goodHandler is an app on customhandler that tells what it got.
func goodHandler() int {
	log := slog.New(customhandler.LogHandler(slog.NewJSONHandler(os.Stdout, nil)))
	act := func(ctx context.Context, what string) error {
		log.InfoContext(ctx, "got", "what", what, "pid", os.Getpid())
		verb, rest, _ := strings.Cut(what, " ")
		switch verb {
		case "fail":
			return errors.New("told to")
		case "refuse":
			return customhandler.Permanent(errors.New("told to"))
		case "hang":
			select {}
		case "exit":
			var code int
			fmt.Sscan(rest, &code)
			fmt.Fprintln(os.Stderr, "last words")
			os.Exit(code)
		case "child":
			child := exec.Command("sleep", "1000")
			child.Stdout = os.Stdout // and keeps the host's pipe open
			if err := child.Start(); err != nil {
				return err
			}
			log.InfoContext(ctx, "child", "pid", child.Process.Pid)
		}
		return nil
	}
	h, err := customhandler.New(log, customhandler.Options{},
		customhandler.HTTP("start", 1<<20, func(ctx context.Context, r *customhandler.Request) (*customhandler.Response, error) {
			if err := act(ctx, string(r.Body)); err != nil {
				return nil, err
			}
			return &customhandler.Response{Status: 202, Body: map[string]any{
				"method": r.Method, "query": r.Query, "params": r.Params, "body": string(r.Body), "type": r.Header.Get("Content-Type"),
			}}, nil
		}),
		customhandler.Timer("sweep", func(ctx context.Context, t customhandler.Tick) error {
			return act(ctx, fmt.Sprintf("tick %v %v", t.PastDue, t.Status != nil && t.Status.Last.IsZero()))
		}),
		customhandler.ServiceBus("analyze", customhandler.Binary, 1<<20, func(ctx context.Context, m customhandler.Message) error {
			return act(ctx, fmt.Sprintf("%s %s %d", m.Body, m.ID, m.DeliveryCount))
		}),
		customhandler.ServiceBus("text", customhandler.Text, 1<<20, func(ctx context.Context, m customhandler.Message) error {
			return act(ctx, string(m.Body))
		}),
		customhandler.EventGrid("landed", func(ctx context.Context, events []json.RawMessage) error {
			return act(ctx, string(events[0]))
		}))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	l, err := customhandler.Listen(os.Getenv)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return customhandler.ExitCode(customhandler.Serve(context.Background(), log, l, h, time.Second))
}

// badHandler answers as its function is named, by no protocol.
func badHandler() int {
	l, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv(customhandler.PortVariable))
	if err != nil {
		return 1
	}
	http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		for _, a := range badAnswers {
			if r.URL.Path != "/"+a.name {
				continue
			}
			if a.location != "" {
				w.Header().Set("Location", a.location)
			}
			w.Header()["Content-Type"] = nil
			if a.contentType != "" {
				w.Header().Set("Content-Type", a.contentType)
			}
			w.WriteHeader(a.status)
			io.WriteString(w, a.body)
			return
		}
		if r.URL.Path == "/reset" {
			panic(http.ErrAbortHandler)
		}
	}))
	return 1
}

// earlyExit is a handler that fails before it serves: exitN, or one that never
// listens.
func earlyExit(mode string) int {
	if file := os.Getenv("FUNCTIONSHOST_TEST_COUNT"); file != "" {
		if f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
			f.WriteString("x")
			f.Close()
		}
		if raw, err := os.ReadFile(file); err == nil && len(raw) >= 6 {
			return goodHandler()
		}
	}
	if mode == "deaf" {
		never := make(chan os.Signal, 1)
		signal.Notify(never, os.Interrupt)
		<-never
	}
	var code int
	fmt.Sscanf(mode, "exit%d", &code)
	fmt.Fprintln(os.Stderr, "warning: leaving")
	return code
}

const (
	hostJSON   = `{"version":"2.0","functionTimeout":"00:05:00","customHandler":{"description":{"defaultExecutablePath":"%TEST_BINARY%"},"initializationTimeout":"00:00:30"}}`
	timerJSON  = `{"bindings":[{"type":"timerTrigger","direction":"in","name":"timer","schedule":"0 0 0 1 1 *"}]}`
	httpJSON   = `{"bindings":[{"type":"httpTrigger","direction":"in","name":"req","methods":["post"]},{"type":"http","direction":"out","name":"res"}]}`
	binaryJSON = `{"bindings":[{"type":"serviceBusTrigger","direction":"in","name":"msg","dataType":"binary","queueName":"%QUEUE%","connection":"ServiceBus"}]}`
	textJSON   = `{"bindings":[{"type":"serviceBusTrigger","direction":"in","name":"msg","queueName":"texts","connection":"ServiceBus"}]}`
	eventJSON  = `{"bindings":[{"type":"eventGridTrigger","direction":"in","name":"event"}]}`
)

// writeApp lays out an app.
func writeApp(t *testing.T, host string, functions map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{"host.json": host}
	for name, text := range functions {
		files[filepath.Join(name, "function.json")] = text
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func settings(t *testing.T, mode string) map[string]string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{testMode: mode, "TEST_BINARY": self, "QUEUE": "jobs"}
}

// recorder keeps events, and lets tests wait for one.
type recorder struct {
	mu      sync.Mutex
	events  []Event
	changed chan struct{}
}

func newRecorder() *recorder { return &recorder{changed: make(chan struct{})} }

func (r *recorder) observe(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	close(r.changed)
	r.changed = make(chan struct{})
}

// find returns the nth event of a kind whose text contains a text.
func (r *recorder) find(n int, kind Kind, text string) (e Event, changed chan struct{}, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.Kind == kind && strings.Contains(e.Text, text) {
			if n--; n == 0 {
				return e, nil, true
			}
		}
	}
	return Event{}, r.changed, false
}

func (r *recorder) wait(t *testing.T, n int, kind Kind, text string) Event {
	t.Helper()
	for {
		e, changed, ok := r.find(n, kind, text)
		if ok {
			return e
		}
		select {
		case <-changed:
		case <-time.After(time.Minute):
			r.mu.Lock()
			defer r.mu.Unlock()
			t.Fatalf("no event %q with %q (%d) in %+v", kind, text, n, r.events)
		}
	}
}

// startHost starts a host that is closed with the test.
func startHost(t *testing.T, c Config) (*Host, *recorder) {
	t.Helper()
	r := newRecorder()
	c.Observe = r.observe
	h, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h, r
}
