package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"reflect"
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
	Policy   string
	Style    template.CSS
	Title    string
	Name     string // of the file, without its folders
	Verdict  verdictView
	Notes    []string // why the capture is not all that there was
	Case     []fact
	Timeline *timeline
	Ladders  []*ladderView
	Findings findingsView
	Talks    []talk
	More     bool // there may be more conversations
	Capture  []fact
	Counters []counterGroup
	Unread   bool
	Program  string
	Schema   string
}

// A fact is a name and a value. Code is in a fixed-width font.
type fact struct {
	Name, Value string
	Code        bool
}

// Long facts take a line of their own.
func (f fact) Long() bool { return utf8.RuneCountInString(f.Value) > 32 }

func newView(in Page) *view {
	a, about := in.Analysis, in.Case
	p := &view{
		Policy: policy, Style: template.CSS(style),
		Name:     printable(baseName(a.Capture.File)),
		Verdict:  newVerdict(a),
		Notes:    incomplete(a),
		Case:     caseFacts(about),
		Findings: newFindings(a),
		Talks:    newTalks(a.Conversations),
		More:     len(a.Conversations) >= analysis.MaxConversations,
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
	p.Counters = newCounters(a.Counters)
	if !a.Capture.FirstPacket.IsZero() {
		p.Timeline = newTimeline(a, about)
	}
	for i := range a.Ladders {
		p.Ladders = append(p.Ladders, newLadder(i+1, a))
	}
	return p
}

type verdictView struct {
	Tone       tone
	Word       string
	Headline   string
	By         string // the culprit, when there is one
	Address    string
	Summary    string
	NextStep   string
	Cause      string
	Confidence string
	Severity   string
	Proof      []proof
}

// A proof is a finding that the verdict rests on, and its packets.
type proof struct {
	Number  int
	Kind    string
	Packets string // "packets 7, 8", the first few
}

func newVerdict(a *analysis.Analysis) verdictView {
	v := verdictView{
		Tone: toneOf(a), Headline: headline(a),
		Summary: printableText(a.Verdict.Summary), NextStep: printableText(a.Verdict.NextStep),
		Cause: printable(string(a.Verdict.Cause)), Confidence: sureness(a.Verdict.Confidence),
	}
	v.Word = toneWords[v.Tone]
	if a.Capture.Readable && blames(a.Verdict.Culprit) {
		v.By = culpritWords(a.Verdict.Culprit)
		if f := deciding(a); f != nil {
			v.Severity = f.Severity.String()
			v.Address = address(a.Verdict.Culprit, f.Flow)
		}
	}
	for _, i := range a.Verdict.Findings {
		if !carded(a, i) || len(v.Proof) == maxProof {
			continue
		}
		f := &a.Findings[i]
		p := proof{Number: i + 1, Kind: printable(string(f.Kind))}
		if n := len(f.Packets); n > 0 {
			p.Packets = plural(n, "packet") + " " + packets(f.Packets[:min(n, 8)])
		}
		v.Proof = append(v.Proof, p)
	}
	return v
}

func caseFacts(about About) []fact {
	if reflect.ValueOf(about).IsZero() {
		return nil
	}
	var facts []fact
	add := func(name, value string) {
		if value != "" {
			facts = append(facts, fact{Name: name, Value: value})
		}
	}
	add("Incident", printable(about.Incident))
	add("Case", printable(about.Case))
	add("Target", escape(about.Target, maxPath))
	add("Region", printable(about.Region))
	add("Alert", printable(about.Alert))
	add("Severity", printable(about.Severity))
	if !about.Fired.IsZero() {
		add("Fired", about.Fired.UTC().Format(minuteLayout)+" UTC")
	}
	if !about.WindowStart.IsZero() && !about.WindowEnd.IsZero() {
		add("Alert measured", period(about.WindowStart, about.WindowEnd))
	}
	add("Profile", printable(about.Profile))
	add("Reason", printableText(about.Reason))
	add("Owner", printable(about.Owner))
	add("Approved by", printable(about.Approver))
	var filters []string
	for _, f := range about.Filters {
		filters = append(filters, escape(f, maxPath))
	}
	add("Filters", strings.Join(filters, "; "))
	if !about.Started.IsZero() {
		add("Started", about.Started.UTC().Format(minuteLayout)+" UTC")
	}
	var limits []string
	if about.TimeLimit > 0 {
		limits = append(limits, span(about.TimeLimit))
	}
	if about.TotalBytes > 0 {
		limits = append(limits, Bytes(about.TotalBytes))
	}
	add("Limits", strings.Join(limits, ", "))
	if !about.DeleteAfter.IsZero() {
		add("Deleted after", about.DeleteAfter.UTC().Format(minuteLayout)+" UTC")
	}
	return facts
}

func captureFacts(c analysis.Capture) []fact {
	var facts []fact
	add := func(name, value string) { facts = append(facts, fact{Name: name, Value: value}) }
	add("File", escape(c.File, maxPath))
	if !c.Readable {
		add("Error", printableText(c.Error))
	}
	if c.Format != "" {
		add("Format", strings.TrimSuffix(printable(c.Format)+", "+printable(c.LinkType), ", "))
	}
	if c.Bytes > 0 || c.Readable {
		add("Size", fmt.Sprintf("%s (%s bytes)", Bytes(c.Bytes), count(c.Bytes)))
	}
	if c.Readable {
		add("Packets", count(c.Packets))
	}
	if !c.FirstPacket.IsZero() {
		add("Time", period(c.FirstPacket, c.LastPacket)+", "+span(c.Span()))
	}
	if c.Readable {
		snap := "not limited"
		if c.SnapLength > 0 {
			snap = count(c.SnapLength) + " bytes"
		}
		add("Snap length", snap+"; "+verb(c.TruncatedPackets, "packet", "is", "are")+" cut short")
		ends := "complete"
		if c.CutShort {
			ends = "in the middle of a packet"
		}
		add("End of the file", ends)
		add("Dropped while capturing", times(c.Dropped, "packet")+", as the file says")
	}
	if c.SHA256 != "" {
		facts = append(facts, fact{Name: "SHA-256", Value: printable(c.SHA256), Code: true})
	}
	return facts
}

type talk struct {
	Service, SNI, Tunnel   string
	Client, Server         string
	Connections            string
	Packets, Bytes         [2]string
	Retransmits, RTT       string
	State, History, Period string
}

func newTalks(all []analysis.Conversation) []talk {
	var out []talk
	for i := range all {
		c := &all[i]
		t := talk{
			Service: service(c), SNI: printable(c.SNI), Tunnel: printable(c.Tunnel),
			Client: c.Client.String(), Server: c.Server.String(), Connections: count(c.Connections),
			Packets: [2]string{count(c.Packets[0]), count(c.Packets[1])}, Bytes: [2]string{Bytes(c.Bytes[0]), Bytes(c.Bytes[1])},
			Retransmits: "–", RTT: "–", State: printable(c.State), History: printable(c.History),
		}
		if c.Protocol == "tcp" {
			t.Retransmits = count(c.Retransmits)
		}
		if c.RTT > 0 {
			t.RTT = span(c.RTT)
		}
		if !c.First.IsZero() {
			t.Period = span(c.Last.Sub(c.First))
		}
		out = append(out, t)
	}
	return out
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
