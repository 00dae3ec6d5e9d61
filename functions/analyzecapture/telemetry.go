package analyzecapture

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/telemetry"
)

// traced begins the span of a file in the trace that its alert began, after
// one for the time that its event was under way.
func traced(ctx context.Context, c capture.Case, landed time.Time) (context.Context, trace.Span) {
	about := trace.WithAttributes(telemetry.IncidentKey.String(c.Incident), telemetry.CaptureKey.String(c.ID), telemetry.ProfileKey.String(c.Profile))
	if !landed.IsZero() && landed.Before(time.Now()) {
		_, span := telemetry.Resume(ctx, c.TraceParent, "file landed, event under way", about, trace.WithTimestamp(landed))
		span.End()
	}
	return telemetry.Resume(ctx, c.TraceParent, "analyse file", about)
}

// readTraced is read with a span, and timed.
func (a *Analyzer) readTraced(ctx context.Context, c capture.Case, source evidence.File, e *examined) (err error) {
	ctx, span := telemetry.Start(ctx, "read, hash and analyse")
	began := time.Now()
	defer func() {
		telemetry.AnalysisTime.Record(ctx, time.Since(began))
		telemetry.End(span, err)
	}()
	return a.read(ctx, c, source, e)
}

// measure tells what came of a file.
func measure(ctx context.Context, e *examined) {
	trace.SpanFromContext(ctx).SetAttributes(telemetry.CauseKey.String(e.file.Cause), telemetry.CulpritKey.String(e.file.Culprit),
		telemetry.BytesKey.Int64(e.file.Bytes), telemetry.PacketsKey.Int64(e.analysis.Capture.Packets))
	telemetry.Bytes.Add(ctx, e.file.Bytes)
	for _, f := range e.analysis.Findings {
		telemetry.Findings.Add(ctx, 1, f.Severity.String())
	}
	for what := range e.analysis.Limits.Dropped {
		telemetry.Partial.Add(ctx, 1, what)
	}
}
