package infra_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/azure/arm"
	"github.com/pcapwarden/pcapwarden/internal/azure/blob"
	"github.com/pcapwarden/pcapwarden/test/bicep"
)

// TestRolesAreWhatTheProgramNeeds compares the custom roles with the actions
// that the adapters list.
func TestRolesAreWhatTheProgramNeeds(t *testing.T) {
	want := map[string][2][]string{ // actions, data actions
		"captureOperator":    {arm.OperatorActions(), nil},
		"targetReader":       {arm.TargetActions(), nil},
		"subscriptionReader": {arm.SubscriptionActions(), nil},
		"contextReader":      {arm.ContextActions(), nil},
		"addressReader":      {arm.ContextSubscriptionActions(), nil},
		"landingGrant":       {arm.LandingActions(), nil},
		"landingClearer":     {nil, blob.ClearerActions()},
		"evidenceWriter":     {nil, blob.WriterActions()},
		"evidenceDeleter":    {nil, blob.DeleterActions()},
	}
	of(all(t), "Microsoft.Authorization/roleDefinitions", func(f *bicep.File, r bicep.Resource) {
		needs, ok := want[r.Symbol]
		if !ok {
			t.Errorf("role %s is of no use to the program", r.Symbol)
			return
		}
		delete(want, r.Symbol)
		permissions := r.Body.At("properties", "permissions").Items()
		if len(permissions) != 1 {
			t.Fatalf("role %s has %d sets of permissions", r.Symbol, len(permissions))
		}
		for i, kind := range []string{"actions", "dataActions"} {
			given := permissions[0].At(kind).Literals()
			slices.Sort(given)
			needed := slices.Sorted(slices.Values(needs[i]))
			if diff := cmp.Diff(needed, given); diff != "" {
				t.Errorf("%s of role %s (-needed +given):\n%s", kind, r.Symbol, diff)
			}
			for _, action := range given {
				if strings.Contains(action, "*") {
					t.Errorf("role %s gives %s: no wildcards", r.Symbol, action)
				}
			}
		}
	})
	for name := range want {
		t.Errorf("there is no role %s", name)
	}
}

// builtIn are the roles of Azure's that are given, and why they suffice.
// Owner, Contributor and the Data Owners are missing on purpose.
var builtIn = map[string]string{
	"b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner, on an app's own host account",
	"ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor, on records and undelivered events",
	"2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": "Storage Blob Data Reader, for custodians",
	"69a216fc-b8fb-44d8-bc22-1f3c2cd27a39": "Service Bus Data Sender, on a queue",
	"4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0": "Service Bus Data Receiver, on a queue",
	"3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher, on the component",
	"12338af0-0e69-4776-bea7-57ae8d297424": "Key Vault Crypto User, on the key",
}

var guid = regexp.MustCompile(`[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}`)

func TestBuiltInRolesAreAllowed(t *testing.T) {
	used := map[string]bool{}
	for _, f := range sorted(all(t)) {
		for n := range f.Root.All("string") {
			for _, id := range guid.FindAllString(n.Text(), -1) {
				used[id] = true
				if builtIn[id] == "" {
					t.Errorf("%s:%d: role %s is not on the list", f.Name, n.Line(), id)
				}
			}
		}
	}
	for id, name := range builtIn {
		if !used[id] {
			t.Errorf("nobody has the role %s", name)
		}
	}
}

// TestSealingAndCertifyingAreAllowed: analyze writes evidence and signs its
// manifest; the control app certifies deletions, which it signs as itself and
// stores as the sweep.
func TestSealingAndCertifyingAreAllowed(t *testing.T) {
	for name, want := range map[string]string{
		"vault.bicep":   "resource writes 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for who in [analyze, sweep]:",
		"signing.bicep": "[for who in signers:",
		"main.bicep":    "signers: [identities.outputs.analyze.principalId, identities.outputs.control.principalId]",
	} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), want) {
			t.Errorf("%s does not have %q", name, want)
		}
	}
}

// wide are the only resources on which a role may be given as a whole: all
// other scopes are containers, queues and keys.
var wide = map[string]string{
	"app.bicep hosts":               "the Functions host keeps leases, keys and packages all over its account",
	"landing.bicep uploads":         "Network Watcher asks for the account's keys",
	"observability.bicep publishes": "telemetry goes to the component",
}

func TestRolesAreGivenNarrowly(t *testing.T) {
	files := all(t)
	of(files, "Microsoft.Authorization/roleAssignments", func(f *bicep.File, r bicep.Resource) {
		where := f.Name + " " + r.Symbol
		if f.Name == "grant.bicep" || f.Name == "target.bicep" {
			return // groups and subscriptions that the deployer names
		}
		scope := r.Body.At("scope").Text()
		i := slices.IndexFunc(f.Resources, func(s bicep.Resource) bool { return s.Symbol == scope })
		if i < 0 {
			t.Errorf("%s is given on %q", where, scope)
			return
		}
		narrow := slices.Contains([]string{
			"Microsoft.Storage/storageAccounts/blobServices/containers", "Microsoft.ServiceBus/namespaces/queues", "Microsoft.KeyVault/vaults/keys",
		}, f.Resources[i].Type)
		if !narrow && wide[where] == "" {
			t.Errorf("%s is given on all of %s", where, scope)
		}
		if kind := r.Body.At("properties", "principalType").Literal(); kind != "ServicePrincipal" && kind != "Group" {
			t.Errorf("%s: principalType is %q; without it a fresh identity is not found", where, kind)
		}
	})
}

// TestAccounts holds what is stored: encrypted on the way, seen by nobody from
// outside, and without keys but for the one kind that cannot do without.
func TestAccounts(t *testing.T) {
	var keyed []string
	n := of(all(t), "Microsoft.Storage/storageAccounts", func(f *bicep.File, r bicep.Resource) {
		want := map[string]string{
			"allowBlobPublicAccess":       "false",
			"allowCrossTenantReplication": "false",
			"minimumTlsVersion":           "'TLS1_2'",
			"supportsHttpsTrafficOnly":    "true",
			"isLocalUserEnabled":          "false",
			"isHnsEnabled":                "false",
			"allowSharedKeyAccess":        "false",
			"publicNetworkAccess":         "'Disabled'",
		}
		if f.Name == "landing.bicep" { // the agents come from the machines' subnets, with a SAS
			want["allowSharedKeyAccess"], want["publicNetworkAccess"] = "true", "'Enabled'"
		}
		for name, value := range want {
			if have := r.Body.At("properties", name).Text(); have != value {
				t.Errorf("%s: %s is %q, want %s", f.Name, name, have, value)
			}
		}
		if have := r.Body.At("properties", "networkAcls", "defaultAction").Literal(); have != "Deny" {
			t.Errorf("%s: the firewall says %q to strangers", f.Name, have)
		}
		if r.Body.At("properties", "allowSharedKeyAccess").Text() != "false" {
			keyed = append(keyed, f.Name)
		}
	})
	if n != 4 || !slices.Equal(keyed, []string{"landing.bicep"}) {
		t.Errorf("%d accounts, keys on those of %v; want 4, and landing.bicep alone", n, keyed)
	}
	of(all(t), "Microsoft.Storage/storageAccounts/blobServices/containers", func(f *bicep.File, r bicep.Resource) {
		if have := r.Body.At("properties", "publicAccess").Literal(); have != "None" {
			t.Errorf("%s: container %s is open: %q", f.Name, r.Body.At("name").Literal(), have)
		}
	})
}

// TestEvidenceStays holds the vault to its promises.
func TestEvidenceStays(t *testing.T) {
	files := map[string]*bicep.File{"vault.bicep": all(t)["vault.bicep"]}
	of(files, "Microsoft.Storage/storageAccounts/blobServices", func(_ *bicep.File, r bicep.Resource) {
		if r.Body.At("properties", "isVersioningEnabled").Text() != "true" {
			t.Error("the vault keeps no versions, so nothing in it is immutable")
		}
	})
	containers := of(files, "Microsoft.Storage/storageAccounts/blobServices/containers", func(_ *bicep.File, r bicep.Resource) {
		if r.Body.At("properties", "immutableStorageWithVersioning", "enabled").Text() != "true" {
			t.Errorf("container %s is not immutable", r.Symbol)
		}
	})
	policies := of(files, "Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies", func(*bicep.File, bicep.Resource) {})
	if containers == 0 || policies != containers {
		t.Errorf("%d containers, %d of them with a policy", containers, policies)
	}
	if of(files, "Microsoft.Storage/storageAccounts/managementPolicies", func(*bicep.File, bicep.Resource) {}) > 0 {
		t.Error("a lifecycle rule deletes evidence: the sweep does, and records it")
	}
	if of(files, "Microsoft.Authorization/locks", func(*bicep.File, bicep.Resource) {}) != 1 {
		t.Error("the vault has no lock")
	}
}

func TestQueues(t *testing.T) {
	files := all(t)
	n := of(files, "Microsoft.ServiceBus/namespaces/queues", func(f *bicep.File, r bicep.Resource) {
		p := r.Body.At("properties")
		if p.At("requiresDuplicateDetection").Text() != "true" || p.At("duplicateDetectionHistoryTimeWindow") == nil {
			t.Errorf("queue %s delivers twice what was sent twice", r.Body.At("name").Literal())
		}
		if p.At("deadLetteringOnMessageExpiration").Text() != "true" {
			t.Errorf("queue %s drops what expires", r.Body.At("name").Literal())
		}
	})
	if n != 2 {
		t.Errorf("%d queues, the app has 2", n)
	}
	of(files, "Microsoft.ServiceBus/namespaces", func(f *bicep.File, r bicep.Resource) {
		for name, want := range map[string]string{
			"disableLocalAuth": "true", "minimumTlsVersion": "'1.2'", "publicNetworkAccess": "private ? 'Disabled' : 'Enabled'",
		} {
			if have := r.Body.At("properties", name).Text(); have != want {
				t.Errorf("%s: %s is %q, want %s", f.Name, name, have, want)
			}
		}
	})
	// The cheaper tier has no network rules; who deploys it says so.
	for _, p := range files["main.bicep"].Params {
		if p.Name == "serviceBusSku" && p.Default.Literal() != "Premium" {
			t.Errorf("the queues are open to the internet by default: %s", p.Default.Text())
		}
	}
}

// TestClosed is about everything else that could be open.
func TestClosed(t *testing.T) {
	files := all(t)
	apps := of(files, "Microsoft.Web/sites", func(f *bicep.File, r bicep.Resource) {
		for path, want := range map[string]string{
			"httpsOnly":                                         "true",
			"siteConfig.minTlsVersion":                          "'1.2'",
			"siteConfig.scmMinTlsVersion":                       "'1.2'",
			"siteConfig.ftpsState":                              "'Disabled'",
			"siteConfig.ipSecurityRestrictionsDefaultAction":    "'Deny'",
			"siteConfig.scmIpSecurityRestrictionsDefaultAction": "'Deny'",
			"functionAppConfig.runtime.name":                    "'custom'",
		} {
			if have := r.Body.At("properties").At(strings.Split(path, ".")...).Text(); have != want {
				t.Errorf("%s: %s is %q, want %s", f.Name, path, have, want)
			}
		}
	})
	if apps != 1 {
		t.Errorf("%d apps", apps)
	}
	passwords := of(files, "Microsoft.Web/sites/basicPublishingCredentialsPolicies", func(f *bicep.File, r bicep.Resource) {
		if r.Body.At("properties", "allow").Text() != "false" {
			t.Errorf("%s: %s takes passwords", f.Name, r.Symbol)
		}
	})
	if passwords != 2*apps {
		t.Errorf("%d of the 2 ways to deploy with a password are closed", passwords)
	}
	of(files, "Microsoft.KeyVault/vaults", func(f *bicep.File, r bicep.Resource) {
		for name, want := range map[string]string{"enableRbacAuthorization": "true", "enablePurgeProtection": "true", "publicNetworkAccess": "'Disabled'"} {
			if have := r.Body.At("properties", name).Text(); have != want {
				t.Errorf("%s: %s is %q, want %s", f.Name, name, have, want)
			}
		}
	})
	of(files, "Microsoft.KeyVault/vaults/keys", func(f *bicep.File, r bicep.Resource) {
		if r.Body.At("properties", "kty").Literal() != "EC" || r.Body.At("properties", "curveName").Literal() != "P-256" {
			t.Errorf("%s: manifests are signed with ES256", f.Name)
		}
	})
	for _, local := range []struct{ kind, property string }{
		{"Microsoft.Insights/components", "DisableLocalAuth"},
	} {
		of(files, local.kind, func(f *bicep.File, r bicep.Resource) {
			if r.Body.At("properties", local.property).Text() != "true" {
				t.Errorf("%s: %s takes keys", f.Name, r.Symbol)
			}
		})
	}
	endpoints := of(files, "Microsoft.Network/privateEndpoints", func(f *bicep.File, r bicep.Resource) {
		named := false
		for _, g := range f.Resources {
			named = named || g.Type == "Microsoft.Network/privateEndpoints/privateDnsZoneGroups" && g.Body.At("parent").Text() == r.Symbol
		}
		if !named {
			t.Errorf("%s: endpoint %s has no name in DNS", f.Name, r.Symbol)
		}
	})
	if endpoints != 1 { // the rest is endpoint.bicep, called
		t.Errorf("%d endpoints are declared, want the one in endpoint.bicep", endpoints)
	}
}

// TestNoSecrets: nothing asks for a key, nothing returns one.
func TestNoSecrets(t *testing.T) {
	secret := regexp.MustCompile(`(?i)list(keys|accountsas|servicesas|secrets)\s*\(|\.listKeys|connectionString\b|primaryKey|accountKey|sharedAccessKey|password`)
	for _, f := range sorted(all(t)) {
		for n := range f.Root.All("call_expression") {
			if name := n.Children[0].Text(); strings.HasPrefix(strings.ToLower(name[strings.LastIndexByte(name, '.')+1:]), "list") {
				t.Errorf("%s:%d: %s reads secrets", f.Name, n.Line(), n.Text())
			}
		}
		for _, o := range f.Outputs {
			if secret.MatchString(o.Value.Text()) || secret.MatchString(o.Name) {
				t.Errorf("%s: output %s is or holds a secret", f.Name, o.Name)
			}
			for _, p := range f.Params {
				if p.Secure() && strings.Contains(o.Value.Text(), p.Name) {
					t.Errorf("%s: output %s gives %s away", f.Name, o.Name, p.Name)
				}
			}
		}
		for _, p := range f.Params {
			if regexp.MustCompile(`(?i)(key|secret|password)$`).MatchString(p.Name) && !p.Secure() {
				t.Errorf("%s: parameter %s is written to the deployment history", f.Name, p.Name)
			}
		}
	}
}

// TestEventsArriveWithoutKeys: Event Grid delivers and gives up as itself.
func TestEventsArriveWithoutKeys(t *testing.T) {
	n := of(all(t), "Microsoft.EventGrid/systemTopics/eventSubscriptions", func(f *bicep.File, r bicep.Resource) {
		p := r.Body.At("properties")
		if p.At("destination") != nil || p.At("deadLetterDestination") != nil {
			t.Errorf("%s: delivered with a key", f.Name)
		}
		if p.At("deliveryWithResourceIdentity", "destination", "endpointType").Literal() != "ServiceBusQueue" {
			t.Errorf("%s: not delivered to the queue", f.Name)
		}
		if p.At("eventDeliverySchema").Literal() != "EventGridSchema" {
			t.Errorf("%s: delivered in another schema", f.Name)
		}
		if have := p.At("filter", "includedEventTypes").Literals(); !slices.Equal(have, []string{"Microsoft.Storage.BlobCreated"}) {
			t.Errorf("%s: %v is more than what landed", f.Name, have)
		}
		for _, needed := range []string{"delivers", "keeps"} {
			if !strings.Contains(r.Body.At("dependsOn").Text(), needed) {
				t.Errorf("%s: the subscription is made before %s may deliver", f.Name, needed)
			}
		}
	})
	if n != 1 {
		t.Errorf("%d subscriptions", n)
	}
}

// TestAlertsComeWithTokens: the action group proves who it is.
func TestAlertsComeWithTokens(t *testing.T) {
	hooks := 0
	of(all(t), "Microsoft.Insights/actionGroups", func(f *bicep.File, r bicep.Resource) {
		for _, h := range r.Body.At("properties", "webhookReceivers").Items() {
			hooks++
			if h.At("useAadAuth").Text() != "true" || h.At("useCommonAlertSchema").Text() != "true" || h.At("objectId") == nil || h.At("identifierUri") == nil {
				t.Errorf("%s: %s", f.Name, h.Text())
			}
		}
		for name := range r.Body.At("properties").Props() {
			if strings.HasSuffix(name, "Receivers") && name != "webhookReceivers" && name != "emailReceivers" {
				t.Errorf("%s: %s has no token", f.Name, name)
			}
		}
	})
	if hooks != 1 {
		t.Errorf("%d webhooks", hooks)
	}
}

// TestEveryStoreIsLogged: who read, wrote and deleted is the other half of the
// chain of custody.
func TestEveryStoreIsLogged(t *testing.T) {
	for _, name := range []string{"landing.bicep", "vault.bicep", "records.bicep"} {
		seen := map[string]bool{}
		of(map[string]*bicep.File{name: all(t)[name]}, "Microsoft.Insights/diagnosticSettings", func(_ *bicep.File, r bicep.Resource) {
			for _, l := range r.Body.At("properties", "logs").Items() {
				seen[l.At("category").Literal()] = true
			}
		})
		if diff := cmp.Diff([]string{"StorageDelete", "StorageRead", "StorageWrite"}, slices.Sorted(maps.Keys(seen))); diff != "" {
			t.Errorf("%s is not logged (-want +have):\n%s", name, diff)
		}
	}
}

// TestNothingLocalIsDeployed: from a checkout nothing is.
func TestNothingLocalIsDeployed(t *testing.T) {
	text, err := os.ReadFile("../.funcignore")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(strings.Split(string(text), "\n"), "*") {
		t.Error(".funcignore lets something through, such as local.settings.json")
	}
}

// TestRolesAreCalledAsTheDoctorSays: who follows its advice finds them.
func TestRolesAreCalledAsTheDoctorSays(t *testing.T) {
	named := map[string]bool{}
	of(all(t), "Microsoft.Authorization/roleDefinitions", func(_ *bicep.File, r bicep.Resource) {
		named[strings.TrimSuffix(r.Body.At("properties", "roleName").Literal(), " ${token}")] = true
	})
	advice := regexp.MustCompile(`PCAP [A-Z][a-z]+ [A-Z][a-z]+|PCAP [A-Z][a-z]+`)
	sources, err := filepath.Glob("../handler/doctor*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range sources {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, role := range advice.FindAllString(string(text), -1) {
			found++
			if !named[role] {
				t.Errorf("%s speaks of the role %s, which nobody makes", name, role)
			}
		}
	}
	if found == 0 {
		t.Error("no role is named")
	}
}
