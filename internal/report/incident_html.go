package report

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/finding"
)

//go:embed incident.html.tmpl
var incidentText string

// incidentLayout borrows what it has in common with the other pages.
var incidentLayout = func() *template.Template {
	t := template.Must(template.New("incident").Parse(incidentText))
	for _, name := range []string{"icon", "label", "prose", "facts"} {
		template.Must(t.AddParseTree(name, layout.Lookup(name).Tree.Copy()))
	}
	return t
}()

// Incident writes one self-contained page about all captures of an incident:
// the sentence that matters first, then the captures side by side, each
// quantity of theirs on one scale. The healthy side is the capture of a case
// with Baseline; without one, the capture that fares best. Its page is as
// harmless as those of [HTML], and the same input makes the same bytes.
func Incident(w io.Writer, captures []Page) error {
	var b bytes.Buffer
	if err := incidentLayout.Execute(&b, newIncidentView(newIncident(captures))); err != nil {
		return fmt.Errorf("write page of incident: %w", err)
	}
	_, err := b.WriteTo(w)
	return err
}

type incidentView struct {
	Policy   string
	Style    template.CSS
	Title    string
	Head     incidentHead
	Case     []fact
	Members  []memberView
	Left     int
	Timeline *incidentTime
	With     string // what the others are compared with
	Compared []comparedView
	Shared   []sharedView
	LeftOut  int
	Kinds    []kindRow
	Rulings  []string
	Custody  []custodyRow
	Read     bool // some of the evidence was read back, as far as is known
	Kept     bool // some of it has a date
	Program  string
}

// incidentHead has what the icon asks for.
type incidentHead struct {
	Tone                    tone
	Word, Headline, Service string
	First                   []piece // the sentence that matters
	Summary, NextStep       []piece
}

type memberView struct {
	ID, Name, Role string
	Tone           tone
	Word           string
	Verdict        string
	When, Packets  string
	Report         string // a file beside this page, or ""
}

type comparedView struct {
	Name    string
	Summary []piece
	More    [][]piece
	Left    int
}

type sharedView struct {
	ID, Name string
	Groups   []quantityView
}

type quantityView struct {
	ID, Name string
	Height   int
	Rows     []quantityRow
}

type quantityRow struct {
	Name, Value  string
	Width, Class string
	TextY, BarY  int
}

type kindRow struct {
	Kind, Severity string
	Counts         []string // for each capture
}

type custodyRow struct{ Name, File, SHA256, Evidence, Verified, DeleteAfter string }

// linked are names of our own pages: nothing else becomes a link.
var linked = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,200}\.html$`)

func newIncidentView(in *incidentOf) *incidentView {
	v := &incidentView{Policy: comparePolicy, Style: template.CSS(style + compareStyle), Program: program(), Left: in.left, With: in.withWhom()}
	about := in.about()
	var r reader
	for _, m := range in.members {
		if m.Analysis != nil {
			one := newReader(m.Analysis)
			r.names, r.kinds = append(r.names, one.names...), append(r.kinds, one.kinds...)
		}
		if m.compared != nil {
			r.names = append(r.names, comparedReader(m.compared).names...)
		}
	}
	r.sort()
	first, summary, next := in.first()
	v.Head = incidentHead{
		Tone: in.tone(), Headline: in.headline(), Service: printable(about.Incident),
		First: r.prose(first), Summary: r.prose(summary), NextStep: r.prose(next),
	}
	v.Head.Word = toneWords[v.Head.Tone]
	v.Title = v.Head.Headline
	if about.Incident != "" {
		v.Title = v.Head.Service + ": " + v.Title
	}
	v.Case = incidentFacts(in)
	for i, m := range in.members {
		v.Members = append(v.Members, newMemberView(i+1, m))
		if m.compared != nil {
			v.Compared = append(v.Compared, newCompared(m, r))
		}
		if m.Context != nil {
			for _, f := range m.Context.Flows {
				if f.Sentence != "" {
					v.Rulings = append(v.Rulings, m.name+": "+printableText(f.Sentence))
				}
			}
		}
		if row := newCustodyRow(m); row != nil {
			v.Custody = append(v.Custody, *row)
			v.Read, v.Kept = v.Read || row.Verified != "", v.Kept || row.DeleteAfter != ""
		}
	}
	v.Timeline = newIncidentTime(in)
	shared, left := in.services()
	v.LeftOut = left
	for i, s := range shared {
		v.Shared = append(v.Shared, newShared(i+1, s))
	}
	v.Kinds = kindRows(in)
	return v
}

// incidentFacts are who, why and until when, as far as all captures share it.
func incidentFacts(in *incidentOf) []fact {
	about := in.about()
	if about.Incident == "" {
		return nil
	}
	// What differs from capture to capture is in the tables.
	until := about.DeleteAfter
	for _, m := range in.members {
		until = later(until, m.Case.DeleteAfter)
	}
	about.Case, about.Target, about.Region, about.Instance, about.Baseline = "", "", "", "", false
	about.Filters, about.Started, about.TimeLimit, about.TotalBytes = nil, time.Time{}, 0, 0
	about.DeleteAfter, about.Report, about.State = until, "", ""
	return caseFacts(about, nil)
}

func newMemberView(number int, m *member) memberView {
	v := memberView{ID: fmt.Sprintf("capture-%d", number), Name: m.name, Tone: m.tone, Word: toneWords[m.tone], Verdict: verdictWords(m), Role: "capture"}
	switch {
	case m.Case.Baseline:
		v.Role = "baseline"
	case m.base:
		v.Role = "compared with"
	}
	if m.Analysis == nil {
		v.Word = "No capture:"
		return v
	}
	c := m.Analysis.Capture
	v.Packets = count(c.Packets)
	if !c.FirstPacket.IsZero() {
		v.When = c.FirstPacket.UTC().Format(minuteLayout) + ", " + span(c.Span())
	}
	if linked.MatchString(m.Case.Report) {
		v.Report = m.Case.Report
	}
	return v
}

func newCompared(m *member, r reader) comparedView {
	c := m.compared
	v := comparedView{Name: m.name, Summary: r.prose(c.Summary)}
	v.More, v.Left = otherDifferences(c, r, maxDifferences)
	for _, n := range c.Notes {
		v.More = append(v.More, r.prose(n))
	}
	return v
}

// Sizes of the bars of an incident's page, in CSS pixels.
const (
	quantityHead = 24
	quantityStep = 30
	quantityGap  = 10
)

func newShared(number int, s *sharedService) sharedView {
	v := sharedView{ID: fmt.Sprintf("service-%d", number), Name: s.name}
	longest := map[string]float64{}
	for _, q := range s.quantities {
		for _, x := range q.values {
			longest[q.unit] = max(longest[q.unit], x.value())
		}
	}
	for _, q := range s.quantities {
		g := quantityView{ID: fmt.Sprintf("%s-%d", v.ID, len(v.Groups)+1), Name: metricName(q.name), Height: quantityHead}
		for _, x := range q.values {
			row := quantityRow{Name: x.member.name, Value: x.amount(), Width: "0", Class: "capture", TextY: g.Height + 12, BarY: g.Height + 17}
			if x.member.base {
				row.Class = "baseline"
			} else if x.differs {
				row.Class = "capture differs"
				row.Value += ", differs"
			}
			if l := longest[q.unit]; l > 0 && x.metric.N[x.side] > 0 {
				row.Width = strings.TrimSuffix(fmt.Sprintf("%.1f", 100*x.value()/l), ".0") + "%"
			}
			g.Rows = append(g.Rows, row)
			g.Height += quantityStep
		}
		g.Height += quantityGap
		v.Groups = append(v.Groups, g)
	}
	return v
}

const maxKinds = 40

// kindRows say which capture shows what, the most severe first.
func kindRows(in *incidentOf) []kindRow {
	type key = finding.Kind
	severity := map[key]finding.Severity{}
	counts := map[key][]int{}
	var order []key
	for i, m := range in.members {
		if m.Analysis == nil {
			continue
		}
		for j := range m.Analysis.Findings {
			f := &m.Analysis.Findings[j]
			if counts[f.Kind] == nil {
				counts[f.Kind] = make([]int, len(in.members))
				order = append(order, f.Kind)
			}
			counts[f.Kind][i]++
			severity[f.Kind] = max(severity[f.Kind], f.Severity)
		}
	}
	var rows []kindRow
	for s := finding.Critical; s >= finding.Low; s-- {
		for _, k := range order {
			if severity[k] != s || len(rows) == maxKinds {
				continue
			}
			row := kindRow{Kind: printable(string(k)), Severity: s.String()}
			for i, n := range counts[k] {
				text := "–"
				if n > 0 {
					text = fmt.Sprint(n)
				} else if in.members[i].Analysis == nil {
					text = ""
				}
				row.Counts = append(row.Counts, text)
			}
			rows = append(rows, row)
		}
	}
	return rows
}

func newCustodyRow(m *member) *custodyRow {
	if m.Analysis == nil {
		return nil
	}
	r := &custodyRow{Name: m.name, File: escape(baseName(m.Analysis.Capture.File), maxPath), SHA256: printable(m.Analysis.Capture.SHA256), DeleteAfter: moment(m.Case.DeleteAfter)}
	if c := m.Custody; c != nil {
		r.SHA256 = cmp.Or(printable(c.Integrity.SHA256), r.SHA256)
		r.Evidence, r.Verified = printable(c.Identity.EvidenceID), moment(c.Integrity.Verified)
	}
	if r.SHA256 == "" && r.Evidence == "" {
		return nil
	}
	return r
}
