package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
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
	template.Must(t.AddParseTree("icon", layout.Lookup("icon").Tree.Copy()))
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
	More            []string // differences that the summary does not say
	Left            int
	Pairs           []pairView
	LeftPairs       int
	Alone           []aloneView
	Program, Schema string
}

// compareHead has what the icon of the other page asks for.
type compareHead struct {
	Tone                    tone
	Word, Headline, Summary string
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
	metricHeight = 46
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
		Policy: comparePolicy, Style: template.CSS(style + compareStyle), Sides: sidesOf(c), More: differences(c),
		Program: program(), Schema: printable(c.Schema),
	}
	if n := len(p.More) - 3*maxDifferences; n > 0 {
		p.More, p.Left = p.More[:3*maxDifferences], n
	}
	p.Head.Tone, p.Head.Headline = compareTone(c)
	p.Head.Word, p.Head.Summary = map[tone]string{fault: "Different", warning: "Different", healthy: "Alike", undecided: "No comparison"}[p.Head.Tone], printableText(c.Summary)
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
		row := metricView{Name: metricName(m.Name), Baseline: amount(m, 0), Capture: amount(m, 1), Differs: m.Differs, Y: v.Height}
		for side, value := range []float64{m.Baseline, m.Capture} {
			row.Width[side] = "0"
			if l := longest[m.Unit]; l > 0 && m.N[side] > 0 {
				row.Width[side] = strings.TrimSuffix(fmt.Sprintf("%.1f", 70*value/l), ".0") + "%"
			}
		}
		v.Height += metricHeight
		v.Differs = v.Differs || m.Differs
		v.Rows = append(v.Rows, row)
	}
	return v
}
