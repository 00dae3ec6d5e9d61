package resolve

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/dissect/dns"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// notable is the latency below which an answer is never late, whatever is
// usual.
const notable = 100 * time.Millisecond

// late is an answer that may have been late: that depends on what is usual.
type late struct {
	asked         pcap.Timestamp
	took          time.Duration
	query, answer int64
	name          string
	typ           dns.Type
}

// latency takes the answer to a question.
func (s *state) latency(r *resolver, t *dns.Transaction) {
	took := t.Latency()
	if t.RCode != dns.NoError && t.RCode != dns.NameError {
		return // late or not, it is an error
	}
	if t.Queries > 1 {
		// An answer that comes at once when the question is repeated says
		// that the first one, or its answer, was lost.
		if again := t.AnswerTime.Sub(t.Last); took >= notable && again < max(3*r.usually(), 50*time.Millisecond) {
			r.onRetry.Add(t.First, append(t.QueryFrames, t.AnswerFrame)...)
			return
		}
	} else if len(r.latencies) < maxDelays && s.times < maxTimes {
		s.times++
		r.latencies = append(r.latencies, took)
	}
	if took > notable && (len(r.late) < maxLate || took > dns.Slow && len(r.late) < 2*maxLate) && s.times < maxTimes {
		s.times++
		r.late = append(r.late, late{t.First, took, t.QueryFrames[0], t.AnswerFrame, t.Name, t.Type})
	}
}

// usually is about the median latency so far: it is worked out again when
// there are twice as many.
func (r *resolver) usually() time.Duration {
	if len(r.latencies) >= 2*r.usualOf {
		r.usual, r.usualOf = median(r.latencies), len(r.latencies)
	}
	return r.usual
}

func (s *state) reportSlow(server netip.Addr, r *resolver, more int) {
	usual := median(r.latencies)
	var all detect.Tally
	var took []time.Duration
	var worst late
	slow := 0
	for _, l := range r.late {
		if l.took <= dns.Slow && l.took <= 10*usual {
			continue
		}
		if l.took > dns.Slow {
			slow++
		}
		all.Add(l.asked, l.query, l.answer)
		took = append(took, l.took)
		if l.took > worst.took {
			worst = l
		}
	}
	if slow == 0 && all.Count < 3 {
		return
	}
	f := finding.Finding{
		Kind: "dns.slow", Severity: finding.Medium, Confidence: 0.85, Culprit: finding.Resolver, Flow: r.about(server),
		Detail: map[string]any{
			"resolver": server.String(), "clients": len(r.clients), "questions": r.questions, "overOneSecond": slow,
			"medianSeconds": detect.Seconds(usual), "delaySeconds": detect.Seconds(median(took)), "worstSeconds": detect.Seconds(worst.took), "name": worst.name, "type": worst.typ.String(),
		},
		Summary: fmt.Sprintf("The resolver %s was late with %s: %s at worst, for %s (%s)", server, detect.OutOf(all.Count, r.answered, "answer"), detect.Span(worst.took), worst.name, worst.typ),
	}
	if len(r.latencies) > 2*all.Count {
		f.Summary += fmt.Sprintf("; it mostly takes %s", detect.Span(usual))
	}
	f.Summary += "."
	switch {
	case slow == 0: // noticeable in figures alone
		f.Severity = finding.Info
	case 2*slow >= r.questions && median(took) >= 2*time.Second:
		f.Severity = finding.High
	case 20*slow < r.questions:
		f.Severity = finding.Low
	}
	if middle := median(took); slow >= 3 && spread(took, middle) < middle/20 {
		f.Summary += fmt.Sprintf(" They are all about %s late, as when it waits for a forwarder that does not answer.", detect.Span(middle.Round(100*time.Millisecond)))
	}
	s.expectation(server, &f)
	others(&f, more)
	s.pass.Report(all.Into(f))
}

// spread is the median distance from the middle.
func spread(all []time.Duration, middle time.Duration) time.Duration {
	away := make([]time.Duration, 0, len(all))
	for _, d := range all {
		away = append(away, (d - middle).Abs())
	}
	return median(away)
}

func median(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(all))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
