package report

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/compare"
)

// MaxIncident is how many captures a page of an incident compares; it counts
// the others.
const MaxIncident = 24

// maxCalled is how long the name of a capture is in tables and pictures, in
// runes.
const maxCalled = 36

// A member is one capture of an incident.
type member struct {
	Page
	name     string // as the incident's page calls it
	tone     tone
	base     bool // the others are compared with it
	compared *compare.Comparison
}

// An incidentOf is all captures of an incident, the worst first, what they are
// compared with last.
type incidentOf struct {
	members  []*member
	base     *member // nil: there is nothing to compare
	left     int
	captures int // that have an analysis
}

func newIncident(pages []Page) *incidentOf {
	in := &incidentOf{}
	for _, p := range pages {
		m := &member{Page: p, tone: undecided}
		if p.Analysis != nil {
			m.tone = toneOf(p.Analysis)
			m.Context = cmp.Or(p.Context, p.Analysis.Context)
			in.captures++
		}
		in.members = append(in.members, m)
	}
	slices.SortStableFunc(in.members, func(a, b *member) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(callName(a), callName(b)))
	})
	if n := len(in.members); n > MaxIncident {
		// The last ones are the healthy side, and one of them is needed.
		in.left = n - MaxIncident
		in.members = slices.Delete(in.members, MaxIncident-1, n-1)
	}
	in.call()
	in.compare()
	return in
}

// rank is how far up a capture stands.
func rank(m *member) int {
	r := map[tone]int{fault: 0, warning: 1, undecided: 2, healthy: 3}[m.tone]
	if m.Analysis == nil {
		r = 3
	}
	if m.Case.Baseline {
		r += 10
	}
	return r
}

// callName is the instance, the machine, or the file.
func callName(m *member) string {
	switch {
	case m.Case.Instance != "":
		return printable(lastSegment(m.Case.Instance))
	case m.Case.Target != "":
		return printable(lastSegment(m.Case.Target))
	case m.Analysis != nil && m.Analysis.Capture.File != "":
		return printable(baseName(m.Analysis.Capture.File))
	}
	return "a capture"
}

// call gives each capture a name that no other has.
func (in *incidentOf) call() {
	seen := map[string]int{}
	for _, m := range in.members {
		m.name = callName(m)
		if m.Case.Instance != "" && m.Case.Target != "" {
			m.name = printable(path.Base(m.Case.Target)) + ", " + m.name
		}
		m.name = shorten(m.name, maxCalled)
		if seen[m.name]++; seen[m.name] > 1 {
			m.name += fmt.Sprintf(" (%d)", seen[m.name])
		}
	}
}

// compare holds every capture against the healthy side: a baseline that can
// be read, else the one that fares best.
func (in *incidentOf) compare() {
	for _, m := range slices.Backward(in.members) {
		if m.Analysis == nil || !m.Analysis.Capture.Readable {
			continue
		}
		if in.base == nil || !in.base.Case.Baseline && m.Case.Baseline || in.base.Case.Baseline == m.Case.Baseline && m.tone == healthy && in.base.tone != healthy {
			in.base = m
		}
	}
	if in.captures < 2 || in.base == nil {
		in.base = nil
		return
	}
	in.base.base = true
	for _, m := range in.members {
		if m != in.base && m.Analysis != nil {
			m.compared = compare.Named(in.base.Analysis, m.Analysis, in.base.called(), m.called())
		}
	}
}

// called is what sentences call a capture: its machine, where a case knows it;
// else compare finds a name.
func (m *member) called() string {
	if m.Case.Target == "" && m.Case.Instance == "" {
		return ""
	}
	return m.name
}

// first is the sentence that matters, what the worst capture shows where that
// is more, and what to do next.
func (in *incidentOf) first() (sentence, summary, next string) {
	for _, m := range in.members {
		if m.Analysis == nil {
			continue
		}
		v := m.Analysis.Verdict
		if c := m.compared; c != nil && len(c.Differences) > 0 && c.Differences[0].Worse != "" {
			return c.Summary, v.Summary, v.NextStep
		}
		return v.Summary, "", v.NextStep
	}
	return "No capture of this incident has been analysed.", "", ""
}

// headline is what is wrong, and with how many.
func (in *incidentOf) headline() string {
	var worst *member
	same, affected := 0, 0
	for _, m := range in.members {
		if m.Analysis == nil || m.Case.Baseline {
			continue
		}
		affected++
		if worst == nil {
			worst = m
		}
		if m.Analysis.Verdict.Cause == worst.Analysis.Verdict.Cause {
			same++
		}
	}
	switch {
	case worst == nil && in.captures == 0:
		return "Nothing was captured yet"
	case worst == nil:
		return "Only the healthy side was captured"
	case affected == 1 || worst.Analysis.Verdict.Cause == analysis.Healthy:
		return headline(worst.Analysis)
	}
	return fmt.Sprintf("%s, in %d of %d captures", headline(worst.Analysis), same, affected)
}

func (in *incidentOf) tone() tone {
	if len(in.members) == 0 {
		return undecided
	}
	return in.members[0].tone
}

// about is what is known of the incident itself: its captures agree.
func (in *incidentOf) about() About {
	for _, m := range in.members {
		if m.Case.Incident != "" {
			return m.Case
		}
	}
	return About{}
}

// withWhom says what the others are compared with.
func (in *incidentOf) withWhom() string {
	switch {
	case in.base == nil:
		return ""
	case in.base.Case.Baseline:
		return in.base.name + ", the healthy side"
	case in.base.tone == healthy:
		return in.base.name + ", which is healthy"
	}
	return in.base.name + ", as none of them is healthy"
}

// quantity is one metric of one service in all captures that have it.
type quantity struct {
	name, unit string
	values     []quantityValue
}

type quantityValue struct {
	member  *member
	metric  compare.Metric
	side    int // of the metric
	differs bool
}

func (v quantityValue) amount() string { return amount(v.metric, v.side) }

func (v quantityValue) value() float64 {
	if v.side == 0 {
		return v.metric.Baseline
	}
	return v.metric.Capture
}

// sharedService is one service that several captures have.
type sharedService struct {
	name       string
	differs    bool
	quantities []*quantity
}

const maxShared = 16

// services lists what the captures have in common, what differs first.
func (in *incidentOf) services() (all []*sharedService, left int) {
	byName := map[string]*sharedService{}
	for _, m := range in.members {
		if m.compared == nil {
			continue
		}
		for i := range m.compared.Services {
			p := &m.compared.Services[i]
			s := byName[p.Name]
			if s == nil {
				s = &sharedService{name: pairName(p)}
				byName[p.Name] = s
				all = append(all, s)
			}
			s.take(in.base, m, p)
		}
	}
	slices.SortStableFunc(all, func(a, b *sharedService) int {
		switch {
		case a.differs == b.differs:
			return 0
		case a.differs:
			return -1
		}
		return 1
	})
	all = slices.DeleteFunc(all, func(s *sharedService) bool { return len(s.quantities) == 0 })
	if n := len(all) - maxShared; n > 0 {
		all, left = all[:maxShared], n
	}
	return all, left
}

func (s *sharedService) take(base, m *member, p *compare.Pair) {
	for _, x := range p.Metrics {
		if silent(x) {
			continue
		}
		i := slices.IndexFunc(s.quantities, func(q *quantity) bool { return q.name == x.Name })
		if i < 0 {
			i = len(s.quantities)
			s.quantities = append(s.quantities, &quantity{name: x.Name, unit: x.Unit, values: []quantityValue{{base, x, 0, false}}})
		}
		q := s.quantities[i]
		at := len(q.values) - 1 // the base stays last, as in the list of captures
		q.values = slices.Insert(q.values, at, quantityValue{m, x, 1, x.Differs})
		s.differs = s.differs || x.Differs
	}
}

// verdictWords is a capture's verdict in a few words.
func verdictWords(m *member) string {
	if m.Analysis == nil {
		return cmp.Or(printable(m.Case.State), "no file has come")
	}
	text := headline(m.Analysis)
	if m.Analysis.Capture.Readable {
		if blames(m.Analysis.Verdict.Culprit) {
			text += ", culprit: " + strings.TrimPrefix(culpritWords(m.Analysis.Verdict.Culprit), "the ")
		}
		text += fmt.Sprintf(" (%.0f %% sure)", 100*m.Analysis.Verdict.Confidence)
	}
	return text
}
