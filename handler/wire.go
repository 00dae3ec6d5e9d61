package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/pcapwarden/pcapwarden/functions/health"
	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/azure/credential"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/config"
	"github.com/pcapwarden/pcapwarden/internal/custody"
	"github.com/pcapwarden/pcapwarden/internal/customhandler"
	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/incident"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
	"github.com/pcapwarden/pcapwarden/internal/outbox"
	"github.com/pcapwarden/pcapwarden/internal/policy"
)

// inFlight is how many requests to Azure Resource Manager are under way at
// once in one process, whatever its invocations do.
const inFlight = 32

// wire builds the functions of the app's mode out of the settings. It and the
// files beside it are the only place that names both Azure and the domain.
func wire(ctx context.Context, cfg config.Config, log *slog.Logger) ([]customhandler.Function, error) {
	s, err := openServices(ctx, cfg, log)
	if err != nil {
		return nil, err
	}
	functions := append(elsewhere(cfg.Mode), health.New(s.records, log))
	for _, part := range []struct {
		mode  config.Mode
		build func() ([]customhandler.Function, error)
	}{{config.Control, s.control}, {config.Analyze, s.analyze}} {
		if !cfg.Mode.Does(part.mode) {
			continue
		}
		built, err := part.build()
		if err != nil {
			return nil, err
		}
		functions = append(functions, built...)
	}
	return functions, nil
}

// services are what every mode works with.
type services struct {
	cfg       config.Config
	log       *slog.Logger
	cred      azcore.TokenCredential
	policy    *policy.Policy
	records   ledger.Store
	incidents incident.Queue
	signer    custody.Signer
	source    string // the app's name in messages
}

func openServices(ctx context.Context, cfg config.Config, log *slog.Logger) (*services, error) {
	s := &services{cfg: cfg, log: log, source: appID(os.Getenv)}
	var err error
	if s.cred, err = credentialOf(cfg, cfg.ClientID); err != nil {
		return nil, err
	}
	if s.policy, err = loadPolicy(ctx, cfg.Policy, s.cred); err != nil {
		return nil, err
	}
	var wrong error
	s.records, wrong = openLedger(cfg.Records, s.cred)
	incidents, wrongQueue := openQueue(cfg.IncidentQueue, s.cred)
	s.incidents = observedQueue{incidents, queueName(cfg.IncidentQueue)}
	var wrongKey error
	s.signer, wrongKey = openSigner(cfg.SigningKey, s.cred)
	return s, errors.Join(named("PCAPWARDEN_SIGNING_KEY", wrongKey), named("PCAPWARDEN_RECORDS", wrong), named("PCAPWARDEN_INCIDENT_QUEUE", wrongQueue))
}

func named(setting string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", setting, err)
}

// localToken is for the local ARM, which asks for some token.
const localToken = "local-run"

// credentialOf is who the app is towards Azure.
func credentialOf(cfg config.Config, clientID string) (azcore.TokenCredential, error) {
	if cfg.Credential == "local" {
		return credential.Loopback(cfg.ARMEndpoint, localToken)
	}
	return credential.New(cfg.Credential, clientID)
}

// loadPolicy reads the policy from a file or a blob.
func loadPolicy(ctx context.Context, where string, cred azcore.TokenCredential) (*policy.Policy, error) {
	text, err := readPolicy(ctx, where, cred)
	if err != nil {
		return nil, fmt.Errorf("PCAPWARDEN_POLICY: %w", err)
	}
	p, err := policy.Load(text)
	if err != nil {
		return nil, lineByLine("PCAPWARDEN_POLICY: not valid, nothing may be captured: ", err)
	}
	return p, nil
}

// lineByLine puts words before each line of an error: every line of the log is
// read alone.
func lineByLine(words string, err error) error {
	return errors.New(words + strings.ReplaceAll(err.Error(), "\n", "\n"+words))
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
	return evidence.Load(ctx, container, where[cut+1:], maxPolicy)
}

// outbox sends messages, and clears the landing containers of what is sealed.
func (s *services) outbox(landing func(string) (evidence.Landing, error)) *outbox.Box {
	return outbox.New(s.records, outbox.Box{
		Ledger: capture.NewLedger(s.records), Queue: s.incidents, Landing: landing, Audit: audit.New(s.records), Now: time.Now, Log: s.log,
	})
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
