package customhandler_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/customhandler"
)

// TestObserve: telemetry learns what the host says of an invocation and what
// came of it, and its trace is the one that the function and the log name.
func TestObserve(t *testing.T) {
	const (
		host = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		ours = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"
	)
	type key struct{}
	var seen []customhandler.Invocation
	var came []customhandler.Outcome
	var inside string
	var value any
	fail := errors.New("not now")
	var out bytes.Buffer
	log := slog.New(customhandler.LogHandler(slog.NewJSONHandler(&out, nil)))
	h, err := customhandler.New(log, customhandler.Options{
		Observe: func(ctx context.Context, v customhandler.Invocation) (context.Context, string, func(customhandler.Outcome)) {
			seen = append(seen, v)
			return context.WithValue(ctx, key{}, "mine"), ours, func(o customhandler.Outcome) { came = append(came, o) }
		},
	},
		customhandler.HTTP("web", 100, func(ctx context.Context, _ *customhandler.Request) (*customhandler.Response, error) {
			inside, value = customhandler.TraceParent(ctx), ctx.Value(key{})
			log.InfoContext(ctx, "inside")
			return &customhandler.Response{Status: http.StatusAccepted}, nil
		}),
		customhandler.Timer("tick", func(context.Context, customhandler.Tick) error { return fail }),
		customhandler.ServiceBus("queue", customhandler.Binary, 100, func(context.Context, customhandler.Message) error { return nil }),
	)
	if err != nil {
		t.Fatal(err)
	}
	post := func(function, body string) {
		t.Helper()
		r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1/"+function, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Traceparent", host)
		r.Header.Set("X-Azure-Functions-InvocationId", "id-"+function)
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	post("web", `{"Data":{"req":{"Method":"GET"}}}`)
	post("tick", `{"Data":{"timer":{"IsPastDue":false}}}`)
	post("queue", `{"Data":{"event":"YQ=="},"Metadata":{"MessageId":"\"m-1\"","DeliveryCount":"3"}}`)
	post("web", `{"Data":`)
	if len(seen) != 4 || len(came) != 4 {
		t.Fatalf("%d invocations were seen, %d ended", len(seen), len(came))
	}
	web, tick, queue := seen[0], seen[1], seen[2]
	if web.ID != "id-web" || web.Trigger != customhandler.ByHTTP || web.TraceParent != host || tick.Trigger != customhandler.ByTimer {
		t.Errorf("seen %+v and %+v", web, tick)
	}
	if queue.Trigger != customhandler.ByMessage || queue.MessageID != "m-1" || queue.Deliveries != 3 {
		t.Errorf("seen %+v", queue)
	}
	if came[0].Status != http.StatusAccepted || came[0].Err != nil || !errors.Is(came[1].Err, fail) || came[2].Err != nil || came[3].Err == nil {
		t.Errorf("came of it: %+v", came)
	}
	if inside != ours || value != "mine" {
		t.Errorf("inside, the trace is %q, and the value %v", inside, value)
	}
	if !strings.Contains(out.String(), `"trace":"0af7651916cd43dd8448eb211c80319c"`) {
		t.Errorf("the log does not name the trace: %s", &out)
	}
}
