package analyzecapture_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/functions/analyzecapture"
	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/azure/blob"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/custody"
	"github.com/pcapwarden/pcapwarden/internal/customhandler"
	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/incident"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
	"github.com/pcapwarden/pcapwarden/internal/local/folder"
	"github.com/pcapwarden/pcapwarden/internal/outbox"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
	"github.com/pcapwarden/pcapwarden/internal/policy"
	"github.com/pcapwarden/pcapwarden/internal/resourceid"
	"github.com/pcapwarden/pcapwarden/test/azurite"
)

const (
	account = "/subscriptions/0f3c2b1a-9d8e-4c7b-a6f5-e4d3c2b1a098/resourceGroups/evidence/providers/Microsoft.Storage/storageAccounts/landingwe"
	name    = "captures/one.cap"
	url     = "https://landingwe.blob.core.windows.net/" + evidence.Container + "/" + name
)

// A landing is where the test's captures arrive.
type landing interface {
	evidence.Landing
	Put(ctx context.Context, name string, content io.Reader) (evidence.Info, error)
}

// A bench is the function with its stores.
type bench struct {
	analyzer *analyzecapture.Analyzer
	handler  http.Handler
	ledger   *capture.Ledger
	landing  landing
	vault    *folder.Files
	dir      string
	records  *folder.Ledger
	signer   *custody.FileSigner
	log      *slog.Logger

	incidents *line
}

// A line is a queue that can be down.
type line struct {
	incident.Queue
	down atomic.Bool
}

func (l *line) Send(ctx context.Context, m incident.Message) error {
	if l.down.Load() {
		return errors.New("the queue is down")
	}
	return l.Queue.Send(ctx, m)
}

// newBench returns a bench with one case whose file is awaited. Files are
// opened through around, when it is given.
func newBench(t *testing.T, l landing, around func(evidence.File) evidence.File) *bench {
	t.Helper()
	b := &bench{landing: l, dir: t.TempDir()}
	open := func(name string) *folder.Files {
		f, err := folder.OpenFiles(filepath.Join(b.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	records, err := folder.OpenLedger(filepath.Join(b.dir, "cases"))
	if err != nil {
		t.Fatal(err)
	}
	incidents, err := folder.OpenQueue(filepath.Join(b.dir, "incidents"), folder.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b.ledger, b.vault, b.incidents = capture.NewLedger(records), open("vault"), &line{Queue: incidents}
	b.records = records
	log := slog.New(slog.DiscardHandler)
	b.log = log
	if b.signer, err = custody.OpenFileSigner(filepath.Join(b.dir, "signing.pem")); err != nil {
		t.Fatal(err)
	}
	landing := func(string) (evidence.Landing, error) {
		if around == nil {
			return l, nil
		}
		return opened{l, around}, nil
	}
	b.analyzer = &analyzecapture.Analyzer{
		Ledger: b.ledger, Policy: &policy.Policy{Landing: map[string]resourceid.ID{"westeurope": resourceid.MustParse(account)}},
		Landing: landing, Tries: ledger.In[analyzecapture.Tries](records, "tries/"), Audit: audit.New(records), Signer: b.signer,
		Outbox: outbox.New(records, outbox.Box{Ledger: b.ledger, Queue: b.incidents, Landing: landing, Audit: audit.New(records), Now: time.Now, Log: log}),
		Vault:  b.vault, Reports: open("reports"), Incidents: b.incidents, Now: time.Now, Log: log,
	}
	if b.handler, err = customhandler.New(log, customhandler.Options{}, analyzecapture.New(b.analyzer)); err != nil {
		t.Fatal(err)
	}
	c := capture.Case{
		Schema: capture.CaseSchema, ID: "pc-one", Incident: "inc-one", State: capture.Ended, TargetType: "AzureVM",
		StoragePath: url, Stopped: time.Now(), DeleteAfter: time.Now().Add(time.Hour),
	}
	if err := b.ledger.ExpectAt(t.Context(), url, c); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.ledger.Open(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return b
}

// opened does something to every file that is opened.
type opened struct {
	landing
	around func(evidence.File) evidence.File
}

func (o opened) Open(ctx context.Context, name string) (evidence.File, error) {
	f, err := o.landing.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	return o.around(f), nil
}

// deliver sends the event of the file's version, and returns what the host is
// answered.
func (b *bench) deliver(etag string) int { return b.deliverOf(name, etag) }

// deliverOf is deliver of any file.
func (b *bench) deliverOf(name, etag string) int {
	url := "https://landingwe.blob.core.windows.net/" + evidence.Container + "/" + name
	event := fmt.Sprintf(`{"topic":%q,"subject":"/blobServices/default/containers/%s/blobs/%s","eventType":"Microsoft.Storage.BlobCreated",
		"eventTime":"2026-11-23T02:00:00Z","data":{"api":"PutBlockList","eTag":%q,"url":%q}}`, account, evidence.Container, name, etag, url)
	body := `{"Data":{"event":"` + base64.StdEncoding.EncodeToString([]byte(event)) + `"},"Metadata":{}}`
	r := httptest.NewRequest(http.MethodPost, "/"+analyzecapture.Name, strings.NewReader(body))
	r.Host = "127.0.0.1:1"
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return w.Code
}

func (b *bench) put(t *testing.T, content []byte) evidence.Info {
	t.Helper()
	info, err := b.landing.Put(t.Context(), name, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func (b *bench) messages(t *testing.T) int {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(b.dir, "incidents", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

// files are those in the vault.
func (b *bench) files(t *testing.T) (names []string) {
	t.Helper()
	for info, err := range b.vault.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, info.Name)
	}
	return names
}

// evidenceFiles are those in the vault that packets are in.
func (b *bench) evidenceFiles(t *testing.T) (names []string) {
	t.Helper()
	for _, name := range b.files(t) {
		if strings.HasSuffix(name, ".cap") {
			names = append(names, name)
		}
	}
	return names
}

// landed are the files that are left where they landed.
func (b *bench) landed(t *testing.T) (names []string) {
	t.Helper()
	for info, err := range b.landing.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, info.Name)
	}
	return names
}

// checkOnly holds the one analysis that there must be against what landed.
func (b *bench) checkOnly(t *testing.T, content []byte) {
	t.Helper()
	c, err := b.ledger.Case(t.Context(), "inc-one", "pc-one")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	if len(c.Files) != 1 || c.Files[0].SHA256 != hex.EncodeToString(sum[:]) {
		t.Fatalf("the case has %+v; want one file of SHA-256 %x", c.Files, sum)
	}
	kept, err := os.ReadFile(filepath.Join(b.dir, "vault", c.Files[0].Vault))
	if err != nil || !bytes.Equal(kept, content) {
		t.Errorf("the vault has %d bytes, %v; want the %d that landed", len(kept), err, len(content))
	}
	if n := b.messages(t); n != 1 {
		t.Errorf("%d messages, want 1", n)
	}
	if left := b.landed(t); len(left) != 0 {
		t.Errorf("%v are left where they landed", left)
	}
	text, err := os.ReadFile(filepath.Join(b.dir, "vault", c.Files[0].Manifest))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := b.signer.Trusted(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m, err := custody.OpenManifest(text, keys)
	if err != nil || m.Integrity.SHA256 != c.Files[0].SHA256 || custody.Digest(text) != c.Files[0].ManifestSHA256 {
		t.Errorf("the manifest says %+v, %v", m.Integrity, err)
	}
}

// made is a capture of about n bytes that differs from those of other seeds.
func made(t *testing.T, n int, seed byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := pcap.NewWriter(&b, pcap.LinkTypeEthernet, 0)
	if err != nil {
		t.Fatal(err)
	}
	frame := bytes.Repeat([]byte{seed}, 1400)
	for i := 0; b.Len() < n; i++ {
		if err := w.WritePacket(pcap.Timestamp(1e18+int64(i)*1e6), len(frame), frame); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// stores are the landings that the tests run on.
func stores(t *testing.T, test func(t *testing.T, l landing)) {
	t.Run("folder", func(t *testing.T) {
		l, err := folder.OpenFiles(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		test(t, l)
	})
	t.Run("Azurite", func(t *testing.T) {
		c, err := blob.Open(azurite.Start(t).NewSetting(), nil, blob.Options{RangeBytes: 256 << 10})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		test(t, c.Files())
	})
}

// A disturbed file has something happen before its first byte is handed out.
type disturbed struct {
	evidence.File
	happen func()
}

func (d disturbed) Reader(ctx context.Context) (io.ReadCloser, error) {
	r, err := d.File.Reader(ctx)
	return disturbedReader{r, d.happen}, err
}

type disturbedReader struct {
	io.ReadCloser
	happen func()
}

func (r disturbedReader) Read(p []byte) (int, error) {
	r.happen()
	return r.ReadCloser.Read(p)
}

// TestOverwrittenDuringRead (F28) writes over a file while it is read: nothing of
// the mixture is kept or told, and the next delivery analyses what is there.
func TestOverwrittenDuringRead(t *testing.T) {
	stores(t, func(t *testing.T, l landing) {
		before, after := made(t, 9<<20, 1), made(t, 17<<20, 2)
		var b *bench
		overwrite := sync.OnceFunc(func() { b.put(t, after) })
		b = newBench(t, l, func(f evidence.File) evidence.File { return disturbed{f, overwrite} })
		etag := b.put(t, before).ETag
		if status := b.deliver(etag); status != http.StatusInternalServerError {
			t.Errorf("the delivery was answered %d, want 500: it has to come again", status)
		}
		if n, kept := b.messages(t), b.files(t); n != 0 || len(kept) != 0 {
			t.Fatalf("a file that changed while it was read left %d messages and %v in the vault", n, kept)
		}
		for range 2 {
			if status := b.deliver(etag); status != http.StatusOK {
				t.Errorf("the next delivery was answered %d", status)
			}
		}
		b.checkOnly(t, after)
	})
}

// TestOverwrittenBetweenTries writes over a file that was sealed and whose
// message did not get out: what was sealed is told about, what was written
// over it is told apart.
func TestOverwrittenBetweenTries(t *testing.T) {
	stores(t, func(t *testing.T, l landing) {
		b := newBench(t, l, nil)
		b.incidents.down.Store(true)
		before := made(t, 5000, 1)
		etag := b.put(t, before).ETag
		if status := b.deliver(etag); status != http.StatusInternalServerError || len(b.evidenceFiles(t)) != 1 {
			t.Fatalf("answered %d, with %v in the vault; want 500 after one file", status, b.files(t))
		}
		b.put(t, made(t, 6000, 2))
		b.incidents.down.Store(false)
		for range 2 {
			if status := b.deliver(etag); status != http.StatusOK {
				t.Errorf("the next delivery was answered %d", status)
			}
		}
		c, err := b.ledger.Case(t.Context(), "inc-one", "pc-one")
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(before); len(c.Files) != 1 || c.Files[0].SHA256 != hex.EncodeToString(sum[:]) || c.Files[0].Sent.IsZero() {
			t.Errorf("the case has %+v, want the file that was sealed", c.Files)
		}
		if n := b.messages(t); n != 2 {
			t.Errorf("%d messages, want the findings and that the file was overwritten", n)
		}
		left, err := l.Open(t.Context(), name)
		if err != nil || left.Info().Bytes < 6000 || left.Info().Tags["state"] != "quarantined" {
			t.Errorf("the other version is %+v, %v; want it kept, and marked", left.Info(), err)
		}
	})
}

// TestSameEventAtOnce (F29) delivers one event to many instances, as happens when a
// lock is lost.
func TestSameEventAtOnce(t *testing.T) {
	stores(t, func(t *testing.T, l landing) {
		b := newBench(t, l, nil)
		content := made(t, 1<<20, 1)
		etag := b.put(t, content).ETag
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				if status := b.deliver(etag); status != http.StatusOK {
					t.Errorf("answered %d", status)
				}
			})
		}
		wg.Wait()
		b.checkOnly(t, content)
	})
}
