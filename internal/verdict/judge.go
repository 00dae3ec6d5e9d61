package verdict

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/finding"
)

// Judge says what the findings come to. They are sorted, most severe first.
//
// The first of these that applies is the verdict:
//
//  1. nothing was captured: no-traffic;
//  2. the capture was over before the incident began: inconclusive;
//  3. something is broken: a finding of medium severity or more that no other
//     finding explains and that the capture's flaws leave standing. The most
//     severe leads; among equals what happened far more often, then what a
//     conversation needs first (see readings);
//  4. nothing is broken, but something is suspicious, or exposed;
//  5. the capture can't show that all is well: inconclusive;
//  6. healthy.
func Judge(findings []finding.Finding, facts Facts) Verdict {
	c := &court{findings: findings, facts: &facts}
	switch {
	case facts.Packets == 0 && c.has("capture.cut-short"):
		return c.inconclusive("capture.cut-short")
	case facts.Packets == 0 || c.has("capture.no-traffic") && !facts.anything():
		return c.noTraffic()
	case c.tooEarly():
		return c.early()
	}
	c.weigh()
	switch {
	case c.leader >= 0:
		return c.guilty()
	case c.blind() != "":
		return c.inconclusive(c.blind())
	}
	return c.healthy()
}

// A court holds one case.
type court struct {
	findings []finding.Finding
	facts    *Facts

	candidates []int       // that might lead
	explained  map[int]int // finding -> the one that explains it
	leader     int         // -1: none
	because    string      // why the leader's confidence is lowered
	trusted    float64     // what is left of it
	silenced   []int       // findings of weight that a flaw of the capture silences
	silencing  string      // why
}

// weigh picks the leader.
func (c *court) weigh() {
	c.leader, c.explained = -1, map[int]int{}
	var standing []int
	for i, f := range c.findings {
		if _, ok := c.rank(f); !ok || f.Severity < finding.Medium && !c.dominant(f) {
			continue
		}
		if factor, because := c.trust(f); factor == 0 {
			c.silenced, c.silencing = append(c.silenced, i), because
			continue
		}
		standing = append(standing, i)
	}
	for i, f := range c.findings {
		if !slices.Contains(standing, i) && f.Kind != "icmp.fragmentation-needed" {
			continue
		}
		for j := range c.findings {
			if i != j && explains(c.findings[i], c.findings[j]) != "" {
				if _, already := c.explained[j]; !already {
					c.explained[j] = i
				}
			}
		}
	}
	for _, i := range standing {
		if _, is := c.explained[i]; !is {
			c.candidates = append(c.candidates, i)
		}
	}
	if len(c.candidates) == 0 {
		return
	}
	slices.SortStableFunc(c.candidates, func(i, j int) int { return c.compare(c.findings[i], c.findings[j]) })
	c.leader = c.candidates[0]
	c.trusted, c.because = c.trust(c.findings[c.leader])
}

// dominant reports whether a small fault is nearly all that there is: what
// happens to one connection of thousands is noise, and a fault where it is one
// of two.
func (c *court) dominant(f finding.Finding) bool {
	if _, ok := c.rank(f); !ok || f.Severity != finding.Low {
		return false
	}
	affected, all := float64(f.Count), float64(c.facts.Connections.Seen)
	switch {
	case f.Kind == "icmp.fragmentation-needed":
		// No fault in itself: it tells the sender what to do.
		return slices.ContainsFunc(c.findings, func(o finding.Finding) bool { return o.Severity >= finding.Medium && explains(f, o) != "" })
	case strings.HasPrefix(string(f.Kind), "icmp."):
		return false
	case strings.HasPrefix(string(f.Kind), "dns."):
		all = float64(c.facts.Questions.Tried)
	case f.Kind == "tcp.retransmission" && c.lossy():
		return true
	case f.Kind == "tcp.retransmission" || f.Kind == "tcp.zero-window":
		affected, _ = number(f, "connections")
	}
	return 2*affected > all
}

// lossy reports whether the many small losses of the capture come to one: 2 %
// of all data segments, and ten of them.
func (c *court) lossy() bool {
	lost := 0.0
	for _, f := range c.findings {
		if f.Kind == "tcp.retransmission" && f.Severity > finding.Info {
			n, _ := number(f, "lost")
			lost += n
		}
	}
	segments, _ := c.facts.segments()
	return lost >= 10 && 50*lost >= float64(segments)
}

// compare orders what might lead.
func (c *court) compare(a, b finding.Finding) int {
	ra, _ := c.rank(a)
	rb, _ := c.rank(b)
	class := func(r int) int {
		switch {
		case broken(readings[r].cause):
			return 0
		case readings[r].cause == Suspicious:
			return 1
		}
		return 2
	}
	return cmp.Or(
		cmp.Compare(class(ra), class(rb)),
		cmp.Compare(b.Severity, a.Severity),
		cmp.Compare(magnitude(b), magnitude(a)),
		cmp.Compare(ra, rb),
		cmp.Compare(b.Count, a.Count),
	)
}

// magnitude is how many powers of ten of conversations a finding is about. One
// of three attempts weighs as much as one of five, but not as three hundred.
func magnitude(f finding.Finding) int {
	switch {
	case f.Kind == "tcp.retransmission" || f.Kind == "tcp.zero-window" || f.Kind == "tcp.mtu-blackhole" || strings.HasPrefix(string(f.Kind), "icmp."):
		return 0 // counts packets
	case f.Count < 1:
		return 0
	}
	return int(math.Log10(float64(f.Count))) / 2
}

// guilty is the verdict when something leads.
func (c *court) guilty() Verdict {
	f := c.findings[c.leader]
	r, _ := c.rank(f)
	v := Verdict{
		Cause: readings[r].cause, Culprit: c.culprit(f), Findings: []int{c.leader},
		Confidence: c.sure(f.Confidence * c.trusted), NextStep: c.nextStep(f),
	}
	for i := range c.findings {
		if by, ok := c.explained[i]; ok && c.rootOf(by) == c.leader {
			v.Findings = append(v.Findings, i)
		}
	}
	if f.Severity < finding.Medium {
		v.Confidence = c.sure(v.Confidence * 0.75)
	}
	v.Summary = c.tell(v)
	return v
}

// rootOf follows explanations to their end.
func (c *court) rootOf(i int) int {
	for range len(c.findings) {
		by, ok := c.explained[i]
		if !ok {
			break
		}
		i = by
	}
	return i
}

// culprit is the finding's, unless where the capture was taken says more.
func (c *court) culprit(f finding.Finding) finding.Culprit {
	v := &c.facts.Vantage
	if f.Kind == "tcp.connect-timeout" && f.Flow != nil && v.Inferred && v.Is(f.Flow.Server.Addr()) && f.Culprit != finding.Client {
		return finding.Server // the SYNs arrived
	}
	return f.Culprit
}

// sure keeps confidence honest: no capture proves anything beyond doubt, and
// less if part of it was left out or the place of the capture is a guess.
func (c *court) sure(confidence float64) float64 {
	if c.facts.LimitHit {
		confidence *= 0.95
	}
	return math.Round(100*min(max(confidence, 0.05), 0.97)) / 100
}

// tooEarly: everything was captured before the incident began.
func (c *court) tooEarly() bool {
	return !c.facts.WindowStart.IsZero() && c.facts.Last.Before(c.facts.WindowStart)
}
