package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/azure/credential"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
)

// auditVerify checks the chain of the audit log. A broken chain exits with 1,
// as does one that can't be read.
func auditVerify(ctx context.Context, e environment, args []string) int {
	flags := flag.NewFlagSet("pcapwarden audit verify", flag.ContinueOnError)
	flags.SetOutput(e.stderr)
	records := flags.String("records", e.getenv("PCAPWARDEN_RECORDS"), "`PLACE` of the records, as in the setting PCAPWARDEN_RECORDS")
	anchor := flags.String("head", "", "`SHA256` that an earlier check reported: the log must still hold it")
	format := choice{"text", []string{"text", "json"}}
	flags.Var(&format, "format", "`FORMAT` of the report: text or json")
	rest, err := parse(flags, args)
	if err != nil {
		return usageCode(err)
	}
	if len(rest) > 0 || *records == "" {
		fmt.Fprintln(e.stderr, "pcapwarden audit verify: want --records, or the setting PCAPWARDEN_RECORDS, and nothing else")
		return exitUsage
	}
	store, err := openRecords(e, *records)
	if err != nil {
		fmt.Fprintf(e.stderr, "pcapwarden audit verify: %v\n", err)
		return exitError
	}
	r, err := audit.Verify(ctx, store, *anchor)
	if err != nil {
		fmt.Fprintf(e.stderr, "pcapwarden audit verify: %v\n", err)
		return exitError
	}
	if format.value == "json" {
		out := json.NewEncoder(e.stdout)
		out.SetIndent("", "  ")
		err = out.Encode(r)
	} else {
		err = printAudit(e, r)
	}
	if err != nil || !r.Intact() {
		return exitError
	}
	return exitOK
}

// openRecords opens the records, in Azure as the person who asks.
func openRecords(e environment, where string) (ledger.Store, error) {
	if dir, ok, err := folderOf(where); ok {
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(dir); err != nil { // a check must not make an empty log
			return nil, err
		}
	}
	if !strings.HasPrefix(where, "https://") {
		return openLedger(where, nil)
	}
	cred, err := credential.New(cmp.Or(e.getenv("PCAPWARDEN_CREDENTIAL"), "azurecli"), e.getenv("PCAPWARDEN_CLIENT_ID"))
	if err != nil {
		return nil, err
	}
	return openLedger(where, cred)
}

func printAudit(e environment, r audit.Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d entries in %d segments", r.Entries, r.Segments)
	if r.Entries > 0 {
		fmt.Fprintf(&b, ", from %s to %s", r.First.Format(time.RFC3339), r.Last.Format(time.RFC3339))
	}
	fmt.Fprintf(&b, "\nhead %s\n", cmp.Or(r.Head, "none: the log is empty"))
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "broken: %s\n", p)
	}
	if r.Intact() {
		b.WriteString("the chain is whole; keep the head, and give it to the next check with --head\n")
	}
	_, err := fmt.Fprint(e.stdout, b.String())
	return err
}
