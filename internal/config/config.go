// Package config reads the app's settings from the environment and reports
// every mistake at once.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Config is what the settings say. Stores and queues are kept as given;
// whoever opens them knows their forms.
type Config struct {
	Mode            Mode
	Policy          string
	Landing         string
	Records         string
	Vault           string
	Reports         string
	IncidentQueue   string
	LandedQueue     string
	Credential      string
	ClientID        string
	SweepClientID   string // empty: ClientID deletes, too
	ARMEndpoint     string
	Auth            string // AuthEntra or AuthNone
	TenantID        string
	Audience        string
	Authority       string
	Starts          bool
	Context         bool // ask Azure what the network's rules say
	FunctionTimeout time.Duration
	LogLevel        slog.Level
	Failpoint       string
	SigningKey      string // empty: a key of this machine's user
}

// A Setting is one environment variable of the app.
type Setting struct {
	Name     string
	Default  string // empty: there is none
	Doc      string // one line, for the README
	HostOnly bool   // read by the Functions host through function.json, not by the app

	set      func(*Config, string) error
	required bool
	notFor   Mode // the mode that has no use for the setting
}

// A Mode is which part of the work the app does. Two apps from one package
// keep the rights apart: one may start captures and reads no packet, the other
// reads packets and has no right on anything but evidence.
type Mode string

// The modes.
const (
	All     Mode = "all"
	Control Mode = "control" // alerts, sweeps, people
	Analyze Mode = "analyze" // files that landed
)

// Does reports whether an app of this mode does what belongs to the part.
func (m Mode) Does(part Mode) bool { return m == All || m == part }

// Required reports whether the app refuses to start without the setting.
func (s Setting) Required() bool { return s.required }

// Settings are all settings, in the order of the README's table.
var Settings = []Setting{
	{
		Name: "PCAPWARDEN_MODE", Default: string(All), set: mode,
		Doc: "which part of the work this app does: `all`; `control` starts, sweeps and ends captures, and reads no packet; `analyze` reads what landed, and has no rights on captures",
	},
	{
		Name: "PCAPWARDEN_POLICY", required: true, set: text(func(c *Config) *string { return &c.Policy }),
		Doc: "the policy file: a path, relative to the app, or the https URL of a blob",
	},
	{
		Name: "PCAPWARDEN_LANDING", Default: "https://{account}.blob.core.windows.net/network-watcher-logs",
		set: store(func(c *Config) *string { return &c.Landing }),
		Doc: "where captures land; `{account}` is the landing account of the policy",
	},
	{
		Name: "PCAPWARDEN_RECORDS", required: true, set: store(func(c *Config) *string { return &c.Records }),
		Doc: "the case records: a container that only this app writes to",
	},
	{
		Name: "PCAPWARDEN_VAULT", required: true, set: store(func(c *Config) *string { return &c.Vault }),
		Doc: "the evidence: a container whose files are never overwritten",
	},
	{
		Name: "PCAPWARDEN_REPORTS", required: true, set: store(func(c *Config) *string { return &c.Reports }),
		Doc: "reports and analyses",
	},
	{
		Name: "PCAPWARDEN_SIGNING_KEY", set: signingKey,
		Doc: "what custody manifests are signed with: `https://VAULT.vault.azure.net/keys/NAME`, or `file:PATH` of a key that is made on first use; outside Azure the default is a file of the user's",
	},
	{
		Name: "PCAPWARDEN_INCIDENT_QUEUE", required: true, set: queue(func(c *Config) *string { return &c.IncidentQueue }),
		Doc: "where findings go",
	},
	{
		Name: "PCAPWARDEN_LANDED_QUEUE", required: true, notFor: Analyze, set: queue(func(c *Config) *string { return &c.LandedQueue }),
		Doc: "the queue of BlobCreated events, to raise one again that was lost",
	},
	{
		Name: "PCAPWARDEN_LANDED_QUEUE_NAME", Default: "capture-landed", HostOnly: true,
		Doc: "the same queue's name, for the trigger",
	},
	{
		Name: "PCAPWARDEN_SERVICEBUS__fullyQualifiedNamespace", HostOnly: true,
		Doc: "the Service Bus namespace, for the trigger",
	},
	{
		Name: "PCAPWARDEN_SWEEP_SCHEDULE", Default: "0 * * * * *", HostOnly: true,
		Doc: "when the sweep runs, as NCRONTAB",
	},
	{
		Name: "PCAPWARDEN_CREDENTIAL", Default: "managedidentity",
		set: oneOf(func(c *Config) *string { return &c.Credential }, "managedidentity", "azurecli", "local"),
		Doc: "who the app is: `managedidentity`, `azurecli` (a person), `local` (the local ARM only)",
	},
	{
		Name: "PCAPWARDEN_CLIENT_ID", set: text(func(c *Config) *string { return &c.ClientID }),
		Doc: "client ID of the user-assigned identity; needed with `managedidentity`",
	},
	{
		Name: "PCAPWARDEN_SWEEP_CLIENT_ID", set: text(func(c *Config) *string { return &c.SweepClientID }),
		Doc: "client ID of the identity that deletes evidence on its date, with `managedidentity`; else the app's own does",
	},
	{
		Name: "PCAPWARDEN_ARM_ENDPOINT", Default: "https://management.azure.com", set: endpoint(func(c *Config) *string { return &c.ARMEndpoint }),
		Doc: "Azure Resource Manager; plain http only on this machine",
	},
	{
		Name: "PCAPWARDEN_AUTH", Default: AuthEntra, set: oneOf(func(c *Config) *string { return &c.Auth }, AuthEntra, AuthNone),
		Doc: "who may call: `entra` checks the token of every HTTP request; `none` lets anybody, and is refused in Azure",
	},
	{
		Name: "PCAPWARDEN_TENANT_ID", set: tenant,
		Doc: "the Entra tenant whose tokens are taken; needed with `entra`",
	},
	{
		Name: "PCAPWARDEN_AUDIENCE", set: text(func(c *Config) *string { return &c.Audience }),
		Doc: "the app registration that tokens are for: its `api://` URI or its client ID; needed with `entra`",
	},
	{
		Name: "PCAPWARDEN_AUTHORITY", Default: "https://login.microsoftonline.com", set: endpoint(func(c *Config) *string { return &c.Authority }),
		Doc: "where Entra is; plain http only on this machine",
	},
	{
		Name: "PCAPWARDEN_STARTS", Default: "on", set: onOff(func(c *Config) *bool { return &c.Starts }),
		Doc: "the kill switch: `off` starts no capture; what runs is stopped and deleted as ever",
	},
	{
		Name: "PCAPWARDEN_CONTEXT", Default: "off", set: onOff(func(c *Config) *bool { return &c.Context }),
		Doc: "`on` asks Azure, read-only, whether the rules of the network explain a finding; it takes the role of the context reader, and up to 30 s a capture",
	},
	{
		Name: "PCAPWARDEN_FUNCTION_TIMEOUT", Default: "29m", set: timeout,
		Doc: "when an invocation gives up; below host.json's functionTimeout",
	},
	{
		Name: "PCAPWARDEN_LOG_LEVEL", Default: "info", set: func(c *Config, v string) error { return c.LogLevel.UnmarshalText([]byte(v)) },
		Doc: "`debug`, `info`, `warn` or `error`",
	},
	{
		Name: "PCAPWARDEN_FAILPOINT", set: text(func(c *Config) *string { return &c.Failpoint }),
		Doc: "tests only: NAME@FILE kills the process at a step, once",
	},
}

// The values of PCAPWARDEN_AUTH.
const (
	AuthEntra = "entra"
	AuthNone  = "none"
)

// FromEnv reads the settings. The error lists every mistake.
func FromEnv(getenv func(string) string) (Config, error) {
	var c Config
	var mistakes []error
	for _, s := range Settings {
		if s.HostOnly {
			continue
		}
		v := getenv(s.Name)
		if v == "" {
			v = s.Default
		}
		if v == "" {
			if s.required && s.notFor != c.Mode {
				mistakes = append(mistakes, fmt.Errorf("%s is not set: %s", s.Name, s.Doc))
			}
			continue
		}
		if err := s.set(&c, v); err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s: %w", s.Name, err))
		}
	}
	if c.Credential == "managedidentity" && c.ClientID == "" {
		mistakes = append(mistakes, errors.New("PCAPWARDEN_CLIENT_ID is not set: name the user-assigned identity, or choose another PCAPWARDEN_CREDENTIAL"))
	}
	if c.Credential == "local" && !loopback(c.ARMEndpoint) {
		mistakes = append(mistakes, errors.New("PCAPWARDEN_CREDENTIAL is local, but PCAPWARDEN_ARM_ENDPOINT is not on this machine"))
	}
	mistakes = append(mistakes, c.checkAuth(getenv))
	return c, errors.Join(mistakes...)
}

// checkAuth holds together what is about callers.
func (c Config) checkAuth(getenv func(string) string) error {
	var missing []string
	for _, s := range []struct{ name, value string }{{"PCAPWARDEN_TENANT_ID", c.TenantID}, {"PCAPWARDEN_AUDIENCE", c.Audience}} {
		if s.value == "" && getenv(s.name) == "" { // one that is wrong was named already
			missing = append(missing, s.name)
		}
	}
	switch {
	case c.Auth == AuthNone && InAzure(getenv):
		return errors.New("PCAPWARDEN_AUTH is none, and this is Azure: anybody who has the URL and the key could start captures; set it to entra")
	case !c.Mode.Does(Control): // nobody calls this app
		return nil
	case c.Auth == AuthEntra && len(missing) > 0:
		return fmt.Errorf("%s: not set: nobody's token could be checked; name the Entra tenant and the app registration, or set PCAPWARDEN_AUTH=none for a run on this machine", strings.Join(missing, ", "))
	}
	return nil
}

// InAzure reports whether the platform runs the process: it sets these.
// https://learn.microsoft.com/azure/app-service/reference-app-settings
func InAzure(getenv func(string) string) bool {
	for _, name := range []string{"WEBSITE_SITE_NAME", "WEBSITE_INSTANCE_ID", "WEBSITE_POD_NAME", "IDENTITY_ENDPOINT"} {
		if getenv(name) != "" {
			return true
		}
	}
	return false
}
