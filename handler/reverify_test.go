package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/custody"
	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/incident"
	"github.com/pcapwarden/pcapwarden/internal/local/folder"
	"github.com/pcapwarden/pcapwarden/internal/outbox"
)

// A sealed case is one whose evidence is in the vault, with its manifest.
type sealedCase struct {
	vault    files
	store    *folder.Ledger
	ledger   *capture.Ledger
	signer   custody.Signer
	queue    *sent
	verifier *reverifier
	now      time.Time
	file     capture.File
}

func newSealedCase(t *testing.T) *sealedCase {
	t.Helper()
	store, err := folder.OpenLedger(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	signer, err := custody.OpenFileSigner(filepath.Join(t.TempDir(), "signing.pem"))
	if err != nil {
		t.Fatal(err)
	}
	s := &sealedCase{vault: open(t), store: store, ledger: capture.NewLedger(store), signer: signer, queue: &sent{}, now: time.Now().UTC()}
	ctx := t.Context()
	const name = "inc-a/pc-a/0a1b/x.cap"
	put(t, s.vault, name)
	h := evidence.NewDigestReader(strings.NewReader("capture"))
	if _, err := io.Copy(io.Discard, h); err != nil {
		t.Fatal(err)
	}
	d := h.Digest()
	m := custody.Manifest{
		Schema: custody.Schema, Identity: custody.Identity{Incident: "inc-a", Capture: "pc-a"}, Location: custody.Location{Name: name},
		Integrity: custody.Integrity{Bytes: d.Bytes, SHA256: d.SHA256, Blocks: d.Blocks, Merkle: d.Merkle},
	}
	text, _, err := custody.Sign(ctx, signer, custody.ManifestType, m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.vault.Create(ctx, custody.ManifestName(name), strings.NewReader(string(text)), nil); err != nil {
		t.Fatal(err)
	}
	s.file = capture.File{Name: "x.cap", Vault: name, SHA256: d.SHA256, Bytes: d.Bytes, Manifest: custody.ManifestName(name), ManifestSHA256: custody.Digest(text)}
	c := capture.Case{Schema: capture.CaseSchema, ID: "pc-a", Incident: "inc-a", State: capture.Closed, DeleteAfter: s.now.Add(time.Hour), Files: []capture.File{s.file}}
	if _, _, err := s.ledger.Open(ctx, c); err != nil {
		t.Fatal(err)
	}
	log := audit.New(store)
	if err := log.Append(ctx, audit.Entry{Action: audit.Seal, Phase: audit.After, Outcome: audit.Done, Incident: "inc-a", Case: "pc-a", File: name, SHA256: s.file.ManifestSHA256}); err != nil {
		t.Fatal(err)
	}
	s.verifier = &reverifier{
		ledger: s.ledger, rechecks: outbox.Rechecks(store), vault: s.vault, signer: signer, incidents: s.queue, audit: log,
		source: "urn:test", now: func() time.Time { return s.now }, log: slog.New(slog.DiscardHandler),
	}
	r := outbox.Recheck{CaseRef: capture.CaseRef{Incident: "inc-a", Case: "pc-a"}, File: "x.cap"}
	if err := s.verifier.rechecks.Create(ctx, outbox.RecheckKey(s.now.Add(-time.Minute), "m1"), r); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *sealedCase) run(t *testing.T) {
	t.Helper()
	if err := s.verifier.run(t.Context(), s.now.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
}

func (s *sealedCase) planned(t *testing.T) (keys []string) {
	t.Helper()
	for k, err := range s.verifier.rechecks.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	return keys
}

func TestReverifiedAndFine(t *testing.T) {
	s := newSealedCase(t)
	s.run(t)
	if got, want := fmt.Sprint(s.planned(t)), fmt.Sprint([]string{outbox.RecheckKey(s.now.Add(recheckEvery), "m1")}); got != want || len(s.queue.messages) != 0 {
		t.Errorf("planned %s, %d messages; want %s, and none", got, len(s.queue.messages), want)
	}
	s.run(t) // nothing is due
	if len(s.planned(t)) != 1 {
		t.Error("the plan is lost")
	}
}

// TestF36MismatchOnReverify flips a byte in the vault: quarantine, a message
// of the highest severity, nothing deleted, nothing hashed anew.
func TestF36MismatchOnReverify(t *testing.T) {
	for _, how := range []string{"changed", "gone"} {
		t.Run(how, func(t *testing.T) {
			s := newSealedCase(t)
			f, err := s.vault.Open(t.Context(), s.file.Vault)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.vault.Delete(t.Context(), s.file.Vault, f.Info().ETag); err != nil {
				t.Fatal(err)
			}
			if how == "changed" {
				if _, err := s.vault.Create(t.Context(), s.file.Vault, strings.NewReader("capturE"), nil); err != nil {
					t.Fatal(err)
				}
			}
			s.run(t)
			c, err := s.ledger.Case(t.Context(), "inc-a", "pc-a")
			if err != nil {
				t.Fatal(err)
			}
			if c.Files[0].Quarantine == "" || c.Hold == nil || c.Files[0].SHA256 != s.file.SHA256 || c.Files[0].ManifestSHA256 != s.file.ManifestSHA256 {
				t.Errorf("the case is %+v, held %v; want it quarantined, and the hashes as they were sealed", c.Files[0], c.Hold)
			}
			if len(s.queue.messages) != 1 || s.queue.messages[0].Subject != incident.TypeQuarantined || s.queue.messages[0].Properties["severity"] != "critical" {
				t.Errorf("messages %+v, want a critical one", s.queue.messages)
			}
			if len(s.planned(t)) != 0 {
				t.Error("what is quarantined is verified again")
			}
			found := false
			for e, err := range audit.New(s.store).All(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				found = found || e.Action == audit.Quarantine && e.File == s.file.Vault
			}
			if !found {
				t.Error("the audit log does not say so")
			}
		})
	}
}

// failing is a queue that is down.
type failing struct{}

func (failing) Send(context.Context, incident.Message) error { return errors.New("the queue is down") }

// A quarantine that nobody could be told about is told again.
func TestQuarantineIsToldAgain(t *testing.T) {
	s := newSealedCase(t)
	f, err := s.vault.Open(t.Context(), s.file.Vault)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.vault.Delete(t.Context(), s.file.Vault, f.Info().ETag); err != nil {
		t.Fatal(err)
	}
	s.verifier.incidents = failing{}
	if err := s.verifier.run(t.Context(), s.now.Add(time.Minute)); err == nil {
		t.Fatal("no error")
	}
	s.verifier.incidents = s.queue
	s.run(t)
	if len(s.queue.messages) != 1 {
		t.Errorf("%d messages, want 1", len(s.queue.messages))
	}
}

func TestCertify(t *testing.T) {
	s := newSealedCase(t)
	c, err := s.ledger.Case(t.Context(), "inc-a", "pc-a")
	if err != nil {
		t.Fatal(err)
	}
	c.Files[0].Report = "pc-a.html"
	certified := certify(s.vault, s.signer, func() time.Time { return s.now })
	name, sum, err := certified(t.Context(), c, "pcapwarden", "its date has come")
	if err != nil {
		t.Fatal(err)
	}
	s.now = s.now.Add(time.Hour)
	if again, same, err := certified(t.Context(), c, "pcapwarden", "its date has come"); err != nil || again != name || same != sum {
		t.Errorf("certified again: %s %s, %v; want %s %s", again, same, err, name, sum)
	}
	text, err := evidence.Load(t.Context(), s.vault, name, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := s.signer.Trusted(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := custody.OpenCertificate(text, keys)
	if err != nil || custody.Digest(text) != sum || len(got.Erased) != 2 || got.Erased[0].SHA256 != s.file.SHA256 || got.Note == "" || got.Reason != "its date has come" {
		body, _ := json.Marshal(got)
		t.Errorf("certificate %s, %v", body, err)
	}
}
