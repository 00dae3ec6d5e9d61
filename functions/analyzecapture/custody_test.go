package analyzecapture_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/functions/analyzecapture"
	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/custody"
	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/incident"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
	"github.com/pcapwarden/pcapwarden/internal/local/folder"
	"github.com/pcapwarden/pcapwarden/internal/outbox"
)

// folderBench is a bench whose captures land in a folder.
func folderBench(t *testing.T) *bench {
	t.Helper()
	l, err := folder.OpenFiles(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return newBench(t, l, nil)
}

// stem is what everything about a version of the file is called by.
func stem(etag string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d:%s%s", len(name), name, strings.Trim(etag, `"`)))
	return hex.EncodeToString(sum[:6])
}

// sealedAs is where the vault keeps a version of the file.
func sealedAs(etag string) string { return "inc-one/pc-one/" + stem(etag) + "/one.cap" }

func (b *bench) one(t *testing.T) capture.Case {
	t.Helper()
	c, err := b.ledger.Case(t.Context(), "inc-one", "pc-one")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// message is the text of the only message.
func (b *bench) message(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(b.dir, "incidents", "*.json"))
	if err != nil || len(found) != 1 {
		t.Fatalf("messages %v, %v; want one", found, err)
	}
	text, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// checkQuarantined holds what is done about evidence that is not what it was.
func (b *bench) checkQuarantined(t *testing.T, content []byte) {
	t.Helper()
	c := b.one(t)
	if len(c.Files) != 1 || c.Files[0].Quarantine == "" || c.Hold == nil || !c.Files[0].Cleared.IsZero() {
		t.Errorf("the case has %+v, held %v; want it quarantined and held", c.Files, c.Hold)
	}
	f, err := b.landing.Open(t.Context(), name)
	if err != nil || f.Info().Bytes != int64(len(content)) || f.Info().Tags["state"] != "quarantined" {
		t.Errorf("the landed copy is %v, %v; want it kept, and marked", f, err)
	}
	if text := b.message(t); !strings.Contains(text, incident.TypeQuarantined) || !strings.Contains(text, `"severity_id":5`) {
		t.Errorf("message %s; want a critical one", text)
	}
}

// TestReadBackMismatch finds other bytes in the vault than were read where the
// file landed: nothing is told of them, nothing is released.
func TestReadBackMismatch(t *testing.T) {
	b := folderBench(t)
	content := made(t, 5000, 1)
	etag := b.put(t, content).ETag
	if _, err := b.vault.Create(t.Context(), sealedAs(etag), bytes.NewReader(made(t, 5000, 2)), nil); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if status := b.deliver(etag); status != http.StatusOK {
			t.Errorf("answered %d", status)
		}
	}
	b.checkQuarantined(t, content)
}

// TestH50ForeignManifest finds a manifest that somebody else put beside the
// evidence, or that was signed with another key.
func TestH50ForeignManifest(t *testing.T) {
	other, err := custody.OpenFileSigner(filepath.Join(t.TempDir(), "other.pem"))
	if err != nil {
		t.Fatal(err)
	}
	forged, _, err := custody.Sign(t.Context(), other, custody.ManifestType, custody.Manifest{Schema: custody.Schema})
	if err != nil {
		t.Fatal(err)
	}
	for how, text := range map[string]string{"garbage": "{}", "another's": string(forged)} {
		t.Run(how, func(t *testing.T) {
			b := folderBench(t)
			content := made(t, 5000, 1)
			etag := b.put(t, content).ETag
			if _, err := b.vault.Create(t.Context(), custody.ManifestName(sealedAs(etag)), strings.NewReader(text), nil); err != nil {
				t.Fatal(err)
			}
			if status := b.deliver(etag); status != http.StatusOK {
				t.Errorf("answered %d", status)
			}
			b.checkQuarantined(t, content)
		})
	}
}

// TestF31Poison has a file that ended the program three times: it is sealed
// like any other, and what is told is that nobody could analyse it.
func TestF31Poison(t *testing.T) {
	b := folderBench(t)
	content := made(t, 5000, 1)
	etag := b.put(t, content).ETag
	tries := ledger.In[analyzecapture.Tries](b.records, "tries/")
	if err := tries.Create(t.Context(), "pc-one-"+stem(etag), analyzecapture.Tries{Begun: 3}); err != nil {
		t.Fatal(err)
	}
	if status := b.deliver(etag); status != http.StatusOK {
		t.Fatalf("answered %d", status)
	}
	if text := b.message(t); !strings.Contains(text, "capture.unreadable") || !strings.Contains(text, "3 times") {
		t.Errorf("the message does not say that the file ended the program: %s", text)
	}
	c := b.one(t)
	kept, err := os.ReadFile(filepath.Join(b.dir, "vault", filepath.FromSlash(c.Files[0].Vault)))
	if err != nil || !bytes.Equal(kept, content) || c.Files[0].Manifest == "" || c.State != capture.Analysed {
		t.Errorf("the vault has %d bytes, %v; the case %+v", len(kept), err, c.Files)
	}
}

// TestF34QueueDown has the queue be down until all deliveries are used up: the
// message waits, and the sweep sends it.
func TestF34QueueDown(t *testing.T) {
	stores(t, func(t *testing.T, l landing) {
		b := newBench(t, l, nil)
		b.incidents.down.Store(true)
		content := made(t, 5000, 1)
		etag := b.put(t, content).ETag
		for range 3 {
			if status := b.deliver(etag); status != http.StatusInternalServerError {
				t.Errorf("answered %d, want 500", status)
			}
		}
		if n := b.messages(t); n != 0 {
			t.Fatalf("%d messages", n)
		}
		b.incidents.down.Store(false)
		later := func() time.Time { return time.Now().Add(time.Hour) }
		for range 2 {
			if err := b.box(later).Flush(t.Context(), later().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
		b.checkOnly(t, content)
		if c := b.one(t); c.State != capture.Analysed || c.Files[0].Sent.IsZero() || c.Files[0].Cleared.IsZero() {
			t.Errorf("the case is %s, its file %+v", c.State, c.Files[0])
		}
	})
}

// TestNoSealWithoutLog (F46) has the audit log be out of reach: nothing is released, and
// the next delivery goes on.
func TestNoSealWithoutLog(t *testing.T) {
	b := folderBench(t)
	content := made(t, 5000, 1)
	etag := b.put(t, content).ETag
	dir := filepath.Join(b.dir, "cases", "audit")
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // where the log's folder should be
		t.Fatal(err)
	}
	if status := b.deliver(etag); status != http.StatusInternalServerError {
		t.Errorf("answered %d, want 500", status)
	}
	if len(b.landed(t)) != 1 || b.messages(t) != 0 {
		t.Error("the landed copy was released, or its message sent, without a word in the audit log")
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if status := b.deliver(etag); status != http.StatusOK {
		t.Errorf("answered %d", status)
	}
	b.checkOnly(t, content)
}

// TestH46NoSecretGetsOut analyses a login that can be read on the way: the
// password is in the evidence, and nowhere else.
func TestH46NoSecretGetsOut(t *testing.T) {
	const secret = "not-a-secret"
	b := folderBench(t)
	content, err := os.ReadFile("../../internal/analysis/testdata/lab/cleartext-login.pcap")
	if err != nil || !bytes.Contains(content, []byte(secret)) {
		t.Fatalf("the recording holds no password: %v", err)
	}
	if status := b.deliver(b.put(t, content).ETag); status != http.StatusOK {
		t.Fatalf("answered %d", status)
	}
	c := b.one(t)
	if len(c.Files[0].Excerpts) == 0 {
		t.Error("no excerpt was made")
	}
	read := 0
	err = filepath.WalkDir(b.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		read++
		if bytes.Contains(text, []byte(secret)) && filepath.ToSlash(strings.TrimPrefix(path, filepath.Join(b.dir, "vault")+string(filepath.Separator))) != c.Files[0].Vault {
			t.Errorf("%s holds the password", path)
		}
		return err
	})
	if err != nil || read < 10 {
		t.Errorf("%d files were looked at, %v", read, err)
	}
}

// TestH47OwnDocumentsAreNoCaptures has our own report and manifest land where
// captures do: they are payload that nobody can read as packets.
func TestH47OwnDocumentsAreNoCaptures(t *testing.T) {
	first := folderBench(t)
	if status := first.deliver(first.put(t, made(t, 5000, 1)).ETag); status != http.StatusOK {
		t.Fatalf("answered %d", status)
	}
	f := first.one(t).Files[0]
	for _, document := range []string{filepath.Join("vault", filepath.FromSlash(f.Manifest)), filepath.Join("reports", f.Report), filepath.Join("reports", f.Analysis)} {
		content, err := os.ReadFile(filepath.Join(first.dir, document))
		if err != nil {
			t.Fatal(err)
		}
		b := folderBench(t)
		if status := b.deliver(b.put(t, content).ETag); status != http.StatusOK {
			t.Errorf("%s: answered %d", document, status)
		}
		b.checkOnly(t, content)
		if !strings.Contains(b.message(t), "capture.unreadable") {
			t.Errorf("%s was taken for a capture", document)
		}
	}
}

// TestH52OwnersAreTagged has an owner whose name no tag can hold.
func TestH52OwnersAreTagged(t *testing.T) {
	stores(t, func(t *testing.T, l landing) {
		b := newBench(t, l, nil)
		owner := "Ünïcode <ops@example.com> & " + strings.Repeat("x", 300)
		if _, err := b.ledger.Change(t.Context(), "inc-one", "pc-one", func(c *capture.Case) error { c.Approval.Owner = owner; return nil }); err != nil {
			t.Fatal(err)
		}
		content := made(t, 5000, 1)
		if status := b.deliver(b.put(t, content).ETag); status != http.StatusOK {
			t.Fatalf("answered %d", status)
		}
		b.checkOnly(t, content)
		f, err := b.vault.Open(t.Context(), b.one(t).Files[0].Vault)
		if err != nil {
			t.Fatal(err)
		}
		tags := f.Info().Tags
		if err := evidence.CheckTags(tags); err != nil || tags["incident"] != "inc-one" || !strings.HasPrefix(tags["owner"], "_n_code _ops_example.com_") || tags["classification"] == "" || tags["deleteAfter"] == "" {
			t.Errorf("tags %v, %v", tags, err)
		}
	})
}

// TestUnknownFileIsIsolated has a file land that no case explains (H27).
func TestUnknownFileIsIsolated(t *testing.T) {
	b := folderBench(t)
	const stranger = "captures/stranger.cap"
	if _, err := b.landing.Put(t.Context(), stranger, bytes.NewReader(made(t, 500, 1))); err != nil {
		t.Fatal(err)
	}
	if status := b.deliverOf(stranger, "x"); status == http.StatusOK {
		t.Error("the event of a stranger's file was taken")
	}
	f, err := b.landing.Open(t.Context(), stranger)
	if err != nil || f.Info().Tags["state"] != "quarantined" || len(b.files(t)) != 0 || b.messages(t) != 1 {
		t.Errorf("the file is %v, %v; in the vault are %v, %d messages", f, err, b.files(t), b.messages(t))
	}
	found := false
	for e, err := range audit.New(b.records).All(t.Context()) {
		found = found || err == nil && e.Action == audit.Quarantine && e.File == stranger
	}
	if !found {
		t.Error("the audit log does not say so")
	}
}

// box is the outbox as a sweep has it.
func (b *bench) box(now func() time.Time) *outbox.Box {
	return outbox.New(b.records, outbox.Box{
		Ledger: b.ledger, Queue: b.incidents, Landing: func(string) (evidence.Landing, error) { return b.landing, nil },
		Audit: audit.New(b.records), Now: now, Log: b.log,
	})
}

// TestIncidentPageTellsOfCustody: the incident's page says what its evidence is
// known by and when it was read back, unless the manifest is not the sealed one.
func TestIncidentPageTellsOfCustody(t *testing.T) {
	for _, forged := range []bool{false, true} {
		b := folderBench(t)
		if _, _, err := b.ledger.OpenIncident(t.Context(), capture.Incident{ID: "inc-one", Cases: []string{"pc-one"}}); err != nil {
			t.Fatal(err)
		}
		etag := b.put(t, made(t, 5000, 1)).ETag
		if status := b.deliver(etag); status != http.StatusOK {
			t.Fatalf("answered %d", status)
		}
		page := filepath.Join(b.dir, "reports", capture.IncidentPage("inc-one")+".md")
		if forged {
			if err := os.Remove(page); err != nil {
				t.Fatal(err)
			}
			manifest := filepath.Join(b.dir, "vault", filepath.FromSlash(b.one(t).Files[0].Manifest))
			if err := os.Remove(manifest); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(manifest, []byte("{}"), 0o600); err != nil {
				t.Fatal(err)
			}
			if status := b.deliver(etag); status != http.StatusOK {
				t.Fatalf("answered %d", status)
			}
		}
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		id := "pc-one-" + stem(etag)
		if told := strings.Contains(string(text), id); told == forged {
			t.Errorf("forged %v: the page names the evidence %s: %v\n%s", forged, id, told, text)
		}
	}
}
