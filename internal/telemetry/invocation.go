package telemetry

import (
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// An Invocation is one call of a function by the Functions host.
type Invocation struct {
	ID          string
	Function    string
	Trigger     string // http, timer, pubsub, as faas.trigger has them
	TraceParent string // of the host, "" where it traces nothing
	MessageID   string // of a queue's message
	Deliveries  int    // of that message, this one counted
	App         string // ARM ID of the app
	Started     time.Time
}

// warm is set by the first invocation of a process.
var warm atomic.Bool

// Invoke begins the span of an invocation. Its end takes the status that an
// HTTP caller gets, or 0, and what failed.
func Invoke(ctx context.Context, i Invocation) (_ context.Context, end func(status int, timedOut bool, err error)) {
	cold := !warm.Swap(true)
	kind := map[string]trace.SpanKind{"http": trace.SpanKindServer, "pubsub": trace.SpanKindConsumer}[i.Trigger]
	attrs := []attribute.KeyValue{
		semconv.FaaSTriggerKey.String(i.Trigger), semconv.FaaSInvocationID(i.ID), semconv.FaaSColdstart(cold),
		semconv.CloudResourceID(i.App + "/functions/" + i.Function),
	}
	if i.MessageID != "" {
		attrs = append(attrs, semconv.MessagingSystemServiceBus, semconv.MessagingOperationTypeProcess,
			semconv.MessagingOperationName("process"), semconv.MessagingMessageID(Plain(i.MessageID)),
			attribute.Int("messaging.servicebus.message.delivery_count", i.Deliveries))
	}
	ctx, span := tracer().Start(Remote(ctx, i.TraceParent), i.Function,
		trace.WithSpanKind(kind), trace.WithTimestamp(i.Started), trace.WithAttributes(attrs...))
	return ctx, func(status int, timedOut bool, err error) {
		took := time.Since(i.Started)
		name := semconv.FaaSInvokedName(i.Function)
		invokeDuration.Record(ctx, took, name)
		if i.Trigger == "pubsub" {
			processing.Record(ctx, took, semconv.MessagingSystemServiceBus)
		}
		if cold {
			coldStarts.Add(ctx, 1)
		}
		if timedOut {
			invokeTimeouts.Add(ctx, 1)
		}
		if status != 0 {
			span.SetAttributes(semconv.HTTPResponseStatusCode(status))
		}
		if err != nil {
			invokeErrors.Add(ctx, 1)
		}
		End(span, err)
	}
}

// Send is a span around the sending of a message to a queue.
func Send(ctx context.Context, queue, messageID string, send func(context.Context) error) error {
	started := time.Now()
	system := semconv.MessagingSystemServiceBus
	ctx, span := tracer().Start(ctx, "send "+queue, trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
		system, semconv.MessagingOperationTypeSend, semconv.MessagingOperationName("send"),
		semconv.MessagingDestinationName(queue), semconv.MessagingMessageID(messageID)))
	err := send(ctx)
	sendDuration.Record(ctx, time.Since(started), system, semconv.MessagingOperationName("send"))
	if err == nil {
		sentMessages.Add(ctx, 1)
	}
	End(span, err)
	return err
}
