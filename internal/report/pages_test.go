package report

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
)

var pagesDir = flag.String("pages", "", "write the example pages into this `folder`, to look at them")

// An example is a page, or that of an incident.
type example struct {
	name     string
	page     Page
	incident []Page
}

func one(name string, a *analysis.Analysis, about About) example {
	return example{name: name, page: Page{Analysis: a, Case: about}}
}

func examples() []example {
	tls, tlsAbout := partnerTLS()
	dns, dnsAbout := dnsDelay()
	bad, badAbout := hostile(300)
	return []example{
		one("partner_tls", tls, tlsAbout),
		one("dns_delay", dns, dnsAbout),
		one("healthy", healthyCapture(), About{}),
		one("unreadable", unreadable(), About{}),
		one("hostile", bad, badAbout),
		one("nothing", &analysis.Analysis{}, About{}),
		{name: "whole", page: wholePage()},
		{name: "incident", incident: incidentPages()},
		{name: "incident_hostile", incident: hostileIncident()},
		{name: "incident_empty", incident: []Page{}},
	}
}

// render returns the page of e, and writes it to -pages.
func render(t *testing.T, e example) []byte {
	t.Helper()
	var b bytes.Buffer
	var err error
	if e.incident != nil {
		err = Incident(&b, e.incident)
	} else {
		err = HTML(&b, e.page)
	}
	if err != nil {
		t.Fatal(err)
	}
	if *pagesDir != "" {
		if err := os.WriteFile(filepath.Join(*pagesDir, e.name+".html"), b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestPages(t *testing.T) {
	for _, e := range examples() {
		t.Run(e.name, func(t *testing.T) { render(t, e) })
	}
}

// renderMarkdown returns the ticket of e, and writes it to -pages.
func renderMarkdown(t *testing.T, e example) []byte {
	t.Helper()
	var b bytes.Buffer
	var err error
	if e.incident != nil {
		err = IncidentMarkdown(&b, e.incident)
	} else {
		err = Markdown(&b, e.page)
	}
	if err != nil {
		t.Fatal(err)
	}
	if *pagesDir != "" {
		if err := os.WriteFile(filepath.Join(*pagesDir, e.name+".md"), b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}
