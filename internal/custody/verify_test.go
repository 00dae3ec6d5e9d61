package custody

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/local/folder"
)

var now = time.Date(2026, 3, 17, 2, 10, 0, 0, time.UTC)

// A safe is evidence in folders, sealed as the program does it.
type safe struct {
	dir            string
	vault, reports *folder.Files
	records        *folder.Ledger
	log            *audit.Log
	signer         *FileSigner
}

const sealedFile = "inc-1/pc-1/0a1b/capture.cap"

func newSafe(t *testing.T) *safe {
	t.Helper()
	s := &safe{dir: t.TempDir(), signer: signer(t)}
	var err error
	if s.vault, err = folder.OpenFiles(filepath.Join(s.dir, "vault")); err != nil {
		t.Fatal(err)
	}
	if s.reports, err = folder.OpenFiles(filepath.Join(s.dir, "reports")); err != nil {
		t.Fatal(err)
	}
	if s.records, err = folder.OpenLedger(filepath.Join(s.dir, "cases")); err != nil {
		t.Fatal(err)
	}
	s.log = audit.New(s.records)
	s.put(t, s.reports, "pc-1.html", "<!doctype html>a report")
	s.seal(t, "pc-1", sealedFile, "packets", Derived{Store: "reports", Name: "pc-1.html", SHA256: Digest([]byte("<!doctype html>a report"))})
	c := Certificate{Schema: CertificateSchema, Incident: "inc-1", Capture: "pc-0", Reason: "its date has come"}
	text, _, err := Sign(t.Context(), s.signer, CertificateType, c)
	if err != nil {
		t.Fatal(err)
	}
	name := CertificateName(c.Incident, c.Capture)
	s.put(t, s.vault, name, string(text))
	s.append(t, audit.Entry{Action: audit.Expire, Incident: c.Incident, Case: c.Capture, File: name, SHA256: Digest(text)})
	return s
}

func (s *safe) put(t *testing.T, to *folder.Files, name, content string) evidence.Info {
	t.Helper()
	info, err := to.Create(t.Context(), name, strings.NewReader(content), nil)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func (s *safe) append(t *testing.T, e audit.Entry) {
	t.Helper()
	e.At, e.Actor, e.Phase, e.Outcome = now, "pcapwarden", audit.After, audit.Done
	if err := s.log.Append(t.Context(), e); err != nil {
		t.Fatal(err)
	}
}

func (s *safe) seal(t *testing.T, capture, name, content string, derived ...Derived) {
	t.Helper()
	s.append(t, audit.Entry{Action: audit.Start, Incident: "inc-1", Case: capture})
	h := evidence.NewDigestReader(strings.NewReader(content))
	if _, err := io.Copy(io.Discard, h); err != nil {
		t.Fatal(err)
	}
	d := h.Digest()
	info := s.put(t, s.vault, name, content)
	m := Manifest{
		Schema: Schema, Identity: Identity{EvidenceID: capture + "-0a1b", Incident: "inc-1", Capture: capture},
		Integrity: Integrity{Bytes: d.Bytes, SHA256: d.SHA256, Blocks: d.Blocks, Merkle: d.Merkle, Written: info.ETag, Verified: now},
		Location:  Location{Store: "vault", Name: name}, Derived: derived,
	}
	var err error
	if m.Log.Segment, m.Log.SHA256, err = s.log.Head(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, key, err := Sign(t.Context(), s.signer, ManifestType, m)
	if err != nil {
		t.Fatal(err)
	}
	s.put(t, s.vault, ManifestName(name), string(text))
	if err := StoreKey(t.Context(), s.vault, key); err != nil {
		t.Fatal(err)
	}
	s.append(t, audit.Entry{Action: audit.Seal, Incident: "inc-1", Case: capture, File: name, SHA256: Digest(text)})
}

func (s *safe) check(t *testing.T, incident string) Result {
	t.Helper()
	k := Check{Vault: s.vault, Reports: s.reports, Records: s.records, Trusted: trusted(t, s.signer), Now: now.AddDate(1, 0, 0)}
	r, err := k.Run(t.Context(), incident)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (s *safe) path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}

func TestCheck(t *testing.T) {
	s := newSafe(t)
	for _, incident := range []string{"", "inc-1"} {
		if r := s.check(t, incident); len(r.Problems) != 0 || len(r.Items) != 1 || r.Items[0].Documents != 1 || r.Items[0].Name != sealedFile {
			t.Errorf("incident %q: %+v", incident, r)
		}
	}
	if r := s.check(t, "inc-2"); len(r.Problems) != 0 || len(r.Items) != 0 {
		t.Errorf("an incident without evidence: %+v", r)
	}
}

// TestEveryFlipIsFound flips bits of everything that proves something: each is
// found, and what was changed is named.
func TestEveryFlipIsFound(t *testing.T) {
	s := newSafe(t)
	segments, err := filepath.Glob(s.path("cases", "audit", "*.json"))
	if err != nil || len(segments) < 3 {
		t.Fatalf("segments %v, %v", segments, err)
	}
	files := map[string]string{ // and what has to be named
		s.path("vault", filepath.FromSlash(sealedFile)):                       sealedFile,
		s.path("vault", filepath.FromSlash(ManifestName(sealedFile))):         ManifestName(sealedFile),
		s.path("vault", filepath.FromSlash(KeyName(s.signer.public.ID))):      KeyName(s.signer.public.ID),
		s.path("vault", filepath.FromSlash(CertificateName("inc-1", "pc-0"))): CertificateName("inc-1", "pc-0"),
		s.path("reports", "pc-1.html"):                                        "reports/pc-1.html",
	}
	for _, name := range segments {
		files[name] = "audit log"
	}
	for name, item := range files {
		original, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		step := max(1, len(original)/60)
		for i := 0; i < len(original); i += step {
			flipped := bytes.Clone(original)
			flipped[i] ^= 1 << (i % 8)
			if err := os.WriteFile(name, flipped, 0o600); err != nil {
				t.Fatal(err)
			}
			r := s.check(t, "")
			named := false
			for _, p := range r.Problems {
				named = named || p.Item == item
			}
			if !named {
				t.Errorf("byte %d of %s was flipped: %v", i, item, r.Problems)
			}
		}
		if err := os.WriteFile(name, original, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if r := s.check(t, ""); len(r.Problems) != 0 {
		t.Errorf("mended: %v", r.Problems)
	}
}

// TestTampering (H50) changes, takes away and puts back what is sealed.
func TestTampering(t *testing.T) {
	remove := func(parts ...string) func(*testing.T, *safe) {
		return func(t *testing.T, s *safe) {
			if err := os.Remove(s.path(parts...)); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		name   string
		tamper func(t *testing.T, s *safe)
		item   string
	}{
		{"the file is gone", remove("vault", "inc-1", "pc-1", "0a1b", "capture.cap"), sealedFile},
		{"its manifest is gone", remove("vault", "inc-1", "pc-1", "0a1b", "capture.cap.custody.json"), sealedFile},
		{"both are gone", func(t *testing.T, s *safe) {
			if err := os.RemoveAll(s.path("vault", "inc-1")); err != nil {
				t.Fatal(err)
			}
		}, sealedFile},
		{"the certificate is gone", remove("vault", ".certificates", "inc-1", "pc-0.json"), CertificateName("inc-1", "pc-0")},
		{"a report is gone", remove("reports", "pc-1.html"), "reports/pc-1.html"},
		{"a file appears", func(t *testing.T, s *safe) { s.put(t, s.vault, "inc-1/pc-1/0a1b/other.cap", "x") }, "inc-1/pc-1/0a1b/other.cap"},
		{"the log's end is cut off", func(t *testing.T, s *safe) {
			for _, n := range []int{1, 2, 3} {
				remove("cases", "audit", fmt.Sprintf("%012d.json", n))(t, s)
			}
		}, "audit log"},
		{"file and manifest are another's, who has a key of his own", func(t *testing.T, s *safe) {
			remove("vault", "inc-1", "pc-1", "0a1b", "capture.cap")(t, s)
			remove("vault", "inc-1", "pc-1", "0a1b", "capture.cap.custody.json")(t, s)
			mallory := *s
			mallory.signer = signer(t)
			mallory.seal(t, "pc-1", sealedFile, "other packets")
		}, ManifestName(sealedFile)},
		{"an older manifest is put back", func(t *testing.T, s *safe) {
			text, _, err := Sign(t.Context(), s.signer, ManifestType, Manifest{Schema: Schema, Location: Location{Name: sealedFile}})
			if err == nil {
				err = os.WriteFile(s.path("vault", filepath.FromSlash(ManifestName(sealedFile))), text, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}, ManifestName(sealedFile)},
		{"evidence is put in the place of another", func(t *testing.T, s *safe) {
			for _, suffix := range []string{"", manifestSuffix} {
				text, err := os.ReadFile(s.path("vault", filepath.FromSlash(sealedFile)) + suffix)
				if err != nil {
					t.Fatal(err)
				}
				s.put(t, s.vault, "inc-2/pc-9/0a1b/capture.cap"+suffix, string(text))
			}
		}, ManifestName("inc-2/pc-9/0a1b/capture.cap")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSafe(t)
			tt.tamper(t, s)
			r := s.check(t, "")
			for _, p := range r.Problems {
				if p.Item == tt.item {
					return
				}
			}
			t.Errorf("problems %v, want one about %s", r.Problems, tt.item)
		})
	}
}

// TestSameBytesTwice (H49) seals equal bytes of two captures: they are two pieces of
// evidence (and the names of neither can be taken again).
func TestSameBytesTwice(t *testing.T) {
	s := newSafe(t)
	s.seal(t, "pc-2", "inc-1/pc-2/0c0d/capture.cap", "packets")
	r := s.check(t, "inc-1")
	if len(r.Problems) != 0 || len(r.Items) != 2 || r.Items[0].SHA256 != r.Items[1].SHA256 || r.Items[0].Capture == r.Items[1].Capture {
		t.Errorf("%+v", r)
	}
	if _, err := s.vault.Create(t.Context(), sealedFile, strings.NewReader("other"), nil); err == nil {
		t.Error("sealed evidence was written over")
	}
}

// TestEvidenceInEvidence (H47) seals a file that is a manifest: a payload like any
// other.
func TestEvidenceInEvidence(t *testing.T) {
	s := newSafe(t)
	text, err := os.ReadFile(s.path("vault", filepath.FromSlash(ManifestName(sealedFile))))
	if err != nil {
		t.Fatal(err)
	}
	s.seal(t, "pc-3", "inc-1/pc-3/0e0f/capture.cap", string(text))
	if r := s.check(t, ""); len(r.Problems) != 0 || len(r.Items) != 2 {
		t.Errorf("%+v", r)
	}
}

func TestReverify(t *testing.T) {
	s := newSafe(t)
	name := s.path("vault", filepath.FromSlash(sealedFile))
	text, err := os.ReadFile(s.path("vault", filepath.FromSlash(ManifestName(sealedFile))))
	if err != nil {
		t.Fatal(err)
	}
	reverify := func(file, sha256 string) (string, error) {
		return Reverify(context.Background(), s.vault, trusted(t, s.signer), file, sha256)
	}
	if wrong, err := reverify(sealedFile, Digest(text)); wrong != "" || err != nil {
		t.Errorf("untouched: %q, %v", wrong, err)
	}
	if wrong, err := reverify(sealedFile, Digest(nil)); wrong == "" || err != nil {
		t.Errorf("another manifest: %q, %v", wrong, err)
	}
	if err := os.WriteFile(name, []byte("pockets"), 0o600); err != nil {
		t.Fatal(err)
	}
	if wrong, err := reverify(sealedFile, Digest(text)); wrong == "" || err != nil {
		t.Errorf("another file: %q, %v", wrong, err)
	}
	if _, err := reverify("inc-1/pc-1/none.cap", Digest(text)); err == nil {
		t.Error("a file that is not there passes")
	}
}
