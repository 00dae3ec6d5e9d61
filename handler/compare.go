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
	format := choice{"text", []string{"text", "json", "html"}}
	flags := flag.NewFlagSet("pcapwarden compare", flag.ContinueOnError)
	flags.SetOutput(e.stderr)
	flags.Usage = func() {
		fmt.Fprint(e.stderr, "usage: pcapwarden compare [FLAGS] BASELINE CAPTURE\n\n"+
			"Says what differs between two captures of the same service or role: the\nbaseline, which is in order, and another one. \"-\" is standard input.\n\n")
		flags.PrintDefaults()
	}
	flags.Var(&format, "format", "`FORMAT` of the output: text, json, html")
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
	if len(captures) != 2 || captures[0] == "-" && captures[1] == "-" {
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
	var sides [2]*analysis.Analysis
	for i, name := range captures {
		known.Vantage = vantages[i]
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
		sides[i] = a
	}
	c := compare.Captures(sides[0], sides[1])
	var out bytes.Buffer
	switch format.value {
	case "json":
		err = report.CompareJSON(&out, c)
	case "html":
		err = report.CompareHTML(&out, c)
	default:
		err = report.CompareText(&out, c)
	}
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
