package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/compare"
	services "github.com/pcapwarden/pcapwarden/internal/service"
)

//go:embed compare.html.tmpl
var compareText string

//go:embed compare.css
var compareStyle string

// compareLayout borrows the icon of the other page.
var compareLayout = func() *template.Template {
	t := template.Must(template.New("compare").Parse(compareText))
	for _, name := range []string{"icon", "prose"} {
		template.Must(t.AddParseTree(name, layout.Lookup(name).Tree.Copy()))
	}
	return t
}()

var comparePolicy = func() string {
	sum := sha256.Sum256([]byte(style + compareStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; img-src data:; base-uri 'none'; form-action 'none'"
}()

// CompareHTML writes a comparison as one self-contained page that looks as
// those of [HTML]: each quantity of both sides as two bars on one scale, and
// the same in tables.
func CompareHTML(w io.Writer, c *compare.Comparison) error {
	var b bytes.Buffer
	if err := compareLayout.Execute(&b, newComparePage(c)); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	_, err := b.WriteTo(w)
	return err
}

type comparePage struct {
	Policy          string
	Style           template.CSS
	Title           string
	Head            compareHead
	Sides           []sideView
	Notes           []string
	More            [][]piece // differences that the summary does not say
	Left            int
	Pairs           []pairView
	LeftPairs       int
	Alone           []aloneView
	Program, Schema string
}

// compareHead has what the icon of the other page asks for.
type compareHead struct {
	Tone           tone
	Word, Headline string
	Summary        []piece
}

type pairView struct {
	ID, Name string
	Differs  bool
	Rows     []metricView
	Height   int
}

// A metricView is two bars, on the scale of all of the service's that have the
// same unit.
type metricView struct {
	Name, Baseline, Capture string
	Width                   [2]string // of the bars
	Differs                 bool
	Y                       int
}

// Sizes of the bars, in CSS pixels.
const (
	metricHeight = 52
	mostMetrics  = 24
)

type aloneView struct {
	Title string
	Rows  []string
	Left  int
}

const mostPairs = 50

func newComparePage(c *compare.Comparison) *comparePage {
	p := &comparePage{
		Policy: comparePolicy, Style: template.CSS(style + compareStyle), Sides: sidesOf(c),
		Program: program(), Schema: printable(c.Schema),
	}
	r := comparedReader(c)
	p.More, p.Left = otherDifferences(c, r, 3*maxDifferences)
	p.Head.Tone, p.Head.Headline = compareTone(c)
	p.Head.Word = map[tone]string{fault: "Different", warning: "Different", healthy: "Alike", undecided: "No comparison"}[p.Head.Tone]
	p.Head.Summary = r.prose(c.Summary)
	p.Title = p.Head.Headline
	for _, n := range c.Notes {
		p.Notes = append(p.Notes, printableText(n))
	}
	for i := range c.Services {
		if i == mostPairs {
			p.LeftPairs = len(c.Services) - i
			break
		}
		p.Pairs = append(p.Pairs, newPairView(i, &c.Services[i]))
	}
	for _, a := range []struct {
		title string
		all   []services.Service
	}{{"Only in the baseline", c.OnlyBaseline}, {"Only in the capture", c.OnlyCapture}} {
		if len(a.all) == 0 {
			continue
		}
		v := aloneView{Title: a.title}
		for i := range a.all {
			v.Rows = append(v.Rows, aloneText(&a.all[i]))
		}
		p.Alone = append(p.Alone, v)
	}
	return p
}

// otherDifferences are what the summary does not say, at most so many, and how
// many more there are.
func otherDifferences(c *compare.Comparison, r reader, most int) (all [][]piece, left int) {
	for _, d := range c.Differences {
		switch {
		case d.Summary == c.Summary:
		case len(all) == most:
			left++
		default:
			all = append(all, r.prose(d.Summary))
		}
	}
	return all, left
}

// comparedReader knows the names of services, which clients ask for.
func comparedReader(c *compare.Comparison) reader {
	var r reader
	add := func(s *services.Service) {
		if s != nil && s.SNI != "" && !slices.Contains(r.names, s.SNI) {
			r.names = append(r.names, s.SNI)
		}
	}
	for i := range c.Services {
		add(c.Services[i].Baseline)
		add(c.Services[i].Capture)
	}
	for _, alone := range [][]services.Service{c.OnlyBaseline, c.OnlyCapture} {
		for i := range alone {
			add(&alone[i])
		}
	}
	r.sort()
	return r
}

func newPairView(i int, p *compare.Pair) pairView {
	v := pairView{ID: fmt.Sprintf("service-%d", i+1), Name: pairName(p)}
	longest := map[string]float64{} // by unit: quantities of a sort are on one scale
	for _, m := range p.Metrics {
		longest[m.Unit] = max(longest[m.Unit], m.Baseline, m.Capture)
	}
	for _, m := range p.Metrics[:min(len(p.Metrics), mostMetrics)] {
		if silent(m) {
			continue
		}
		after := amount(m, 1)
		if m.Differs {
			after += ", differs"
		}
		row := metricView{Name: metricName(m.Name), Baseline: amount(m, 0), Capture: after, Differs: m.Differs, Y: v.Height}
		for side, value := range []float64{m.Baseline, m.Capture} {
			row.Width[side] = "0"
			if l := longest[m.Unit]; l > 0 && m.N[side] > 0 {
				row.Width[side] = strings.TrimSuffix(fmt.Sprintf("%.1f", 64*value/l), ".0") + "%"
			}
		}
		v.Height += metricHeight
		v.Differs = v.Differs || m.Differs
		v.Rows = append(v.Rows, row)
	}
	return v
}
