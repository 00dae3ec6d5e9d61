package capture

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/pcapwarden/pcapwarden/internal/telemetry"
)

// traced begins a span about a case, in the trace that its alert began.
func traced(ctx context.Context, c Case, name string) (context.Context, trace.Span) {
	return telemetry.Resume(ctx, c.TraceParent, name, trace.WithAttributes(
		telemetry.IncidentKey.String(c.Incident), telemetry.CaptureKey.String(c.ID), telemetry.ProfileKey.String(c.Profile)))
}

// measure tells what a change of a case's record says of how well we do. Only
// what was recorded counts.
func measure(ctx context.Context, was, is Case) {
	if was.Started.IsZero() && !is.Started.IsZero() {
		asked := is.Alert.Fired
		if is.Approval.Decision != nil { // until then it waited for a person
			asked = is.Approval.Decision.At
		}
		telemetry.StartLatency.Record(ctx, is.Started.Sub(asked))
	}
	if was.Stopped.IsZero() && !is.Stopped.IsZero() && !is.Started.IsZero() {
		telemetry.StopLateness.Record(ctx, is.Stopped.Sub(is.Started.Add(is.TimeLimit)))
	}
	if was.State != Held && is.State == Held {
		telemetry.Held.Add(ctx, 1)
	}
}

// observe tells what a sweep did.
func observe(ctx context.Context, done Totals, active int, took time.Duration) {
	telemetry.SweepTime.Record(ctx, took)
	telemetry.Active.Set(ctx, float64(active))
	for action, n := range done {
		telemetry.SweepItems.Add(ctx, int64(n), string(action))
	}
}
