package compare_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/compare"
	"github.com/pcapwarden/pcapwarden/internal/pcaptest"
)

func analyze(t *testing.T, script string) *analysis.Analysis {
	t.Helper()
	a, err := analysis.Run(t.Context(), bytes.NewReader(pcaptest.Capture(script)), analysis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// uses are n exchanges of a client with a server, which takes so many seconds
// to answer.
func uses(n int, client, server string, think float64) string {
	return fmt.Sprintf(`
repeat %d
+0.5    %[2]s:{40001+i} > %[3]s  SYN
+0.010  %[3]s > %[2]s:{40001+i}  SYN-ACK
+0.0001 %[2]s:{40001+i} > %[3]s  ACK
+0.001  %[2]s:{40001+i} > %[3]s  data 200
+%g     %[3]s > %[2]s:{40001+i}  data 900
+0.001  %[2]s:{40001+i} > %[3]s  FIN
+0.010  %[3]s > %[2]s:{40001+i}  FIN
+0.0001 %[2]s:{40001+i} > %[3]s  ACK
end
`, n, client, server, think)
}

// lookups are n names that a client asks a resolver for.
func lookups(n int, client, resolver string) string {
	return fmt.Sprintf("repeat %d\n+0.5 %[2]s:{5000+i} > %[3]s:53 query A n{i}.example id={300+i}\n+0.004 %[3]s:53 > %[2]s:{5000+i} answer A n{i}.example 192.0.2.1 id={300+i}\nend\n",
		n, client, resolver)
}

// fallbacks are n names that a client asks a dead resolver for, and then one
// that is alive.
func fallbacks(n int, client, dead, alive string) string {
	return fmt.Sprintf("repeat %d\n+0.5 %[2]s:{5000+i} > %[3]s:53 query A n{i}.example id={300+i}\n"+
		"+3 %[2]s:{6000+i} > %[4]s:53 query A n{i}.example id={600+i}\n+0.004 %[4]s:53 > %[2]s:{6000+i} answer A n{i}.example 192.0.2.1 id={600+i}\nend\n",
		n, client, dead, alive)
}

func refusals(n int, client, server string) string {
	return fmt.Sprintf("repeat %d\n+0.7 %[2]s:{30001+i} > %[3]s SYN\n+0.001 %[3]s > %[2]s:{30001+i} RST-ACK\nend\n", n, client, server)
}

const db = "10.0.0.6:5432"

func TestCaptures(t *testing.T) {
	tests := []struct {
		name              string
		baseline, capture string
		says              []string // of the sentence that matters first
		worse             string   // of the first difference
		differs           []string // metrics of services that differ
		not               string
	}{
		{
			name: "the slow node asks a dead resolver first", baseline: lookups(4, "10.0.2.18", "10.0.0.4") + uses(2, "10.0.2.18", db, .01),
			capture: fallbacks(4, "10.0.2.17", "10.0.9.4", "10.0.0.4") + uses(2, "10.0.2.17", db, .01),
			says: []string{"10.0.2.17 asks 10.0.9.4 first, which never answers (4 questions)", "each lookup waits 3 s before 10.0.0.4 answers it",
				"10.0.2.18 does not ask it, and has its answers from 10.0.0.4 in 4 ms"},
			worse: "capture",
		},
		{
			name: "it is said of the baseline, too", baseline: fallbacks(4, "10.0.2.17", "10.0.9.4", "10.0.0.4"), capture: lookups(4, "10.0.2.18", "10.0.0.4") + uses(2, "10.0.2.18", db, .01),
			says: []string{"asks 10.0.9.4 first"}, worse: "baseline",
		},
		{
			name: "a server got slow", baseline: uses(6, "10.0.0.5", db, .03), capture: uses(8, "10.0.0.5", db, .4),
			says: []string{db + " takes 390 ms to answer on the capture, 19.9 ms on the baseline (medians of 8 and 6)."}, worse: "capture", differs: []string{"server think"},
		},
		{
			name: "it got twice as slow, and nobody notices 20 ms", baseline: uses(6, "10.0.0.5", db, .015), capture: uses(6, "10.0.0.5", db, .034),
			says: []string{"The two are alike: 1 service in common"}, not: "takes",
		},
		{
			name: "300 ms more of a second are not twice", baseline: uses(6, "10.0.0.5", db, .6), capture: uses(6, "10.0.0.5", db, .9),
			says: []string{"The two are alike"},
		},
		{
			name: "four are too few", baseline: uses(4, "10.0.0.5", db, .03), capture: uses(9, "10.0.0.5", db, .4),
			says: []string{"Nothing can be said to differ for certain", "The largest change, of too few samples to be sure: " + db + " takes 390 ms"},
		},
		{
			name: "it refuses now", baseline: uses(6, "10.0.0.5", db, .01), capture: refusals(6, "10.0.0.5", db),
			says: []string{"100 % of the connections to " + db + " are refused on the capture, none on the baseline."}, worse: "capture", differs: []string{"tcp.connect-refused"},
		},
		{
			name: "it was refused", baseline: refusals(6, "10.0.0.5", db), capture: uses(6, "10.0.0.5", db, .01),
			says: []string{"are refused on the baseline, none on the capture."}, worse: "baseline", differs: []string{"tcp.connect-refused"},
		},
		{
			name: "two of a scale set", baseline: uses(6, "10.1.0.9", "10.0.0.4:443", .03) + uses(6, "10.1.0.8", "10.0.0.4:443", .03),
			capture: uses(6, "10.1.0.9", "10.0.0.5:443", .4) + uses(6, "10.1.0.8", "10.0.0.5:443", .4),
			says:    []string{"tcp port 443 takes 390 ms to answer on the capture, 19.9 ms on the baseline"}, worse: "capture", differs: []string{"server think"},
		},
		{
			name: "another service", baseline: uses(6, "10.0.0.5", db, .01), capture: uses(6, "10.0.0.5", "10.0.0.7:6379", .01),
			says: []string{"no service in common"},
		},
		{
			name: "another service that fails", baseline: uses(6, "10.0.0.5", db, .01), capture: uses(6, "10.0.0.5", db, .01) + refusals(6, "10.0.0.5", "10.0.0.7:6379"),
			says: []string{"6 of 6 connections from the capture to 10.0.0.7:6379 failed; the baseline has none."}, worse: "capture",
		},
		{
			name: "nothing on one side", baseline: "", capture: uses(6, "10.0.0.5", db, .01),
			says: []string{"There is nothing to compare: the baseline holds no traffic."},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := compare.Captures(analyze(t, tt.baseline), analyze(t, tt.capture))
			for _, s := range tt.says {
				if !strings.Contains(c.Summary, s) {
					t.Errorf("it does not say %q:\n%s", s, c.Summary)
				}
			}
			if tt.not != "" && strings.Contains(c.Summary, tt.not) {
				t.Errorf("it says %q:\n%s", tt.not, c.Summary)
			}
			if tt.worse != "" && (len(c.Differences) == 0 || c.Differences[0].Worse != tt.worse) {
				t.Errorf("differences are %+v, want %s to be worse", c.Differences, tt.worse)
			}
			var differs []string
			for _, p := range c.Services {
				for _, m := range p.Metrics {
					if m.Differs {
						differs = append(differs, m.Name)
					}
				}
			}
			if strings.Join(differs, " ") != strings.Join(tt.differs, " ") {
				t.Errorf("what differs is %q, want %q", differs, tt.differs)
			}
		})
	}
}

// TestNames: a service whose addresses differ is known by the name in its
// ClientHello, however many addresses that has.
func TestNames(t *testing.T) {
	hellos := func(think float64, servers ...string) string {
		var script strings.Builder
		for i, s := range servers {
			fmt.Fprintf(&script, "+0.5 10.0.0.5:%d > %s SYN\n+%g %[2]s > 10.0.0.5:%[1]d SYN-ACK\n+0.0001 10.0.0.5:%[1]d > %[2]s ACK\n"+
				"+0.001 10.0.0.5:%[1]d > %[2]s tls client-hello sni=store.example\n", 40000+i, s, think)
		}
		return script.String()
	}
	a, b, c := "192.0.2.1:443", "192.0.2.2:443", "192.0.2.3:443"
	got := compare.Captures(analyze(t, hellos(.01, a, a, a, b, b, b)), analyze(t, hellos(.2, c, c, c, c, c, c)))
	if len(got.Services) != 1 {
		t.Fatalf("%d services in common, want store.example", len(got.Services))
	}
	p := got.Services[0]
	if p.Name != "store.example" || p.MatchedBy != "name" || p.Baseline.Connections != 6 || p.Capture.Connections != 6 {
		t.Errorf("%s by %s, %d and %d connections", p.Name, p.MatchedBy, p.Baseline.Connections, p.Capture.Connections)
	}
	if !strings.Contains(got.Summary, "handshake with store.example takes 200 ms") {
		t.Error(got.Summary)
	}
}

func TestNamed(t *testing.T) {
	fast, slow := analyze(t, uses(8, "10.0.0.5", db, .02)), analyze(t, uses(8, "10.0.0.7", db, .9))
	got := compare.Named(fast, slow, "node-18", "node-17").Summary
	if !strings.Contains(got, "node-17") || !strings.Contains(got, "node-18") {
		t.Errorf("the sides have names, and the summary is: %s", got)
	}
	for _, names := range [][2]string{{"", ""}, {"node-18", ""}, {"node-18", "node-18"}} {
		if got, want := compare.Named(fast, slow, names[0], names[1]).Summary, compare.Captures(fast, slow).Summary; got != want {
			t.Errorf("%q: %s, want %s", names, got, want)
		}
	}
}

func TestUnreadable(t *testing.T) {
	bad := analysis.Unreadable("x.cap", fmt.Errorf("not a capture"))
	c := compare.Captures(bad, analyze(t, uses(6, "10.0.0.5", db, .01)))
	if c.Baseline.Readable || !strings.Contains(c.Summary, "could not be read") {
		t.Errorf("%+v", c)
	}
}

// TestDocument: the arrays are there, whatever is in them.
func TestDocument(t *testing.T) {
	text, err := json.Marshal(compare.Captures(analyze(t, ""), analyze(t, "")))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"schema":"pcapwarden.comparison/v1"`, `"services":[]`, `"onlyBaseline":[]`, `"onlyCapture":[]`, `"differences":[`} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("no %s in %s", want, text)
		}
	}
}
