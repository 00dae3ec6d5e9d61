package suite_test

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/detect/suite"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

var update = flag.Bool("update", false, "write docs/FINDINGS.md")

// kinds are the contract: users route incidents by them.
const kinds = `
tcp.connect-timeout tcp.connect-refused tcp.reset tcp.half-open tcp.retransmission tcp.zero-window tcp.one-way tcp.slow-handshake tcp.churn
tcp.port-reuse tcp.mtu-blackhole icmp.unreachable icmp.fragmentation-needed icmp.ttl-exceeded dns.timeout dns.resolver-unreachable dns.fallback
dns.failure dns.slow tls.alert tls.handshake-reset tls.handshake-timeout tls.old-version tls.certificate app.slow-response app.slow-client
traffic.unexpected-destination traffic.beacon traffic.scan exposure.cleartext-credentials capture.truncated capture.cut-short capture.no-traffic
capture.limit-reached capture.incomplete-window capture.loss capture.duplicated capture.unreadable network.rules-disagree`

func TestValid(t *testing.T) {
	if err := detect.Validate(suite.Default); err != nil {
		t.Error(err)
	}
}

// TestKinds fails for a kind that nobody reports, and for one that was made up.
func TestKinds(t *testing.T) {
	want := map[finding.Kind]bool{}
	for k := range strings.FieldsSeq(kinds) {
		want[finding.Kind(k)] = true
	}
	got := map[finding.Kind]bool{}
	for _, r := range reported() {
		got[r.Kind] = true
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("kinds of findings (-contract +suite):\n%s", diff)
	}
}

// TestEveryDetectorIsListed fails for a package with a detector that the suite
// does not run.
func TestEveryDetectorIsListed(t *testing.T) {
	listed := map[string]bool{}
	for _, d := range suite.Default {
		listed[d.Name] = true
	}
	folders, err := filepath.Glob("../*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, file := range folders {
		folder := filepath.Base(filepath.Dir(file))
		if strings.HasSuffix(file, "_test.go") || !declaresDetector(t, file) {
			continue
		}
		seen[folder] = true
		if !listed[folder] {
			t.Errorf("internal/detect/%s has a Detector that is not in suite.Default, or has another name", folder)
		}
	}
	for name := range listed {
		if !seen[name] {
			t.Errorf("detector %s: it should be named for its folder", name)
		}
	}
}

func declaresDetector(t *testing.T, file string) bool {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, decl := range f.Decls {
		g, ok := decl.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR {
			continue
		}
		for _, spec := range g.Specs {
			for _, name := range spec.(*ast.ValueSpec).Names {
				if name.Name == "Detector" {
					return true
				}
			}
		}
	}
	return false
}

// TestFindingsPage holds docs/FINDINGS.md and the detectors together. With
// -update it writes the page.
func TestFindingsPage(t *testing.T) {
	const path = "../../../docs/FINDINGS.md"
	want := page()
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("docs/FINDINGS.md is stale: run go test ./internal/detect/suite -run TestFindingsPage -update\n%s", gocmp.Diff(string(want), string(got)))
	}
}

// reported are the kinds of all detectors, and what the engine itself reports.
func reported() []detect.Reported {
	all := slices.Clone(suite.Engine)
	for _, d := range suite.Default {
		all = append(all, d.Reports...)
	}
	slices.SortFunc(all, func(a, b detect.Reported) int { return cmp.Compare(a.Kind, b.Kind) })
	return all
}

var subjects = map[string]string{
	"app": "Applications", "capture": "The capture itself", "dns": "DNS", "exposure": "Exposure", "icmp": "ICMP", "network": "The network's rules", "tcp": "TCP", "tls": "TLS",
	"traffic": "Traffic",
}

// page is docs/FINDINGS.md.
func page() []byte {
	var b bytes.Buffer
	fmt.Fprint(&b, `<!-- Made from the detectors: go test ./internal/detect/suite -run TestFindingsPage -update -->

# Findings

What pcapwarden reports, from when on, and what to check next. Each finding also
says how severe it is and how sure, who is at fault (client, server, network,
resolver, firewall, middlebox, capture, none, unknown), and names the packets
that prove it, as Wireshark numbers them.

Severity depends on the case: a fault that many connections share weighs more
than one in a hundred. Findings of severity info are for the record.
`)
	all := reported()
	fmt.Fprint(&b, "\n| kind | means |\n|---|---|\n")
	for _, r := range all {
		first, _, _ := strings.Cut(r.Means, ". ")
		fmt.Fprintf(&b, "| [%s](#%s) | %s |\n", r.Kind, strings.ReplaceAll(string(r.Kind), ".", ""), cell(strings.TrimSuffix(first, ".")))
	}
	subject := ""
	for _, r := range all {
		if s, _, _ := strings.Cut(string(r.Kind), "."); s != subject {
			subject = s
			fmt.Fprintf(&b, "\n## %s\n", subjects[s])
		}
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n- **Threshold**: %s\n- **Next**: %s\n", r.Kind, sentence(r.Means), sentence(r.Threshold), sentence(r.Next))
	}
	return b.Bytes()
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// sentence begins with a capital and ends with a full stop.
func sentence(s string) string {
	s = strings.ToUpper(s[:1]) + s[1:]
	if strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}
