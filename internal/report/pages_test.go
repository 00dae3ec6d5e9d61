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

type example struct {
	name     string
	analysis *analysis.Analysis
	about    About
}

func examples() []example {
	tls, tlsAbout := partnerTLS()
	dns, dnsAbout := dnsDelay()
	bad, badAbout := hostile(300)
	return []example{
		{"partner_tls", tls, tlsAbout},
		{"dns_delay", dns, dnsAbout},
		{"healthy", healthyCapture(), About{}},
		{"unreadable", unreadable(), About{}},
		{"hostile", bad, badAbout},
		{"nothing", &analysis.Analysis{}, About{}},
	}
}

// render returns the page of e, and writes it to -pages.
func render(t *testing.T, e example) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := HTML(&b, Page{Analysis: e.analysis, Case: e.about}); err != nil {
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
