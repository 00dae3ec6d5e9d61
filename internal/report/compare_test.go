package report

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/compare"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	services "github.com/pcapwarden/pcapwarden/internal/service"
)

// twoNodes compares a healthy and a slow node.
func twoNodes() *compare.Comparison {
	c := twoNodesAnalysed()
	return compare.Captures(&c[0], &c[1])
}

func twoNodesAnalysed() [2]analysis.Analysis {
	side := func(name string, dead bool) *analysis.Analysis {
		a := &analysis.Analysis{
			Capture: analysis.Capture{File: "/captures/" + name + ".pcap", Readable: true, Packets: 400, FirstPacket: begin, LastPacket: after(60_000 * ms)},
			Vantage: analysis.Vantage{Addresses: nil},
			Verdict: analysis.Verdict{Cause: analysis.Healthy, Culprit: finding.None, Confidence: .95, Summary: "Nothing is wrong."},
			Services: []services.Service{
				{Protocol: services.DNS, Spoken: "dns", Server: endpoint("10.0.0.4:53"), Clients: 1, Connections: 9, Resolver: &services.Resolver{Asked: 9, Answered: 9, Latency: services.Spread{N: 9, Min: 1, Median: 4, Max: 9}}},
				{
					Protocol: services.TCP, Server: endpoint("10.0.0.6:27000"), Clients: 1, Connections: 12, Established: 12, Answered: 12,
					Handshake: services.Spread{N: 12, Min: 10, Median: 12, Max: 14}, RTT: services.Spread{N: 12, Min: 10, Median: 12, Max: 14},
					ServerThink: services.Spread{N: 12, Min: 20, Median: 30, Max: 40}, Segments: [2]int64{200, 300},
				},
			},
		}
		if dead {
			a.Verdict = analysis.Verdict{Cause: analysis.DNSUnreachable, Culprit: finding.Resolver, Confidence: .95, Summary: "The resolver is gone."}
			a.Services[1].ServerThink = services.Spread{N: 12, Min: 200, Median: 300, Max: 400}
			a.Services[1].Lost = [2]int64{20, 30}
			a.Services = append(a.Services, services.Service{
				Protocol: services.DNS, Spoken: "dns", Server: endpoint("10.0.9.4:53"), Clients: 1, Connections: 7,
				Resolver: &services.Resolver{Asked: 7, Unanswered: 7, Lookups: 7, Fell: 7, Fallback: endpoint("10.0.0.4"), Wait: services.Spread{N: 7, Min: 3000, Median: 3000, Max: 3010}},
			})
		}
		return a
	}
	return [2]analysis.Analysis{*side("node-18", false), *side("node-17", true)}
}

// hostileNodes have names that somebody made up to break what shows them.
func hostileNodes() *compare.Comparison {
	side := func(n int) *analysis.Analysis {
		a := &analysis.Analysis{Capture: analysis.Capture{File: "a\x1b[2J.pcap", Readable: true, Packets: 9, FirstPacket: begin, LastPacket: after(60_000 * ms)}}
		for i, sni := range []string{"<script>alert(1)</script>", "\x1b[31mred", "\u202Egnp.exe", strings.Repeat("long.", 60), "-->", "`@channel`"} {
			a.Services = append(a.Services, services.Service{
				Protocol: services.TCP, Server: endpoint("10.0.0.6:443"), SNI: sni, Spoken: "\x1b]0;tls", Connections: 9, Established: 9,
				Handshake: services.Spread{N: 9, Median: float64(10 + 400*n*i), Max: 2000}, TLS: map[string]int{"1.3": 9},
			})
		}
		return a
	}
	return compare.Captures(side(0), side(1))
}

func comparisons() map[string]*compare.Comparison {
	return map[string]*compare.Comparison{
		"compare_nodes":      twoNodes(),
		"compare_hostile":    hostileNodes(),
		"compare_alike":      compare.Captures(healthyCapture(), healthyCapture()),
		"compare_unreadable": compare.Captures(healthyCapture(), unreadable()),
		"compare_nothing":    compare.Captures(&analysis.Analysis{}, &analysis.Analysis{}),
	}
}

func TestCompareText(t *testing.T) {
	for name, c := range comparisons() {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := CompareText(&b, c); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(b.String()) {
				line = strings.TrimSuffix(line, "\n")
				if n := columns(line); n > width {
					t.Errorf("%d columns: %s", n, line)
				}
				if i := strings.IndexFunc(line, func(r rune) bool { return !shown(r) }); i >= 0 {
					t.Errorf("a rune that does not print: %q", line)
				}
			}
		})
	}
	var b bytes.Buffer
	if err := CompareText(&b, twoNodes()); err != nil {
		t.Fatal(err)
	}
	words := strings.Join(strings.Fields(b.String()), " ")
	for _, want := range []string{
		"The capture asks 10.0.9.4 first, which never answers (7 questions); each lookup waits 3 s before 10.0.0.4 answers it; the baseline does not ask it",
		"10.0.0.6:27000 takes 300 ms to answer on the capture, 30 ms on the baseline (medians of 12 and 12).",
		"10 % of the data segments between the capture and 10.0.0.6:27000 are lost, none with the baseline.",
		"* server think 30 ms (n=12) 300 ms (n=12)", "handshake 12 ms (n=12) 12 ms (n=12)",
		"Only in the capture 10.0.9.4 (dns): 7 questions, 0 answered",
	} {
		if !strings.Contains(words, want) {
			t.Errorf("the text lacks %q:\n%s", want, b.String())
		}
	}
}

func TestCompareHTML(t *testing.T) {
	for name, c := range comparisons() {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := CompareHTML(&b, c); err != nil {
				t.Fatal(err)
			}
			if *pagesDir != "" {
				if err := os.WriteFile(filepath.Join(*pagesDir, name+".html"), b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if !utf8.Valid(b.Bytes()) {
				t.Error("not UTF-8")
			}
			root := parse(t, b.Bytes())
			ids := map[string]bool{}
			for _, n := range elements(root) {
				for _, a := range n.Attr {
					switch {
					case strings.HasPrefix(a.Key, "on"), a.Key == "style", a.Key == "src", a.Key == "action", a.Key == "href" && !strings.HasPrefix(a.Val, "#") && a.Val != "data:,":
						t.Errorf("<%s> has %s=%q", n.Data, a.Key, a.Val)
					case a.Key == "id" && ids[a.Val]:
						t.Errorf("id %q is there twice", a.Val)
					case a.Key == "id":
						ids[a.Val] = true
					}
				}
				for key := range strings.FieldsSeq(attr(n, "aria-labelledby")) {
					if !ids[key] && !strings.Contains(b.String(), `id="`+key+`"`) {
						t.Errorf("<%s> is labelled by %q, which is not there", n.Data, key)
					}
				}
			}
			if len(elements(root, "script", "iframe", "object", "img", "form")) > 0 {
				t.Error("the page holds what it must not")
			}
			if head := elements(root, "h1"); len(head) != 1 || content(head[0]) == "" {
				t.Error("no headline")
			}
		})
	}
}

// TestCompareBars: both sides of a metric are drawn on one scale, and told in
// a table.
func TestCompareBars(t *testing.T) {
	p := newComparePage(twoNodes())
	i := slices.IndexFunc(p.Pairs, func(v pairView) bool { return strings.HasPrefix(v.Name, "10.0.0.6:27000") })
	if i < 0 {
		t.Fatal("the service is not there")
	}
	for _, row := range p.Pairs[i].Rows {
		if row.Name == "server think" {
			if row.Width != [2]string{"6.4%", "64%"} || !row.Differs || row.Baseline != "30 ms (n=12)" || row.Capture != "300 ms (n=12), differs" {
				t.Errorf("%+v", row)
			}
			return
		}
	}
	t.Error("no server think")
}

func TestCompareJSON(t *testing.T) {
	for name, c := range comparisons() {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := CompareJSON(&b, c); err != nil {
				t.Fatal(err)
			}
			if bytes.ContainsAny(b.Bytes(), "\x1b\u202e") {
				t.Error("a terminal would obey it")
			}
			var document struct {
				Schema   string
				Services []struct{ Name, MatchedBy string }
			}
			if err := json.Unmarshal(b.Bytes(), &document); err != nil {
				t.Fatal(err)
			}
			if document.Schema != compare.Schema {
				t.Errorf("schema is %q", document.Schema)
			}
		})
	}
}
