package report

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

// A page that nobody can scroll helps nobody: findings beyond maxCards are
// rows of a table, and those beyond maxRows are in the JSON only.
const (
	maxCards = 50
	maxRows  = 500
	maxProof = 5 // findings that the verdict names
)

// carded reports whether finding i has a card: the first do, and those that
// the verdict rests on.
func carded(a *analysis.Analysis, i int) bool {
	return i >= 0 && i < len(a.Findings) && (i < maxCards || slices.Contains(a.Verdict.Findings[:min(len(a.Verdict.Findings), maxProof)], i))
}

type findingsView struct {
	Total     int
	Summary   string // "2 high, 1 low"
	OnlyInfo  bool   // there is none above info
	Cards     []findingView
	Rest      []findingView
	Left      int
	RestCount int
}

type findingView struct {
	Number     int
	Kind       string
	Severity   string
	Confidence string
	Summary    []piece
	Culprit    string
	Times      string
	Period     string
	Flow       []piece
	Packets    string
	PacketWord string
	Filter     string // a display filter for Wireshark
	Detail     []fact
	Excerpt    *excerptView
	NextStep   []piece
}

// An excerptView is the file with a finding's packets.
type excerptView struct{ File, Packets, SHA256 string }

func newFindings(a *analysis.Analysis, r reader, excerpts []Excerpt) findingsView {
	v := findingsView{Total: len(a.Findings), OnlyInfo: true}
	var bySeverity [finding.Critical + 1]int
	for i := range a.Findings {
		f := &a.Findings[i]
		bySeverity[min(f.Severity, finding.Critical)]++
		v.OnlyInfo = v.OnlyInfo && f.Severity == finding.Info
		switch {
		case carded(a, i):
			v.Cards = append(v.Cards, newFinding(i+1, f, r, excerpts))
		case len(v.Rest) < maxRows:
			v.Rest = append(v.Rest, newFinding(i+1, f, r, excerpts))
		default:
			v.Left++
		}
	}
	v.RestCount = len(v.Rest)
	var parts []string
	for s := finding.Critical; ; s-- {
		if n := bySeverity[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
		if s == finding.Info {
			break
		}
	}
	v.Summary = strings.Join(parts, ", ")
	return v
}

func newFinding(number int, f *finding.Finding, r reader, excerpts []Excerpt) findingView {
	v := findingView{
		Number: number, Kind: printable(string(f.Kind)), Severity: f.Severity.String(), Confidence: sureness(f.Confidence),
		Summary: r.prose(f.Summary), NextStep: r.prose(f.NextStep), Packets: packets(f.Packets),
	}
	for _, e := range excerpts {
		if e.Finding == number-1 && e.File != "" {
			v.Excerpt = &excerptView{escape(e.File, maxPath), times(e.Packets, "packet"), printable(e.SHA256)}
		}
	}
	if blames(f.Culprit) {
		v.Culprit = culpritWords(f.Culprit)
	}
	if f.Count > 1 {
		v.Times = fmt.Sprintf("%d times", f.Count)
	}
	if !f.First.IsZero() {
		v.Period = period(f.First, f.Last)
		if f.Last.Before(f.First) {
			v.Period = period(f.First, f.First)
		}
	}
	if f.Flow != nil {
		v.Flow = flowPieces(f.Flow)
	}
	if len(f.Packets) > 0 {
		v.PacketWord = plural(len(f.Packets), "Packet")
		v.Filter = "frame.number in {" + v.Packets + "}"
	}
	for _, key := range sortedKeys(f.Detail) {
		x := fact{Name: spaced(printable(key)), Value: detail(f.Detail[key], 0)}
		if text, ok := f.Detail[key].(string); ok && (strange(text) || slices.Contains(foreignDetails, key)) {
			x.Value, x.Foreign = name(text), true
		}
		v.Detail = append(v.Detail, x)
	}
	return v
}

// spaced turns "medianSeconds" into "median seconds".
func spaced(key string) string {
	var b strings.Builder
	for i := range len(key) {
		c := key[i]
		if i > 0 && c >= 'A' && c <= 'Z' && key[i-1] >= 'a' && key[i-1] <= 'z' {
			b.WriteByte(' ')
			if i+1 == len(key) || key[i+1] < 'A' || key[i+1] > 'Z' {
				c += 'a' - 'A'
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}

// detail writes what a detector keeps beside its summary.
func detail(value any, depth int) string {
	const maxItems = 20
	if depth > 3 {
		return "…"
	}
	list := func(n int, item func(i int) string) string {
		var parts []string
		for i := range min(n, maxItems) {
			parts = append(parts, item(i))
		}
		if n > maxItems {
			parts = append(parts, fmt.Sprintf("and %d more", n-maxItems))
		}
		return strings.Join(parts, ", ")
	}
	switch v := value.(type) {
	case nil:
		return "–"
	case string:
		return printable(v)
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case time.Duration:
		return span(v)
	case time.Time:
		return v.UTC().Format(momentLayout) + " UTC"
	case float64:
		return number(v)
	case float32:
		return number(float64(v))
	case []any:
		return list(len(v), func(i int) string { return detail(v[i], depth+1) })
	case []string:
		return list(len(v), func(i int) string { return printable(v[i]) })
	case map[string]any:
		keys := sortedKeys(v)
		return list(len(keys), func(i int) string { return printable(keys[i]) + ": " + detail(v[keys[i]], depth+1) })
	}
	// Other types are shown as the JSON document has them.
	text, err := json.Marshal(value)
	if err != nil {
		return "–"
	}
	var plain any
	if json.Unmarshal(text, &plain) != nil {
		return "–"
	}
	return detail(plain, depth+1)
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// kindFindings are the findings of one kind that have a time.
type kindFindings struct {
	kind     string
	severity finding.Severity
	findings []*finding.Finding
}

// byKind groups findings, the most severe kind first.
func byKind(all []finding.Finding) []kindFindings {
	var kinds []kindFindings
	at := map[finding.Kind]int{}
	for i := range all {
		f := &all[i]
		if f.First.IsZero() {
			continue
		}
		n, ok := at[f.Kind]
		if !ok {
			n = len(kinds)
			at[f.Kind] = n
			kinds = append(kinds, kindFindings{kind: printable(string(f.Kind))})
		}
		kinds[n].severity = max(kinds[n].severity, f.Severity)
		kinds[n].findings = append(kinds[n].findings, f)
	}
	slices.SortStableFunc(kinds, func(a, b kindFindings) int { return int(b.severity) - int(a.severity) })
	return kinds
}
