package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

var meter = otel.Meter(Name, metric.WithSchemaURL(semconv.SchemaURL))

// The metrics. Labels are few and of fixed words: never the name of a machine,
// an address, a rule or a file. docs/TELEMETRY.md lists them.
var (
	Intents       = counter("pcap_intents_total", "Targets of alerts, by what was decided.", "result", "reason")
	ScopeRejects  = counter("pcap_scope_reject_total", "Targets that the policy does not cover.", "why")
	AuthRejects   = counter("pcap_auth_reject_total", "Requests whose caller was refused.", "why")
	Active        = gauge("pcap_active", "Captures that run, as the latest sweep saw it.", "1")
	StartLatency  = seconds("pcap_start_latency_s", "From the alert's firing to the capture running.", 1, 2, 5, 10, 20, 30, 60, 90, 120, 300, 600)
	StopLateness  = seconds("pcap_stop_lateness_s", "From when a capture should have ended to when its end was seen.", 1, 5, 15, 30, 60, 120, 300, 900, 3600)
	Bytes         = counter("pcap_bytes", "Bytes of capture files that were analysed.")
	LandedSealed  = seconds("pcap_landed_to_sealed_s", "From a file landing to its findings being sent.", 1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
	AnalysisTime  = seconds("pcap_analysis_s", "Reading, hashing and storing one capture file.", .01, .1, .5, 1, 5, 10, 30, 60, 300, 600)
	Partial       = counter("pcap_analysis_partial_total", "Analyses that reached a limit.", "cap")
	Mismatches    = counter("pcap_hash_mismatch_total", "Evidence whose bytes are not those that were hashed.")
	Findings      = counter("pcap_findings_total", "Findings sent.", "severity")
	Duplicates    = counter("pcap_publish_dedup_total", "Events about a file whose findings were sent before.")
	OutboxAge     = gauge("pcap_outbox_age_s", "Age of the oldest message that the queue has not taken.", "s")
	ExpiryOverdue = gauge("pcap_expiry_overdue", "Captures whose evidence should be gone for a day, and is neither deleted nor held, as the latest sweep saw it.", "1")
	Held          = counter("pcap_held", "Captures whose evidence should be gone, and is kept by a hold.")
	Quarantined   = counter("pcap_quarantined", "Files that were not analysed as evidence.", "why")
	Requests      = counter("arm_requests_total", "Requests to Azure Resource Manager.", "op", "code")
	ThrottleLeft  = gauge("arm_throttle_remaining", "Requests that Azure Resource Manager still takes, as its latest answer said.", "1", "kind")
	SweepTime     = seconds("reconcile_duration_s", "One sweep.", .1, .5, 1, 5, 10, 30, 60, 120, 240)
	SweepItems    = counter("reconcile_items", "What sweeps did, by action.", "state")
	Orphans       = counter("orphan_captures", "Captures that no case explains, when they are reported or ended.", "action")
	Build         = gauge("build_info", "1, with the version that runs.", "1", "version")

	invokeDuration = seconds("faas.invoke_duration", "How long invocations take.", .05, .1, .5, 1, 5, 10, 30, 60, 300, 600, 1800)
	invokeErrors   = counter("faas.errors", "Invocations that failed.")
	invokeTimeouts = counter("faas.timeouts", "Invocations that took too long.")
	coldStarts     = counter("faas.coldstarts", "Invocations that were the first of their process.")
	sentMessages   = counter("messaging.client.sent.messages", "Messages that were sent.")
	sendDuration   = seconds("messaging.client.operation.duration", "How long sending a message takes.", .005, .01, .05, .1, .5, 1, 5, 10, 60)
	processing     = seconds("messaging.process.duration", "How long handling a message takes.", .05, .1, .5, 1, 5, 10, 30, 60, 300, 600, 1800)
)

// A Definition is a metric as the documentation lists it.
type Definition struct {
	Name, Kind, Unit, Doc string
	Labels                []string
}

// All are the metrics, in the order in which they are defined.
var All []Definition

// must is for definitions: a name that is wrong is wrong in every run.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A Counter counts.
type Counter struct {
	instrument metric.Int64Counter
	labels     []string
}

// Add adds n, with a value for each label of the definition.
func (c Counter) Add(ctx context.Context, n int64, labels ...string) {
	c.instrument.Add(ctx, n, metric.WithAttributes(attributes(c.labels, labels)...))
}

// A Gauge tells how things are.
type Gauge struct {
	instrument metric.Float64Gauge
	labels     []string
}

// Set tells the value, with a value for each label of the definition.
func (g Gauge) Set(ctx context.Context, v float64, labels ...string) {
	g.instrument.Record(ctx, v, metric.WithAttributes(attributes(g.labels, labels)...))
}

// A Timer tells how long things take.
type Timer struct{ instrument metric.Float64Histogram }

// Record tells one duration. A negative one, of clocks that differ, is 0.
func (t Timer) Record(ctx context.Context, d time.Duration, attrs ...attribute.KeyValue) {
	t.instrument.Record(ctx, max(0, d.Seconds()), metric.WithAttributes(attrs...))
}

func attributes(names, values []string) []attribute.KeyValue {
	var all []attribute.KeyValue
	for i, v := range values {
		if i < len(names) {
			all = append(all, attribute.String(names[i], v))
		}
	}
	return all
}

func define(name, kind, unit, doc string, labels []string) {
	All = append(All, Definition{name, kind, unit, doc, labels})
}

func counter(name, doc string, labels ...string) Counter {
	define(name, "counter", "1", doc, labels)
	return Counter{must(meter.Int64Counter(name, metric.WithDescription(doc), metric.WithUnit("1"))), labels}
}

func gauge(name, doc, unit string, labels ...string) Gauge {
	define(name, "gauge", unit, doc, labels)
	return Gauge{must(meter.Float64Gauge(name, metric.WithDescription(doc), metric.WithUnit(unit))), labels}
}

func seconds(name, doc string, bounds ...float64) Timer {
	define(name, "histogram", "s", doc, nil)
	return Timer{must(meter.Float64Histogram(name, metric.WithDescription(doc), metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(bounds...)))}
}
