package main

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/doctor"
	"github.com/pcapwarden/pcapwarden/internal/identity/identitytest"
	"github.com/pcapwarden/pcapwarden/internal/local/arm"
	"github.com/pcapwarden/pcapwarden/internal/local/scenario"
)

// serveARM runs a local ARM with the scenario's world, as changed.
func serveARM(t *testing.T, s scenario.Scenario, change func(*arm.World), fault func(*http.Request) *arm.Fault) (endpoint string) {
	t.Helper()
	m := s.Machines[0]
	w := arm.World{
		VMs: []arm.VM{{ID: m.ID, Region: m.Region, VMID: m.VMID, Tags: m.Tags, AgentType: arm.AgentLinux}},
		Watchers: []arm.NetworkWatcher{{
			ID:     "/subscriptions/" + s.Subscription + "/resourceGroups/NetworkWatcherRG/providers/Microsoft.Network/networkWatchers/NetworkWatcher_" + s.Region,
			Region: s.Region,
		}},
		Storage: []arm.StorageAccount{{ID: s.Landing.ID, Region: s.Landing.Region}},
	}
	if change != nil {
		change(&w)
	}
	server, err := arm.NewServer(w, nil, arm.Options{Fault: fault})
	if err != nil {
		t.Fatal(err)
	}
	here := httptest.NewServer(server)
	t.Cleanup(func() { here.Close(); server.Close() })
	return here.URL
}

// denied refuses the requests whose path ends like that, as ARM does.
func denied(suffix, action string) func(*http.Request) *arm.Fault {
	return func(r *http.Request) *arm.Fault {
		if !strings.HasSuffix(strings.ToLower(r.URL.Path), strings.ToLower(suffix)) {
			return nil
		}
		return &arm.Fault{Status: http.StatusForbidden, Code: "AuthorizationFailed",
			Message: "The client 'x' with object id 'y' does not have authorization to perform action '" + action + "' over scope '/z' or the scope is invalid."}
	}
}

// storage answers every request for a blob with an error of the service.
func storage(t *testing.T, status int, code string) (setting string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("x-ms-error-code", code)
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	return "BlobEndpoint=" + s.URL + "/acct;AccountName=acct;AccountKey=a2V5;Container=state"
}

const deadQueue = "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=a;SharedAccessKey=a2V5;UseDevelopmentEmulator=true;EntityPath=findings"

// TestDoctor breaks one thing after the other: each is named in one line, with
// what to do.
func TestDoctor(t *testing.T) {
	s, _ := scenario.Find("partner-tls")
	vm := s.Machines[0].ID
	down := identitytest.Start(t)
	down.Down(true)
	entra := func(url string) map[string]string {
		return map[string]string{
			"PCAPWARDEN_AUTH": "entra", "PCAPWARDEN_TENANT_ID": identitytest.Tenant, "PCAPWARDEN_AUDIENCE": identitytest.Audience, "PCAPWARDEN_AUTHORITY": url,
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		env    map[string]string
		policy func(string) string
		world  func(*arm.World)
		fault  func(*http.Request) *arm.Fault
		vm     string
		says   string // all words of one line; empty: nothing is wrong
		do     string
	}{
		{name: "healthy", vm: vm},
		{name: "settings missing", env: map[string]string{"PCAPWARDEN_RECORDS": ""}, says: "PCAPWARDEN_RECORDS is not set", do: "README"},
		{name: "setting wrong", env: map[string]string{"PCAPWARDEN_LOG_LEVEL": "loud"}, says: "PCAPWARDEN_LOG_LEVEL", do: "correct it"},
		{name: "function left out", env: map[string]string{"AzureWebJobs.sweepcaptures.Disabled": "true"}, says: "AzureWebJobs.sweepcaptures.Disabled", do: "remove"},
		{name: "policy missing", env: map[string]string{"PCAPWARDEN_POLICY": "/nowhere/policy.yaml"}, says: "PCAPWARDEN_POLICY: open /nowhere/policy.yaml", do: "put the policy there"},
		{name: "policy wrong", policy: func(p string) string { return strings.Replace(p, "version: 1", "version: 7", 1) }, says: "PCAPWARDEN_POLICY: line 3: version", do: "policy check"},
		{name: "keys missing", env: entra(down.URL), says: "callers PCAPWARDEN_AUTH", do: "tenant's ID"},
		{name: "no token", env: map[string]string{"PCAPWARDEN_CREDENTIAL": "managedidentity", "PCAPWARDEN_CLIENT_ID": "", "IDENTITY_ENDPOINT": ""}, says: "PCAPWARDEN_CLIENT_ID is not set"},
		{name: "watcher right missing", fault: denied("/networkWatchers", "Microsoft.Network/networkWatchers/read"), says: "Microsoft.Network/networkWatchers/read: missing", do: "PCAP Capture Operator"},
		{name: "no watcher", world: func(w *arm.World) { w.Watchers[0].Region = "eastasia" }, says: "watcher " + s.Region + ": subscription", do: "az network watcher configure"},
		{name: "start right missing", world: func(w *arm.World) { w.Lacks = []string{"Microsoft.Network/networkWatchers/packetCaptures/write"} },
			says: "permission Microsoft.Network/networkWatchers/packetCaptures/write: missing on", do: "PCAP Capture Operator"},
		{name: "delete right missing", world: func(w *arm.World) { w.Lacks = []string{"Microsoft.Network/networkWatchers/*/delete"} },
			says: "permission Microsoft.Network/networkWatchers/packetCaptures/delete: missing on", do: "PCAP Capture Operator"},
		{name: "landing key right missing", world: func(w *arm.World) { w.Lacks = []string{"Microsoft.Storage/storageAccounts/listServiceSas/action"} },
			says: "Microsoft.Storage/storageAccounts/listServiceSas/action: missing on", do: "PCAP Landing Grant"},
		{name: "machine right missing", world: func(w *arm.World) { w.Lacks = []string{"Microsoft.Compute/virtualMachines/read"} },
			says: "Microsoft.Compute/virtualMachines/read: missing on", do: "PCAP Target Reader"},
		{name: "landing account gone", world: func(w *arm.World) { w.Storage = nil }, says: "landing " + nameOf(s.Landing.ID), do: "correct the policy"},
		{name: "landing account without keys", world: func(w *arm.World) { w.Storage[0].NoSharedKey = true }, says: "landing " + nameOf(s.Landing.ID), do: "does not allow shared keys"},
		{name: "landing account elsewhere", world: func(w *arm.World) { w.Storage[0].Region = "eastasia" }, says: "landing " + nameOf(s.Landing.ID), do: "machine's region only"},
		{name: "azure down", fault: func(*http.Request) *arm.Fault { return &arm.Fault{Drop: true} }, says: "captures " + s.Subscription, do: "PCAPWARDEN_ARM_ENDPOINT"},
		{name: "records forbidden", env: map[string]string{"PCAPWARDEN_RECORDS": storage(t, 403, "AuthorizationPermissionMismatch")}, says: "records PCAPWARDEN_RECORDS 403 AuthorizationPermissionMismatch", do: "Storage Blob Data Contributor"},
		{name: "records container missing", env: map[string]string{"PCAPWARDEN_RECORDS": storage(t, 404, "ContainerNotFound")}, says: "records PCAPWARDEN_RECORDS the container is missing", do: "make the container"},
		{name: "records not to be written", env: map[string]string{"PCAPWARDEN_RECORDS": "file:" + file}, says: "records PCAPWARDEN_RECORDS", do: "correct the setting"},
		{name: "right to poll missing", world: func(w *arm.World) { w.Lacks = []string{"Microsoft.Network/locations/*"} },
			says: "Microsoft.Network/locations/operations/read: missing on", do: "PCAP Subscription Reader"},
		{name: "right to ask for rules missing", env: map[string]string{"PCAPWARDEN_CONTEXT": "on"},
			world: func(w *arm.World) { w.Lacks = []string{"Microsoft.Network/publicIPAddresses/read"} },
			says:  "Microsoft.Network/publicIPAddresses/read: missing on", do: "PCAP Context Reader"},
		{name: "no signing key", env: map[string]string{"PCAPWARDEN_SIGNING_KEY": "file:" + file}, says: "signing PCAPWARDEN_SIGNING_KEY", do: "Key Vault Crypto User"},
		{name: "vault forbidden", env: map[string]string{"PCAPWARDEN_VAULT": storage(t, 403, "AuthorizationFailure")}, says: "vault PCAPWARDEN_VAULT 403", do: "PCAP Vault Writer"},
		{name: "reports gone", env: map[string]string{"PCAPWARDEN_REPORTS": storage(t, 404, "ContainerNotFound")}, says: "reports PCAPWARDEN_REPORTS", do: "make the container"},
		{name: "queue dead", env: map[string]string{"PCAPWARDEN_INCIDENT_QUEUE": deadQueue}, says: "queue PCAPWARDEN_INCIDENT_QUEUE", do: "5671"},
		{name: "event queue not a place", env: map[string]string{"PCAPWARDEN_LANDED_QUEUE": "file:" + file}, says: "queue PCAPWARDEN_LANDED_QUEUE", do: "correct the setting"},
		{name: "machine gone", vm: strings.Replace(vm, nameOf(vm), "vm-nobody", 1), says: "machine " + "vm-nobody", do: "no such machine"},
		{name: "machine without agent", vm: vm, world: func(w *arm.World) { w.VMs[0].AgentType = "" }, says: "machine " + vm, do: "agent"},
		{name: "machine off", vm: vm, world: func(w *arm.World) { w.VMs[0].Power = "deallocated" }, says: "machine " + vm, do: "deallocated"},
		{name: "machine without tag", vm: vm, world: func(w *arm.World) { w.VMs[0].Tags = nil }, says: "machine " + vm, do: "requireTag"},
		{name: "machine out of scope", vm: strings.Replace(vm, s.Subscription, "00000000-1111-2222-3333-444444444444", 1), says: "machine ", do: "scope"},
		{name: "no machine", vm: "vm-1", says: "machine vm-1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			text := string(s.Policy(time.Now()))
			if tt.policy != nil {
				text = tt.policy(text)
			}
			policy := filepath.Join(dir, "policy.yaml")
			if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			env := map[string]string{
				"PCAPWARDEN_POLICY": policy, "PCAPWARDEN_LANDING": "file:" + dir + "/landing", "PCAPWARDEN_RECORDS": "file:" + dir + "/cases",
				"PCAPWARDEN_VAULT": "file:" + dir + "/vault", "PCAPWARDEN_REPORTS": "file:" + dir + "/reports",
				"PCAPWARDEN_INCIDENT_QUEUE": "file:" + dir + "/incidents", "PCAPWARDEN_LANDED_QUEUE": "file:" + dir + "/landed",
				"PCAPWARDEN_CREDENTIAL": "local", "PCAPWARDEN_AUTH": "none",
				"PCAPWARDEN_ARM_ENDPOINT": serveARM(t, s, tt.world, tt.fault),
			}
			maps.Copy(env, tt.env)
			code, out := askDoctor(t, env, "--timeout", "3s", "--vm", tt.vm)
			var wrong []string
			for line := range strings.Lines(out) {
				if strings.HasPrefix(line, string(doctor.Wrong)) {
					wrong = append(wrong, strings.TrimSpace(line))
				}
			}
			if tt.says == "" {
				if code != exitOK || len(wrong) > 0 {
					t.Errorf("exit code %d; wrong is:\n%s", code, strings.Join(wrong, "\n"))
				}
				return
			}
			found := false
			for _, line := range wrong {
				all := strings.Contains(line, tt.do)
				for word := range strings.FieldsSeq(tt.says) {
					all = all && strings.Contains(line, word)
				}
				found = found || all && strings.Contains(line, "To do: ")
			}
			if code != exitError || !found {
				t.Errorf("exit code %d; no line says %q and %q:\n%s", code, tt.says, tt.do, out)
			}
			if strings.Contains(out, "a2V5") {
				t.Errorf("a key is told:\n%s", out)
			}
		})
	}
}

func nameOf(id string) string { return id[strings.LastIndexByte(id, '/')+1:] }

func askDoctor(t *testing.T, env map[string]string, args ...string) (code int, out string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	code = run(ctx, environment{func(k string) string { return env[k] }, strings.NewReader(""), &stdout, &stderr}, append([]string{"doctor"}, args...))
	if stderr.Len() > 0 {
		t.Logf("on stderr: %s", &stderr)
	}
	return code, stdout.String()
}

// TestDoctorLeavesNothing looks at what is in the ledger afterwards, and at the
// form for programs.
func TestDoctorLeavesNothing(t *testing.T) {
	s, _ := scenario.Find("partner-tls")
	dir := t.TempDir()
	policy := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(policy, s.Policy(time.Now()), 0o600); err != nil {
		t.Fatal(err)
	}
	settings := filepath.Join(dir, "settings.json")
	text, err := json.Marshal(map[string]any{"Values": map[string]string{
		"PCAPWARDEN_MODE": "analyze", "PCAPWARDEN_POLICY": policy, "PCAPWARDEN_LANDING": "file:" + dir + "/landing", "PCAPWARDEN_RECORDS": "file:" + dir + "/cases",
		"PCAPWARDEN_VAULT": "file:" + dir + "/vault", "PCAPWARDEN_REPORTS": "file:" + dir + "/reports",
		"PCAPWARDEN_INCIDENT_QUEUE": "file:" + dir + "/incidents", "PCAPWARDEN_CREDENTIAL": "local", "PCAPWARDEN_ARM_ENDPOINT": "http://127.0.0.1:1",
		"AzureWebJobs.startcaptures.Disabled": "true", "AzureWebJobs.sweepcaptures.Disabled": "true", "AzureWebJobs.captures.Disabled": "true",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(settings, text, 0o600); err != nil {
		t.Fatal(err)
	}
	code, out := askDoctor(t, nil, "--settings", settings, "--format", "json")
	var answer struct {
		Schema  string
		Healthy bool
		Checks  []doctor.Line
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if code != exitOK || answer.Schema != doctor.Schema || !answer.Healthy || len(answer.Checks) < 6 {
		t.Errorf("exit code %d, %s", code, out)
	}
	for _, l := range answer.Checks {
		if l.Check == "watcher" || l.Check == "permission" {
			t.Errorf("an app that only reads packets is asked for rights on captures: %+v", l)
		}
	}
	store, err := openLedger("file:"+dir+"/cases", nil)
	if err != nil {
		t.Fatal(err)
	}
	for key, err := range store.List(t.Context(), "") {
		t.Errorf("the ledger has %s, %v", key, err)
	}
}
