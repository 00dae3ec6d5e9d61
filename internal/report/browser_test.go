package report

import (
	"bytes"
	"testing"

	"github.com/pcapwarden/pcapwarden/test/page"
)

// What everybody reads is readable by everybody: no problem that axe-core
// knows, nothing to say on the console, no request, no page wider
// than a telephone.
func TestPagesInABrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	pages := map[string][]byte{}
	// axe-core takes its time for long pages; those of other tests are longer.
	bad, badAbout := hostile(24)
	bad.Ladders[0].Steps = bad.Ladders[0].Steps[:20]
	bad.Conversations = bad.Conversations[:20]
	for _, e := range examples() {
		switch e.name {
		case "whole", "dns_delay", "unreadable", "incident":
			pages[e.name] = render(t, e)
		}
	}
	pages["hostile"] = render(t, one("hostile_short", bad, badAbout))
	pages["incident_hostile"] = render(t, example{name: "incident_hostile_short", incident: hostileIncident()[:5]})
	var compared bytes.Buffer
	if err := CompareHTML(&compared, twoNodes()); err != nil {
		t.Fatal(err)
	}
	pages["compare"] = compared.Bytes()
	for _, l := range page.Open(t, pages) {
		where := func(format string, args ...any) {
			t.Helper()
			t.Errorf("%s, %s, %d px: "+format, append([]any{l.File, l.Theme, l.Width}, args...)...)
		}
		for _, v := range l.Violations {
			where("%s (%s): %s\n\t%q", v.ID, v.Impact, v.Help, v.Nodes)
		}
		if l.Passes < 10 {
			where("axe-core looked at %d rules only", l.Passes)
		}
		if len(l.Console) > 0 {
			where("the console has %q", l.Console)
		}
		if len(l.Requests) > 0 {
			where("asked for %q", l.Requests)
		}
		if l.Overflow > 0 {
			where("%d px too wide", l.Overflow)
		}
	}
}

// The check itself can fail.
func TestBrowserSeesWhatIsWrong(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	const bad = `<!doctype html><html><head><title>x</title></head><body><p style="color:#bbb">pale</p><img src="http://192.0.2.1/x.png">` +
		`<div style="width:1500px">wide</div><script>console.log("hello")</script></body></html>`
	for _, l := range page.Open(t, map[string][]byte{"bad": []byte(bad)}) {
		serious := 0
		for _, v := range l.Violations {
			if v.Serious() {
				serious++
			}
		}
		if serious < 2 || len(l.Console) == 0 || len(l.Requests) == 0 || l.Overflow == 0 {
			t.Errorf("%s %d: %d serious, console %q, requests %q, overflow %d", l.Theme, l.Width, serious, l.Console, l.Requests, l.Overflow)
		}
	}
}
