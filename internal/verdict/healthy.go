package verdict

import (
	"fmt"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/service"
)

// healthy is the verdict when nothing is wrong, with the reasons in numbers.
func (c *court) healthy() Verdict {
	f := c.facts
	v := Verdict{Cause: Healthy, Culprit: finding.None, Findings: []int{}, Confidence: c.sure(c.confidence())}
	if i := c.first("capture.no-traffic"); i >= 0 && c.findings[i].Severity >= finding.Medium {
		v.Findings = append(v.Findings, i)
	}
	said := []string{"Nothing is wrong in what was captured: " + list(c.reasons()) + "."}
	if i := c.first("icmp.fragmentation-needed"); i >= 0 {
		said = append(said, "What was sent again is path MTU discovery at work: "+sentences(c.findings[i].Summary)[0])
	}
	if s := c.blemish(); s != "" {
		said = append(said, s)
	}
	if n := len(c.silenced); n > 0 {
		said = append(said, fmt.Sprintf("What looks like a fault (%s) is none: %s.", c.findings[c.silenced[0]].Kind, c.silencing))
	}
	if s := c.outside(); s != "" {
		said = append(said, s)
	}
	if len(f.ExpectedOutbound) > 0 && f.Vantage.Known() && f.Vantage.Accepted > 0 && f.Vantage.Opened == 0 {
		said = append(said, fmt.Sprintf("The captured machine %s opened no connection of its own%s.", f.Vantage.Machine(), c.filtered()))
	}
	v.Summary = strings.Join(said, " ")
	v.NextStep = "If users still see a fault, it is not in this traffic: capture while it happens, or at the other end, and look at the application's own log."
	if f.Filtered {
		v.NextStep = "If users still see a fault, it is not in what the filters let through: capture name resolution and the services behind this one too, or at the other end."
	}
	return v
}

// confidence grows with what was seen to work.
func (c *court) confidence() float64 {
	n := c.facts.Connections.Established + c.facts.Connections.Answered + c.facts.Questions.Worked
	sure := 0.95
	switch {
	case n < 3:
		sure = 0.7
	case n < 10:
		sure = 0.85
	}
	if c.has("capture.loss") || c.has("capture.cut-short") || c.has("capture.incomplete-window") || c.has("capture.limit-reached") {
		sure -= 0.1
	}
	return sure
}

// reasons are the numbers that speak for health.
func (c *court) reasons() []string {
	f := c.facts
	var all []string
	if n := f.Connections; n.Begun > 0 && 2*n.Established >= n.Begun {
		s := part(int(n.Established), int(n.Begun), "TCP connection") + was(n.Established) + "established"
		if f.TCP != nil && f.TCP.IRTT != nil && n.Established > 0 {
			s += fmt.Sprintf(" (median round trip %s)", detect.Span(milliseconds(f.TCP.IRTT.Median)))
		}
		all = append(all, s)
	} else if n.Answered > 0 {
		s := part(int(n.Answered), int(n.Seen), "TCP connection")
		if n.Midstream == n.Seen {
			s += ", open before the capture began,"
		}
		all = append(all, s+" carried data both ways")
	}
	if t := f.TLS; t.Worked > 0 && 2*t.Worked >= t.Tried {
		all = append(all, part(int(t.Worked), int(t.Tried), "TLS handshake")+" came to the end")
	}
	if q := f.Questions; q.Tried > 0 {
		all = append(all, part(int(q.Worked), int(q.Tried), "DNS question")+was(q.Worked)+"answered"+c.dnsMedian())
	}
	if len(all) == 0 && f.Datagrams.Worked > 0 {
		all = append(all, part(int(f.Datagrams.Worked), int(f.Datagrams.Tried), "conversation")+" by UDP or ICMP"+was(f.Datagrams.Worked)+"answered")
	}
	segments, gone := f.segments()
	switch {
	case segments < 20 || c.has("capture.duplicated") || c.has("capture.loss"):
	case gone == 0:
		all = append(all, fmt.Sprintf("none of %d data segments was lost", segments))
	default:
		all = append(all, fmt.Sprintf("%d of %d data segments had to be sent again (%s)", gone, segments, detect.Share(int(gone), int(segments))))
	}
	if len(all) == 0 {
		all = append(all, c.little())
	}
	return all
}

// dnsMedian is the median answer of the resolver that was asked most.
func (c *court) dnsMedian() string {
	var most *service.Service
	for i := range c.facts.Services {
		s := &c.facts.Services[i]
		if s.Resolver != nil && s.Resolver.Latency.N > 0 && (most == nil || s.Resolver.Asked > most.Resolver.Asked) {
			most = s
		}
	}
	if most == nil {
		return ""
	}
	return fmt.Sprintf(" (median %s)", detect.Span(most.Resolver.Latency.Typical()))
}

// blemish is the worst of what is too small to be a fault.
func (c *court) blemish() string {
	for _, f := range c.findings {
		if f.Severity == finding.Low && !strings.HasPrefix(string(f.Kind), "capture.") {
			return "A small thing: " + sentences(f.Summary)[0]
		}
	}
	return ""
}

// outside says that the capture missed the incident, if it did.
func (c *court) outside() string {
	f := c.facts
	if late := f.First.Sub(f.WindowEnd); !f.WindowEnd.IsZero() && !f.First.IsZero() && late > 0 {
		return fmt.Sprintf("The capture began %s after the time that the alert measured, so the fault may have been over.", detect.Span(late.Round(time.Second)))
	}
	return ""
}

func milliseconds(ms float64) time.Duration { return time.Duration(ms * 1e6) }

func moment(t time.Time) string { return t.UTC().Format("15:04:05 UTC on 2 January 2006") }

func was(n int64) string {
	if n == 1 {
		return " was "
	}
	return " were "
}

// list says "a, b and c".
func list(all []string) string {
	if len(all) < 2 {
		return strings.Join(all, "")
	}
	return strings.Join(all[:len(all)-1], ", ") + " and " + all[len(all)-1]
}
