package customhandler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const invocationID = "6f6a0b1e-0000-4000-8000-000000000001"

// answerOf is the part of an answer that the host reads.
type answerOf struct {
	Outputs map[string]struct {
		StatusCode string
		Headers    map[string]string
		Body       string
	}
	Logs []string
}

// newHandler returns a handler of the functions that logs into the buffer.
func newHandler(t *testing.T, opts Options, functions ...Function) (*Handler, *bytes.Buffer) {
	t.Helper()
	log := &bytes.Buffer{}
	h, err := New(slog.New(LogHandler(slog.NewJSONHandler(log, nil))), opts, functions...)
	if err != nil {
		t.Fatal(err)
	}
	return h, log
}

// hostRequest is an invocation as the host sends it.
func hostRequest(path string, body io.Reader) *http.Request {
	r := httptest.NewRequest("POST", path, body)
	r.Host = "127.0.0.1:40001"
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("X-Azure-Functions-InvocationId", invocationID)
	return r
}

// post invokes a function, and checks what holds for every answer: the host
// would hang on an empty one.
func post(t *testing.T, h http.Handler, path, body string) (int, answerOf) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, hostRequest(path, strings.NewReader(body)))
	return w.Code, checkAnswer(t, w)
}

func checkAnswer(t *testing.T, w *httptest.ResponseRecorder) (a answerOf) {
	t.Helper()
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type = %q, want application/json", got)
	}
	if w.Code/100 == 3 {
		t.Errorf("status = %d; the host follows redirects", w.Code)
	}
	if !strings.HasPrefix(w.Body.String(), "{") {
		t.Errorf("answer = %q, want a JSON object", w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Errorf("answer %q: %v", w.Body, err)
	}
	return a
}

func alertInvocation(body string) string {
	quoted, _ := json.Marshal(body)
	return `{"Data":{"req":{"Url":"https://a.example/api/start?code=KEY","Method":"POST","Query":{"code":"KEY","probe":"1"},` +
		`"Headers":{"Content-Type":["application/json"],"X-Functions-Key":["KEY"],"X-Original-URL":["/api/start?code=KEY"],"X-Forwarded-For":["6.6.6.6, 20.0.0.10:51234"]},` +
		`"Params":{"tenant":"t1"},"Identities":[{"Claims":[]}],"Body":` + string(quoted) + `}},"Metadata":{"schemaId":"\"x\"","sys":{"MethodName":"start"}}}`
}

func TestHTTPRequest(t *testing.T) {
	var got *Request
	h, _ := newHandler(t, Options{}, HTTP("start", 100, func(_ context.Context, r *Request) (*Response, error) {
		got = r
		return &Response{Status: 202, Header: map[string]string{"location": "x"}, Body: map[string]bool{"accepted": true}}, nil
	}))
	status, a := post(t, h, "/start", alertInvocation(`{"a":"é\u0001"}`))
	want := &Request{
		Method: "POST",
		Header: http.Header{"Content-Type": {"application/json"}, "X-Forwarded-For": {"6.6.6.6, 20.0.0.10:51234"}},
		Query:  map[string][]string{"probe": {"1"}},
		Params: map[string]string{"tenant": "t1"},
		Body:   []byte(`{"a":"é\u0001"}`),
		Caller: netip.MustParseAddr("20.0.0.10"),
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	res := a.Outputs["res"]
	if status != 200 || res.StatusCode != "202" || res.Body != `{"accepted":true}` || res.Headers["Content-Type"] != "application/json" || res.Headers["Location"] != "x" {
		t.Errorf("answer = %d %+v", status, a)
	}
}

func TestHTTPOutcome(t *testing.T) {
	tests := []struct {
		name       string
		response   *Response
		err        error
		hostStatus int
		status     string
		body       string // contained in the caller's body
	}{
		{name: "no_response", hostStatus: 200, status: "200", body: "{}"},
		{name: "transient", err: errors.New("dial 10.0.0.5: secret"), hostStatus: 200, status: "503", body: invocationID},
		{name: "permanent", err: Permanent(errors.New("send <one> alert")), hostStatus: 200, status: "400", body: `send \u003cone\u003e alert`},
		{name: "refused", err: fmt.Errorf("check: %w", Refused(403, errors.New("no role"))), hostStatus: 200, status: "403", body: "check: no role"},
		{name: "refused_with_a_status_to_try_again", err: Refused(429, errors.New("x")), hostStatus: 200, status: "400", body: "x"},
		{name: "redirect", response: &Response{Status: 302}, hostStatus: 500},
		{name: "body_that_is_no_json", response: &Response{Body: func() {}}, hostStatus: 500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, _ := newHandler(t, Options{}, HTTP("start", 100, func(context.Context, *Request) (*Response, error) { return tt.response, tt.err }))
			status, a := post(t, h, "/start", alertInvocation("{}"))
			res := a.Outputs["res"]
			if status != tt.hostStatus || res.StatusCode != tt.status || !strings.Contains(res.Body, tt.body) {
				t.Errorf("answer = %d %+v, want %d with %s %q", status, res, tt.hostStatus, tt.status, tt.body)
			}
			if tt.err != nil && res.Headers["Content-Type"] != "application/problem+json" {
				t.Errorf("headers = %v, want a problem", res.Headers)
			}
			if strings.Contains(res.Body, "secret") {
				t.Errorf("the caller is told %q", res.Body)
			}
		})
	}
}

func TestHTTPBody(t *testing.T) {
	tests := []struct {
		name    string
		headers string
		body    string // as JSON
		want    string
		status  string
	}{
		{"limit", ``, `"` + strings.Repeat("é", 8) + `"`, strings.Repeat("é", 8), "200"},
		{"above_the_limit", ``, `"` + strings.Repeat("é", 8) + `x"`, "", "413"},
		{"far_above_the_limit", ``, `"` + strings.Repeat("x", 1<<20) + `"`, "", "413"},
		{"null", ``, `null`, "", "200"},
		{"octets", `"content-type":["application/octet-stream"]`, `"AAEC/w=="`, "", "400"},
		{"octets_without_nul", `"content-type":["application/octet-stream"]`, `"/wE="`, "\xff\x01", "200"},
		{"gzip", `"content-encoding":["gzip"]`, `"x"`, "", "415"},
		{"nul", ``, `"a\u0000b"`, "", "400"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []byte
			h, _ := newHandler(t, Options{}, HTTP("start", 16, func(_ context.Context, r *Request) (*Response, error) {
				got = r.Body
				return nil, nil
			}))
			status, a := post(t, h, "/start", `{"Data":{"req":{"Body":`+tt.body+`,"Method":"POST","Headers":{`+tt.headers+`},"Query":"{}"}},"Metadata":{}}`)
			if status != 200 || a.Outputs["res"].StatusCode != tt.status || string(got) != tt.want {
				t.Errorf("body = %q, answer %d %+v; want %q and %s", got, status, a.Outputs["res"], tt.want, tt.status)
			}
		})
	}
}

// The host asks for readiness, and a web page may ask for anything.
func TestRequestsOutsideInvocations(t *testing.T) {
	h, log := newHandler(t, Options{}, Timer("sweep", func(context.Context, Tick) error { t.Error("invoked"); return nil }))
	tests := []struct {
		name, method, target, host, contentType, encoding string
		want                                              int
	}{
		{"readiness", "GET", "/", "127.0.0.1:1", "", "", 200},
		{"post_root", "POST", "/", "127.0.0.1:1", "application/json", "", 404},
		{"other_path", "POST", "/other", "127.0.0.1:1", "application/json", "", 404},
		{"trailing_slash", "POST", "/sweep/", "127.0.0.1:1", "application/json", "", 404},
		{"double_slash", "POST", "//sweep", "127.0.0.1:1", "application/json", "", 404},
		{"dots", "POST", "/x/../sweep", "127.0.0.1:1", "application/json", "", 404},
		{"escaped", "POST", "/%73weep", "127.0.0.1:1", "application/json", "", 404},
		{"other_case", "POST", "/Sweep", "127.0.0.1:1", "application/json", "", 404},
		{"get", "GET", "/sweep", "127.0.0.1:1", "", "", 405},
		{"form", "POST", "/sweep", "localhost:1", "text/plain", "", 415},
		{"compressed", "POST", "/sweep", "[::1]:1", "application/json", "gzip", 415},
		{"rebound_name", "POST", "/sweep", "evil.example:1", "application/json", "", 403},
		{"rebound_readiness", "GET", "/", "127.0.0.1.evil.example", "", "", 403},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			log.Reset()
			r := httptest.NewRequest(tt.method, "http://x"+tt.target, strings.NewReader("{}"))
			r.Host = tt.host
			r.Header.Set("Content-Type", tt.contentType)
			r.Header.Set("Content-Encoding", tt.encoding)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			checkAnswer(t, w)
			if w.Code != tt.want {
				t.Errorf("status = %d, want %d", w.Code, tt.want)
			}
			if logged := log.Len() > 0; logged != (tt.want != 200) {
				t.Errorf("log = %q", log)
			}
		})
	}
}

func TestPanicStaysInItsInvocation(t *testing.T) {
	h, log := newHandler(t, Options{},
		Timer("bad", func(context.Context, Tick) error { panic("payload password=hunter2") }),
		Timer("index", func(_ context.Context, tick Tick) error { _ = []int{}[len(FunctionName(t.Context()))]; return nil }),
		Timer("good", func(context.Context, Tick) error { return nil }))
	for _, tt := range []struct {
		path, log string
		want      int
	}{{"/bad", "a string", 500}, {"/index", "index out of range [0] with length 0", 500}, {"/good", "invocation done", 200}} {
		log.Reset()
		if status, _ := post(t, h, tt.path, tickJSON); status != tt.want {
			t.Errorf("%s: status = %d, want %d", tt.path, status, tt.want)
		}
		if !strings.Contains(log.String(), tt.log) || strings.Contains(log.String(), "hunter2") {
			t.Errorf("%s: log = %s", tt.path, log)
		}
		if tt.want == 500 && !strings.Contains(log.String(), "handler_test.go") {
			t.Errorf("%s: no stack in the log: %s", tt.path, log)
		}
	}
}

func TestTimeout(t *testing.T) {
	tests := []struct {
		name   string
		opts   Options
		within time.Duration
		want   time.Duration
	}{
		{"default", Options{}, 0, 4 * time.Minute},
		{"option", Options{Timeout: time.Minute}, 0, time.Minute},
		{"within", Options{Timeout: time.Minute}, time.Second, time.Second},
		{"within_is_no_longer", Options{Timeout: time.Minute}, time.Hour, time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := Timer("sweep", func(ctx context.Context, _ Tick) error {
					<-ctx.Done()
					return fmt.Errorf("list captures: %w", ctx.Err())
				})
				h, log := newHandler(t, tt.opts, f.Within(tt.within))
				started := time.Now()
				status, _ := post(t, h, "/sweep", tickJSON)
				if took := time.Since(started); took != tt.want || status != 500 {
					t.Errorf("status %d after %v, want 500 after %v", status, took, tt.want)
				}
				if want := fmt.Sprintf("function sweep took longer than %v", tt.want); !strings.Contains(log.String(), want) {
					t.Errorf("log = %s, want %q", log, want)
				}
			})
		})
	}
}

func TestNewReportsEveryMistake(t *testing.T) {
	serve := func(context.Context, *Request) (*Response, error) { return nil, nil }
	_, err := New(slog.New(slog.DiscardHandler), Options{Timeout: -1},
		HTTP("1st", 1, serve), HTTP("host", 1, serve), HTTP("a", 0, serve), HTTP("A", 1, serve), Function{Name: "zero"}, HTTP("b", 1, serve).Within(-1))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`"1st"`, `"host"`, "limit of its payload", `"A": the name is taken`, "built by none", "negative", "time limit of an invocation"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	if _, err := New(slog.New(slog.DiscardHandler), Options{}); err == nil {
		t.Error("no error without a function")
	}
}

// An endless body ends at the limit of the envelope, and is answered.
func TestEndlessBody(t *testing.T) {
	var got string
	h, _ := newHandler(t, Options{}, HTTP("start", 300<<10, func(_ context.Context, r *Request) (*Response, error) {
		got = "invoked"
		return nil, nil
	}))
	tests := []struct {
		name, prefix, repeat string
		hostStatus           int
		status               string
	}{
		{"body", `{"Data":{"req":{"Method":"POST","Body":"`, "x", 200, "413"},
		{"metadata", `{"Data":{"req":{"Method":"POST"}},"Metadata":{"x":"`, "x", 413, ""},
		{"white_space", `{"Data":`, " ", 413, ""},
		{"key", `{"`, "k", 413, ""},
		{"depth", `{"Metadata":{"x":`, "[", 400, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			endless := &repeated{rest: tt.prefix, unit: tt.repeat[0]}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, hostRequest("/start", endless))
			a := checkAnswer(t, w)
			if w.Code != tt.hostStatus || a.Outputs["res"].StatusCode != tt.status || got != "" {
				t.Errorf("answer = %d %+v %s, want %d with %q", w.Code, a, got, tt.hostStatus, tt.status)
			}
			if limit := 1<<20 + 16*300<<10; endless.read > limit+4096 {
				t.Errorf("%d bytes were read, want at most %d", endless.read, limit)
			}
		})
	}
}

type repeated struct {
	rest string
	unit byte
	read int
}

func (r *repeated) Read(p []byte) (int, error) {
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	for i := n; i < len(p); i++ {
		p[i] = r.unit
	}
	r.read += len(p)
	return len(p), nil
}

// A wrapper answers in the place of the function, or hands the request on.
func TestWrap(t *testing.T) {
	inner := HTTP("start", 16, func(context.Context, *Request) (*Response, error) { return &Response{Status: 202}, nil }).Within(time.Second)
	wrapped := inner.Wrap(func(next Answer) Answer {
		return func(ctx context.Context, r *Request) (*Response, error) {
			if r.Header.Get("Pass") == "" {
				return Problem(ctx, 401, "who are you?"), nil
			}
			return next(ctx, r)
		}
	})
	if wrapped.within != time.Second || wrapped.limit != 16 {
		t.Errorf("wrapped: within %v, limit %d; want those of the function", wrapped.within, wrapped.limit)
	}
	h, _ := newHandler(t, Options{}, wrapped)
	for _, tt := range []struct{ headers, status, body string }{
		{``, "401", "who are you?"},
		{`"Pass":["yes"]`, "202", "{}"},
	} {
		_, a := post(t, h, "/start", `{"Data":{"req":{"Method":"POST","Headers":{`+tt.headers+`},"Body":"{}"}},"Metadata":{}}`)
		if res := a.Outputs["res"]; res.StatusCode != tt.status || !strings.Contains(res.Body, tt.body) {
			t.Errorf("headers {%s}: answer %+v, want %s %q", tt.headers, res, tt.status, tt.body)
		}
	}
}
