package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/policy"
	"github.com/pcapwarden/pcapwarden/internal/report"
)

func analyze(ctx context.Context, e environment, args []string) int {
	format := choice{"text", []string{"text", "json", "html", "markdown"}}
	var vantage addresses
	flags := flag.NewFlagSet("pcapwarden analyze", flag.ContinueOnError)
	flags.SetOutput(e.stderr)
	flags.Usage = func() {
		fmt.Fprint(e.stderr, "usage: pcapwarden analyze [FLAGS] CAPTURE...\n\nSays what captures show. \"-\" is standard input.\n\n")
		flags.PrintDefaults()
	}
	flags.Var(&format, "format", "`FORMAT` of the output: text, json, html, markdown")
	output := flags.String("output", "", "write to `FILE` instead of standard output")
	flags.Var(&vantage, "vantage", "`IP,...`: addresses of the machine that was captured on")
	policyFile := flags.String("policy", "", "`FILE` of a policy, for what it says is expected")
	noHash := flags.Bool("no-hash", false, "leave out the SHA-256 of the files")
	captures, err := parse(flags, args)
	if err != nil {
		return usageCode(err)
	}
	switch {
	case len(captures) == 0:
		flags.Usage()
		return exitUsage
	case format.value == "html" && len(captures) > 1:
		fmt.Fprintln(e.stderr, "pcapwarden analyze: an HTML page is about one capture; name one")
		return exitUsage
	}
	known := detect.Context{Vantage: vantage}
	if *policyFile != "" {
		if known.ExpectedOutbound, known.ExpectedResolvers, err = expected(*policyFile); err != nil {
			fmt.Fprintf(e.stderr, "pcapwarden analyze: %v\n", err)
			return exitUsage
		}
	}

	stop := keepSmall(e.getenv)
	defer stop()
	var all []*analysis.Analysis
	code := exitOK
	for _, name := range captures {
		a, err := analyzeFile(ctx, e, name, analysis.Options{File: name, Context: known}, !*noHash)
		if err != nil && ctx.Err() != nil {
			fmt.Fprintln(e.stderr, "pcapwarden analyze: interrupted")
			return 130
		}
		if err != nil {
			a = analysis.Unreadable(name, err)
		}
		if !a.Capture.Readable {
			fmt.Fprintf(e.stderr, "pcapwarden analyze: %s: %s\n", name, a.Capture.Error)
			code = exitError
		}
		all = append(all, a)
	}
	var out bytes.Buffer
	switch format.value {
	case "json":
		err = report.JSON(&out, all...)
	case "html":
		err = report.HTML(&out, report.Page{Analysis: all[0]})
	case "markdown":
		for i, a := range all {
			if i > 0 {
				out.WriteByte('\n')
			}
			err = errors.Join(err, report.Markdown(&out, report.Page{Analysis: a}))
		}
	default:
		err = report.Text(&out, all...)
	}
	if err == nil && *output != "" {
		err = os.WriteFile(*output, out.Bytes(), 0o600) // restricted evidence
	} else if err == nil {
		_, err = out.WriteTo(e.stdout)
	}
	if err != nil {
		fmt.Fprintf(e.stderr, "pcapwarden analyze: %v\n", err)
		return exitError
	}
	return code
}

// expected is what a policy calls normal.
func expected(file string) ([]netip.Prefix, []netip.Addr, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	pol, err := policy.Load(text)
	if err != nil {
		return nil, nil, fmt.Errorf("policy %s is not valid; see what \"pcapwarden policy check\" says", file)
	}
	return pol.Expected.Outbound, pol.Expected.Resolvers, nil
}

func analyzeFile(ctx context.Context, e environment, name string, o analysis.Options, hash bool) (*analysis.Analysis, error) {
	in := e.stdin
	size := int64(-1)
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, errors.Unwrap(err)
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil {
			if info.IsDir() {
				return nil, errors.New("is a directory")
			}
			size = info.Size()
		}
		in = f
	}
	bar := newProgress(e.stderr, name, size)
	defer bar.Close()
	in = io.TeeReader(in, bar)
	if !hash {
		a, err := analysis.Run(ctx, in, o)
		return a, err
	}
	h := evidence.NewHashReader(in)
	defer h.Close()
	a, err := analysis.Run(ctx, h, o)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, h); err != nil {
		return nil, fmt.Errorf("read to the end: %w", err)
	}
	a.Capture.SHA256, a.Capture.Bytes = h.Sum(), h.Bytes()
	return a, nil
}
