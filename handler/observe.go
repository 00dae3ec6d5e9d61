package main

import (
	"context"
	"io"
	"path"
	"strings"

	"go.opentelemetry.io/otel/trace"

	"github.com/pcapwarden/pcapwarden/internal/customhandler"
	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/incident"
	"github.com/pcapwarden/pcapwarden/internal/telemetry"
	"github.com/pcapwarden/pcapwarden/internal/telemetry/otlp"
)

// observe tells telemetry of every invocation. What it recorded is exported
// soon after its end, by somebody else.
func observe(x *otlp.Exporter, app string) func(context.Context, customhandler.Invocation) (context.Context, string, func(customhandler.Outcome)) {
	return func(ctx context.Context, v customhandler.Invocation) (context.Context, string, func(customhandler.Outcome)) {
		ctx, end := telemetry.Invoke(ctx, telemetry.Invocation{
			ID: v.ID, Function: v.Function, Trigger: string(v.Trigger), TraceParent: v.TraceParent,
			MessageID: v.MessageID, Deliveries: v.Deliveries, App: app, Started: v.Started,
		})
		return ctx, telemetry.TraceParent(ctx), func(o customhandler.Outcome) {
			end(o.Status, o.TimedOut, o.Err)
			x.Hurry()
		}
	}
}

// observedQueue has a span for each message that is sent.
type observedQueue struct {
	incident.Queue
	name string
}

func (q observedQueue) Send(ctx context.Context, m incident.Message) error {
	return telemetry.Send(ctx, q.name, m.ID, func(ctx context.Context) error { return q.Queue.Send(ctx, m) })
}

// queueName is the last word of a queue's setting; never a part of a
// connection string but the queue's own name.
func queueName(setting string) string {
	if _, name, ok := strings.Cut(setting, "EntityPath="); ok {
		name, _, _ = strings.Cut(name, ";")
		return name
	}
	if strings.HasPrefix(setting, "file:") || strings.HasPrefix(setting, "sb://") {
		return path.Base(setting)
	}
	return "queue"
}

// observedFiles has a span for each file that is stored.
type observedFiles struct {
	files
	name string
}

func (f observedFiles) Create(ctx context.Context, name string, content io.Reader, tags map[string]string) (info evidence.Info, err error) {
	ctx, span := telemetry.Start(ctx, "store in "+f.name, trace.WithSpanKind(trace.SpanKindClient))
	defer func() {
		span.SetAttributes(telemetry.BytesKey.Int64(info.Bytes))
		telemetry.End(span, err)
	}()
	return f.files.Create(ctx, name, content, tags)
}
