package functionshost

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// memory is a queue of a few messages.
type memory struct {
	messages chan Delivery
	ended    chan string
}

func newMemory() *memory { return &memory{make(chan Delivery, 10), make(chan string, 10)} }

func (q *memory) Receive(ctx context.Context) (Delivery, error) {
	select {
	case d := <-q.messages:
		return d, nil
	case <-ctx.Done():
		return Delivery{}, ctx.Err()
	}
}

func (q *memory) send(body string, count int) {
	end := func(how string) error { q.ended <- how; return nil }
	d := Delivery{MessageID: "m-1", Body: []byte(body), DeliveryCount: count, Enqueued: time.Now()}
	d.Complete = func(context.Context) error { return end("completed") }
	d.Abandon = func(context.Context) error { return end("abandoned") }
	d.DeadLetter = func(_ context.Context, reason, description string) error { return end(reason + ": " + description) }
	q.messages <- d
}

func goodApp(t *testing.T) Config {
	return Config{
		AppDir: writeApp(t, hostJSON, map[string]string{
			"start": httpJSON, "sweep": timerJSON, "analyze": binaryJSON, "text": textJSON, "landed": eventJSON,
		}),
		Settings: settings(t, "good"),
		Queues:   map[string]Receiver{"jobs": newMemory(), "texts": newMemory()},
	}
}

func call(t *testing.T, method, url, key, body string, chunked bool) (int, http.Header, string) {
	t.Helper()
	var reader io.Reader = strings.NewReader(body)
	if chunked {
		reader = io.MultiReader(reader)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, reader)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("X-Functions-Key", key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(raw)
}

// The app on customhandler, through every trigger.
func TestHost(t *testing.T) {
	c := goodApp(t)
	if err := os.Mkdir(filepath.Join(c.AppDir, "docs"), 0o700); err != nil { // without function.json it is none
		t.Fatal(err)
	}
	h, events := startHost(t, c)
	url, ok := h.FunctionURL("START")
	if !ok || url != h.URL()+"/api/start" {
		t.Fatalf("FunctionURL = %q, %v", url, ok)
	}

	t.Run("http", func(t *testing.T) {
		body := `{"schemaId":"<é>","Query":1}`
		status, header, got := call(t, "POST", url+"?a=1&a=2&code=guess", h.FunctionKey(), body, false)
		var answer struct {
			Method, Body, Type string
			Query              map[string][]string
		}
		if err := json.Unmarshal([]byte(got), &answer); err != nil {
			t.Fatalf("%d %q: %v", status, got, err)
		}
		if status != 202 || header.Get("Content-Type") != "application/json" || answer.Body != body || answer.Method != "POST" || answer.Type != "application/json" {
			t.Errorf("answer = %d %v %+v", status, header, answer)
		}
		if diff := cmp.Diff(map[string][]string{"a": {"1,2"}}, answer.Query); diff != "" {
			t.Errorf("query (-want +got):\n%s", diff)
		}
		events.wait(t, 1, InvocationLog, "msg=got")
		events.wait(t, 1, HandlerLine, `"function":"start"`)
	})
	t.Run("http_statuses", func(t *testing.T) {
		tests := []struct {
			name, method, url, key, body string
			chunked                      bool
			want                         int
		}{
			{"key_in_the_query", "POST", url + "?code=" + h.FunctionKey(), "", "x", false, 202},
			{"master_key", "POST", url, h.MasterKey(), "x", false, 202},
			{"no_key", "POST", url, "", "x", false, 401},
			{"wrong_key", "POST", url, "guess", "x", false, 401},
			{"other_case", "POST", h.URL() + "/API/Start/", h.FunctionKey(), "x", false, 202},
			{"other_method", "GET", url, h.FunctionKey(), "", false, 404},
			{"other_path", "POST", url + "s", h.FunctionKey(), "", false, 404},
			{"timer", "POST", h.URL() + "/api/sweep", h.FunctionKey(), "", false, 404},
			{"to_be_tried_again", "POST", url, h.FunctionKey(), "fail", false, 503},
			{"refused", "POST", url, h.FunctionKey(), "refuse", false, 400},
		}
		for _, tt := range tests {
			if status, _, body := call(t, tt.method, tt.url, tt.key, tt.body, tt.chunked); status != tt.want {
				t.Errorf("%s: status = %d %q, want %d", tt.name, status, body, tt.want)
			}
		}
	})
	t.Run("http_chunked_body_is_lost", func(t *testing.T) {
		status, _, body := call(t, "POST", url, h.FunctionKey(), "x", true)
		if status != 202 || !strings.Contains(body, `"body":""`) {
			t.Errorf("answer = %d %q", status, body)
		}
	})
	t.Run("timer", func(t *testing.T) {
		if err := h.Fire(t.Context(), "sweep", nil); err != nil {
			t.Error(err)
		}
		events.wait(t, 1, InvocationLog, `what="tick false true"`)
	})
	t.Run("admin", func(t *testing.T) {
		if status, _, _ := call(t, "POST", h.URL()+"/admin/functions/sweep", h.FunctionKey(), `{"input":""}`, false); status != 401 {
			t.Errorf("with a function key: status = %d, want 401", status)
		}
		if status, _, _ := call(t, "POST", h.URL()+"/admin/functions/sweep", h.MasterKey(), `{"input":""}`, false); status != 202 {
			t.Errorf("status = %d, want 202", status)
		}
		events.wait(t, 2, InvocationLog, `what="tick`)
	})
	t.Run("messages", func(t *testing.T) {
		jobs, texts := c.Queues["jobs"].(*memory), c.Queues["texts"].(*memory)
		tests := []struct {
			queue      *memory
			body       string
			count      int
			want, line string
		}{
			{jobs, "\x00\xff", 3, "completed", `m-1 3`},
			{jobs, "fail", 1, "abandoned", "fail m-1 1"},
			{jobs, "refuse", 1, "completed", "refuse m-1 1"},
			{jobs, "fail", 10, "MaxDeliveryCountExceeded: delivered 10 times", "fail m-1 10"},
			{texts, `{"MessageId":"forged","n":1}`, 1, "completed", `MessageId`},
		}
		for _, tt := range tests {
			tt.queue.send(tt.body, tt.count)
			if got := <-tt.queue.ended; !strings.HasPrefix(got, tt.want) {
				t.Errorf("%q: %s, want %s", tt.body, got, tt.want)
			}
			events.wait(t, 1, HandlerLine, tt.line)
		}
		events.wait(t, 1, MessageDeadLettered, "delivered 10 times")
	})
	t.Run("event", func(t *testing.T) {
		if err := h.Fire(t.Context(), "landed", []byte(`{"id":"1","eventTime":"2026-03-01T10:00:00.1200Z"}`)); err != nil {
			t.Error(err)
		}
		events.wait(t, 1, HandlerLine, `2026-03-01T10:00:00.12Z`)
	})
	t.Run("misuse", func(t *testing.T) {
		for _, name := range []string{"start", "nothing"} {
			if err := h.Fire(t.Context(), name, nil); err == nil {
				t.Errorf("Fire(%q) reports no error", name)
			}
		}
	})
}

// A killed handler fails what it runs, and is started again, any number of
// times.
func TestKill(t *testing.T) {
	h, events := startHost(t, goodApp(t))
	for n := 1; n <= 4; n++ {
		hung := make(chan error)
		go func() { hung <- h.Fire(context.WithoutCancel(t.Context()), "analyze", []byte("hang")) }()
		events.wait(t, n, HandlerLine, "hang")
		h.Kill()
		if err := <-hung; err == nil || !strings.Contains(err.Error(), "send the invocation") {
			t.Errorf("the killed invocation says %v", err)
		}
		if err := h.Fire(t.Context(), "sweep", nil); err != nil {
			t.Errorf("after kill %d: %v", n, err)
		}
	}
	events.wait(t, 5, HandlerStarted, "")
}

func TestExitOfARunningHandler(t *testing.T) {
	exit := func(t *testing.T, h *Host, code string) {
		t.Helper()
		if err := h.Fire(t.Context(), "analyze", []byte("exit "+code)); err == nil {
			t.Error("the invocation that exits reports no error")
		}
	}
	t.Run("0_is_final", func(t *testing.T) {
		h, events := startHost(t, goodApp(t))
		exit(t, h, "0")
		events.wait(t, 1, HandlerExited, "does not start it again")
		err := h.Fire(t.Context(), "sweep", nil)
		if err == nil || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("err = %v, want connection refused", err)
		}
		select {
		case <-h.Done():
			t.Error("the host has stopped")
		default:
		}
	})
	t.Run("200_is_free", func(t *testing.T) {
		h, events := startHost(t, goodApp(t))
		for n := range 4 {
			exit(t, h, "200")
			events.wait(t, n+2, HandlerReady, "")
		}
	})
	t.Run("third_error_stops_the_host", func(t *testing.T) {
		h, events := startHost(t, goodApp(t))
		for n := range 2 {
			exit(t, h, "7")
			events.wait(t, n+1, HandlerExited, "exited with code 7: last words")
			events.wait(t, n+2, HandlerReady, "")
		}
		exit(t, h, "7")
		<-h.Done()
		if err := h.Err(); err == nil || !strings.Contains(err.Error(), "third error") {
			t.Errorf("Err = %v", err)
		}
		if err := h.Fire(t.Context(), "sweep", nil); err == nil || !strings.Contains(err.Error(), "the host has stopped") {
			t.Errorf("Fire = %v", err)
		}
	})
}

func TestStartOfAHandler(t *testing.T) {
	deaf := strings.Replace(hostJSON, "00:00:30", "00:00:01", 1)
	tests := []struct {
		name, mode, host, want string
		counted                bool
	}{
		{"exit_0", "exit0", hostJSON, "exited with code 0", false},
		{"exit_1", "exit1", hostJSON, "third error", false},
		{"exit_200", "exit200", hostJSON, "", true},
		{"never_ready", "deaf", deaf, "GET /", false},
		{"no_such_file", "good", strings.Replace(hostJSON, "%TEST_BINARY%", "bin/nothing", 1), "start the handler", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := Config{AppDir: writeApp(t, tt.host, map[string]string{"sweep": timerJSON}), Settings: settings(t, tt.mode)}
			if tt.counted {
				c.Settings["FUNCTIONSHOST_TEST_COUNT"] = filepath.Join(t.TempDir(), "count")
			}
			h, err := Start(t.Context(), c)
			if err == nil {
				h.Close()
			}
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("err = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestFunctionTimeout(t *testing.T) {
	c := goodApp(t)
	c.Settings["AzureFunctionsJobHost__functionTimeout"] = "00:00:01"
	h, events := startHost(t, c)
	other := make(chan error)
	go func() { other <- h.Fire(t.Context(), "analyze", []byte("hang 1")) }()
	events.wait(t, 1, HandlerLine, "hang 1")
	err := h.Fire(t.Context(), "text", []byte("hang 2"))
	errOther := <-other
	for _, err := range []error{err, errOther} {
		if _, ok := errors.AsType[*InvocationError](err); !ok {
			t.Errorf("err = %v, want an InvocationError", err)
		}
	}
	if !strings.Contains(errOther.Error(), "the host killed the handler") {
		t.Errorf("err = %v", errOther)
	}
	if err := h.Fire(t.Context(), "sweep", nil); err != nil {
		t.Errorf("after the restart: %v", err)
	}
}

// The answers of the handler, wrong and odd, and what the host would do.
type badAnswer struct {
	name, contentType string
	status            int
	location, body    string

	hangs  bool
	want   string // in the error; "" for none
	warn   string
	caller int // status for the caller, of HTTP functions
	text   string
}

const asJSON = "application/json"

var badAnswers = []badAnswer{
	{name: "minimal", contentType: asJSON, status: 200, body: `{}`},
	{name: "textjson", contentType: "text/json; charset=utf-8", status: 204 + 2, body: `{"outputs":null,"LOGS":["a",1,null],"ReturnValue":null}`},
	{name: "emptybody", contentType: asJSON, status: 200, hangs: true, want: "no body"},
	{name: "emptytext", contentType: "text/plain", status: 200, hangs: true, want: "no body"},
	{name: "nocontent", status: 204, hangs: true, want: "no body"},
	{name: "blanks", contentType: asJSON, status: 200, body: " \n", hangs: true, want: "blanks"},
	{name: "null", contentType: asJSON, status: 200, body: "null", hangs: true, want: "null"},
	{name: "plaintext", contentType: "text/plain", status: 200, body: "{}", want: "content type"},
	{name: "problemjson", contentType: "application/problem+json", status: 200, body: "{}", want: "content type"},
	{name: "notype", status: 200, body: "{}", want: "content type"},
	{name: "malformed", contentType: asJSON, status: 200, body: `{"Outputs":`, want: "malformed"},
	{name: "array", contentType: asJSON, status: 200, body: `[]`, want: "not an object"},
	{name: "logs", contentType: asJSON, status: 200, body: `{"Logs":"one"}`, want: "Logs"},
	{name: "logobjects", contentType: asJSON, status: 200, body: `{"Logs":[{}]}`, want: "Logs"},
	{name: "outputs", contentType: asJSON, status: 200, body: `{"Outputs":[]}`, want: "Outputs"},
	{name: "unknownoutput", contentType: asJSON, status: 200, body: `{"Outputs":{"Res":1}}`, warn: "ignores output"},
	{name: "error500", contentType: asJSON, status: 500, body: `{"Logs":["lost"]}`, want: "status 500"},
	{name: "error404", contentType: asJSON, status: 404, body: `{}`, want: "status 404"},
	{name: "moved", status: 301, location: "/minimal", warn: "with GET and without the invocation"},
	{name: "temporarily", status: 307, location: "/minimal", warn: "follows the redirect"},
	{name: "away", status: 302, location: "http://192.0.2.1/", want: "leads away"},
	{name: "loop", status: 307, location: "/loop", want: "status 307", warn: "follows the redirect"},

	{name: "httpgood", contentType: asJSON, status: 200, caller: 202, body: `{"Outputs":{"res":{"statusCode":"202","headers":{"x-a":"1","n":2},"body":"{\"a\":1}"}}}`, text: `{"a":1}`},
	{name: "httpnumber", contentType: asJSON, status: 200, caller: 503, body: `{"Outputs":{"res":{"StatusCode":503,"body":null}}}`},
	{name: "httpnores", contentType: asJSON, status: 200, caller: 200, body: `{"Outputs":{}}`, text: "{}", warn: `no "res"`},
	{name: "httpstatus", contentType: asJSON, status: 200, caller: 200, body: `{"Outputs":{"res":{"status":503}}}`, warn: "has status, which the host ignores"},
	{name: "httpplain", contentType: asJSON, status: 200, caller: 500, body: `{"Outputs":{"res":"done"}}`, warn: ""},
	{name: "httpodd", contentType: asJSON, status: 200, caller: 500, body: `{"Outputs":{"res":{"statusCode":"ok"}}}`},
	{name: "httpobject", contentType: asJSON, status: 200, caller: 200, body: `{"Outputs":{"res":{"statusCode":200,"body":{"a":[1e2]}}}}`, text: "{\n  \"a\": [\n    100.0\n  ]\n}", warn: "prints anew"},
	{name: "httphang", contentType: asJSON, status: 200, caller: 500, hangs: true},
}

func TestAnswers(t *testing.T) {
	functions := map[string]string{"reset": timerJSON}
	for _, a := range badAnswers {
		functions[a.name] = timerJSON
		if a.caller != 0 {
			functions[a.name] = strings.Replace(httpJSON, `"in",`, `"in","authLevel":"anonymous",`, 1)
		}
	}
	h, events := startHost(t, Config{AppDir: writeApp(t, hostJSON, functions), Settings: settings(t, "bad")})
	for _, a := range badAnswers {
		t.Run(a.name, func(t *testing.T) {
			if a.caller != 0 {
				status, header, text := call(t, "POST", h.URL()+"/api/"+a.name, "", "x", false)
				if status != a.caller || text != a.text {
					t.Errorf("the caller gets %d %q, want %d %q", status, text, a.caller, a.text)
				}
				if status == 202 && (header.Get("X-A") != "1" || header.Get("N") != "2" || !strings.HasPrefix(header.Get("Content-Type"), "text/plain")) {
					t.Errorf("headers = %v", header)
				}
			} else {
				err := h.Fire(t.Context(), a.name, nil)
				got, failed := errors.AsType[*InvocationError](err)
				switch {
				case a.want == "":
					if err != nil {
						t.Errorf("err = %v", err)
					}
				case !failed || got.Hangs != a.hangs || !strings.Contains(got.Reason, a.want) || got.Function != a.name:
					t.Errorf("err = %#v, want one with %q, hangs = %v", err, a.want, a.hangs)
				}
			}
			if a.warn != "" {
				events.wait(t, 1, InvocationWarning, a.warn)
			}
		})
	}
	if err := h.Fire(t.Context(), "reset", nil); err == nil || !strings.Contains(err.Error(), "send the invocation") {
		t.Errorf("a reset connection reports %v", err)
	}
}

func TestOutputsAreSent(t *testing.T) {
	var sent bytes.Buffer
	fail := false
	app := writeApp(t, hostJSON, map[string]string{"unknownoutput": strings.Replace(timerJSON, "}]", `},{"type":"serviceBus","direction":"out","name":"Res","queueName":"%QUEUE%"}]`, 1)})
	c := Config{AppDir: app, Settings: settings(t, "bad"), Outputs: map[string]func(context.Context, []byte) error{
		"jobs": func(_ context.Context, body []byte) error {
			sent.Write(body)
			if fail {
				return errors.New("quota exceeded")
			}
			return nil
		},
	}}
	h, _ := startHost(t, c)
	if err := h.Fire(t.Context(), "unknownoutput", nil); err != nil || sent.String() != "1" {
		t.Errorf("sent %q, %v", sent.String(), err)
	}
	fail = true
	if err := h.Fire(t.Context(), "unknownoutput", nil); err == nil || !strings.Contains(err.Error(), "quota exceeded") {
		t.Errorf("err = %v, want the failed send", err)
	}
}
