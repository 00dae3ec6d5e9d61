package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azpolicy "github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/pcapwarden/pcapwarden/internal/azure/servicebus"
	"github.com/pcapwarden/pcapwarden/internal/config"
	"github.com/pcapwarden/pcapwarden/internal/doctor"
	"github.com/pcapwarden/pcapwarden/internal/identity"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
	"github.com/pcapwarden/pcapwarden/internal/policy"
)

// A patient is an app that the doctor looks at.
type patient struct {
	cfg    config.Config
	getenv func(string) string
	vm     string // empty: none
	now    time.Time

	cred   azcore.TokenCredential // nil: it can't be had
	policy *policy.Policy         // nil: it can't be read
}

// host holds the settings that the Functions host reads against our own.
func (p *patient) host() (lines []doctor.Line) {
	wrong := func(subject, what, do string) {
		lines = append(lines, doctor.Line{Check: "host", Subject: subject, Status: doctor.Wrong, What: what, Do: do})
	}
	for part, names := range parts {
		for _, name := range names {
			v := p.getenv(disabled(name))
			off := strings.EqualFold(v, "true") || v == "1"
			switch does := p.cfg.Mode.Does(part); {
			case does && off:
				wrong(disabled(name), "the host leaves out a function that this app is for", "remove the setting, or choose another PCAPWARDEN_MODE")
			case !does && !off:
				lines = append(lines, doctor.Line{Check: "host", Subject: disabled(name), Status: doctor.Note,
					What: "not set: the host calls this app for what it refuses", Do: "set it to true"})
			}
		}
	}
	if !p.cfg.Mode.Does(config.Analyze) || !strings.HasPrefix(p.cfg.IncidentQueue, "sb://") {
		return lines
	}
	const namespace, queue = "PCAPWARDEN_SERVICEBUS__fullyQualifiedNamespace", "PCAPWARDEN_LANDED_QUEUE_NAME"
	for _, name := range []string{namespace, queue} {
		if p.getenv(name) == "" {
			wrong(name, "not set: no event reaches analyzecapture", "name the queue of BlobCreated events, and its namespace")
		}
	}
	if v := p.getenv(queue); v != "" && p.cfg.LandedQueue != "" && v != path.Base(p.cfg.LandedQueue) {
		wrong(queue, fmt.Sprintf("it is %q, and PCAPWARDEN_LANDED_QUEUE another queue: events that are raised again reach nobody", v), "give both the same queue")
	}
	return lines
}

// checks are what can be looked at; what can't be is known already.
func (p *patient) checks(ctx context.Context) (known []doctor.Line, checks []doctor.Check) {
	add := func(more ...doctor.Check) { checks = append(checks, more...) }
	var err error
	if p.cred, err = credentialOf(p.cfg, p.cfg.ClientID); err != nil {
		known = append(known, doctor.Line{Check: "identity", Subject: "PCAPWARDEN_CREDENTIAL", Status: doctor.Wrong, What: err.Error(), Do: "correct the setting"})
	} else {
		add(p.identity("PCAPWARDEN_CREDENTIAL", p.cred))
	}
	known = append(known, p.readPolicy(ctx)...)
	if p.cfg.Mode.Does(config.Control) {
		add(p.callers())
	}
	add(p.azure()...)
	add(p.signing())
	add(p.stores()...)
	return known, checks
}

// identity asks for a token, for this machine's ARM or for Azure.
func (p *patient) identity(setting string, cred azcore.TokenCredential) doctor.Check {
	return doctor.Check{Name: "identity", Look: func(ctx context.Context) []doctor.Line {
		audience := "https://management.azure.com"
		if p.cfg.Credential == "local" {
			audience = p.cfg.ARMEndpoint
		}
		if _, err := cred.GetToken(ctx, azpolicy.TokenRequestOptions{Scopes: []string{audience + "/.default"}}); err != nil {
			first, _, _ := strings.Cut(err.Error(), "\n")
			do := "sign in with az login"
			if p.cfg.Credential == "managedidentity" {
				do = "assign the user-assigned identity of PCAPWARDEN_CLIENT_ID to the app; outside Azure set PCAPWARDEN_CREDENTIAL=azurecli"
			}
			return []doctor.Line{doctor.Bad(setting, errors.New(first), "%s", do)}
		}
		return []doctor.Line{doctor.Good(setting, "%s gives tokens", p.cfg.Credential)}
	}}
}

// readPolicy reads the policy, which the other checks follow.
func (p *patient) readPolicy(ctx context.Context) (lines []doctor.Line) {
	const setting = "PCAPWARDEN_POLICY"
	add := func(s doctor.Status, what, do string) {
		lines = append(lines, doctor.Line{Check: "policy", Subject: setting, Status: s, What: what, Do: do})
	}
	if p.cfg.Policy == "" {
		return nil // named already
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 20*time.Second, errors.New("no answer within 20s"))
	defer cancel()
	text, err := readPolicy(ctx, p.cfg.Policy, p.cred)
	if err != nil {
		add(doctor.Wrong, err.Error(), "put the policy there, and let the app read it")
		return lines
	}
	if p.policy, err = policy.Load(text); err != nil {
		if invalid, ok := errors.AsType[*policy.InvalidError](err); ok {
			for _, m := range invalid.Mistakes {
				add(doctor.Wrong, "line "+m.String(), "correct the policy, and try it with pcapwarden policy check")
			}
			return lines
		}
		add(doctor.Wrong, err.Error(), "correct the policy, and try it with pcapwarden policy check")
		return lines
	}
	add(doctor.OK, fmt.Sprintf("%d profiles, %d landing accounts", len(p.policy.Profiles), len(p.policy.Landing)), "")
	for _, w := range p.policy.Warnings(p.now) {
		add(doctor.Note, "line "+w.String(), "")
	}
	return lines
}

// callers looks whether tokens could be checked.
func (p *patient) callers() doctor.Check {
	const setting = "PCAPWARDEN_AUTH"
	return doctor.Check{Name: "callers", Look: func(ctx context.Context) []doctor.Line {
		if p.cfg.Auth == config.AuthNone {
			return []doctor.Line{{Subject: setting, Status: doctor.Note, What: "nobody's token is checked", Do: "set it to entra, but for a run on this machine"}}
		}
		if p.cfg.TenantID == "" || p.cfg.Audience == "" {
			return nil // named already
		}
		v, err := identity.NewVerifier(identity.Options{Tenant: p.cfg.TenantID, Audience: p.cfg.Audience, Authority: p.cfg.Authority})
		if err != nil {
			return []doctor.Line{doctor.Bad(setting, err, "correct PCAPWARDEN_TENANT_ID and PCAPWARDEN_AUTHORITY")}
		}
		n, err := v.Reach(ctx)
		if err != nil {
			return []doctor.Line{doctor.Bad(setting, err, "is the tenant's ID right, and may the app reach %s? Until then every caller gets 503", p.cfg.Authority)}
		}
		return []doctor.Line{doctor.Good(setting, "the tenant has %d signing keys", n)}
	}}
}

// signing signs a text that is no manifest with the key of manifests.
func (p *patient) signing() doctor.Check {
	const setting = "PCAPWARDEN_SIGNING_KEY"
	return doctor.Check{Name: "signing", Look: func(ctx context.Context) []doctor.Line {
		if !strings.HasPrefix(p.cfg.SigningKey, "https://") && !config.InAzure(p.getenv) {
			name := strings.TrimPrefix(p.cfg.SigningKey, "file:")
			if _, err := os.Stat(name); name == "" || errors.Is(err, fs.ErrNotExist) { // looking must not make one
				return []doctor.Line{{Subject: setting, Status: doctor.Note, What: "a key on this machine, made when it is first needed", Do: "in Azure, name a Key Vault key"}}
			}
		}
		signer, err := openSigner(p.cfg.SigningKey, p.cred)
		if err == nil {
			_, _, err = signer.Sign(ctx, []byte("pcapwarden doctor: a probe, and no manifest"))
		}
		if err != nil {
			return []doctor.Line{doctor.Bad(setting, err, "name an EC P-256 key, and give the app's identity Key Vault Crypto User on it")}
		}
		return []doctor.Line{doctor.Good(setting, "it signs")}
	}}
}

// stores looks at records, files and queues.
func (p *patient) stores() (checks []doctor.Check) {
	files := func(name, setting, where, role string, cred azcore.TokenCredential) {
		if where != "" {
			checks = append(checks, doctor.Files(name, setting, role, func() (doctor.Container, error) { return openFiles(where, cred) }))
		}
	}
	reader, writer := p.cred, "Storage Blob Data Reader and the custom role \"PCAP Vault Writer\""
	if !p.cfg.Mode.Does(config.Analyze) { // the sweep reads and deletes
		writer = "the custom role \"PCAP Sweeper\""
		if sweep, err := credentialOf(p.cfg, cmp.Or(p.cfg.SweepClientID, p.cfg.ClientID)); err == nil {
			reader = sweep
		}
	}
	if p.cfg.Records != "" {
		checks = append(checks, doctor.Records("PCAPWARDEN_RECORDS", func() (ledger.Store, error) { return openLedger(p.cfg.Records, p.cred) }))
	}
	files("vault", "PCAPWARDEN_VAULT", p.cfg.Vault, writer, reader)
	files("reports", "PCAPWARDEN_REPORTS", p.cfg.Reports, writer, reader)
	if p.policy != nil && p.cfg.Landing != "" {
		for _, region := range p.policy.Regions() {
			account := p.policy.Landing[region].Name()
			files("landing", account, strings.ReplaceAll(p.cfg.Landing, "{account}", strings.ToLower(account)), "Storage Blob Data Reader", reader)
		}
	}
	queue := func(name, setting, where, role string, open func(string, azcore.TokenCredential) (doctor.Queue, error)) {
		if where != "" {
			checks = append(checks, doctor.Reachable(name, setting, role, func() (doctor.Queue, error) { return open(where, p.cred) }))
		}
	}
	queue("queue", "PCAPWARDEN_INCIDENT_QUEUE", p.cfg.IncidentQueue, "Azure Service Bus Data Sender", sending)
	if p.cfg.Mode.Does(config.Control) {
		queue("queue", "PCAPWARDEN_LANDED_QUEUE", p.cfg.LandedQueue, "Azure Service Bus Data Sender", sending)
	}
	namespace, name := p.getenv("PCAPWARDEN_SERVICEBUS__fullyQualifiedNamespace"), p.getenv("PCAPWARDEN_LANDED_QUEUE_NAME")
	if p.cfg.Mode.Does(config.Analyze) && namespace != "" && name != "" && strings.HasPrefix(p.cfg.IncidentQueue, "sb://") {
		queue("queue", "PCAPWARDEN_LANDED_QUEUE_NAME", "sb://"+namespace+"/"+name, "Azure Service Bus Data Receiver", func(where string, cred azcore.TokenCredential) (doctor.Queue, error) {
			return servicebus.NewReceiver(where, cred)
		})
	}
	return checks
}

// sending opens a queue to send to.
func sending(where string, cred azcore.TokenCredential) (doctor.Queue, error) {
	if strings.HasPrefix(where, "file:") {
		return openFolderQueue(where)
	}
	return servicebus.NewSender(where, cred)
}
