package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/incident"
)

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
