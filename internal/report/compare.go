package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/compare"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	services "github.com/pcapwarden/pcapwarden/internal/service"
)

// CompareJSON writes a comparison as a document and several as an array, as
// [JSON] writes analyses.
func CompareJSON(w io.Writer, all ...*compare.Comparison) error {
	var document bytes.Buffer
	enc := json.NewEncoder(&document)
	enc.SetIndent("", "  ")
	var err error
	if len(all) == 1 {
		err = enc.Encode(all[0])
	} else {
		err = enc.Encode(all)
	}
	if err != nil {
		return fmt.Errorf("write comparison: %w", err)
	}
	_, err = w.Write(escapeJSON(document.Bytes()))
	return err
}

// How much of a comparison the text shows; the JSON has the rest.
const (
	maxDifferences = 12
	maxPairs       = 20
	maxAlone       = 10
)

// CompareText writes comparisons for a terminal of 80 columns: the sentence
// that matters first, then all that differs, then the numbers.
func CompareText(w io.Writer, all ...*compare.Comparison) error {
	out := bufio.NewWriter(w)
	for i, c := range all {
		if i > 0 {
			fmt.Fprintf(out, "\n%s\n\n", strings.Repeat("=", width))
		}
		writeCompared(out, c)
	}
	return out.Flush()
}

func writeCompared(out *bufio.Writer, c *compare.Comparison) {
	line := func(indent, text string) {
		if text != "" {
			fmt.Fprintln(out, Wrap(text, width, indent))
		}
	}
	for _, s := range sidesOf(c) {
		const indent = "          "
		fmt.Fprintf(out, "%-9s %s\n", s.Role, strings.TrimPrefix(Wrap(s.File, width, indent), indent))
		line(indent, s.Verdict)
		line(indent, s.When)
	}
	fmt.Fprintln(out)
	line("", printableText(c.Summary))
	if rest := differences(c); len(rest) > 0 {
		fmt.Fprint(out, "\nWhat else differs, what matters most first\n\n")
		for i, d := range rest {
			if i == maxDifferences {
				line("  ", fmt.Sprintf("and %d more: --format json has them all", len(rest)-i))
				break
			}
			line("  ", d)
		}
	}
	if len(c.Notes) > 0 {
		fmt.Fprintln(out)
		for _, n := range c.Notes {
			line("", printableText(n))
		}
	}
	writePairs(out, c)
	writeAlone(out, "Only in the baseline", c.OnlyBaseline)
	writeAlone(out, "Only in the capture", c.OnlyCapture)
}

// differences are what the summary does not say.
func differences(c *compare.Comparison) []string {
	var all []string
	for _, d := range c.Differences {
		if d.Summary != c.Summary {
			all = append(all, printableText(d.Summary))
		}
	}
	return all
}

func writePairs(out *bufio.Writer, c *compare.Comparison) {
	if len(c.Services) == 0 {
		return
	}
	const row = "  %s %-26s %22s %22s\n"
	fmt.Fprintf(out, "\nServices on both sides; * differs by more than chance would make it\n\n")
	fmt.Fprintf(out, row, " ", "", "baseline", "capture")
	for i := range c.Services {
		if i == maxPairs {
			fmt.Fprintf(out, "\n  and %d more: --format json has them all\n", len(c.Services)-i)
			break
		}
		p := &c.Services[i]
		fmt.Fprintln(out, Wrap(pairName(p), width, "  "))
		for _, m := range p.Metrics {
			if silent(m) {
				continue
			}
			mark := " "
			if m.Differs {
				mark = "*"
			}
			fmt.Fprintf(out, row, mark, "  "+shorten(metricName(m.Name), 24), amount(m, 0), amount(m, 1))
		}
	}
}

func writeAlone(out *bufio.Writer, title string, all []services.Service) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%s\n\n", title)
	for i := range all {
		if i == maxAlone {
			fmt.Fprintf(out, "  and %d more: --format json has them\n", len(all)-i)
			break
		}
		fmt.Fprintln(out, Wrap(aloneText(&all[i]), width, "  "))
	}
}

// pairName is the service, what is spoken, and how the sides were matched.
func pairName(p *compare.Pair) string {
	s := name(p.Name)
	var more []string
	if spoken := p.Capture.Spoken; spoken != "" {
		more = append(more, printable(spoken))
	} else if p.MatchedBy != "port" {
		more = append(more, printable(p.Capture.Protocol))
	}
	switch p.MatchedBy {
	case "name":
		more = append(more, fmt.Sprintf("%s and %s, matched by name", address0(p.Baseline), address0(p.Capture)))
	case "port":
		more = append(more, fmt.Sprintf("%s and %s, matched by port", address0(p.Baseline), address0(p.Capture)))
	}
	if p.MatchedBy == "address" && p.Capture.SNI != "" {
		more = append(more, p.Capture.Server.String())
	}
	return s + " (" + strings.Join(more, ", ") + ")"
}

func address0(s *services.Service) string {
	if s.Server.IsZero() {
		return "several addresses"
	}
	return s.Server.String()
}

// silent metrics are the many ways of not failing.
func silent(m compare.Metric) bool {
	return m.Baseline == 0 && m.Capture == 0 && m.Unit == compare.Percent && m.Name != "loss"
}

var metricNames = map[string]string{
	"tcp.connect-refused": "refused", "tcp.connect-timeout": "without answer", "tcp.half-open": "half-open", "tcp.reset": "reset",
	"tls.alert": "ended by a TLS alert", "tls.handshake-reset": "TLS handshake dropped", "tls.handshake-timeout": "TLS handshake stalled",
	"wait before the fallback": "wait before fallback",
}

func metricName(name string) string {
	if s, ok := metricNames[name]; ok {
		return s
	}
	return printable(name)
}

// amount is a metric on one side, with how many samples are behind it: "12 ms
// (n=41)".
func amount(m compare.Metric, side int) string {
	v := m.Baseline
	if side == 1 {
		v = m.Capture
	}
	if m.N[side] == 0 {
		return "-"
	}
	var s string
	switch m.Unit {
	case compare.Milliseconds:
		if v == 0 {
			return fmt.Sprintf("< 1 µs (n=%d)", m.N[side])
		}
		s = span(time.Duration(v * 1e6))
	case compare.Percent:
		return fmt.Sprintf("%s %% of %d", strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0"), m.N[side])
	case compare.KBps:
		s = Bytes(int64(v*1e3)) + "/s"
	case compare.PerMinute:
		return fmt.Sprintf("%d (%.3g/min)", m.N[side], v)
	}
	return fmt.Sprintf("%s (n=%d)", s, m.N[side])
}

func aloneText(s *services.Service) string {
	head := name(s.Name())
	if s.Spoken != "" {
		head += " (" + printable(s.Spoken) + ")"
	}
	if r := s.Resolver; r != nil {
		return fmt.Sprintf("%s: %s, %d answered", head, times(r.Asked, "question"), r.Answered)
	}
	what := "connection"
	if s.Protocol == services.UDP {
		what = "conversation"
	}
	text := head + ": " + times(s.Connections, what)
	if n := s.Failed(); n > 0 {
		text += fmt.Sprintf(", %d failed", n)
	}
	if s.Handshake.N > 0 {
		text += ", handshake " + span(s.Handshake.Typical())
	}
	return text
}

// A sideView says which capture a side is.
type sideView struct{ Role, File, Verdict, When, Machine, SHA256 string }

func sidesOf(c *compare.Comparison) []sideView {
	var all []sideView
	for i, s := range []*compare.Side{&c.Baseline, &c.Capture} {
		v := sideView{Role: []string{"Baseline", "Capture"}[i], File: escape(s.File, maxPath), SHA256: printable(s.SHA256)}
		if !s.Readable {
			v.Verdict = "could not be read: " + strings.TrimSuffix(printableText(s.Error), ".")
			all = append(all, v)
			continue
		}
		v.Verdict = sideVerdict(s)
		if s.Vantage.Known() {
			v.Machine = s.Vantage.Machine()
			if s.Vantage.Inferred {
				v.Machine += " (inferred: " + s.Vantage.Because + ")"
			}
		}
		v.When = times(s.Packets, "packet")
		if !s.First.IsZero() {
			v.When += ", " + period(s.First, s.Last) + " (" + span(s.Span()) + ")"
		}
		all = append(all, v)
	}
	return all
}

func sideVerdict(s *compare.Side) string {
	text := printable(string(s.Verdict.Cause))
	if blames(s.Verdict.Culprit) {
		text += ", culprit: " + printable(string(s.Verdict.Culprit))
	}
	text += fmt.Sprintf(" (%.0f %% sure)", s.Verdict.Confidence*100)
	if s.Vantage.Known() {
		text += "; captured on " + s.Vantage.Machine()
		if s.Vantage.Inferred {
			text += ", it seems"
		}
	}
	return text
}

// compareTone is how bad a comparison is.
func compareTone(c *compare.Comparison) (tone, string) {
	switch {
	case !c.Baseline.Readable || !c.Capture.Readable:
		return undecided, "A file could not be read"
	case len(c.Differences) > 0 && c.Differences[0].Worse != "":
		t := fault
		if c.Capture.Verdict.Cause == analysis.Healthy && c.Baseline.Verdict.Cause == analysis.Healthy || c.Capture.Verdict.Culprit == finding.None {
			t = warning
		}
		if c.Differences[0].Worse == "baseline" {
			return t, "The baseline fares worse than the capture"
		}
		return t, "The capture fares worse than the baseline"
	case len(c.Services) == 0:
		return undecided, "There is nothing to compare"
	}
	return healthy, "The two captures are alike"
}
