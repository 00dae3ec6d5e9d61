package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/pcapwarden/pcapwarden/functions/analyzecapture"
	"github.com/pcapwarden/pcapwarden/functions/captures"
	"github.com/pcapwarden/pcapwarden/functions/startcaptures"
	"github.com/pcapwarden/pcapwarden/functions/sweepcaptures"
	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/azure/arm"
	"github.com/pcapwarden/pcapwarden/internal/azure/credential"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/config"
	"github.com/pcapwarden/pcapwarden/internal/customhandler"
	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/identity"
	"github.com/pcapwarden/pcapwarden/internal/policy"
)

// unclaimed is how long a file waits for the case that explains it. The case
// is recorded within a moment of the start, the file comes when a capture is
// over: who waits here has met a start that died half-way, which the next
// sweep mends, or a file that is not ours.
const unclaimed = 10 * time.Second

// wire builds the functions out of the settings. It is the only place that
// names both Azure and the domain.
func wire(ctx context.Context, cfg config.Config, log *slog.Logger) ([]customhandler.Function, error) {
	check, err := checkCallers(cfg)
	if err != nil {
		return nil, err
	}
	if cfg.Auth == config.AuthNone {
		log.WarnContext(ctx, "callers are not checked: PCAPWARDEN_AUTH is none")
	}
	cred, err := credentialOf(cfg)
	if err != nil {
		return nil, err
	}
	pol, err := loadPolicy(ctx, cfg.Policy, cred)
	if err != nil {
		return nil, err
	}
	watcher, err := arm.NewWatcher(cred, arm.Options{Endpoint: cfg.ARMEndpoint, ApplicationID: "pcapwarden"})
	if err != nil {
		return nil, err
	}
	var mistakes []error
	records, err := openLedger(cfg.Records, cred)
	mistakes = append(mistakes, named("PCAPWARDEN_RECORDS", err))
	vault, err := openFiles(cfg.Vault, cred)
	mistakes = append(mistakes, named("PCAPWARDEN_VAULT", err))
	reports, err := openFiles(cfg.Reports, cred)
	mistakes = append(mistakes, named("PCAPWARDEN_REPORTS", err))
	incidents, err := openQueue(cfg.IncidentQueue, cred)
	mistakes = append(mistakes, named("PCAPWARDEN_INCIDENT_QUEUE", err))
	events, err := openQueue(cfg.LandedQueue, cred)
	mistakes = append(mistakes, named("PCAPWARDEN_LANDED_QUEUE", err))
	if err := errors.Join(mistakes...); err != nil {
		return nil, err
	}
	landing := landings(cfg.Landing, cred)
	ledger := capture.NewLedger(records)
	source := appID(os.Getenv)
	starter := &capture.Starter{
		Watcher: watcher, Directory: watcher, Ledger: ledger, Policy: pol, Audit: audit.New(records),
		Notify: notify(incidents, source), Now: time.Now, Log: log, Off: !cfg.Starts,
	}
	sweeper := &capture.Sweeper{
		Starter: starter, Recover: recoverFiles(pol, landing, events), Expire: expire(pol, landing, vault, reports),
	}
	analyzer := &analyzecapture.Analyzer{
		Ledger: ledger, Policy: pol, Landing: landing, Vault: vault, Reports: reports, Incidents: incidents,
		Source: source, Version: buildVersion(), Now: time.Now, Log: log, Unclaimed: unclaimed,
	}
	return []customhandler.Function{
		identity.Guard(startcaptures.New(starter), check, identity.Need{App: identity.ActionGroups, Roles: []string{identity.Alerts}}, log),
		sweepcaptures.New(sweeper, log),
		analyzecapture.New(analyzer),
		identity.Guard(captures.New(&capture.Desk{Sweeper: sweeper}, log), check, identity.Need{Roles: captures.Roles}, log),
	}, nil
}

func named(setting string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", setting, err)
}

// localToken is for the local ARM, which asks for some token.
const localToken = "local-run"

// checkCallers is how the app knows who calls.
func checkCallers(cfg config.Config) (identity.Check, error) {
	if cfg.Auth == config.AuthNone {
		return identity.Unchecked, nil
	}
	v, err := identity.NewVerifier(identity.Options{Tenant: cfg.TenantID, Audience: cfg.Audience, Authority: cfg.Authority})
	if err != nil {
		return nil, fmt.Errorf("PCAPWARDEN_AUTH: %w", err)
	}
	return v.Verify, nil
}

// credentialOf is who the app is towards Azure.
func credentialOf(cfg config.Config) (azcore.TokenCredential, error) {
	if cfg.Credential == "local" {
		return credential.Loopback(cfg.ARMEndpoint, localToken)
	}
	return credential.New(cfg.Credential, cfg.ClientID)
}

// loadPolicy reads the policy from a file or a blob.
func loadPolicy(ctx context.Context, where string, cred azcore.TokenCredential) (*policy.Policy, error) {
	text, err := readPolicy(ctx, where, cred)
	if err != nil {
		return nil, fmt.Errorf("PCAPWARDEN_POLICY: %w", err)
	}
	p, err := policy.Load(text)
	if err != nil {
		return nil, fmt.Errorf("PCAPWARDEN_POLICY: the policy is not valid, nothing may be captured:\n%w", err)
	}
	return p, nil
}

// maxPolicy is above what policy.Load accepts, so that it is Load who says so.
const maxPolicy = 1 << 20

func readPolicy(ctx context.Context, where string, cred azcore.TokenCredential) ([]byte, error) {
	if !strings.HasPrefix(where, "https://") {
		return os.ReadFile(filepath.Clean(strings.TrimPrefix(where, "file:")))
	}
	cut := strings.LastIndexByte(where, '/')
	container, err := openFiles(where[:cut], cred)
	if err != nil {
		return nil, err
	}
	f, err := container.Open(ctx, where[cut+1:])
	if err != nil {
		return nil, err
	}
	r, err := f.Reader(ctx)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, maxPolicy))
}

// landings opens the landing container of an account, once.
func landings(setting string, cred azcore.TokenCredential) func(account string) (evidence.Landing, error) {
	var mu sync.Mutex
	open := map[string]files{}
	return func(account string) (evidence.Landing, error) {
		mu.Lock()
		defer mu.Unlock()
		where := strings.ReplaceAll(setting, "{account}", strings.ToLower(account))
		if f, ok := open[where]; ok {
			return f, nil
		}
		f, err := openFiles(where, cred)
		if err != nil {
			return nil, fmt.Errorf("PCAPWARDEN_LANDING: %w", err)
		}
		open[where] = f
		return f, nil
	}
}

// appID names the app in messages: its ARM ID in Azure.
func appID(getenv func(string) string) string {
	site, group := getenv("WEBSITE_SITE_NAME"), getenv("WEBSITE_RESOURCE_GROUP")
	subscription, _, _ := strings.Cut(getenv("WEBSITE_OWNER_NAME"), "+")
	if site == "" || group == "" || subscription == "" {
		return "urn:pcapwarden:local"
	}
	return "/subscriptions/" + subscription + "/resourceGroups/" + group + "/providers/Microsoft.Web/sites/" + site
}
