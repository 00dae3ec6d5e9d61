// Package telemetrytest is an OpenTelemetry collector for tests: it takes
// traces, metrics and logs as OTLP over HTTP, and keeps them.
package telemetrytest

import (
	"compress/gzip"
	"encoding/hex"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A Span is one that was exported.
type Span struct {
	Service            string
	Trace, ID, Parent  string // hexadecimal; Parent is empty for a root
	Name, Kind         string
	Start, End         time.Time
	Failed             bool
	Attributes         map[string]string
	Links              []string // IDs of spans
	ResourceAttributes map[string]string
}

// A Point is the latest value of a metric with certain labels: of a histogram
// how often it was recorded.
type Point struct {
	Service, Name string
	Labels        map[string]string
	Value         float64
}

// A Collector keeps what it was sent.
type Collector struct {
	URL string

	mu     sync.Mutex
	spans  []Span
	points map[string]Point
	logs   []map[string]string
}

// Start runs a collector until the test ends.
func Start(t *testing.T) *Collector {
	t.Helper()
	c := &Collector{points: map[string]Point{}}
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	c.URL = s.URL
	return c
}

// Env are the variables that have an app export to the collector.
func (c *Collector) Env() map[string]string {
	return map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL}
}

// ServeHTTP takes an export.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := read(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch r.URL.Path {
	case "/v1/traces":
		var x coltrace.ExportTraceServiceRequest
		if err = proto.Unmarshal(body, &x); err == nil {
			c.takeSpans(&x)
		}
	case "/v1/metrics":
		var x colmetrics.ExportMetricsServiceRequest
		if err = proto.Unmarshal(body, &x); err == nil {
			c.takeMetrics(&x)
		}
	case "/v1/logs":
		var x collogs.ExportLogsServiceRequest
		if err = proto.Unmarshal(body, &x); err == nil {
			c.takeLogs(&x)
		}
	default:
		http.NotFound(w, r)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func read(r *http.Request) ([]byte, error) {
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, err
		}
		body = z
	}
	return io.ReadAll(io.LimitReader(body, 64<<20))
}

func (c *Collector) takeSpans(x *coltrace.ExportTraceServiceRequest) {
	for _, rs := range x.ResourceSpans {
		about := text(rs.GetResource().GetAttributes())
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				span := Span{
					Service: about["service.name"], Trace: hex.EncodeToString(s.TraceId), ID: hex.EncodeToString(s.SpanId),
					Parent: hex.EncodeToString(s.ParentSpanId), Name: s.Name, Kind: kinds[s.Kind],
					Start: time.Unix(0, int64(s.StartTimeUnixNano)), End: time.Unix(0, int64(s.EndTimeUnixNano)),
					Failed: s.GetStatus().GetCode() == trace.Status_STATUS_CODE_ERROR, Attributes: text(s.Attributes), ResourceAttributes: about,
				}
				for _, l := range s.Links {
					span.Links = append(span.Links, hex.EncodeToString(l.SpanId))
				}
				c.spans = append(c.spans, span)
			}
		}
	}
}

var kinds = map[trace.Span_SpanKind]string{
	trace.Span_SPAN_KIND_SERVER: "server", trace.Span_SPAN_KIND_CLIENT: "client",
	trace.Span_SPAN_KIND_PRODUCER: "producer", trace.Span_SPAN_KIND_CONSUMER: "consumer", trace.Span_SPAN_KIND_INTERNAL: "internal",
}

func (c *Collector) takeMetrics(x *colmetrics.ExportMetricsServiceRequest) {
	for _, rm := range x.ResourceMetrics {
		service := text(rm.GetResource().GetAttributes())["service.name"]
		for _, sm := range rm.ScopeMetrics {
			for _, m := range sm.Metrics {
				number := func(all []*metrics.NumberDataPoint) {
					for _, p := range all {
						c.take(Point{service, m.Name, text(p.Attributes), p.GetAsDouble() + float64(p.GetAsInt())})
					}
				}
				number(m.GetSum().GetDataPoints())
				number(m.GetGauge().GetDataPoints())
				for _, p := range m.GetHistogram().GetDataPoints() {
					c.take(Point{service, m.Name, text(p.Attributes), float64(p.Count)})
				}
			}
		}
	}
}

func (c *Collector) take(p Point) {
	var key strings.Builder
	key.WriteString(p.Service + " " + p.Name)
	for _, k := range slices.Sorted(func(yield func(string) bool) {
		for k := range p.Labels {
			if !yield(k) {
				return
			}
		}
	}) {
		key.WriteString(" " + k + "=" + p.Labels[k])
	}
	c.points[key.String()] = p
}

func (c *Collector) takeLogs(x *collogs.ExportLogsServiceRequest) {
	for _, rl := range x.ResourceLogs {
		for _, sl := range rl.ScopeLogs {
			for _, r := range sl.LogRecords {
				record := text(r.Attributes)
				record["message"], record["level"], record["trace"] = value(r.Body), r.SeverityText, hex.EncodeToString(r.TraceId)
				c.logs = append(c.logs, record)
			}
		}
	}
}

func text(all []*common.KeyValue) map[string]string {
	m := map[string]string{}
	for _, kv := range all {
		m[kv.Key] = value(kv.Value)
	}
	return m
}

func value(v *common.AnyValue) string {
	switch v := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return v.StringValue
	case *common.AnyValue_IntValue:
		return strconv.FormatInt(v.IntValue, 10)
	case *common.AnyValue_BoolValue:
		return strconv.FormatBool(v.BoolValue)
	case *common.AnyValue_DoubleValue:
		return strconv.FormatFloat(v.DoubleValue, 'g', -1, 64)
	case nil:
		return ""
	}
	return v.String()
}

// Spans are those that were exported so far, by their start.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := slices.Clone(c.spans)
	slices.SortStableFunc(all, func(a, b Span) int { return a.Start.Compare(b.Start) })
	return all
}

// Points are the latest values of all metrics, by service, name and labels.
func (c *Collector) Points() map[string]Point {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]Point{}
	maps.Copy(all, c.points)
	return all
}

// Logs are the log records that were exported: attributes, and "message",
// "level" and "trace".
func (c *Collector) Logs() []map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.logs)
}
