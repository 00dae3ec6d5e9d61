package compare

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/service"
)

// When a difference is one.
const (
	// enough is how many samples both sides need: fewer have no median to
	// speak of.
	enough = 5
	// double and noticed: a time has to change by both, the factor and the
	// difference.
	double  = 2
	noticed = 20 * time.Millisecond
	// points is by how many percent points a share of failures must differ,
	// and lossPoints a share of lost segments, of which there are so many.
	points       = 5.0
	lossPoints   = 1.0
	lossSegments = 100
)

// The units of metrics.
const (
	Milliseconds = "ms"
	Percent      = "%"
	PerMinute    = "/min"
	KBps         = "kB/s"
)

// A Metric is one quantity on both sides.
type Metric struct {
	Name     string  `json:"name"`
	Unit     string  `json:"unit"`
	Baseline float64 `json:"baseline"`
	Capture  float64 `json:"capture"`
	N        [2]int  `json:"n"`       // samples behind them: baseline, capture
	Differs  bool    `json:"differs"` // by more than chance would make it
}

// quantities lists what is compared of a service, in the order of reading.
func (c *Comparison) quantities(b, n *service.Service) []Metric {
	uses := [2]int{b.Connections, n.Connections}
	all := []Metric{}
	add := func(m Metric) {
		if m.N[0]+m.N[1] > 0 {
			m.Baseline, m.Capture = round(m.Baseline), round(m.Capture)
			all = append(all, m)
		}
	}
	times := func(name string, x, y service.Spread) {
		add(Metric{name, Milliseconds, x.Median, y.Median, [2]int{x.N, y.N}, x.N >= enough && y.N >= enough && slower(x.Median, y.Median)})
	}
	if b.Resolver != nil && n.Resolver != nil {
		x, y := b.Resolver, n.Resolver
		asked := [2]int{x.Asked, y.Asked}
		add(Metric{"questions", PerMinute, float64(x.Asked) / c.Baseline.minutes(), float64(y.Asked) / c.Capture.minutes(), asked, false})
		add(share("unanswered", x.Unanswered, y.Unanswered, asked))
		add(share("errors", x.Errors, y.Errors, asked))
		times("latency", x.Latency, y.Latency)
		add(share("fallbacks", x.Fell, y.Fell, [2]int{x.Lookups, y.Lookups}))
		times("wait before the fallback", x.Wait, y.Wait)
		return all
	}
	add(Metric{"connections", PerMinute, float64(b.Connections) / c.Baseline.minutes(), float64(n.Connections) / c.Capture.minutes(), uses, false})
	if b.Protocol == service.UDP {
		return all
	}
	failures := slices.Sorted(maps.Keys(b.Failures))
	for _, k := range slices.Sorted(maps.Keys(n.Failures)) {
		if _, both := b.Failures[k]; !both {
			failures = append(failures, k)
		}
	}
	for _, k := range failures {
		add(share(string(k), b.Failures[k], n.Failures[k], uses))
	}
	times("handshake", b.Handshake, n.Handshake)
	times("round trip", b.RTT, n.RTT)
	times("server think", b.ServerThink, n.ServerThink)
	times("client think", b.ClientThink, n.ClientThink)
	segments := [2]int{int(b.Segments[0] + b.Segments[1]), int(n.Segments[0] + n.Segments[1])}
	x, y := 100*b.LossRate(), 100*n.LossRate()
	add(Metric{"loss", Percent, x, y, segments, min(segments[0], segments[1]) >= lossSegments && apart(x, y, lossPoints)})
	t, u := b.Throughput, n.Throughput
	add(Metric{"throughput", KBps, t.Median, u.Median, [2]int{t.N, u.N}, t.N >= enough && u.N >= enough && max(t.Median, u.Median) > double*min(t.Median, u.Median)})
	return all
}

func share(name string, b, n int, of [2]int) Metric {
	part := func(n, of int) float64 { return 100 * float64(n) / float64(max(of, 1)) }
	x, y := part(b, of[0]), part(n, of[1])
	return Metric{name, Percent, x, y, of, min(of[0], of[1]) >= enough && apart(x, y, points)}
}

// apart: the larger one is twice the smaller one, and so many points more.
func apart(x, y, points float64) bool {
	return max(x, y) >= double*min(x, y) && math.Abs(x-y) >= points
}

func slower(x, y float64) bool {
	return max(x, y) > double*min(x, y) && math.Abs(x-y) > float64(noticed.Milliseconds())
}

func round(v float64) float64 { return math.Round(v*1e3) / 1e3 }

// weights say which differences matter most: what fails before what is slow,
// what is slow before what is merely different.
var weights = map[string]float64{
	"unanswered": 90, "errors": 80, "fallbacks": 75, "wait before the fallback": 70, "latency": 65,
	"tcp.connect-timeout": 89, "tcp.connect-refused": 88, "tcp.half-open": 87,
	"tls.alert": 84, "tls.handshake-reset": 84, "tls.handshake-timeout": 84, "tcp.reset": 78,
	"loss": 60, "handshake": 50, "round trip": 49, "server think": 55, "client think": 45, "throughput": 40,
}

// measure fills in the metrics of a pair, and says which differ.
func (c *Comparison) measure(p *Pair) {
	p.Metrics = c.quantities(p.Baseline, p.Capture)
	for _, m := range p.Metrics {
		if !m.Differs {
			continue
		}
		worse := "capture"
		if more := m.Capture > m.Baseline; more == (m.Unit == KBps) {
			worse = "baseline"
		}
		d := Difference{Service: p.Name, Metric: m.Name, Worse: worse, weight: weights[m.Name] + heft(m), Summary: c.sentence(p, m, worse)}
		c.Differences = append(c.Differences, d)
	}
	if b, n := versions(p.Baseline), versions(p.Capture); b != n && b != "" && n != "" {
		c.Differences = append(c.Differences, Difference{
			Service: p.Name, Metric: "TLS version", weight: 30,
			Summary: fmt.Sprintf("%s speaks %s with %s and %s with %s.", capital(c.Capture.Name), n, p.Name, b, c.Baseline.Name),
		})
	}
}

// heft lets the larger of two differences of a sort come first.
func heft(m Metric) float64 {
	ratio := max(m.Baseline, m.Capture) / max(min(m.Baseline, m.Capture), 0.001)
	return min(math.Log10(max(ratio, 1)), 4)
}

func versions(s *service.Service) string {
	return strings.Join(slices.Sorted(maps.Keys(s.TLS)), " and ")
}

var phrases = map[finding.Kind]string{
	"tcp.connect-refused": "are refused", "tcp.connect-timeout": "get no answer", "tcp.half-open": "stay half-open",
	"tcp.reset": "are reset", "tls.alert": "end with a TLS alert", "tls.handshake-reset": "are dropped during the TLS handshake",
	"tls.handshake-timeout": "stop during the TLS handshake",
}

// sentence says a difference.
func (c *Comparison) sentence(p *Pair, m Metric, worse string) string {
	bad, good := &c.Capture, &c.Baseline
	x, y, n, o := m.Capture, m.Baseline, m.N[1], m.N[0]
	if worse == "baseline" {
		bad, good, x, y, n, o = good, bad, y, x, o, n
	}
	ms := func(v float64) string { return detect.Span(time.Duration(v * 1e6)) }
	medians := fmt.Sprintf("(medians of %d and %d)", n, o)
	switch {
	case phrases[finding.Kind(m.Name)] != "":
		return fmt.Sprintf("%s of the connections to %s %s on %s, %s on %s.", percent(x), p.Name, phrases[finding.Kind(m.Name)], bad.Name, percent(y), good.Name)
	case m.Name == "unanswered":
		return fmt.Sprintf("The resolver %s leaves %s of the questions of %s unanswered, and %s of those of %s.", p.Name, percent(x), bad.Name, percent(y), good.Name)
	case m.Name == "errors":
		return fmt.Sprintf("The resolver %s answers %s of the questions of %s with an error, and %s of those of %s.", p.Name, percent(x), bad.Name, percent(y), good.Name)
	case m.Name == "fallbacks":
		return fmt.Sprintf("%s of the lookups that ask %s first have to go on to another resolver on %s, %s on %s.", percent(x), p.Name, bad.Name, percent(y), good.Name)
	case m.Name == "loss":
		return fmt.Sprintf("%s of the data segments between %s and %s are lost, %s with %s.", percent(x), bad.Name, p.Name, percent(y), good.Name)
	case m.Unit == KBps:
		return fmt.Sprintf("Bulk data with %s moves at %.0f kB/s on %s, at %.0f kB/s on %s %s.", p.Name, x, bad.Name, y, good.Name, medians)
	case m.Name == "latency" || m.Name == "wait before the fallback":
		return fmt.Sprintf("The %s of the resolver %s is %s on %s, %s on %s %s.", m.Name, p.Name, ms(x), bad.Name, ms(y), good.Name, medians)
	case m.Name == "client think":
		return fmt.Sprintf("The client of %s takes %s to ask on %s, %s on %s %s.", p.Name, ms(x), bad.Name, ms(y), good.Name, medians)
	case m.Name == "server think":
		return fmt.Sprintf("%s takes %s to answer on %s, %s on %s %s.", p.Name, ms(x), bad.Name, ms(y), good.Name, medians)
	}
	return fmt.Sprintf("The %s with %s takes %s on %s, %s on %s %s.", m.Name, p.Name, ms(x), bad.Name, ms(y), good.Name, medians)
}

func percent(v float64) string {
	switch {
	case v == 0:
		return "none"
	case v < 10:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") + " %"
	}
	return fmt.Sprintf("%.0f %%", v)
}

// capital begins a sentence. Names of machines are written as they are.
func capital(s string) string {
	if !strings.HasPrefix(s, "the ") {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
