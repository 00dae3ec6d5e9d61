package customhandler

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// readTimeout bounds how long the host may take to send an invocation, and
// writeTimeout how long to take the answer.
const (
	readTimeout  = 30 * time.Second
	writeTimeout = 30 * time.Second
)

// Options of a [Handler]. The zero value is ready for use.
type Options struct {
	// Timeout is how long one invocation may take: the context of the function
	// ends then. It must be below functionTimeout of host.json, where the host
	// kills the process and with it all other invocations. 0 means 4 minutes.
	Timeout time.Duration

	// Observe is told of every invocation, for telemetry; nil: nobody is. The
	// context that it returns is the function's, and traceParent, unless
	// empty, what [TraceParent] says from then on. Done is told what came of it.
	Observe func(ctx context.Context, v Invocation) (_ context.Context, traceParent string, done func(Outcome))
}

// An Invocation is one call of a function by the host.
type Invocation struct {
	ID          string
	Function    string
	Trigger     Trigger
	TraceParent string // "" where the host traces nothing
	MessageID   string // of a queue's message; see [Message]
	Deliveries  int
	Started     time.Time
}

// An Outcome is what came of an invocation.
type Outcome struct {
	Status   int // that an HTTP caller gets, else 0
	TimedOut bool
	Err      error // as it is logged
}

// A Handler answers the host. It runs as many invocations at the same time as
// the host asks for.
type Handler struct {
	log       *slog.Logger
	timeout   time.Duration
	observe   func(context.Context, Invocation) (context.Context, string, func(Outcome))
	functions map[string]Function // by the path the host posts to
}

// New returns the handler of the given functions. For records that name their
// invocation, log comes from a [LogHandler].
func New(log *slog.Logger, opts Options, functions ...Function) (*Handler, error) {
	h := &Handler{log: log, timeout: opts.Timeout, observe: opts.Observe, functions: map[string]Function{}}
	if h.timeout == 0 {
		h.timeout = 4 * time.Minute
	}
	var mistakes []error
	names := map[string]bool{}
	for _, f := range functions {
		if err := f.validate(); err != nil {
			mistakes = append(mistakes, err)
		}
		if folded := strings.ToLower(f.Name); names[folded] {
			mistakes = append(mistakes, fmt.Errorf("function %q: the name is taken; the host ignores case", f.Name))
		} else {
			names[folded] = true
		}
		h.functions["/"+f.Name] = f
	}
	if len(functions) == 0 {
		mistakes = append(mistakes, errors.New("no function; the host starts no handler without one"))
	}
	if h.timeout < 0 {
		mistakes = append(mistakes, errors.New("the time limit of an invocation must not be negative"))
	}
	if err := errors.Join(mistakes...); err != nil {
		return nil, err
	}
	return h, nil
}

// ServeHTTP answers one request of the host. It matches paths itself: the
// redirects of [http.ServeMux] would make the host lose the body.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	f, known := h.functions[path]
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case !isLoopback(r.Host):
		// A web page reaches us under a name that it had resolve to 127.0.0.1.
		h.refuse(w, r, http.StatusForbidden, "address this handler by its loopback address")
	case path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		write(w, http.StatusOK, map[string]string{"status": "ready"}) // the host asks every 25 ms while it starts
	case !known:
		h.refuse(w, r, http.StatusNotFound, "no such function; names are matched exactly")
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		h.refuse(w, r, http.StatusMethodNotAllowed, "the host invokes a function by POST")
	case media != "application/json":
		// A web page can post other types to loopback without being asked.
		h.refuse(w, r, http.StatusUnsupportedMediaType, "an invocation has Content-Type application/json")
	case r.Header.Get("Content-Encoding") != "":
		h.refuse(w, r, http.StatusUnsupportedMediaType, "an invocation has no Content-Encoding")
	default:
		h.invoke(w, r, f)
	}
}

func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return host == "127.0.0.1" || host == "localhost" || host == "::1" || host == "[::1]"
}

func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, status int, detail string) {
	h.log.WarnContext(r.Context(), "request refused", "status", status, "method", cut(r.Method, 16), "path", cut(r.URL.EscapedPath(), 128), "reason", detail)
	write(w, status, problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail})
}

// result is what the host reads. ReturnValue is left out: without a binding of
// that name the host would spread an object there over the outputs.
type result struct {
	Outputs map[string]any
	Logs    []string
}

func (h *Handler) invoke(w http.ResponseWriter, r *http.Request, f Function) {
	started := time.Now()
	inv := newInvocation(r.Header, f.Name)
	timeout := h.timeout
	if f.within > 0 {
		timeout = min(timeout, f.within)
	}
	ctx, cancel := context.WithTimeoutCause(withInvocation(r.Context(), inv), timeout,
		fmt.Errorf("function %s took longer than %v", f.Name, timeout))
	defer cancel()

	rc := http.NewResponseController(w)
	rc.SetReadDeadline(started.Add(readTimeout))
	body := http.MaxBytesReader(w, r.Body, f.envelope())
	run, m, err := h.read(ctx, f, body)
	if err != nil {
		// The host looks at the answer only when its body was taken.
		io.Copy(io.Discard, body)
	}
	rc.SetReadDeadline(time.Time{}) // else it would cancel the context of a long run

	done := func(Outcome) {}
	if h.observe != nil {
		var parent string
		ctx, parent, done = h.observe(ctx, Invocation{inv.id, f.Name, f.trigger, inv.traceParent, m.messageID, m.deliveryCount, started})
		inv.traceParent = cmp.Or(parent, inv.traceParent)
	}
	var resp *Response
	if err == nil {
		resp, err = h.run(ctx, run)
	}
	status, output, err := outcome(f, inv, resp, err)
	h.record(ctx, f, output, err, time.Since(started))
	done(Outcome{Status: output.status(), TimedOut: err != nil && ctx.Err() != nil, Err: err})

	answer := result{Outputs: map[string]any{}, Logs: inv.lines.all()}
	if output != nil {
		answer.Outputs["res"] = output
	}
	rc.SetWriteDeadline(time.Now().Add(writeTimeout))
	write(w, status, answer)
	rc.SetWriteDeadline(time.Time{})
}

// protocolError is about the host's JSON rather than about the payload.
type protocolError struct {
	status int
	err    error
}

func (e *protocolError) Error() string { return "read the invocation: " + e.err.Error() }
func (e *protocolError) Unwrap() error { return e.err }

// panicError tells that a function panicked, without the value: it may quote
// the payload.
type panicError struct{ what, stack string }

func (e *panicError) Error() string { return "function panicked: " + e.what }

// contain turns a panic into an error of this invocation; the others go on.
func contain(err *error) {
	v := recover()
	if v == nil {
		return
	}
	what := fmt.Sprintf("a %T", v)
	if e, ok := v.(runtime.Error); ok {
		what = e.Error() // index and length at most
	}
	*err = &panicError{what, string(debug.Stack())}
}

func (h *Handler) read(ctx context.Context, f Function, body io.Reader) (run func(context.Context) (*Response, error), m metadata, err error) {
	defer contain(&err)
	c, m, err := readInvocation(newScanner(body), f)
	if err != nil {
		return nil, m, err
	}
	return func(ctx context.Context) (*Response, error) { return c(ctx, m) }, m, nil
}

func (h *Handler) run(ctx context.Context, run func(context.Context) (*Response, error)) (resp *Response, err error) {
	defer contain(&err)
	return run(ctx)
}

// outcome says what the host is answered, and what the caller of an HTTP
// function gets from it. The error is what is to be logged.
func outcome(f Function, inv *invocation, resp *Response, err error) (status int, output *httpOutput, logged error) {
	if p, ok := errors.AsType[*protocolError](err); ok {
		return p.status, nil, err
	}
	if _, ok := errors.AsType[*panicError](err); ok {
		return http.StatusInternalServerError, nil, err
	}
	if !f.http {
		if err != nil && !IsPermanent(err) {
			return http.StatusInternalServerError, nil, err
		}
		return http.StatusOK, nil, err
	}
	if err != nil {
		resp = responseTo(err, inv.id)
	}
	output, wrong := resp.output()
	if wrong != nil {
		return http.StatusInternalServerError, nil, errors.Join(err, wrong)
	}
	return http.StatusOK, output, err
}

// record logs the one line that every invocation gets.
func (h *Handler) record(ctx context.Context, f Function, output *httpOutput, err error, took time.Duration) {
	attrs := []slog.Attr{slog.Int64("duration_ms", took.Milliseconds())}
	if output != nil {
		attrs = append(attrs, slog.String("status", output.StatusCode))
	}
	if err == nil {
		h.log.LogAttrs(ctx, slog.LevelInfo, "invocation done", attrs...)
		return
	}
	attrs = append(attrs, slog.String("err", errorText(err)))
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		attrs = append(attrs, slog.String("cause", errorText(cause)))
	}
	level, message := slog.LevelError, "invocation failed; it may be tried again"
	if p, ok := errors.AsType[*panicError](err); ok {
		message = "invocation panicked"
		attrs = append(attrs, slog.String("stack", p.stack))
	} else if IsPermanent(err) {
		message = "invocation failed for good"
		if f.http {
			level, message = slog.LevelWarn, "request refused"
		}
	}
	h.log.LogAttrs(ctx, level, message, attrs...)
}

// write answers with v as JSON: never empty, which would hang the host.
func write(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // v is of this package, its strings are marshalled whatever they hold
		status, body = http.StatusInternalServerError, []byte(`{"Outputs":{},"Logs":["the answer was lost"]}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(status)
	w.Write(body)
}
