package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/compare"
	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/report"
)

func compareCaptures(ctx context.Context, e environment, args []string) int {
	format := choice{"text", []string{"text", "json", "html", "markdown"}}
	flags := flag.NewFlagSet("pcapwarden compare", flag.ContinueOnError)
	flags.SetOutput(e.stderr)
	flags.Usage = func() {
		fmt.Fprint(e.stderr, "usage: pcapwarden compare [FLAGS] BASELINE CAPTURE...\n\n"+
			"Says what differs between captures of the same service or role: the baseline,\nwhich is in order, and others. \"-\" is standard input.\n\n")
		flags.PrintDefaults()
	}
	flags.Var(&format, "format", "`FORMAT` of the output: text, json, html, markdown")
	output := flags.String("output", "", "write to `FILE` instead of standard output")
	var vantages [2]addresses
	flags.Var(&vantages[0], "baseline-vantage", "`IP,...`: addresses of the machine that the baseline was captured on")
	flags.Var(&vantages[1], "vantage", "`IP,...`: addresses of the machine that the capture was taken on")
	policyFile := flags.String("policy", "", "`FILE` of a policy, for what it says is expected")
	noHash := flags.Bool("no-hash", false, "leave out the SHA-256 of the files")
	captures, err := parse(flags, args)
	if err != nil {
		return usageCode(err)
	}
	stdin := 0
	for _, name := range captures {
		if name == "-" {
			stdin++
		}
	}
	if len(captures) < 2 || len(captures) > report.MaxIncident || stdin > 1 {
		flags.Usage()
		return exitUsage
	}
	var known detect.Context
	if *policyFile != "" {
		if known.ExpectedOutbound, known.ExpectedResolvers, err = expected(*policyFile); err != nil {
			fmt.Fprintf(e.stderr, "pcapwarden compare: %v\n", err)
			return exitUsage
		}
	}
	code := exitOK
	var sides []*analysis.Analysis
	for i, name := range captures {
		known.Vantage = vantages[min(i, 1)]
		a, err := analyzeFile(ctx, e, name, analysis.Options{File: name, Context: known}, !*noHash)
		if err != nil && ctx.Err() != nil {
			fmt.Fprintln(e.stderr, "pcapwarden compare: interrupted")
			return 130
		}
		if err != nil {
			a = analysis.Unreadable(name, err)
		}
		if !a.Capture.Readable {
			fmt.Fprintf(e.stderr, "pcapwarden compare: %s: %s\n", name, a.Capture.Error)
			code = exitError
		}
		sides = append(sides, a)
	}
	var out bytes.Buffer
	err = writeComparison(&out, format.value, sides)
	if err == nil && *output != "" {
		err = os.WriteFile(*output, out.Bytes(), 0o600) // restricted evidence
	} else if err == nil {
		_, err = out.WriteTo(e.stdout)
	}
	if err != nil {
		fmt.Fprintf(e.stderr, "pcapwarden compare: %v\n", err)
		return exitError
	}
	return code
}

// writeComparison compares each capture with the first. Two have documents of
// their own; more are an array of them, texts one after another, or one page.
func writeComparison(out *bytes.Buffer, format string, sides []*analysis.Analysis) error {
	var all []*compare.Comparison
	for _, a := range sides[1:] {
		all = append(all, compare.Captures(sides[0], a))
	}
	pages := []report.Page{{Analysis: sides[0], Case: report.About{Baseline: true}}}
	for _, a := range sides[1:] {
		pages = append(pages, report.Page{Analysis: a})
	}
	switch {
	case format == "json":
		return report.CompareJSON(out, all...)
	case format == "html" && len(all) == 1:
		return report.CompareHTML(out, all[0])
	case format == "html":
		return report.Incident(out, pages)
	case format == "markdown":
		return report.IncidentMarkdown(out, pages)
	}
	return report.CompareText(out, all...)
}
