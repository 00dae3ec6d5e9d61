package main

import (
	"errors"
	"time"

	"github.com/pcapwarden/pcapwarden/functions/analyzecapture"
	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/customhandler"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
)

// unclaimed is how long a file waits for the case that explains it. The case
// is recorded within a moment of the start, the file comes when a capture is
// over: who waits here has met a start that died half-way, which the next
// sweep mends, or a file that is not ours.
const unclaimed = 10 * time.Second

// analyze is the part that reads packets. It has no way to start a capture,
// which a test holds, whatever hostile bytes take over here: all that it can
// be given of Azure Resource Manager is a source that answers questions.
func (s *services) analyze() ([]customhandler.Function, error) {
	rules, err := s.rules()
	if err != nil {
		return nil, err
	}
	vault, wrongVault := openFiles(s.cfg.Vault, s.cred)
	reports, wrongReports := openFiles(s.cfg.Reports, s.cred)
	if err := errors.Join(named("PCAPWARDEN_VAULT", wrongVault), named("PCAPWARDEN_REPORTS", wrongReports)); err != nil {
		return nil, err
	}
	landing := landings(s.cfg.Landing, s.cred)
	return []customhandler.Function{analyzecapture.New(&analyzecapture.Analyzer{
		Ledger: capture.NewLedger(s.records), Tries: ledger.In[analyzecapture.Tries](s.records, "tries/"),
		Policy: s.policy, Landing: landing, Vault: observedFiles{vault, "vault"}, Reports: observedFiles{reports, "reports"},
		Incidents: s.incidents, Outbox: s.outbox(landing), Audit: audit.New(s.records), Signer: s.signer, Rules: rules, Source: s.source, Version: buildVersion(), Now: time.Now, Log: s.log, Unclaimed: unclaimed,
	})}, nil
}
