package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden"
	"github.com/pcapwarden/pcapwarden/internal/custody"
	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/incident"
	"github.com/pcapwarden/pcapwarden/internal/local/arm"
	"github.com/pcapwarden/pcapwarden/internal/local/folder"
	"github.com/pcapwarden/pcapwarden/internal/local/loop"
	"github.com/pcapwarden/pcapwarden/internal/local/scenario"
	"github.com/pcapwarden/pcapwarden/test/azurite"
	"github.com/pcapwarden/pcapwarden/test/servicebus"
)

// localOptions are those of a local run in a directory of its own, with the
// test binary as the handler.
func localOptions(t *testing.T, name string) loop.Options {
	t.Helper()
	s, ok := scenario.Find(name)
	if !ok {
		t.Fatalf("no scenario %q", name)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	app := filepath.Join(dir, "app")
	if err := loop.Stage(pcapwarden.App, program, app); err != nil {
		t.Fatal(err)
	}
	return localStores(loop.Options{Scenario: s, Dir: dir, App: app, Settings: map[string]string{asProgram: "1"}})
}

// messages are the incident messages that a run left behind.
func messages(t *testing.T, dir string) []map[string]any {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "incidents", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]any
	for _, name := range found {
		var m map[string]any
		readJSON(t, name, &m)
		all = append(all, m)
	}
	return all
}

func landed(t *testing.T, o loop.Options) (n int) {
	t.Helper()
	files, err := folder.OpenFiles(filepath.Join(o.Dir, "landing"))
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	for _, err := range files.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// TestStories plays each story from its alert to its message.
func TestStories(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	playAll(t, nil, func(s scenario.Scenario, dir string, outcomes []loop.Outcome) {
		for _, out := range outcomes {
			if out.Matches {
				checkFacts(t, dir, s, out)
			}
		}
		checkEvidence(t, dir, len(s.Expect))
		if got := len(messages(t, dir)); got != len(s.Expect) {
			t.Errorf("%s: %d incident messages, want %d", s.Name, got, len(s.Expect))
		}
	})
}

// playAll plays every story, all at once since they mostly wait, and checks
// what came of each.
func playAll(t *testing.T, apps []loop.App, check func(s scenario.Scenario, dir string, outcomes []loop.Outcome)) {
	t.Helper()
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, s := range scenario.All() {
		o := localOptions(t, s.Name)
		o.Apps = apps
		wg.Go(func() {
			outcomes, err := loop.Run(t.Context(), o)
			if err != nil {
				t.Errorf("%s: %v", s.Name, err)
				return
			}
			if len(outcomes) != len(s.Expect) {
				t.Errorf("%s: %d captures, want %d", s.Name, len(outcomes), len(s.Expect))
			}
			for _, out := range outcomes {
				if !out.Matches {
					t.Errorf("%s: %s: verdict %+v is not what the story expects", s.Name, out.Machine, out.Case.Files)
				}
			}
			check(s, o.Dir, outcomes)
		})
	}
}

// checkEvidence verifies what a run left, and that nothing is left where it
// landed.
func checkEvidence(t *testing.T, dir string, files int) {
	t.Helper()
	var out, wrong strings.Builder
	e := environment{getenv: func(string) string { return "" }, stdout: &out, stderr: &wrong}
	if code := run(t.Context(), e, []string{"evidence", "verify", "--format", "json", dir}); code != exitOK {
		t.Errorf("evidence verify exits with %d: %s%s", code, out.String(), wrong.String())
		return
	}
	var r custody.Result
	if err := json.Unmarshal([]byte(out.String()), &r); err != nil || len(r.Items) != files {
		t.Errorf("%d pieces of evidence, %v; want %d", len(r.Items), err, files)
	}
}

// checkFacts holds the stored analysis against what the story promises.
func checkFacts(t *testing.T, dir string, s scenario.Scenario, out loop.Outcome) {
	t.Helper()
	f := out.Case.Files[0]
	a, err := readAnalysis(filepath.Join(dir, "reports", f.Analysis))
	if err != nil {
		t.Error(err)
		return
	}
	text, err := json.Marshal(a)
	if err != nil {
		t.Error(err)
		return
	}
	for _, e := range s.Expect {
		if !strings.EqualFold(e.Machine, out.Case.Target) {
			continue
		}
		for _, kind := range e.Findings {
			if !strings.Contains(string(text), `"kind":"`+string(kind)+`"`) {
				t.Errorf("%s: %s: no finding %s", s.Name, out.Machine, kind)
			}
		}
		for _, fact := range e.Facts {
			if !strings.Contains(string(text), fact) {
				t.Errorf("%s: %s: the analysis does not name %s", s.Name, out.Machine, fact)
			}
		}
	}
	if f.SHA256 == "" || a.Capture.SHA256 != f.SHA256 {
		t.Errorf("%s: hash %q in the case, %q in the analysis", s.Name, f.SHA256, a.Capture.SHA256)
	}
	if _, err := os.Stat(filepath.Join(dir, "reports", f.Report)); err != nil {
		t.Error(err)
	}
}

// onEmulators are the options of a run on Azurite and an AMQP broker.
func onEmulators(t *testing.T) loop.Options {
	t.Helper()
	storage, broker := azurite.Start(t), servicebus.Start(t)
	o := localOptions(t, "partner-tls")
	maps.Copy(o.Settings, map[string]string{
		"PCAPWARDEN_LANDING": storage.NewSetting(), "PCAPWARDEN_RECORDS": storage.NewSetting(),
		"PCAPWARDEN_VAULT": storage.NewSetting(), "PCAPWARDEN_REPORTS": storage.NewSetting(),
		"PCAPWARDEN_LANDED_QUEUE":   broker.Setting(broker.NewQueue(t, servicebus.Options{})),
		"PCAPWARDEN_INCIDENT_QUEUE": broker.Setting(broker.NewQueue(t, servicebus.Options{})),
	})
	return o
}

// TestEmulators plays a story on Azurite and on an AMQP broker instead of
// folders: the same settings, the SDKs for real.
func TestEmulators(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	o := onEmulators(t)
	outcomes, err := loop.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(outcomes) != 1 || !outcomes[0].Matches {
		t.Fatalf("outcomes %+v", outcomes)
	}
	receiver, err := openReceiver(o.Settings["PCAPWARDEN_INCIDENT_QUEUE"])
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	d, err := receiver.Receive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	c := outcomes[0].Case
	if d.MessageID != c.Files[0].MessageID || d.CorrelationID != c.Incident || d.Subject != incident.TypeFinding {
		t.Errorf("message %q of %q, %q; want %q of %q", d.MessageID, d.CorrelationID, d.Subject, c.Files[0].MessageID, c.Incident)
	}
	if !strings.Contains(string(d.Body), "tls-rejected") {
		t.Errorf("the message does not name the verdict: %s", d.Body)
	}
	vault, err := openFiles(o.Settings["PCAPWARDEN_VAULT"], nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := vault.Open(t.Context(), c.Files[0].Vault)
	if err != nil {
		t.Fatal(err)
	}
	if f.Info().Bytes != c.Files[0].Bytes || f.Info().Tags["incident"] != c.Incident {
		t.Errorf("the vault has %+v", f.Info())
	}
}

// steps are the places at which the handler may be killed, in the order of
// the walk.
var killSteps = []string{
	"incident-recorded", "cases-recorded", "machine-claimed", "capture-started", "path-recorded",
	"resolution-recorded", "capture-stopped",
	"file-opened", "vault-stored", "vault-verified", "report-stored", "manifest-stored", "seal-logged", "message-stored", "file-recorded",
	"message-sent", "message-marked", "findings-recorded", "landing-cleared", "message-dealt-with", "session-deleted",
}

// TestKilledAnywhere (F30, F32, F33) kills the handler with SIGKILL between any two steps of a
// story: there is one capture and one message all the same.
func TestKilledAnywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, step := range killSteps {
		o := localOptions(t, "partner-tls")
		var mu sync.Mutex
		created := map[string]int{}
		o.Fault = func(r *http.Request) *arm.Fault {
			if r.Method == http.MethodPut {
				mu.Lock()
				created[strings.ToLower(r.URL.Path)]++
				mu.Unlock()
			}
			return nil
		}
		wg.Go(func() {
			if _, err := runKilled(t.Context(), o, step); err != nil {
				t.Error(err)
				return
			}
			if len(created) != 1 {
				t.Errorf("killed at %s: sessions %v were asked for, want one", step, created)
			}
			if got := landed(t, o); got != 0 {
				t.Errorf("killed at %s: %d files are left where they landed", step, got)
			}
			if got := len(messages(t, o.Dir)); got != 1 {
				t.Errorf("killed at %s: %d incident messages, want 1", step, got)
			}
			checkEvidence(t, o.Dir, 1)
		})
	}
}

// runKilled plays a story of one capture in which the handler is killed at a
// step.
func runKilled(ctx context.Context, o loop.Options, step string) (loop.Outcome, error) {
	marker := filepath.Join(o.Dir, "killed")
	o.Settings["PCAPWARDEN_FAILPOINT"] = step + "@" + marker
	outcomes, err := loop.Run(ctx, o)
	if err != nil {
		return loop.Outcome{}, fmt.Errorf("killed at %s: %w", step, err)
	}
	if _, err := os.Stat(marker); err != nil {
		return loop.Outcome{}, fmt.Errorf("nothing was killed at %s: no such step", step)
	}
	if len(outcomes) != 1 || !outcomes[0].Matches || len(outcomes[0].Case.Files) != 1 {
		return loop.Outcome{}, fmt.Errorf("killed at %s: outcomes %+v", step, outcomes)
	}
	return outcomes[0], nil
}

// startLoop starts an app that a test drives itself, and that believes what
// alerts say: the local Azure does not know them.
func startLoop(t *testing.T, o loop.Options) *loop.Loop {
	t.Helper()
	if o.Policy == nil {
		o.Policy = o.Scenario.Policy(time.Now())
	}
	o.Policy = bytes.ReplaceAll(o.Policy, []byte("reread: required"), []byte("reread: never"))
	return startVerifying(t, o)
}

// startVerifying starts an app that has Azure asked about each alert.
func startVerifying(t *testing.T, o loop.Options) *loop.Loop {
	t.Helper()
	l, err := loop.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestBadAlerts(t *testing.T) {
	o := localOptions(t, "partner-tls")
	l := startLoop(t, o)
	genuine := string(o.Scenario.Alert(time.Now().UTC(), time.Time{}))
	foreign := strings.ReplaceAll(genuine, o.Scenario.Subscription, "00000000-1111-2222-3333-444444444444")
	tests := []struct {
		name   string
		body   string
		status int
		says   string
	}{
		{"not JSON", "hello", http.StatusBadRequest, "JSON"},
		{"another schema", `{"schemaId":"AzureMonitorMetricAlert","data":{}}`, http.StatusBadRequest, "schema"},
		{"too large", `{"schemaId":"` + strings.Repeat("x", 400_000) + `"}`, http.StatusRequestEntityTooLarge, "larger"},
		{"machine out of scope", foreign, http.StatusForbidden, "scope"},
		{"fired long ago", string(o.Scenario.Alert(time.Now().UTC().Add(-time.Hour), time.Time{})), http.StatusForbidden, "ago"},
		{"from the future", string(o.Scenario.Alert(time.Now().UTC().Add(time.Hour), time.Time{})), http.StatusForbidden, "future"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, answer, err := l.Post(t.Context(), []byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if status != tt.status || !strings.Contains(string(answer), tt.says) {
				t.Errorf("answered %d %s; want %d and a word about %q", status, answer, tt.status, tt.says)
			}
		})
	}
	for c, err := range l.Ledger.OpenCases(t.Context(), "") {
		t.Errorf("a case was recorded: %v, %v", c.ID, err)
	}
}

func TestBadEvents(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a few seconds")
	}
	o := localOptions(t, "partner-tls")
	l := startLoop(t, o)
	s := o.Scenario
	send := func(id string, account, name string) {
		t.Helper()
		body := fmt.Sprintf(`{"id":%q,"topic":%q,"eventType":"Microsoft.Storage.BlobCreated","eventTime":%q,
			"subject":"/blobServices/default/containers/network-watcher-logs/blobs/%s",
			"data":{"api":"PutBlockList","eTag":"0x1","contentLength":5,"blobType":"BlockBlob","sequencer":"1",
			"url":"https://%s.blob.core.windows.net/network-watcher-logs/%s"}}`,
			id, account, time.Now().UTC().Format(time.RFC3339), name, account[strings.LastIndexByte(account, '/')+1:], name)
		if err := l.Events.Send(t.Context(), incident.Message{ID: id, Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	send("foreign", strings.Replace(s.Landing.ID, s.Landing.Name, "somebodyelse", 1), "a.cap")
	if err := l.Events.Send(t.Context(), incident.Message{ID: "garbage", Body: []byte("not an event")}); err != nil {
		t.Fatal(err)
	}
	for range 300 {
		dead, err := filepath.Glob(filepath.Join(o.Dir, "landed", folder.DeadLetters, "*.json"))
		if err != nil {
			t.Fatal(err)
		}
		if len(dead) >= 2 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if dead, _ := filepath.Glob(filepath.Join(o.Dir, "landed", folder.DeadLetters, "*.json")); len(dead) < 2 {
		t.Errorf("%d dead letters, want both events", len(dead))
	}
	all := messages(t, o.Dir)
	if len(all) != 1 || all[0]["type"] != incident.TypeSecurity {
		t.Errorf("messages %v, want one about the foreign account", all)
	}
}

// TestUnreadableFile has a text file land where a capture should.
func TestUnreadableFile(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	o := localOptions(t, "partner-tls")
	l := startLoop(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	status, answer, err := l.Post(ctx, o.Scenario.Alert(time.Now().UTC(), time.Time{}))
	if err != nil || status != http.StatusAccepted {
		t.Fatalf("the alert was answered %d %s, %v", status, answer, err)
	}
	var a struct{ Incident string }
	if err := json.Unmarshal(answer, &a); err != nil {
		t.Fatal(err)
	}
	for c, err := range l.Ledger.OpenCases(ctx, a.Incident) {
		if err != nil {
			t.Fatal(err)
		}
		_, name, ok := strings.Cut(c.StoragePath, "/"+evidence.Container+"/")
		if !ok {
			t.Fatalf("the capture lands at %q", c.StoragePath)
		}
		const text = "this is no capture\n"
		if err := l.Land(ctx, name, strings.NewReader(text), int64(len(text))); err != nil {
			t.Fatal(err)
		}
	}
	for range 300 {
		if len(messages(t, o.Dir)) > 0 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	all := messages(t, o.Dir)
	if len(all) != 1 {
		t.Fatalf("%d messages, want 1", len(all))
	}
	text, err := json.Marshal(all[0])
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "capture.unreadable") {
		t.Errorf("the message does not say that the file is unreadable: %s", text)
	}
}
