package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/incident"
	"github.com/pcapwarden/pcapwarden/internal/local/folder"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// eventually waits until something is so. What it waits for is told by files
// of another process.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for range 600 {
		if so() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s: not within half a minute", what)
}

// glob returns the files of the run that match a pattern.
func (s *stand) glob(t *testing.T, pattern ...string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(append([]string{s.options.Dir}, pattern...)...))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// idle waits until every event was handled or is a dead letter.
func (s *stand) idle(t *testing.T) {
	t.Helper()
	eventually(t, "the queue of events is empty", func() bool { return len(s.glob(t, "landed", "*.json")) == 0 })
}

// dead reports whether the message is a dead letter.
func (s *stand) dead(t *testing.T, id string) bool {
	return len(s.glob(t, "landed", folder.DeadLetters, "*-"+id+".json")) > 0
}

// told are the messages of a type on the incident queue.
func (s *stand) told(t *testing.T, kind string) (all []string) {
	t.Helper()
	for _, name := range s.glob(t, "incidents", "*.json") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		checkInert(t, "the message", text)
		var m struct{ Type string }
		if err := json.Unmarshal(text, &m); err != nil {
			t.Errorf("message %s: %v", name, err)
		}
		if m.Type == kind {
			all = append(all, string(text))
		}
	}
	return all
}

// stored are the files in the vault.
func (s *stand) stored(t *testing.T) (names []string) {
	t.Helper()
	vault, err := folder.OpenFiles(filepath.Join(s.options.Dir, "vault"))
	if err != nil {
		t.Fatal(err)
	}
	defer vault.Close()
	for info, err := range vault.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, info.Name)
	}
	return names
}

// An occurrence is what an event says: that of a file as it landed, with some
// of its members changed by their paths, such as data.url.
func (s *stand) occurrence(name, etag string, change map[string]any) map[string]any {
	account := s.options.Scenario.Landing
	data := map[string]any{
		"api": "PutBlockList", "eTag": etag, "contentType": "application/octet-stream", "contentLength": 5,
		"blobType": "BlockBlob", "sequencer": "00000000000000000000000000000001",
		"url": account.Endpoint + (&url.URL{Path: "/" + evidence.Container + "/" + name}).EscapedPath(),
	}
	e := map[string]any{
		"id": "0", "topic": account.ID, "eventType": "Microsoft.Storage.BlobCreated", "dataVersion": "", "metadataVersion": "1",
		// An old event: nobody waits for the case of its file.
		"eventTime": time.Now().UTC().Add(-time.Minute).Format(time.RFC3339Nano),
		"subject":   "/blobServices/default/containers/" + evidence.Container + "/blobs/" + name, "data": data,
	}
	for path, v := range change {
		if inner, ok := strings.CutPrefix(path, "data."); ok {
			data[inner] = v
		} else {
			e[path] = v
		}
	}
	return e
}

func (s *stand) send(t *testing.T, id string, event any) {
	t.Helper()
	body, ok := event.([]byte)
	if !ok {
		var err error
		if body, err = json.Marshal(event); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Events.Send(t.Context(), incident.Message{ID: id, Body: body}); err != nil {
		t.Fatal(err)
	}
}

// A forgery is an event that must neither be believed nor lost.
type forgery struct {
	name  string
	event any    // []byte: as it is
	told  string // part of the security message; empty: there is none
}

// TestHostileEvents sends what Event Grid would not. Each ends as a dead
// letter; what looks like somebody's work is told to a person; nothing is
// fetched, read or stored.
func TestHostileEvents(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a few seconds")
	}
	o := localOptions(t, "partner-tls")
	stand := startStand(t, o)
	account := o.Scenario.Landing
	blob := "subscriptions/" + o.Scenario.Subscription + "/resourcegroups/x/providers/microsoft.compute/virtualmachines/y/2026/11/23/packetcapture_02_00_00_000.cap"
	info, err := stand.Landing.Create(t.Context(), blob, strings.NewReader("dropped"), nil)
	if err != nil {
		t.Fatal(err)
	}
	event := func(change map[string]any) map[string]any { return stand.occurrence(blob, info.ETag, change) }
	at := func(url string) any { return event(map[string]any{"data.url": url}) }
	called := func(name string) any { return stand.occurrence(name, info.ETag, nil) }
	const elsewhere, leads = "leads elsewhere than", "elsewhere on the way"
	path := "/" + evidence.Container + "/" + blob
	forgeries := []forgery{
		{"H23 other host", at("https://evil.example" + path), elsewhere},
		{"H23 metadata service", at("http://169.254.169.254" + path), elsewhere},
		{"H23 file", at("file:///etc/passwd"), elsewhere},
		{"H23 user", at("https://" + account.Name + ".blob.core.windows.net@evil.example" + path), elsewhere},
		{"H23 port", at("https://" + account.Name + ".blob.core.windows.net:8443" + path), elsewhere},
		{"H23 SAS", at(account.Endpoint + path + "?sv=2024&sig=x"), elsewhere},
		{"H23 fragment", at(account.Endpoint + path + "#x"), elsewhere},
		{"H23 plain http", at("http://" + account.Name + ".blob.core.windows.net" + path), elsewhere},
		{"H23 name that begins like the account", at("https://" + account.Name + ".blob.evil.example" + path), elsewhere},
		{"H23 no URL", at(""), elsewhere},
		{"H24 other account", event(map[string]any{"topic": strings.Replace(account.ID, account.Name, "somebodyelse", 1)}), "not a landing account"},
		{"H24 same name, other subscription", event(map[string]any{"topic": strings.Replace(account.ID, o.Scenario.Subscription, "00000000-1111-2222-3333-444444444444", 1)}), "not a landing account"},
		{"H24 topic is no account", event(map[string]any{"topic": o.Scenario.Machines[0].ID}), "no storage account"},
		{"H24 topic of tricks", event(map[string]any{"topic": tricks}), "no storage account"},
		{"H24 other container", event(map[string]any{"subject": "/blobServices/default/containers/vault/blobs/" + blob}), "not in the container"},
		{"H24 container that begins alike", event(map[string]any{"subject": "/blobServices/default/containers/" + evidence.Container + "2/blobs/" + blob}), "not in the container"},
		{"H24 subject of another file", event(map[string]any{"subject": "/blobServices/default/containers/" + evidence.Container + "/blobs/other.cap"}), elsewhere},
		{"H24 no file", called(""), "not in the container"},
		{"H25 deleted", event(map[string]any{"eventType": "Microsoft.Storage.BlobDeleted"}), ""},
		{"H25 type in another case", event(map[string]any{"eventType": "microsoft.storage.blobcreated"}), ""},
		{"H25 type of tricks", event(map[string]any{"eventType": tricks}), ""},
		{"H25 handshake", []byte(`[{"id":"1","topic":"` + account.ID + `","subject":"","eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","eventTime":"2026-11-23T02:00:00Z","data":{"validationCode":"512d38b6-c7b8-40c8-89fe-f46f9e9622b6","validationUrl":"http://169.254.169.254/"},"dataVersion":"1"}]`), ""},
		{"H25 CloudEvents", map[string]any{"specversion": "1.0", "type": "Microsoft.Storage.BlobCreated", "source": account.ID, "id": "1", "subject": "/blobServices/default/containers/" + evidence.Container + "/blobs/" + blob, "data": map[string]any{"api": "PutBlob", "url": account.Endpoint + path}}, ""},
		{"H25 both schemas", event(map[string]any{"specversion": "1.0"}), ""},
		{"H26 dots", called(blob + "/../../x.cap"), leads},
		{"H26 only dots", called("../vault/x.cap"), leads},
		{"H26 escaped dots", called("%2e%2e/%2e%2e/x.cap"), "no capture of this app"},
		{"H26 twice escaped dots", called("%252e%252e/x.cap"), "no capture of this app"},
		{"H26 backslash", called(`..\..\x.cap`), leads},
		{"H26 control characters", called("a\x00\x1b[31mb\r\n.cap"), leads},
		{"H26 reversed", called("a\u202epac.cap"), leads},
		{"H26 tricks", called(tricks + ".cap"), leads},
		{"H26 printable tricks", called("<script>${jndi:x}%s%n.cap"), "no capture of this app"},
		{"H26 1024 characters", called(strings.Repeat("x", 1020) + ".cap"), "no capture of this app"},
		{"H26 1025 characters", called(strings.Repeat("x", 1021) + ".cap"), leads},
		{"H26 100,000 characters", called(strings.Repeat("x", 100_000)), leads},
		{"H27 not ours", event(nil), "no capture of this app"},
		{"H27 not ours, in an array", []any{event(nil)}, "no capture of this app"},
		{"H51 not JSON", []byte("hello"), ""},
		{"H51 nothing", []byte(""), ""},
		{"H51 NUL", []byte("\x00\x00\x00"), ""},
		{"H51 NUL at the end", append(mustJSON(event(nil)), 0), ""},
		{"H51 null", []byte("null"), ""},
		{"H51 array of null", []byte("[null]"), ""},
		{"H51 101 events", arrayOf(event(nil), 101), ""},
		{"H51 100,000 levels", []byte(strings.Repeat("[", 100_000)), ""},
		{"H51 data of another type", event(map[string]any{"data": tricks}), ""},
		{"H51 length of another type", event(map[string]any{"data.contentLength": "5"}), ""},
		{"H51 time of another type", event(map[string]any{"eventTime": 5}), ""},
	}
	for n, f := range forgeries {
		stand.send(t, fmt.Sprintf("forged-%d", n), f.event)
	}
	// A queue takes less than that; one of the Premium tier does not.
	large := filepath.Join(o.Dir, "landed", time.Now().UTC().Format("20060102T150405.000000000Z")+"-large.json")
	if err := os.WriteFile(large, append(mustJSON(event(nil)), bytes.Repeat([]byte(" "), 1<<20)...), 0o600); err != nil {
		t.Fatal(err)
	}
	stand.idle(t)

	told := strings.Join(stand.told(t, incident.TypeSecurity), "\n")
	for n, f := range forgeries {
		if !stand.dead(t, fmt.Sprintf("forged-%d", n)) {
			t.Errorf("%s: not among the dead letters", f.name)
		}
		if !strings.Contains(told, f.told) {
			t.Errorf("%s: nobody is told of %q", f.name, f.told)
		}
	}
	if !stand.dead(t, "large") {
		t.Error("H51 1 MiB and more: not among the dead letters")
	}
	if n := len(stand.glob(t, "incidents", "*.json")); n != len(stand.told(t, incident.TypeSecurity)) {
		t.Errorf("%d messages, some not about security", n)
	}
	if names := stand.stored(t); len(names) > 0 {
		t.Errorf("the vault has %v", names)
	}
	dropped, err := stand.Landing.Open(t.Context(), blob)
	if err != nil || dropped.Info().ETag != info.ETag {
		t.Errorf("the file that was dropped is not what it was: %v", err)
	}
	stand.checkNothing(t)
}

func mustJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

func arrayOf(event any, n int) []byte {
	var all []any
	for range n {
		all = append(all, event)
	}
	return mustJSON(all)
}

// expect records a case whose session has ended and whose file is awaited, and
// returns the file's name in the landing container.
func (s *stand) expect(t *testing.T, id string, change func(*capture.Case)) string {
	t.Helper()
	now := time.Now().UTC()
	name := "captures/" + id + ".cap"
	c := capture.Case{
		Schema: capture.CaseSchema, ID: id, Incident: "inc-" + id, State: capture.Ended,
		Alert: capture.AlertRef{ID: "alert", Rule: "rule", Fired: now}, Profile: "partner-tls",
		Target: s.options.Scenario.Machines[0].ID, TargetType: "AzureVM", Region: s.options.Scenario.Region,
		StorageID: s.options.Scenario.Landing.ID, StoragePath: s.options.Scenario.Landing.Endpoint + "/" + evidence.Container + "/" + name,
		Asked: now, Started: now, Stopped: now, TimeLimit: time.Minute, Retention: time.Hour, DeleteAfter: now.Add(time.Hour),
	}
	if change != nil {
		change(&c)
	}
	if err := s.Ledger.ExpectAt(t.Context(), c.StoragePath, c); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Ledger.Open(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return name
}

// put writes a file where the agent would, over one that is there.
func (s *stand) put(t *testing.T, name string, content []byte) evidence.Info {
	t.Helper()
	info, err := s.Landing.(*folder.Files).Put(t.Context(), name, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// findings waits for the case's file to be analysed n times.
func (s *stand) findings(t *testing.T, id string, n int) capture.Case {
	t.Helper()
	var c capture.Case
	eventually(t, "findings of "+id, func() bool {
		var err error
		c, err = s.Ledger.Case(t.Context(), "inc-"+id, id)
		return err == nil && len(c.Files) >= n
	})
	return c
}

// checkVault holds what the vault has of a file against what landed.
func (s *stand) checkVault(t *testing.T, f capture.File, content []byte) {
	t.Helper()
	sum := sha256.Sum256(content)
	kept, err := os.ReadFile(filepath.Join(s.options.Dir, "vault", filepath.FromSlash(f.Vault)))
	if err != nil || !bytes.Equal(kept, content) || f.SHA256 != hex.EncodeToString(sum[:]) || f.Bytes != int64(len(content)) {
		t.Errorf("%s: the vault has %d bytes, the record %d of SHA-256 %s; landed were %d (%v)", f.Name, len(kept), f.Bytes, f.SHA256, len(content), err)
	}
}

// emptyCapture is a capture without a packet.
func emptyCapture(t *testing.T, snap int) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := pcap.NewWriter(&b, pcap.LinkTypeEthernet, snap); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestHostileFiles has odd files land where captures are awaited.
func TestHostileFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a few seconds")
	}
	stand := startStand(t, localOptions(t, "partner-tls"))
	now := time.Now().UTC().Format(time.RFC3339Nano)

	t.Run("H29 no captures", func(t *testing.T) {
		files := map[string]string{
			"text": "this is no capture\n" + tricks, "html": "<!DOCTYPE html><html><script>alert(1)</script></html>",
			"elf": "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 100), "zip": "PK\x03\x04" + strings.Repeat("\x00", 100),
			"short": "\xd4\xc3\xb2", "magic": "\xd4\xc3\xb2\xa1",
			"empty": "", // and it stays so
		}
		for id, content := range files {
			name := stand.expect(t, id, func(c *capture.Case) { c.Stopped = c.Stopped.Add(-5 * time.Minute) })
			if err := stand.Land(t.Context(), name, strings.NewReader(content), int64(len(content))); err != nil {
				t.Fatal(err)
			}
		}
		for id, content := range files {
			stand.checkVault(t, stand.findings(t, id, 1).Files[0], []byte(content))
		}
		stand.idle(t)
		told := stand.told(t, incident.TypeFinding)
		for id := range files {
			n := 0
			for _, m := range told {
				if strings.Contains(m, `"inc-`+id+`"`) && strings.Contains(m, "capture.unreadable") {
					n++
				}
			}
			if n != 1 {
				t.Errorf("%s: %d messages say that it is unreadable, want 1", id, n)
			}
		}
	})

	t.Run("F24 F26 versions", func(t *testing.T) {
		name := stand.expect(t, "versions", nil)
		before := len(stand.told(t, incident.TypeSecurity))
		empty := stand.put(t, name, nil)
		stand.send(t, "empty", stand.occurrence(name, empty.ETag, map[string]any{"data.contentLength": 0}))
		stand.idle(t)
		if stand.dead(t, "empty") {
			t.Error("the event of the empty file is a dead letter; the file will be written")
		}
		content := emptyCapture(t, 100)
		info := stand.put(t, name, content)
		for n := range 10 {
			stand.send(t, fmt.Sprintf("again-%d", n), stand.occurrence(name, info.ETag, nil))
		}
		stand.send(t, "late", stand.occurrence(name, empty.ETag, map[string]any{"data.sequencer": "0"}))
		c := stand.findings(t, "versions", 1)
		stand.idle(t)
		stand.checkVault(t, c.Files[0], content)
		if n := len(stand.told(t, incident.TypeSecurity)); n != before {
			t.Errorf("%d security messages about events that came late or twice", n-before)
		}

		over := stand.put(t, name, append(content, "x"...))
		for n := range 3 {
			stand.send(t, fmt.Sprintf("over-%d", n), stand.occurrence(name, over.ETag, nil))
		}
		stand.idle(t)
		told := stand.told(t, incident.TypeSecurity)
		if len(told) != before+1 || !strings.Contains(strings.Join(told, ""), "evidence was overwritten") {
			t.Errorf("overwriting evidence is told %d times, want once", len(told)-before)
		}
		c = stand.findings(t, "versions", 1)
		if len(c.Files) != 1 {
			t.Errorf("the case has %d files", len(c.Files))
		}
		stand.checkVault(t, c.Files[0], content)
		n := 0
		for _, m := range stand.told(t, incident.TypeFinding) {
			if strings.Contains(m, `"inc-versions"`) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d messages of findings, want 1", n)
		}
	})

	t.Run("F27 event before its case", func(t *testing.T) {
		const name = "captures/early.cap"
		content := emptyCapture(t, 200)
		info := stand.put(t, name, content)
		stand.send(t, "early", stand.occurrence(name, info.ETag, map[string]any{"eventTime": now}))
		eventually(t, "the event is delivered", func() bool { return stand.delivered(t, "early") })
		stand.expect(t, "early", nil)
		stand.checkVault(t, stand.findings(t, "early", 1).Files[0], content)
		stand.idle(t)
		if stand.dead(t, "early") {
			t.Error("the event is a dead letter")
		}
	})

	t.Run("H27 beside the file", func(t *testing.T) {
		name := stand.expect(t, "beside", nil)
		stand.send(t, "beside", stand.occurrence(name+"/x.cap", "0x1", nil))
		stand.idle(t)
		if !stand.dead(t, "beside") || !strings.Contains(strings.Join(stand.told(t, incident.TypeSecurity), ""), "beside.cap/x.cap") {
			t.Error("a file below the capture's is taken for the case's")
		}
	})

	t.Run("H28 append blob, odd types", func(t *testing.T) {
		name := stand.expect(t, "append", nil)
		content := emptyCapture(t, 300)
		info := stand.put(t, name, content)
		stand.send(t, "append", stand.occurrence(name, `"`+info.ETag+`"`, map[string]any{
			"data.blobType": "AppendBlob", "data.api": "PutBlob", "data.contentType": "text/html", "data.contentLength": 0, "data.sequencer": nil,
		}))
		stand.checkVault(t, stand.findings(t, "append", 1).Files[0], content)
	})

	t.Run("H49 same bytes", func(t *testing.T) {
		content := emptyCapture(t, 400)
		for _, id := range []string{"twin-a", "twin-b"} {
			name := stand.expect(t, id, nil)
			if err := stand.Land(t.Context(), name, bytes.NewReader(content), int64(len(content))); err != nil {
				t.Fatal(err)
			}
		}
		a, b := stand.findings(t, "twin-a", 1).Files[0], stand.findings(t, "twin-b", 1).Files[0]
		stand.checkVault(t, a, content)
		stand.checkVault(t, b, content)
		if a.MessageID == b.MessageID || a.Vault == b.Vault || a.Analysis == b.Analysis {
			t.Errorf("two cases share %+v and %+v", a, b)
		}
	})

	t.Run("H49 same name", func(t *testing.T) {
		const folder = "captures/set"
		stand.expect(t, "set", func(c *capture.Case) {
			c.StoragePath, c.TargetType, c.Instances = strings.TrimSuffix(c.StoragePath, ".cap"), "AzureVMSS", []string{"0", "1"}
		})
		contents := [][]byte{emptyCapture(t, 500), emptyCapture(t, 600)}
		for n, content := range contents {
			if err := stand.Land(t.Context(), fmt.Sprintf("%s/%d/capture.cap", folder, n), bytes.NewReader(content), int64(len(content))); err != nil {
				t.Fatal(err)
			}
		}
		c := stand.findings(t, "set", 2)
		for n, content := range contents {
			f := c.File(fmt.Sprintf("%s/%d/capture.cap", folder, n))
			if f == nil {
				t.Fatalf("no file of instance %d: %+v", n, c.Files)
			}
			stand.checkVault(t, *f, content)
			a, err := readAnalysis(filepath.Join(stand.options.Dir, "reports", f.Analysis))
			if err != nil || a.Capture.SHA256 != f.SHA256 {
				t.Errorf("the analysis of instance %d is of another file: %v", n, err)
			}
		}
	})
	stand.checkLog(t)
}

// delivered reports whether the host got the message.
func (s *stand) delivered(t *testing.T, id string) bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.options.Dir, "log.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(text, []byte(`"message":"`+id+`"`))
}
