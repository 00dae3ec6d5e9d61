package report

import (
	"slices"
	"strings"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
)

func TestIncidentComparesWithTheHealthySide(t *testing.T) {
	nodes := twoNodesAnalysed()
	page := func(name string, a *analysis.Analysis, baseline bool) Page {
		return Page{Analysis: a, Case: About{Incident: "INC-9", Target: "/x/" + name, Baseline: baseline}}
	}
	unread := &analysis.Analysis{Capture: analysis.Capture{File: "x", Error: "no capture"}}
	tests := []struct {
		name     string
		pages    []Page
		order    string // of the captures
		base     string
		headline string
	}{
		{"a_baseline", []Page{page("good", &nodes[0], true), page("bad", &nodes[1], false)}, "bad good", "good", "A DNS resolver does not answer"},
		{"a_baseline_that_is_ill", []Page{page("ill", &nodes[1], true), page("good", &nodes[0], false)}, "good ill", "ill", "The traffic looks healthy"},
		{"instances", []Page{page("b", &nodes[1], false), page("a", &nodes[1], false), page("c", &nodes[0], false)}, "a b c", "c", "A DNS resolver does not answer, in 2 of 3 captures"},
		{"an_unreadable_baseline", []Page{page("x", unread, true), page("bad", &nodes[1], false), page("good", &nodes[0], false)}, "bad good x", "good", "A DNS resolver does not answer, in 1 of 2 captures"},
		{"one", []Page{page("bad", &nodes[1], false)}, "bad", "", "A DNS resolver does not answer"},
		{"a_healthy_side_alone", []Page{page("good", &nodes[0], true)}, "good", "", "Only the healthy side was captured"},
		{"no_file_yet", []Page{page("a", nil, false)}, "a", "", "Nothing was captured yet"},
		{"none", nil, "", "", "Nothing was captured yet"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := newIncident(tt.pages)
			var order []string
			base := ""
			for _, m := range in.members {
				order = append(order, m.name)
				if m.base {
					base = m.name
				}
				if m.base == (m.compared != nil) && in.base != nil {
					t.Errorf("%s: base %v, compared %v", m.name, m.base, m.compared != nil)
				}
			}
			if got := strings.Join(order, " "); got != tt.order || base != tt.base || in.headline() != tt.headline {
				t.Errorf("%s, compared with %q, %q; want %s, %q, %q", got, base, in.headline(), tt.order, tt.base, tt.headline)
			}
		})
	}
}

// The page says first what matters, and shows every quantity of all captures
// on one scale.
func TestIncidentPage(t *testing.T) {
	root := parse(t, render(t, example{name: "incident_page", incident: incidentPages()}))
	head := content(elements(root, "header")[0])
	for _, want := range []string{"Incident INC-9", "A DNS resolver does not answer, in 1 of 2 captures", "node-17 asks 10.0.9.4 first, which never answers"} {
		if !strings.Contains(head, want) {
			t.Errorf("header does not say %q:\n%s", want, head)
		}
	}
	var order []string
	for _, h := range elements(root, "h2") {
		order = append(order, content(h))
	}
	want := []string{"Who, why, until when", "The captures", "What differs", "Services, side by side", "Findings, by capture", "Evidence"}
	if !slices.Equal(order, want) {
		t.Errorf("sections = %q, want %q", order, want)
	}
	v := newIncidentView(newIncident(incidentPages()))
	for _, s := range v.Shared {
		for _, g := range s.Groups {
			if len(g.Rows) != 3 {
				t.Errorf("%s, %s: %d captures, want 3", s.Name, g.Name, len(g.Rows))
			}
			widest := 0.0
			for _, r := range g.Rows {
				if r.Width != "0" {
					widest = max(widest, position(t, r.Width))
				}
			}
			if g.Name == "server think" && widest != 100 {
				t.Errorf("the longest bar of %s is %v %%", g.Name, widest)
			}
		}
	}
	var links []string
	for _, a := range elements(root, "a") {
		if href := attr(a, "href"); !strings.HasPrefix(href, "#") {
			links = append(links, href)
		}
	}
	if want := []string{"pc-node-17.html", "pc-node-19.html", "pc-node-18.html"}; !slices.Equal(links, want) {
		t.Errorf("links = %q, want %q", links, want)
	}
}

// More captures than a page shows leave the healthy side on it.
func TestIncidentIsBounded(t *testing.T) {
	in := newIncident(hostileIncident())
	if len(in.members) != MaxIncident || in.left != 6 || in.base == nil || !in.base.Case.Baseline {
		t.Errorf("%d captures, %d left out, base %+v", len(in.members), in.left, in.base)
	}
	for _, a := range elements(parse(t, render(t, example{name: "incident_bounded", incident: hostileIncident()})), "a") {
		if href := attr(a, "href"); href != "#main" && href != "fine.html" {
			t.Errorf("a link leads to %q", href)
		}
	}
}
