// Package telemetry knows what is measured and traced of the app's work: the
// names of its spans and metrics. It exports nothing: until
// [github.com/pcapwarden/pcapwarden/internal/telemetry/otlp] is started, every
// call here does nothing.
//
// Attributes are few and of the app's own words: no name of a machine, no
// address, nothing that packets or alerts say. A capture is named by its ID.
package telemetry

import (
	"context"
	"encoding/json"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/pcapwarden/pcapwarden/internal/inert"
)

// Name is the instrumentation scope of everything here.
const Name = "github.com/pcapwarden/pcapwarden"

// Attributes of spans.
const (
	IncidentKey = attribute.Key("pcapwarden.incident")
	CaptureKey  = attribute.Key("pcapwarden.capture")
	ProfileKey  = attribute.Key("pcapwarden.profile")
	CauseKey    = attribute.Key("pcapwarden.cause")
	CulpritKey  = attribute.Key("pcapwarden.culprit")
	BytesKey    = attribute.Key("pcapwarden.bytes")
	PacketsKey  = attribute.Key("pcapwarden.packets")
)

// tracer is that of the provider that is set now.
func tracer() trace.Tracer { return otel.Tracer(Name, trace.WithSchemaURL(semconv.SchemaURL)) }

// w3c reads and writes traceparent, whatever is set globally: it is the form
// of records and of messages.
var w3c = propagation.TraceContext{}

// Start begins a span below the one of ctx.
func Start(ctx context.Context, name string, o ...trace.SpanStartOption) (context.Context, trace.Span) {
	return tracer().Start(ctx, name, o...)
}

// Resume begins a span in the trace that a record kept, though what runs now
// was invoked by something else: a sweep, a queue. The two are linked. Where
// the record kept none, the span is below the one of ctx.
func Resume(ctx context.Context, traceParent, name string, o ...trace.SpanStartOption) (context.Context, trace.Span) {
	here := trace.SpanContextFromContext(ctx)
	kept := trace.SpanContextFromContext(Remote(context.Background(), traceParent))
	if kept.IsValid() && kept.TraceID() != here.TraceID() {
		if here.IsValid() {
			o = append(o, trace.WithLinks(trace.Link{SpanContext: here}))
		}
		ctx = trace.ContextWithRemoteSpanContext(ctx, kept)
	}
	return tracer().Start(ctx, name, o...)
}

// Remote returns ctx with the span that a traceparent names (W3C Trace
// Context) as its parent. One that can't be read changes nothing.
func Remote(ctx context.Context, traceParent string) context.Context {
	return w3c.Extract(ctx, propagation.MapCarrier{"traceparent": traceParent})
}

// TraceParent names the span of ctx for a record or a message; "" where
// nothing is traced.
func TraceParent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	w3c.Inject(ctx, carrier)
	return carrier["traceparent"]
}

// End ends a span, with what came of it.
func End(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, Plain(err.Error()))
	}
	span.End()
}

// maxText bounds a text of telemetry, in bytes.
const maxText = 512

// Plain makes text harmless that may quote what somebody else wrote: capped,
// and what does something where it is shown stands as \uXXXX.
func Plain(text string) string {
	text = text[:min(len(text), maxText)]
	quoted, err := json.Marshal(text)
	if err != nil {
		return ""
	}
	quoted = inert.JSON(quoted)
	return string(quoted[1 : len(quoted)-1])
}
