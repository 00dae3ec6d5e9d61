package compare

import (
	"fmt"
	"slices"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/service"
)

// failing is the weight from which on a difference is that something does not
// work.
const failing = 80

// alone says what only one side has: a resolver or service that fails there,
// a finding of weight, or just another service.
func (c *Comparison) alone() {
	c.aloneOn("capture", &c.Capture, &c.Baseline, c.OnlyCapture)
	c.aloneOn("baseline", &c.Baseline, &c.Capture, c.OnlyBaseline)
	c.findings("capture", &c.Capture, &c.Baseline)
	c.findings("baseline", &c.Baseline, &c.Capture)
}

func (c *Comparison) aloneOn(side string, has, not *Side, all []service.Service) {
	for i := range all {
		s := &all[i]
		d := Difference{Service: s.Name(), Metric: "only here", weight: 10}
		switch r := s.Resolver; {
		case r != nil && r.Answered == 0 && r.Unanswered > 0:
			d.Worse, d.weight = side, 100
			d.Summary = c.deadResolver(s, has, not)
		case r != nil:
			d.weight = 25
			d.Summary = fmt.Sprintf("%s asks the resolver %s (%s, %s answered); %s does not.",
				capital(has.Name), s.Name(), detect.Count(r.Asked, "question"), count(r.Answered), not.Name)
		case s.Failed() > 0 && 2*s.Failed() >= s.Connections:
			d.Worse, d.weight = side, failing+6
			d.Summary = fmt.Sprintf("%s of %s from %s to %s failed; %s has none.",
				count(s.Failed()), detect.Count(s.Connections, "connection"), has.Name, s.Name(), not.Name)
			if s.Role == service.Serves {
				d.Summary = fmt.Sprintf("%s of %s to %s failed on %s; %s has none.",
					count(s.Failed()), detect.Count(s.Connections, "connection"), s.Name(), has.Name, not.Name)
			}
		default:
			d.Summary = fmt.Sprintf("Only %s has %s with %s.", has.Name, detect.Count(s.Connections, "connection"), s.Name())
			if s.Protocol == service.UDP {
				d.weight, d.Summary = 5, fmt.Sprintf("Only %s has %s by UDP with %s.", has.Name, detect.Count(s.Connections, "conversation"), s.Name())
			}
		}
		c.Differences = append(c.Differences, d)
	}
}

// deadResolver is the story of the slow node.
func (c *Comparison) deadResolver(s *service.Service, has, not *Side) string {
	r := s.Resolver
	text := capital(has.Name) + " asks " + s.Name()
	if r.Lookups > 0 {
		text += " first"
	}
	text += fmt.Sprintf(", which never answers (%s)", detect.Count(r.Asked, "question"))
	if r.Fell > 0 {
		text += fmt.Sprintf("; each lookup waits %s before %s answers it", detect.Span(r.Wait.Typical().Round(10*time.Millisecond)), r.Fallback)
	}
	text += fmt.Sprintf("; %s does not ask it", not.Name)
	if better := resolver(not); better != nil {
		text += fmt.Sprintf(", and has its answers from %s in %s", better.Name(), detect.Span(better.Resolver.Latency.Typical()))
	}
	return text + "."
}

// resolver is the one that a side asks most and that answers.
func resolver(s *Side) *service.Service {
	var best *service.Service
	for i := range s.services {
		o := &s.services[i]
		if o.Resolver != nil && o.Resolver.Latency.N > 0 && (best == nil || o.Resolver.Asked > best.Resolver.Asked) {
			best = o
		}
	}
	return best
}

// findings are those of weight that only one side has. What a service already
// shows is not said twice.
func (c *Comparison) findings(side string, has, not *Side) {
	var kinds []finding.Kind
	for i, f := range has.findings {
		if f.Severity < finding.Medium || slices.Contains(kinds, f.Kind) || slices.ContainsFunc(not.findings, func(o finding.Finding) bool {
			return o.Kind == f.Kind && o.Severity > finding.Info
		}) {
			continue
		}
		kinds = append(kinds, f.Kind)
		d := Difference{Metric: string(f.Kind), Worse: side, weight: 20, Summary: fmt.Sprintf("Only on %s: %s", has.Name, f.Summary)}
		if f.Flow != nil {
			d.Service = f.Flow.Server.String()
		}
		if slices.Contains(has.Verdict.Findings, i) && i == has.Verdict.Findings[0] && broken(has.Verdict.Cause) {
			d.weight = failing + 5 // it decides the verdict
		}
		if slices.ContainsFunc(c.Differences, func(o Difference) bool { return said(o, d, f) }) {
			continue
		}
		c.Differences = append(c.Differences, d)
	}
}

func broken(cause analysis.Cause) bool {
	return !slices.Contains([]analysis.Cause{analysis.Healthy, analysis.NoTraffic, analysis.Inconclusive, analysis.Suspicious, analysis.Exposure}, cause)
}

// said reports whether o already tells what the finding is about.
func said(o, d Difference, f finding.Finding) bool {
	if o.Worse != d.Worse || o.Worse == "" {
		return false
	}
	return o.Metric == d.Metric || f.Flow != nil && (o.Service == f.Flow.Server.String() || o.Service == f.Flow.Server.Addr().String() || f.Flow.SNI != "" && o.Service == f.Flow.SNI)
}

// first is the sentence that matters first.
func (c *Comparison) first() string {
	b, n := c.Baseline.Verdict.Cause, c.Capture.Verdict.Cause
	top := Difference{}
	if len(c.Differences) > 0 {
		top = c.Differences[0]
	}
	switch {
	case c.Baseline.Packets == 0 || c.Capture.Packets == 0:
		empty := c.Capture.Name
		if c.Baseline.Packets == 0 {
			empty = c.Baseline.Name
		}
		return fmt.Sprintf("There is nothing to compare: %s holds no traffic.", empty)
	case len(c.Services) == 0 && top.weight < failing:
		return "The two captures have no service in common, so there is nothing to compare: check that both were taken of the same service or role."
	case top.Worse != "":
		return top.Summary
	}
	hint := c.hint()
	switch {
	case b != n:
		return fmt.Sprintf("No service differs by more than chance would make it, but the verdicts do: %s for %s, %s for %s.%s", n, c.Capture.Name, b, c.Baseline.Name, hint)
	case !slices.ContainsFunc(c.Services, func(p Pair) bool { return min(p.Baseline.Connections, p.Capture.Connections) >= enough }):
		return fmt.Sprintf("Nothing can be said to differ for certain: no service in common was used %d times on both sides.%s", enough, hint)
	}
	return fmt.Sprintf("The two are alike: %s in common, and none differs in failures, times, or loss by more than chance would make it.%s", detect.Count(len(c.Services), "service"), hint)
}

// hint tells the largest change of a time that has too few samples to count.
func (c *Comparison) hint() string {
	best, change := "", 0.0
	for i := range c.Services {
		p := &c.Services[i]
		for _, m := range p.Metrics {
			ratio := max(m.Baseline, m.Capture) / max(min(m.Baseline, m.Capture), 0.001)
			if m.Unit != Milliseconds || m.Differs || min(m.N[0], m.N[1]) == 0 || min(m.N[0], m.N[1]) >= enough || !slower(m.Baseline, m.Capture) || ratio <= change {
				continue
			}
			worse := "capture"
			if m.Capture < m.Baseline {
				worse = "baseline"
			}
			best, change = c.sentence(p, m, worse), ratio
		}
	}
	if best == "" {
		return ""
	}
	return " The largest change, of too few samples to be sure: " + best
}

func count(n int) string { return fmt.Sprint(n) }
