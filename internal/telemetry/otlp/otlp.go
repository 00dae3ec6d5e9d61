// Package otlp sends traces, metrics and logs to an OpenTelemetry collector,
// as the standard variables OTEL_* say; without them it does nothing.
// https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
//
// A collector that can't be reached costs nothing but its telemetry: what is
// recorded goes into bounded queues, and what does not fit is dropped.
package otlp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/pcapwarden/pcapwarden/internal/telemetry"
)

const (
	// exporting bounds one attempt to hand something over.
	exporting = 5 * time.Second
	// between two batches; the end of an invocation hurries it.
	between = time.Second
	// goodbye bounds the last export of the process.
	goodbye = 3 * time.Second
)

// The signals, as the variables name them.
const (
	traces  = "TRACES"
	metrics = "METRICS"
	logs    = "LOGS"
)

// An Exporter runs until Close. A nil one does nothing.
type Exporter struct {
	handler  slog.Handler // nil: logs are not exported
	flushes  []func(context.Context) error
	closes   []func(context.Context) error
	hurry    chan struct{}
	done     chan struct{}
	flushing sync.WaitGroup
}

// Wanted reports whether the environment names a collector for the signal.
func wanted(getenv func(string) string, signal string) bool {
	return !strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") && !strings.EqualFold(getenv("OTEL_"+signal+"_EXPORTER"), "none") &&
		(getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") != "")
}

// Start starts exporting what the environment asks for, and becomes the
// process's telemetry. It connects to nobody yet. The exporter is nil when
// nothing is asked for. What goes wrong with exporting is told to trouble,
// once a minute at most.
func Start(ctx context.Context, getenv func(string) string, about *resource.Resource, trouble *slog.Logger) (*Exporter, error) {
	signals := slices.DeleteFunc([]string{traces, metrics, logs}, func(s string) bool { return !wanted(getenv, s) })
	if len(signals) == 0 {
		return nil, nil
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL"} {
		if v := getenv(name); v != "" && v != "http/protobuf" {
			return nil, fmt.Errorf("%s: %.40q: want http/protobuf, the only one here", name, v)
		}
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(sparingly(trouble)))
	e := &Exporter{hurry: make(chan struct{}, 1), done: make(chan struct{})}
	var mistakes []error
	for _, s := range signals {
		mistakes = append(mistakes, map[string]func(context.Context, *resource.Resource) error{traces: e.traces, metrics: e.metrics, logs: e.logs}[s](ctx, about))
	}
	if err := errors.Join(mistakes...); err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_*: %w", err)
	}
	e.flushing.Go(e.flushLoop)
	return e, nil
}

func (e *Exporter) add(flush, shut func(context.Context) error) {
	e.flushes, e.closes = append(e.flushes, flush), append(e.closes, shut)
}

func (e *Exporter) traces(ctx context.Context, about *resource.Resource) error {
	x, err := otlptracehttp.New(ctx, otlptracehttp.WithTimeout(exporting),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: between, MaxInterval: exporting, MaxElapsedTime: 2 * exporting}))
	if err != nil {
		return err
	}
	limits := trace.NewSpanLimits()
	limits.AttributeValueLengthLimit = maxValue
	p := trace.NewTracerProvider(trace.WithResource(about), trace.WithRawSpanLimits(limits),
		trace.WithBatcher(x, trace.WithBatchTimeout(between), trace.WithExportTimeout(2*exporting)))
	otel.SetTracerProvider(p)
	e.add(p.ForceFlush, p.Shutdown)
	return nil
}

func (e *Exporter) metrics(ctx context.Context, about *resource.Resource) error {
	x, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithTimeout(exporting), otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{Enabled: false}))
	if err != nil {
		return err
	}
	p := metric.NewMeterProvider(metric.WithResource(about), metric.WithReader(metric.NewPeriodicReader(x, metric.WithTimeout(exporting))))
	otel.SetMeterProvider(p)
	e.add(p.ForceFlush, p.Shutdown)
	return nil
}

func (e *Exporter) logs(ctx context.Context, about *resource.Resource) error {
	x, err := otlploghttp.New(ctx, otlploghttp.WithTimeout(exporting),
		otlploghttp.WithRetry(otlploghttp.RetryConfig{Enabled: true, InitialInterval: between, MaxInterval: exporting, MaxElapsedTime: 2 * exporting}))
	if err != nil {
		return err
	}
	p := log.NewLoggerProvider(log.WithResource(about), log.WithAttributeValueLengthLimit(maxValue),
		log.WithProcessor(log.NewBatchProcessor(x, log.WithExportInterval(between), log.WithExportTimeout(2*exporting))))
	e.handler = plain{otelslog.NewHandler(telemetry.Name, otelslog.WithLoggerProvider(p))}
	e.add(p.ForceFlush, p.Shutdown)
	return nil
}

// Handler returns a handler that logs to next, and to the collector.
func (e *Exporter) Handler(next slog.Handler) slog.Handler {
	if e == nil || e.handler == nil {
		return next
	}
	return slog.NewMultiHandler(next, leveled{e.handler, next})
}

// Hurry has what is queued exported soon. It returns at once: the process may
// be killed after any invocation, but none waits for a collector.
func (e *Exporter) Hurry() {
	if e == nil {
		return
	}
	select {
	case e.hurry <- struct{}{}:
	default: // it is in a hurry already
	}
}

func (e *Exporter) flushLoop() {
	for {
		select {
		case <-e.done:
			return
		case <-e.hurry:
			ctx, cancel := context.WithTimeout(context.Background(), exporting)
			e.all(ctx, e.flushes)
			cancel()
		}
	}
}

// all calls every function at once: a signal must not wait for another.
func (e *Exporter) all(ctx context.Context, functions []func(context.Context) error) {
	var wg sync.WaitGroup
	for _, f := range functions {
		wg.Go(func() {
			if err := f(ctx); err != nil {
				otel.Handle(err)
			}
		})
	}
	wg.Wait()
}

// Close exports what is left, for some seconds at most.
func (e *Exporter) Close() {
	if e == nil {
		return
	}
	close(e.done)
	ctx, cancel := context.WithTimeout(context.Background(), goodbye)
	defer cancel()
	e.all(ctx, e.closes)
	e.flushing.Wait()
}

// sparingly tells errors of exporting, one a minute. Their texts may quote the
// collector's answer.
func sparingly(log *slog.Logger) func(error) {
	var mu sync.Mutex
	var last time.Time
	return func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(last) < time.Minute {
			return
		}
		last = time.Now()
		log.Warn("telemetry is not exported; the work goes on", "err", telemetry.Plain(err.Error()))
	}
}
