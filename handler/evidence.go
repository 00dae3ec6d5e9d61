package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/custody"
	"github.com/pcapwarden/pcapwarden/internal/inert"
	"github.com/pcapwarden/pcapwarden/internal/report"
)

// evidenceVerify checks evidence. Anything that does not match exits with 1.
func evidenceVerify(ctx context.Context, e environment, args []string) int {
	flags := flag.NewFlagSet("pcapwarden evidence verify", flag.ContinueOnError)
	flags.SetOutput(e.stderr)
	var p evidencePlace
	p.define(e, flags)
	all := flags.Bool("all", false, "check the evidence of all incidents")
	withoutLog := flags.Bool("without-log", false, "check without the audit log: signatures and bytes alone")
	format := choice{"text", []string{"text", "json"}}
	flags.Var(&format, "format", "`FORMAT` of the report: text or json")
	flags.Usage = func() {
		fmt.Fprint(e.stderr, "usage: pcapwarden evidence verify [FLAGS] INCIDENT | --all | FOLDER [INCIDENT]\n\n"+
			"Hashes evidence again and holds it against its custody manifest, that against\nits signature and the audit log, and the log against itself.\n"+
			"FOLDER is what \"pcapwarden local\" left.\n\nFlags:\n")
		flags.PrintDefaults()
	}
	rest, err := parse(flags, args)
	if err != nil {
		return usageCode(err)
	}
	if err = p.choose(e, rest); err == nil && len(rest) == 0 && !*all {
		err = errors.New("want an incident, a folder, or --all")
	} else if err == nil && *all && p.incident != "" {
		err = errors.New("--all and an incident")
	}
	if err != nil {
		fmt.Fprintf(e.stderr, "pcapwarden evidence verify: %v\n", err)
		return exitUsage
	}
	var r custody.Result
	check, err := p.check(ctx, e, *withoutLog)
	if err == nil {
		r, err = check.Run(ctx, p.incident)
	}
	if err != nil {
		fmt.Fprintf(e.stderr, "pcapwarden evidence verify: %v\n", err)
		return exitError
	}
	if format.value == "json" {
		err = writeInert(e.stdout, r)
	} else {
		err = printVerified(e.stdout, r, p)
	}
	if err != nil || len(r.Problems) > 0 || len(r.Items) == 0 && p.incident != "" {
		return exitError
	}
	return exitOK
}

// writeInert writes v for programs; what others chose in it does nothing on the
// way.
func writeInert(w io.Writer, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(inert.JSON(text), '\n'))
	return err
}

func printVerified(w io.Writer, r custody.Result, p evidencePlace) error {
	var b strings.Builder
	for _, i := range r.Items {
		fmt.Fprintf(&b, "%+.300q\n", i.Name)
		if i.Note != "" {
			fmt.Fprintf(&b, "  %s\n", i.Note)
			continue
		}
		fmt.Fprintf(&b, "  %d bytes, sealed %s, with %d documents\n  SHA-256 %s\n", i.Bytes, i.Sealed.UTC().Format(time.RFC3339), i.Documents, i.SHA256)
	}
	if len(r.Items) == 0 {
		b.WriteString("there is no such evidence\n")
	}
	if r.Log == nil {
		b.WriteString("audit log: not looked at\n")
	} else {
		fmt.Fprintf(&b, "audit log: %d entries in %d segments, its head is\n  %s\n", r.Log.Entries, r.Log.Segments, cmp.Or(r.Log.Head, "none"))
	}
	from := "given with --key"
	if len(p.keys) == 0 {
		from = "of the signer in use, " + p.signer
	}
	fmt.Fprintf(&b, "trusted keys, %s:\n  %s\n", from, strings.Join(r.Keys, "\n  "))
	for _, bad := range r.Problems {
		fmt.Fprintf(&b, "broken: %+.300q:\n%s\n", bad.Item, report.Wrap(strings.Trim(fmt.Sprintf("%+q", bad.What), `"`), 80, "  "))
	}
	if len(r.Problems) == 0 {
		b.WriteString("everything is as it was sealed\n")
	} else {
		b.WriteString("Change nothing. Keep what there is, and find out who had access since it was\nsealed.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// evidenceShow prints manifests. It checks signatures, and nothing else.
func evidenceShow(ctx context.Context, e environment, args []string) int {
	flags := flag.NewFlagSet("pcapwarden evidence show", flag.ContinueOnError)
	flags.SetOutput(e.stderr)
	var p evidencePlace
	p.define(e, flags)
	format := choice{"text", []string{"text", "json"}}
	flags.Var(&format, "format", "`FORMAT`: text or json")
	flags.Usage = func() {
		fmt.Fprint(e.stderr, "usage: pcapwarden evidence show [FLAGS] INCIDENT | FOLDER [INCIDENT]\n\nPrints the custody manifests. \"evidence verify\" checks them.\n\nFlags:\n")
		flags.PrintDefaults()
	}
	rest, err := parse(flags, args)
	if err != nil {
		return usageCode(err)
	}
	if err = p.choose(e, rest); err == nil && len(rest) == 0 {
		err = errors.New("want an incident, or a folder")
	}
	if err != nil {
		fmt.Fprintf(e.stderr, "pcapwarden evidence show: %v\n", err)
		return exitUsage
	}
	var all []custody.Shown
	check, err := p.check(ctx, e, true)
	if err == nil {
		all, err = custody.Show(ctx, check.Vault, p.incident, check.Trusted)
	}
	if err == nil && len(all) == 0 {
		err = errors.New("there is no such evidence")
	}
	if err == nil && format.value == "json" {
		err = writeInert(e.stdout, all)
	} else if err == nil {
		for _, s := range all {
			_, err = io.WriteString(e.stdout, s.Text()+"\n")
		}
	}
	if err != nil {
		fmt.Fprintf(e.stderr, "pcapwarden evidence show: %v\n", err)
		return exitError
	}
	return exitOK
}
