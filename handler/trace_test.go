package main

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/local/loop"
	"github.com/pcapwarden/pcapwarden/internal/telemetry/telemetrytest"
)

var update = flag.Bool("update", false, "rewrite docs/TRACE.md")

// story are the spans that tell what happened, in order: who did it, and what.
var story = []struct{ service, name string }{
	{"pcapwarden-control", "startcaptures"},
	{"pcapwarden-control", "begin capture"},
	{"pcapwarden-control", "ARM PUT packetCaptures"},
	{"pcapwarden-control", "stop capture"},
	{"pcapwarden-control", "ARM POST stop"},
	{"pcapwarden-analyze", "file landed, event under way"},
	{"pcapwarden-analyze", "analyse file"},
	{"pcapwarden-analyze", "read, hash and analyse"},
	{"pcapwarden-analyze", "store in vault"},
	{"pcapwarden-analyze", "deliver message"},
	{"pcapwarden-analyze", "send incidents"},
}

// TestTrace plays a story in two apps that export to a collector: alert,
// start, stop, landing, analysis and message are one trace, though five
// invocations of two processes made it.
func TestTrace(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	c := telemetrytest.Start(t)
	o := localOptions(t, "partner-tls")
	o.Apps = splitApps()
	maps.Copy(o.Settings, c.Env())
	outcomes, err := loop.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(outcomes) != 1 || !outcomes[0].Matches {
		t.Fatalf("outcomes %+v", outcomes)
	}
	parent := outcomes[0].Case.TraceParent
	if len(parent) != 55 {
		t.Fatalf("the case has traceparent %q", parent)
	}
	trace := parent[3:35]
	spans := slices.DeleteFunc(c.Spans(), func(s telemetrytest.Span) bool { return s.Trace != trace })
	checkStory(t, spans)
	checkLinks(t, c.Spans(), spans)
	checkHarmless(t, c, o)
	for _, m := range messages(t, o.Dir) {
		if got, _ := m["traceparent"].(string); len(got) != 55 || got[3:35] != trace {
			t.Errorf("a message has traceparent %q, want trace %s", got, trace)
		}
	}
	for _, name := range []string{"pcap_intents_total", "pcap_start_latency_s", "pcap_stop_lateness_s", "reconcile_duration_s", "arm_requests_total", "faas.invoke_duration", "build_info"} {
		if !slices.ContainsFunc(slices.Collect(maps.Values(c.Points())), func(p telemetrytest.Point) bool { return p.Name == name && p.Value > 0 }) {
			t.Errorf("nothing was measured as %s", name)
		}
	}
	if !slices.ContainsFunc(c.Logs(), func(r map[string]string) bool { return r["message"] == "alert accepted" && r["trace"] == trace }) {
		t.Error("the log line of the alert is not in its trace")
	}
	page := tracePage(spans)
	if *update {
		if err := os.WriteFile("../docs/TRACE.md", page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// Times differ from run to run; what happened does not.
	old, err := os.ReadFile("../docs/TRACE.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range story {
		if !bytes.Contains(old, []byte(want.name)) {
			t.Errorf("docs/TRACE.md does not show %q: go test ./handler -run TestTrace -update", want.name)
		}
	}
}

// checkStory looks for the spans of the story, in their order.
func checkStory(t *testing.T, spans []telemetrytest.Span) {
	t.Helper()
	ids := map[string]telemetrytest.Span{}
	for _, s := range spans {
		ids[s.ID] = s
	}
	var last time.Time
	for n, want := range story {
		i := slices.IndexFunc(spans, func(s telemetrytest.Span) bool { return s.Service == want.service && s.Name == want.name })
		if i < 0 {
			t.Errorf("the trace has no %q of %s:\n%s", want.name, want.service, tracePage(spans))
			continue
		}
		s := spans[i]
		if n == 0 != (s.Parent == "") || n > 0 && ids[s.Parent].ID == "" {
			t.Errorf("%q has the parent %q", s.Name, s.Parent)
		}
		if s.Start.Before(last) && !strings.HasPrefix(s.Name, "file landed") {
			t.Errorf("%q began before what it follows", s.Name)
		}
		last = s.Start
		if s.Failed {
			t.Errorf("%q failed: %v", s.Name, s.Attributes)
		}
	}
}

// checkLinks follows each span that was begun by another invocation than the
// alert's back to that invocation.
func checkLinks(t *testing.T, all, spans []telemetrytest.Span) {
	t.Helper()
	for _, name := range []string{"analyse file", "sweep: discard"} {
		i := slices.IndexFunc(spans, func(s telemetrytest.Span) bool { return s.Name == name })
		if i < 0 || len(spans[i].Links) != 1 {
			t.Errorf("%q is not linked to its invocation", name)
			continue
		}
		j := slices.IndexFunc(all, func(s telemetrytest.Span) bool { return s.ID == spans[i].Links[0] })
		if j >= 0 && (all[j].Attributes["faas.invocation_id"] == "" || all[j].Trace == spans[i].Trace) {
			t.Errorf("%q is linked to %+v, which is no invocation of its own", name, all[j])
		}
	}
}

// checkHarmless looks for names of machines and addresses where none belong.
func checkHarmless(t *testing.T, c *telemetrytest.Collector, o loop.Options) {
	t.Helper()
	var private []string
	for _, m := range o.Scenario.Machines {
		private = append(private, strings.ToLower(nameOf(m.ID)))
		for _, a := range m.Addresses {
			private = append(private, a.String())
		}
	}
	look := func(where string, attributes map[string]string) {
		for k, v := range attributes {
			for _, secret := range private {
				if strings.Contains(strings.ToLower(v), secret) {
					t.Errorf("%s has %s=%q", where, k, v)
				}
			}
		}
	}
	for _, s := range c.Spans() {
		look("span "+s.Name, s.Attributes)
	}
	for _, p := range c.Points() {
		look("metric "+p.Name, p.Labels)
	}
}

// tracePage renders a trace as a tree, with when each span began and how long
// it took. Requests that were repeated are counted.
func tracePage(spans []telemetrytest.Span) []byte {
	var b bytes.Buffer
	b.WriteString("# One incident, one trace\n\nThe story `partner-tls` in two apps, as a collector got it. Spans of other\n" +
		"invocations than the alert's are in its trace because the case record keeps its\n`traceparent`; each is linked to the invocation that it was made by.\n\n" +
		"Made by `go test ./handler -run TestTrace -update`.\n\n```\n")
	children := map[string][]telemetrytest.Span{}
	known := map[string]bool{}
	for _, s := range spans {
		known[s.ID] = true
	}
	for _, s := range spans {
		if known[s.Parent] {
			children[s.Parent] = append(children[s.Parent], s)
		}
	}
	var began time.Time
	var show func(s telemetrytest.Span, times, depth int)
	show = func(s telemetrytest.Span, times, depth int) {
		name := strings.Repeat("  ", depth) + s.Name
		if times > 1 {
			name += fmt.Sprintf(" (%d times)", times)
		}
		link := ""
		if len(s.Links) > 0 {
			link = "  linked to the invocation"
		}
		fmt.Fprintf(&b, "%8.3f s  %8.1f ms  %-18s  %s%s\n", s.Start.Sub(began).Seconds(), float64(s.End.Sub(s.Start).Microseconds())/1000,
			strings.TrimPrefix(s.Service, "pcapwarden-"), name, link)
		below := children[s.ID]
		for i := 0; i < len(below); {
			n := i + 1
			for n < len(below) && below[n].Name == below[i].Name && len(children[below[n].ID]) == 0 && len(children[below[i].ID]) == 0 {
				n++
			}
			show(below[i], n-i, depth+1)
			i = n
		}
	}
	for _, s := range spans {
		if !known[s.Parent] {
			if began.IsZero() {
				began = s.Start
			}
			show(s, 1, 0)
		}
	}
	b.WriteString("```\n")
	return b.Bytes()
}
