//go:build linux

// Package walk measures what custody and analysis add to the way of a large
// capture from where it landed into the vault, against Azurite.
package walk

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/functions/analyzecapture"
	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/azure/blob"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/custody"
	"github.com/pcapwarden/pcapwarden/internal/customhandler"
	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
	"github.com/pcapwarden/pcapwarden/internal/local/folder"
	"github.com/pcapwarden/pcapwarden/internal/outbox"
	"github.com/pcapwarden/pcapwarden/internal/policy"
	"github.com/pcapwarden/pcapwarden/internal/resourceid"
	"github.com/pcapwarden/pcapwarden/test/azurite"
	"github.com/pcapwarden/pcapwarden/test/bench/traffic"
)

const (
	account = "/subscriptions/0f3c2b1a-9d8e-4c7b-a6f5-e4d3c2b1a098/resourceGroups/evidence/providers/Microsoft.Storage/storageAccounts/landingwe"
	name    = "captures/large.cap"
	url     = "https://landingwe.blob.core.windows.net/" + evidence.Container + "/" + name

	// most is how much memory a walk may take, whatever the file's size.
	most = 256 << 20
	// share is what analysis and hashes may add to the time of the bare way.
	share = 1.2
)

// a job is what a process of its own does, so that its memory is its own.
type job struct {
	What           string // "copy", "read back", "walk"
	Landing, Vault string // settings
	Records        string
	Dir            string
}

// TestMain does the job of a subprocess.
func TestMain(m *testing.M) {
	text := os.Getenv("PCAPWARDEN_WALK_JOB")
	if text == "" {
		os.Exit(m.Run())
	}
	var j job
	err := json.Unmarshal([]byte(text), &j)
	began := time.Now()
	if err == nil {
		err = j.do(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Print(time.Since(began).Seconds())
	os.Exit(0)
}

func (j job) do(ctx context.Context) error {
	var stores [2]*blob.Files
	for i, setting := range []string{j.Landing, j.Vault} {
		c, err := blob.Open(setting, nil, blob.Options{})
		if err != nil {
			return err
		}
		stores[i] = c.Files()
	}
	landing, vault := stores[0], stores[1]
	if j.What == "walk" {
		return j.walk(ctx, landing, vault)
	}
	f, err := landing.Open(ctx, name)
	if err != nil {
		return err
	}
	r, err := f.Reader(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := vault.Create(ctx, "bare/"+j.What, r, nil); err != nil || j.What == "copy" {
		return err
	}
	if f, err = vault.Open(ctx, "bare/"+j.What); err != nil {
		return err
	}
	back, err := f.Reader(ctx)
	if err != nil {
		return err
	}
	defer back.Close()
	_, err = io.Copy(io.Discard, back)
	return err
}

// walk delivers the event of the file to the function.
func (j job) walk(ctx context.Context, landing, vault *blob.Files) error {
	c, err := blob.Open(j.Records, nil, blob.Options{})
	if err != nil {
		return err
	}
	records := c.Ledger()
	signer, err := custody.OpenFileSigner(filepath.Join(j.Dir, "signing.pem"))
	if err != nil {
		return err
	}
	queue, err := folder.OpenQueue(filepath.Join(j.Dir, "incidents"), folder.Options{})
	if err != nil {
		return err
	}
	reports, err := folder.OpenFiles(filepath.Join(j.Dir, "reports"))
	if err != nil {
		return err
	}
	log, cases := slog.New(slog.DiscardHandler), capture.NewLedger(records)
	open := func(string) (evidence.Landing, error) { return landing, nil }
	one := capture.Case{
		Schema: capture.CaseSchema, ID: "pc-one", Incident: "inc-one", State: capture.Ended, TargetType: "AzureVM",
		StoragePath: url, Stopped: time.Now(), DeleteAfter: time.Now().Add(time.Hour),
	}
	if err := cases.ExpectAt(ctx, url, one); err != nil {
		return err
	}
	if _, _, err := cases.Open(ctx, one); err != nil {
		return err
	}
	handler, err := customhandler.New(log, customhandler.Options{}, analyzecapture.New(&analyzecapture.Analyzer{
		Ledger: cases, Tries: ledger.In[analyzecapture.Tries](records, "tries/"), Audit: audit.New(records), Signer: signer,
		Policy:  &policy.Policy{Landing: map[string]resourceid.ID{"westeurope": resourceid.MustParse(account)}},
		Landing: open, Vault: vault, Reports: reports, Incidents: queue,
		Outbox: outbox.New(records, outbox.Box{Ledger: cases, Queue: queue, Landing: open, Audit: audit.New(records), Now: time.Now, Log: log}),
		Now:    time.Now, Log: log,
	}))
	if err != nil {
		return err
	}
	event := fmt.Sprintf(`{"topic":%q,"subject":"/blobServices/default/containers/%s/blobs/%s","eventType":"Microsoft.Storage.BlobCreated",
		"eventTime":"2026-11-23T02:00:00Z","data":{"api":"PutBlockList","eTag":"x","url":%q}}`, account, evidence.Container, name, url)
	r := httptest.NewRequest(http.MethodPost, "/"+analyzecapture.Name, strings.NewReader(`{"Data":{"event":"`+base64.StdEncoding.EncodeToString([]byte(event))+`"},"Metadata":{}}`))
	r.Host = "127.0.0.1:1"
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	if done, err := cases.Case(ctx, "inc-one", "pc-one"); w.Code != http.StatusOK || err != nil || done.State != capture.Analysed || done.Files[0].Cleared.IsZero() {
		return fmt.Errorf("answered %d, %v: %+v", w.Code, err, done.Files)
	}
	return nil
}

// TestWalk is asked for with PCAPWARDEN_WALK, the size in MiB: "make bench-walk".
func TestWalk(t *testing.T) {
	size, err := strconv.ParseInt(os.Getenv("PCAPWARDEN_WALK"), 10, 64)
	if err != nil {
		t.Skip("measures for minutes; set PCAPWARDEN_WALK to the size in MiB")
	}
	storage := azurite.Start(t)
	j := job{Landing: storage.NewSetting(), Vault: storage.NewSetting(), Records: storage.NewSetting(), Dir: t.TempDir()}
	for _, setting := range []string{j.Landing, j.Vault, j.Records} {
		c, err := blob.Open(setting, nil, blob.Options{})
		if err == nil {
			err = c.Ensure(t.Context())
		}
		if err == nil && setting == j.Landing {
			r, w := io.Pipe()
			go func() { w.CloseWithError(traffic.Mixed(w, size<<20)) }()
			_, err = c.Files().Put(t.Context(), name, r)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	used := map[string]use{}
	for _, j.What = range []string{"copy", "read back", "walk"} {
		used[j.What] = run(t, j)
		t.Logf("%-9s of %d MiB: %6.2f s, %6.2f s of processor time, %d MiB", j.What, size, used[j.What].seconds, used[j.What].processor, used[j.What].memory>>20)
	}
	ratio := used["walk"].seconds / used["read back"].seconds
	t.Logf("hashes, analysis, excerpts and reports add %+.0f %% to copying and reading back", (ratio-1)*100)
	if ratio > share {
		t.Errorf("more than %.0f %%", (share-1)*100)
	}
	if used["walk"].memory > most {
		t.Errorf("the walk takes %d MiB, at most %d are allowed", used["walk"].memory>>20, most>>20)
	}
}

// use is what a job took.
type use struct {
	seconds, processor float64
	memory             int64 // at its peak, in bytes
}

// run does a job in a process of its own.
func run(t *testing.T, j job) use {
	t.Helper()
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), program)
	c.Env = append(os.Environ(), "PCAPWARDEN_WALK_JOB="+string(text))
	var out, wrong bytes.Buffer
	c.Stdout, c.Stderr = &out, &wrong
	if err := c.Run(); err != nil {
		t.Fatalf("%s: %v: %s", j.What, err, wrong.String())
	}
	seconds, err := strconv.ParseFloat(out.String(), 64)
	if err != nil {
		t.Fatal(err)
	}
	return use{seconds, (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds(), c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10}
}
