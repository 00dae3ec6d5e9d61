package otlp_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/telemetry"
	"github.com/pcapwarden/pcapwarden/internal/telemetry/otlp"
	"github.com/pcapwarden/pcapwarden/internal/telemetry/telemetrytest"
)

// start exports to the endpoint for the rest of the test.
func start(t *testing.T, env map[string]string, trouble *bytes.Buffer) *otlp.Exporter {
	t.Helper()
	for k, v := range env {
		t.Setenv(k, v)
	}
	get := func(k string) string { return env[k] }
	about, err := otlp.About(t.Context(), get, "v1", "control", "/subscriptions/s")
	if err != nil {
		t.Fatal(err)
	}
	e, err := otlp.Start(t.Context(), get, about, slog.New(slog.NewTextHandler(trouble, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestOffUnlessConfigured(t *testing.T) {
	tests := []struct {
		name string
		env  map[string]string
		on   bool
	}{
		{"nothing", nil, false},
		{"a service name", map[string]string{"OTEL_SERVICE_NAME": "x"}, false},
		{"an endpoint", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, true},
		{"one for traces", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"}, true},
		{"switched off", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}, false},
		{"no exporter", map[string]string{"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://127.0.0.1:1", "OTEL_LOGS_EXPORTER": "none"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var trouble bytes.Buffer
			e := start(t, tt.env, &trouble)
			if (e != nil) != tt.on {
				t.Errorf("exports = %v, want %v", e != nil, tt.on)
			}
			e.Hurry()
			e.Close()
		})
	}
}

func TestOnlyHTTP(t *testing.T) {
	env := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
	_, err := otlp.Start(t.Context(), func(k string) string { return env[k] }, nil, slog.Default())
	if err == nil || !strings.Contains(err.Error(), "OTEL_EXPORTER_OTLP_PROTOCOL") {
		t.Errorf("grpc: %v", err)
	}
}

// TestCollectorThatHangs records a lot for a collector that never answers:
// neither the work nor the end of the process waits for it.
func TestCollectorThatHangs(t *testing.T) {
	stop := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-stop:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() { close(stop); s.CloseClientConnections(); s.Close() })
	var trouble bytes.Buffer
	e := start(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": s.URL}, &trouble)
	log := slog.New(e.Handler(slog.DiscardHandler))
	worked := make(chan struct{})
	go func() {
		defer close(worked)
		for range 20_000 { // ten times what is queued
			ctx, span := telemetry.Start(t.Context(), "work")
			log.InfoContext(ctx, "working")
			telemetry.Orphans.Add(ctx, 1, "report")
			telemetry.End(span, errors.New("no"))
			e.Hurry()
		}
	}()
	closed := make(chan struct{})
	select {
	case <-worked:
	case <-time.After(30 * time.Second):
		t.Fatal("the work waits for the collector")
	}
	go func() { e.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(30 * time.Second):
		t.Fatal("the end waits for the collector")
	}
}

// TestNothingHarmfulIsExported logs what an attacker chose.
func TestNothingHarmfulIsExported(t *testing.T) {
	c := telemetrytest.Start(t)
	var trouble bytes.Buffer
	e := start(t, c.Env(), &trouble)
	const evil = "<script>\x1b[31m${jndi:ldap://x}\u202e"
	log := slog.New(e.Handler(slog.NewTextHandler(new(bytes.Buffer), nil)))
	ctx, span := telemetry.Start(t.Context(), "work")
	log.With("with", evil).WithGroup("g").WarnContext(ctx, "told", "text", evil, "err", errors.New(evil), "long", strings.Repeat("x", 1<<20), slog.Group("in", "deep", evil))
	log.DebugContext(ctx, "below the level of the log that people read")
	telemetry.End(span, errors.New(evil))
	e.Close()
	logs, spans := c.Logs(), c.Spans()
	if len(logs) != 1 || len(spans) != 1 || !spans[0].Failed || logs[0]["trace"] != spans[0].Trace {
		t.Fatalf("logs %v, spans %v", logs, spans)
	}
	if spans[0].Service != "pcapwarden-control" || spans[0].ResourceAttributes["service.version"] != "v1" {
		t.Errorf("the resource is %v", spans[0].ResourceAttributes)
	}
	for k, v := range logs[0] {
		for _, bad := range []string{"<script", "\x1b", "${jndi", "\u202e"} {
			if strings.Contains(v, bad) {
				t.Errorf("%s has %q as it is: %q", k, bad, v)
			}
		}
		if len(v) > 2048 {
			t.Errorf("%s has %d bytes", k, len(v))
		}
	}
}

// TestResume: what a record kept and what runs now become one linked trace.
func TestResume(t *testing.T) {
	c := telemetrytest.Start(t)
	var trouble bytes.Buffer
	e := start(t, c.Env(), &trouble)
	alert, span := telemetry.Start(t.Context(), "alert")
	kept := telemetry.TraceParent(alert)
	_, child := telemetry.Resume(alert, kept, "same invocation")
	child.End()
	span.End()
	sweep, span := telemetry.Start(context.Background(), "sweep")
	_, stop := telemetry.Resume(sweep, kept, "stop")
	stop.End()
	_, odd := telemetry.Resume(sweep, "no traceparent", "odd")
	odd.End()
	span.End()
	e.Close()
	by := map[string]telemetrytest.Span{}
	for _, s := range c.Spans() {
		by[s.Name] = s
	}
	if by["same invocation"].Parent != by["alert"].ID || len(by["same invocation"].Links) > 0 {
		t.Errorf("in the same invocation: %+v", by["same invocation"])
	}
	if by["stop"].Trace != by["alert"].Trace || len(by["stop"].Links) != 1 || by["stop"].Links[0] != by["sweep"].ID {
		t.Errorf("in another: %+v", by["stop"])
	}
	if by["odd"].Parent != by["sweep"].ID {
		t.Errorf("without a record: %+v", by["odd"])
	}
}
