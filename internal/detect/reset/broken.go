package reset

import (
	"fmt"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/flow"
)

// broken are the connections of the same parties that were broken in the same
// way.
type broken struct {
	detect.Case
	total         int // connections of the same parties
	resets        int // of Count, ended with a RST
	foreign       int
	ttl, usualTTL uint8 // of a foreign one
	phases        [flow.AfterData + 1]int
	by            map[string]int
	idle          time.Duration // the longest silence
	shortest      time.Duration
	after         time.Duration // the longest time from the question to the end
	lifeless      int           // of Count: only keep-alives went unanswered
}

func (b *broken) add(c *detect.Connection, proof []flow.Moment) {
	var frames []int64
	for _, m := range proof {
		frames = append(frames, m.Frame)
	}
	end := proof[len(proof)-1]
	b.Note(c, end.Time, frames...)
	if rst := c.RST(); rst.Seen() && rst.Frame == end.Frame {
		b.resets++
		if rst.Foreign() {
			b.foreign++
			b.ttl, b.usualTTL = rst.TTL, rst.UsualTTL
		}
	}
	b.phases[c.RST().Phase]++
	if b.by == nil {
		b.by = map[string]int{}
	}
	b.by[c.ResetBy()]++
	if silence := c.Break().Silence(); silence > 0 {
		b.idle = max(b.idle, silence)
		if b.shortest == 0 || silence < b.shortest {
			b.shortest = silence
		}
	}
	b.after = max(b.after, end.Since(proof[0]))
	if brk := c.Break(); brk.Reset.Seen() && c.Sides[brk.By].Talk().Last.Frame < brk.After.Frame {
		b.lifeless++
	}
}

// Join takes over another pair's connections.
func (b *broken) Join(o *broken) {
	b.Merge(&o.Case)
	b.total += o.total
	b.resets += o.resets
	b.lifeless += o.lifeless
	b.foreign += o.foreign
	if o.foreign > 0 {
		b.ttl, b.usualTTL = o.ttl, o.usualTTL
	}
	for i, n := range o.phases {
		b.phases[i] += n
	}
	for who, n := range o.by {
		b.by[who] += n
	}
	b.idle, b.after = max(b.idle, o.idle), max(b.after, o.after)
	if b.shortest == 0 || o.shortest != 0 && o.shortest < b.shortest {
		b.shortest = o.shortest
	}
}

func (b *broken) severity(h how) finding.Severity {
	s := finding.Low
	switch {
	case 2*b.Count >= b.total:
		s = finding.High
	case 10*b.Count >= b.total:
		s = finding.Medium
	}
	switch h {
	case idleTimeout:
		if b.lifeless == b.Count && b.foreign == 0 {
			return finding.Low // nothing but the connection was lost
		}
		return max(s, finding.Medium)
	case gaveUp:
		return finding.Low
	case cut:
		return min(s, finding.Medium)
	}
	return s
}

func (s *state) end(*detect.Summary) {
	for h := range s.ways {
		for k, b := range s.ways[h].All {
			b.total = max(b.Count, s.pass.Traffic(k).Answered)
		}
		for _, b := range detect.Gather(&s.ways[h]) {
			s.pass.Report(b.Into(b.finding(how(h))))
		}
	}
}

func (b *broken) finding(h how) finding.Finding {
	f := finding.Finding{
		Kind: "tcp.reset", Severity: b.severity(h), Confidence: 0.85, Culprit: finding.Server, Flow: b.Flow(),
		Detail: map[string]any{
			"how": names[h], "endedWith": "RST", "broken": b.Count, "connections": b.total, "percent": detect.Percent(b.Count, b.total),
			"otherMachine": 2*b.foreign > b.Count,
		},
	}
	if b.resets < b.Count-b.resets {
		f.Detail["endedWith"] = "FIN"
	}
	phase := flow.NoReset
	for i, n := range b.phases {
		if n > b.phases[phase] {
			phase = flow.Phase(i)
		}
	}
	if phase != flow.NoReset {
		f.Detail["phase"] = phase.String()
		for who, n := range b.by {
			if n == max(b.by["client"], b.by["server"], b.by["unknown"]) {
				f.Detail["by"] = who
			}
		}
	}
	b.words(&f, h)
	if 2*b.foreign > b.Count {
		f.Culprit, f.Confidence = finding.Middlebox, 0.85
		f.Detail["rstTTL"], f.Detail["usualTTL"] = int(b.ttl), int(b.usualTTL)
		if b.ttl != b.usualTTL {
			f.Summary += fmt.Sprintf(" Something in between made the RST: it arrived with a TTL of %d, the other packets with %d.", b.ttl, b.usualTTL)
		} else {
			f.Summary += " Something in between made the RST: its IP identification is out of the sender's row."
		}
	}
	if b.Count > 1 {
		f.Summary += fmt.Sprintf(" The first at %s.", detect.Clock(b.First))
	}
	return f
}

func (b *broken) words(f *finding.Finding, h how) {
	of := fmt.Sprintf("%s from %s", detect.Begin(detect.OutOf(b.Count, b.total, "connection")), b.Parties())
	was := "was"
	if b.Count > 1 {
		was = "were"
	}
	switch h {
	case unanswered:
		f.Summary = fmt.Sprintf("%s %s reset with a request that had no answer yet, %s after it at most.", of, was, detect.Span(b.after))
	case closed:
		f.Summary = fmt.Sprintf("%s %s closed by the server (FIN) before it answered anything, %s after the request at most.", of, was, detect.Span(b.after))
	case atOnce:
		f.Summary = fmt.Sprintf("%s %s accepted and broken off at once by the server, before anything was said.", of, was)
		f.Confidence = 0.75
	case cut:
		f.Summary = fmt.Sprintf("%s %s reset by the server while its answer was still on the way.", of, was)
		f.Confidence = 0.7
	case idleTimeout:
		f.Culprit, f.Confidence = finding.Firewall, 0.65
		if b.shortest >= 30*time.Second {
			f.Confidence = 0.8
		}
		f.Detail["idleSeconds"] = detect.Seconds(b.idle)
		f.Summary = fmt.Sprintf("%s had worked, %s silent for %s, and %s reset when it went on.", of, was, detect.Span(b.idle), was)
		if b.shortest < b.idle*9/10 {
			f.Summary = fmt.Sprintf("%s had worked, were silent for %s to %s, and were reset when they went on.", of, detect.Span(b.shortest), detect.Span(b.idle))
		}
		if b.lifeless == b.Count && b.foreign == 0 {
			f.Summary += " Only keep-alives went unanswered: the other side, or something in between, had forgotten it already."
		} else if b.foreign == 0 {
			f.Summary += " Something in between forgot it."
		}
		f.NextStep = "Compare the silence with the idle timeouts of the load balancer, NAT gateway and firewalls on the way (Azure: 4 minutes unless set), and turn on TCP keep-alives below that, or keep the server from forgetting."
	case gaveUp:
		f.Culprit, f.Confidence = finding.Client, 0.7
		f.Summary = fmt.Sprintf("%s %s aborted by the client while it waited for an answer, after %s at most.", of, was, detect.Span(b.after))
	case foreign:
		f.Summary = fmt.Sprintf("%s %s reset by a RST that neither side made.", of, was)
	}
}
