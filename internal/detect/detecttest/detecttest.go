// Package detecttest checks a detector against the stories in its testdata
// folder.
//
// A story is a script of packets (see pcaptest), what is known of the capture,
// and what must be found; anything else that the detector finds is a mistake:
//
//	# The controller's port is closed.
//	vantage 10.0.0.4
//	0.0 10.0.0.9:40001 > 10.0.0.4:8883 SYN
//	0.0 10.0.0.4:8883 > 10.0.0.9:40001 RST-ACK
//	want tcp.connect-refused high server count=1 packets=1,2 "nothing listens on port 8883"
//
// A file may hold several stories, each with a line "story NAME" in front; what
// stands before the first one is read in front of each.
//
// Known of the capture: "vantage ADDRESS...", "filtered", "time-limit 5m",
// "byte-limit 1000000", "window FROM TO" (seconds from the start), "outbound
// PREFIX...", "resolvers ADDRESS...". A want names kind, severity and culprit,
// then whatever matters: count, packets, client, server (of the flow), min
// (the least confidence), KEY=VALUE of the detail, and quoted parts of the
// summary.
package detecttest

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/pcaptest"
)

// Run checks the detector against every testdata/*.txt.
func Run(t *testing.T, d *detect.Detector) {
	t.Helper()
	stories, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	if len(stories) == 0 {
		t.Fatal("no story in testdata")
	}
	for _, file := range stories {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			head, stories := split(string(text))
			if len(stories) == 0 {
				Check(t, d, head)
			}
			for _, s := range stories {
				t.Run(s.name, func(t *testing.T) { Check(t, d, head+s.text) })
			}
		})
	}
}

type story struct{ name, text string }

// split cuts a file into its stories.
func split(text string) (head string, stories []story) {
	for line := range strings.Lines(text) {
		name, begins := strings.CutPrefix(line, "story ")
		switch {
		case begins:
			stories = append(stories, story{name: strings.TrimSpace(name)})
		case len(stories) == 0:
			head += line
		default:
			stories[len(stories)-1].text += line
		}
	}
	return head, stories
}

// Check checks the detector against one story.
func Check(t *testing.T, d *detect.Detector, story string) {
	t.Helper()
	script, wants, known := parse(t, story)
	a, err := analysis.Run(t.Context(), bytes.NewReader(pcaptest.Capture(script)), analysis.Options{Context: known, Detectors: []*detect.Detector{d}})
	if err != nil {
		t.Fatal(err)
	}
	found := slices.Clone(a.Findings)
	for _, w := range wants {
		i := slices.IndexFunc(found, func(f finding.Finding) bool { return f.Kind == w.kind && mismatch(w, f) == "" })
		if i >= 0 {
			found = slices.Delete(found, i, i+1)
			continue
		}
		near := slices.IndexFunc(found, func(f finding.Finding) bool { return f.Kind == w.kind })
		if near < 0 {
			t.Errorf("not found: %s", w.line)
			continue
		}
		t.Errorf("%s\n  found:   %s\n  but:     %s", w.line, describe(found[near]), mismatch(w, found[near]))
		found = slices.Delete(found, near, near+1)
	}
	for _, f := range found {
		t.Errorf("found, and not wanted: %s", describe(f))
	}
}

type want struct {
	line     string
	kind     finding.Kind
	severity string
	culprit  string
	values   map[string]string
	quotes   []string
}

func parse(t *testing.T, story string) (script string, wants []want, known detect.Context) {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(story) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		var err error
		switch fields[0] {
		case "want":
			var w want
			w, err = parseWant(strings.TrimSpace(line))
			wants = append(wants, w)
		case "vantage":
			known.Vantage, err = addresses(fields[1:])
		case "resolvers":
			known.ExpectedResolvers, err = addresses(fields[1:])
		case "outbound":
			for _, f := range fields[1:] {
				var p netip.Prefix
				p, err = netip.ParsePrefix(f)
				known.ExpectedOutbound = append(known.ExpectedOutbound, p)
			}
		case "filtered":
			known.Filtered = true
		case "time-limit":
			known.TimeLimit, err = time.ParseDuration(fields[1])
		case "byte-limit":
			known.TotalBytes, err = strconv.ParseInt(fields[1], 10, 64)
		case "window":
			var from, to float64
			_, err = fmt.Sscan(fields[1]+" "+fields[2], &from, &to)
			known.WindowStart = pcaptest.Epoch.Add(time.Duration(from * 1e9))
			known.WindowEnd = pcaptest.Epoch.Add(time.Duration(to * 1e9))
		default:
			b.WriteString(line)
		}
		if err != nil {
			t.Fatalf("story: %q: %v", line, err)
		}
	}
	return b.String(), wants, known
}

func addresses(fields []string) ([]netip.Addr, error) {
	var all []netip.Addr
	for _, f := range fields {
		a, err := netip.ParseAddr(f)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

func parseWant(line string) (want, error) {
	w := want{line: line, values: map[string]string{}}
	rest := strings.TrimPrefix(line, "want ")
	var words []string
	for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
		if rest[0] == '"' {
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				return w, err
			}
			text, err := strconv.Unquote(quoted)
			if err != nil {
				return w, err
			}
			w.quotes = append(w.quotes, text)
			rest = rest[len(quoted):]
			continue
		}
		word, _, _ := strings.Cut(rest, " ")
		rest = rest[len(word):]
		if name, value, ok := strings.Cut(word, "="); ok {
			w.values[name] = value
		} else {
			words = append(words, word)
		}
	}
	if len(words) != 3 {
		return w, fmt.Errorf("want KIND SEVERITY CULPRIT")
	}
	w.kind, w.severity, w.culprit = finding.Kind(words[0]), words[1], words[2]
	return w, nil
}

// mismatch says what of a finding is not as wanted.
func mismatch(w want, f finding.Finding) string {
	if f.Severity.String() != w.severity {
		return "severity is " + f.Severity.String()
	}
	if string(f.Culprit) != w.culprit {
		return "culprit is " + string(f.Culprit)
	}
	for _, q := range w.quotes {
		if !strings.Contains(f.Summary, q) {
			return fmt.Sprintf("the summary lacks %q", q)
		}
	}
	for name, value := range w.values {
		var got string
		switch name {
		case "count":
			got = strconv.Itoa(f.Count)
		case "packets":
			var numbers []string
			for _, n := range f.Packets {
				numbers = append(numbers, strconv.FormatInt(n, 10))
			}
			got = strings.Join(numbers, ",")
		case "client", "server":
			if f.Flow != nil {
				got = f.Flow.Client.String()
				if name == "server" {
					got = f.Flow.Server.String()
				}
			}
		case "min":
			least, err := strconv.ParseFloat(value, 64)
			if err != nil || f.Confidence < least {
				return fmt.Sprintf("confidence is %v", f.Confidence)
			}
			continue
		default:
			got = fmt.Sprint(f.Detail[name])
		}
		if got != value {
			return fmt.Sprintf("%s is %s", name, got)
		}
	}
	if f.NextStep == "" {
		return "it names no next step"
	}
	if f.Confidence <= 0 || f.Confidence > 1 {
		return fmt.Sprintf("confidence is %v", f.Confidence)
	}
	return ""
}

func describe(f finding.Finding) string {
	s := fmt.Sprintf("%s %s %s count=%d packets=%v", f.Kind, f.Severity, f.Culprit, f.Count, f.Packets)
	if f.Flow != nil {
		s += fmt.Sprintf(" client=%s server=%s", f.Flow.Client, f.Flow.Server)
	}
	return fmt.Sprintf("%s %v %q", s, f.Detail, f.Summary)
}
