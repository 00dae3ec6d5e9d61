package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/pcapwarden/pcapwarden/internal/azure/credential"
	"github.com/pcapwarden/pcapwarden/internal/custody"
	"github.com/pcapwarden/pcapwarden/internal/inert"
)

// evidencePlace is where the commands about evidence look.
type evidencePlace struct {
	vault, reports, records, signer string
	incident                        string
	keys                            texts
}

// texts is a flag that may be given several times.
type texts []string

func (t *texts) String() string     { return strings.Join(*t, ",") }
func (t *texts) Set(s string) error { *t = append(*t, s); return nil }

// define makes the flags of the commands about evidence.
func (p *evidencePlace) define(e environment, flags *flag.FlagSet) {
	for _, f := range []struct {
		to            *string
		name, setting string
		what          string
	}{
		{&p.vault, "vault", "PCAPWARDEN_VAULT", "the vault"},
		{&p.reports, "reports", "PCAPWARDEN_REPORTS", "the reports"},
		{&p.records, "records", "PCAPWARDEN_RECORDS", "the records, with the audit log"},
	} {
		flags.StringVar(f.to, f.name, e.getenv(f.setting), "`PLACE` of "+f.what+", as in the setting "+f.setting)
	}
	p.signer = e.getenv("PCAPWARDEN_SIGNING_KEY")
	flags.Var(&p.keys, "key", "`FILE` with a public key in PEM that is trusted; may be given several times (default: the key of PCAPWARDEN_SIGNING_KEY)")
}

// choose takes the arguments: a folder that a local run or an export left,
// an incident, both, or neither.
func (p *evidencePlace) choose(e environment, args []string) error {
	if len(args) > 0 {
		if isRun(args[0]) {
			dir := args[0]
			p.vault, p.reports, p.records = "file:"+filepath.Join(dir, "vault"), "file:"+filepath.Join(dir, "reports"), "file:"+filepath.Join(dir, "cases")
			p.signer = "file:" + filepath.Join(dir, "signing.pem")
			args = args[1:]
		}
	}
	if len(args) > 0 {
		p.incident, args = args[0], args[1:]
		if !validIncident(p.incident) {
			return fmt.Errorf("%.80q is neither a folder nor an incident", p.incident)
		}
	}
	switch {
	case len(args) > 0:
		return fmt.Errorf("%q is too much", args[0])
	case p.vault == "":
		return errors.New("want a folder, --vault, or the setting PCAPWARDEN_VAULT")
	}
	return nil
}

// isRun reports whether the directory is what a local run or an export left.
func isRun(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, "vault"))
	return err == nil && info.IsDir()
}

// validIncident is the rule for incident IDs of alerts.
func validIncident(id string) bool {
	return len(id) <= 64 && !strings.HasPrefix(id, ".") &&
		strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == ""
}

// identity is who reads, in Azure: the person who asks.
func (p *evidencePlace) identity(e environment) (azcore.TokenCredential, error) {
	for _, place := range []string{p.vault, p.reports, p.records, p.signer} {
		if strings.HasPrefix(place, "https://") {
			return credential.New(cmp.Or(e.getenv("PCAPWARDEN_CREDENTIAL"), "azurecli"), e.getenv("PCAPWARDEN_CLIENT_ID"))
		}
	}
	return nil, nil
}

// open opens a store that must be there: a check makes none.
func (p *evidencePlace) open(place string, cred azcore.TokenCredential) (files, error) {
	if dir, ok, err := folderOf(place); ok {
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(dir); err != nil {
			return nil, err
		}
	}
	return openFiles(place, cred)
}

// check returns the check that the flags describe. Nobody trusts a key because
// it lies beside the evidence.
func (p *evidencePlace) check(ctx context.Context, e environment, withoutLog bool) (*custody.Check, error) {
	cred, err := p.identity(e)
	if err != nil {
		return nil, err
	}
	k := &custody.Check{Now: time.Now()}
	if k.Trusted, err = p.trusted(ctx, cred); err != nil {
		return nil, err
	}
	if k.Vault, err = p.open(p.vault, cred); err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	if p.reports != "" {
		if k.Reports, err = p.open(p.reports, cred); err != nil {
			return nil, fmt.Errorf("reports: %w", err)
		}
	}
	switch {
	case withoutLog:
	case p.records == "":
		return nil, errors.New("want --records, or the setting PCAPWARDEN_RECORDS, for the audit log; --without-log checks the rest")
	default:
		if k.Records, err = openRecords(e, p.records); err != nil {
			return nil, fmt.Errorf("audit log: %w (--without-log checks the rest)", err)
		}
	}
	return k, nil
}

func (p *evidencePlace) trusted(ctx context.Context, cred azcore.TokenCredential) ([]custody.PublicKey, error) {
	var all []custody.PublicKey
	for _, name := range p.keys {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("--key: %w", err)
		}
		key, err := custody.ParseKey(text)
		if err != nil {
			return nil, fmt.Errorf("--key %s: %w", name, err)
		}
		all = append(all, key)
	}
	if len(all) > 0 {
		return all, nil
	}
	if name, local := strings.CutPrefix(p.signer, "file:"); local {
		if _, err := os.Stat(name); err != nil { // a check makes no key
			return nil, fmt.Errorf("no key to trust: %w; give one with --key", err)
		}
	}
	signer, err := openSigner(p.signer, cred)
	if err != nil {
		return nil, fmt.Errorf("no key to trust: %w; give one with --key", err)
	}
	return signer.Trusted(ctx)
}

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
		fmt.Fprintf(&b, "  %d bytes, SHA-256 %s\n  sealed %s, with %d documents\n", i.Bytes, i.SHA256, i.Sealed.UTC().Format(time.RFC3339), i.Documents)
	}
	if len(r.Items) == 0 {
		b.WriteString("there is no such evidence\n")
	}
	if r.Log == nil {
		b.WriteString("audit log: not looked at\n")
	} else {
		fmt.Fprintf(&b, "audit log: %d entries in %d segments, head %s\n", r.Log.Entries, r.Log.Segments, cmp.Or(r.Log.Head, "none"))
	}
	from := "given with --key"
	if len(p.keys) == 0 {
		from = "of the signer in use, " + p.signer
	}
	fmt.Fprintf(&b, "trusted: %s, %s\n", strings.Join(r.Keys, ", "), from)
	for _, bad := range r.Problems {
		fmt.Fprintf(&b, "broken: %+.300q: %s\n", bad.Item, strings.Trim(fmt.Sprintf("%+q", bad.What), `"`))
	}
	if len(r.Problems) == 0 {
		b.WriteString("everything is as it was sealed\n")
	} else {
		b.WriteString("Change nothing. Keep what there is, and find out who had access since it was sealed.\n")
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
