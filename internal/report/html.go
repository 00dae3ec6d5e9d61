package report

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"runtime/debug"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
)

//go:embed page.html.tmpl
var layoutText string

//go:embed page.css
var style string

var layout = template.Must(template.New("page").Parse(layoutText))

// policy forbids the page everything but its own style sheet: whatever an
// attacker should get past the escaping can neither run nor call home.
var policy = func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; img-src data:; base-uri 'none'; form-action 'none'"
}()

// HTML writes one self-contained page about one capture. It needs neither
// scripts nor a network, reads in light and dark, narrow and on paper, and
// what it says in pictures it says in tables too. The same input makes the
// same bytes.
func HTML(w io.Writer, p Page) error {
	var b bytes.Buffer
	if err := layout.Execute(&b, newView(p)); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	_, err := b.WriteTo(w)
	return err
}

// A view is what the template is filled with. Its text is printable.
type view struct {
	Policy    string
	Style     template.CSS
	Title     string
	Name      string // of the file, without its folders
	Verdict   verdictView
	Notes     []string // why the capture is not all that there was
	Case      []fact
	Timeline  *timeline
	Ladders   []*ladderView
	Context   *contextView
	Findings  findingsView
	Latencies *latencyView
	Talks     []talk
	More      bool // there may be more conversations
	Custody   *custodyView
	Capture   []fact
	Coverage  []string
	Counters  []counterGroup
	Unread    bool
	Program   string
	Schema    string
}

// A fact is a name and a value. Code is in a fixed-width font; what is Foreign
// was chosen by whoever sent the packets.
type fact struct {
	Name, Value string
	Code        bool
	Foreign     bool
}

// Long facts take a line of their own.
func (f fact) Long() bool { return utf8.RuneCountInString(f.Value) > 32 }

func newView(in Page) *view {
	a, about, r := in.Analysis, in.Case, newReader(in.Analysis)
	in.Context = cmp.Or(in.Context, a.Context)
	p := &view{
		Policy: policy, Style: template.CSS(style),
		Name:     printable(baseName(a.Capture.File)),
		Verdict:  newVerdict(a, r),
		Notes:    incomplete(a),
		Case:     caseFacts(about, in.Custody),
		Context:  newContext(in.Context, a),
		Findings: newFindings(a, r, in.Excerpts),
		Talks:    newTalks(a.Conversations, in.Context),
		More:     len(a.Conversations) >= analysis.MaxConversations,
		Custody:  newCustody(in.Custody),
		Capture:  captureFacts(a.Capture),
		Unread:   !a.Capture.Readable,
		Program:  program(),
		Schema:   printable(a.Schema),
	}
	p.Title = p.Verdict.Headline
	if p.Name != "" {
		p.Title += " · " + p.Name
	}
	if p.Unread {
		return p
	}
	p.Coverage = coverage(a, about)
	p.Latencies = newLatencies(a)
	p.Counters = newCounters(a.Counters)
	if !a.Capture.FirstPacket.IsZero() {
		p.Timeline = newTimeline(a, about)
	}
	for i := range a.Ladders {
		p.Ladders = append(p.Ladders, newLadder(i+1, a, r))
	}
	return p
}

// baseName is the name of a file of any system without its folders.
func baseName(file string) string { return file[strings.LastIndexAny(file, `/\`)+1:] }

// program names what wrote the page, with the version that was built.
func program() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				return "pcapwarden " + s.Value[:12]
			}
		}
		if v := info.Main.Version; v != "" && v != "(devel)" {
			return "pcapwarden " + v
		}
	}
	return "pcapwarden"
}

// percent writes a share of a picture's width.
func percent(v float64) string {
	return strconv.FormatFloat(v*100, 'f', 2, 64) + "%"
}
