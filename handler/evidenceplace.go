package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/pcapwarden/pcapwarden/internal/azure/credential"
	"github.com/pcapwarden/pcapwarden/internal/custody"
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
