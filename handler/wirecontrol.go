package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pcapwarden/pcapwarden/functions/captures"
	"github.com/pcapwarden/pcapwarden/functions/startcaptures"
	"github.com/pcapwarden/pcapwarden/functions/sweepcaptures"
	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/azure/arm"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/config"
	"github.com/pcapwarden/pcapwarden/internal/customhandler"
	"github.com/pcapwarden/pcapwarden/internal/identity"
	"github.com/pcapwarden/pcapwarden/internal/outbox"
)

// control is the part that may start and end captures. It reads no packet:
// nothing that does is named in this file, which a test holds.
func (s *services) control() ([]customhandler.Function, error) {
	check, err := checkCallers(s.cfg)
	if err != nil {
		return nil, err
	}
	if s.cfg.Auth == config.AuthNone {
		s.log.Warn("callers are not checked: PCAPWARDEN_AUTH is none")
	}
	watcher, err := arm.NewWatcher(s.cred, arm.Options{Endpoint: s.cfg.ARMEndpoint, ApplicationID: "pcapwarden"})
	if err != nil {
		return nil, err
	}
	// Who may start captures need not be who deletes evidence.
	sweep, err := credentialOf(s.cfg, cmp.Or(s.cfg.SweepClientID, s.cfg.ClientID))
	if err != nil {
		return nil, err
	}
	vault, wrongVault := openFiles(s.cfg.Vault, sweep)
	reports, wrongReports := openFiles(s.cfg.Reports, sweep)
	events, wrongEvents := openQueue(s.cfg.LandedQueue, s.cred)
	if err := errors.Join(named("PCAPWARDEN_VAULT", wrongVault), named("PCAPWARDEN_REPORTS", wrongReports),
		named("PCAPWARDEN_LANDED_QUEUE", wrongEvents)); err != nil {
		return nil, err
	}
	landing := landings(s.cfg.Landing, sweep)
	starter := &capture.Starter{
		Watcher: watcher, Directory: watcher, Ledger: capture.NewLedger(s.records), Policy: s.policy, Audit: audit.New(s.records),
		Notify: notify(s.incidents, s.source), Now: time.Now, Log: s.log, Off: !s.cfg.Starts,
	}
	sweeper := &capture.Sweeper{
		Starter: starter, Recover: recoverFiles(s.policy, landing, events), Expire: expire(s.policy, landing, vault, reports),
		Certify: certify(vault, s.signer, time.Now),
		Chores: []func(context.Context, time.Time) error{
			s.outbox(landing).Flush,
			(&reverifier{
				ledger: starter.Ledger, rechecks: outbox.Rechecks(s.records), vault: vault, signer: s.signer, incidents: s.incidents,
				audit: starter.Audit, source: s.source, now: time.Now, log: s.log,
			}).run,
		},
	}
	return []customhandler.Function{
		identity.Guard(startcaptures.New(starter), check, identity.Need{App: identity.ActionGroups, Roles: []string{identity.Alerts}}, s.log),
		sweepcaptures.New(sweeper, s.log),
		identity.Guard(captures.New(&capture.Desk{Sweeper: sweeper}, s.log), check, identity.Need{Roles: captures.Roles}, s.log),
	}, nil
}

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
