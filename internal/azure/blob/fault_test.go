package blob

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
	"github.com/pcapwarden/pcapwarden/test/azurite"
)

// faulty is a network between the client and the service.
type faulty struct {
	// lose says whether the answer to a request, which the service has
	// handled, is lost.
	lose func(*http.Request) bool
	// cut, if positive, breaks the body of each answer's first try after so
	// many bytes.
	cut   int64
	tries atomic.Int64
}

func (f *faulty) Do(r *http.Request) (*http.Response, error) {
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	if f.lose != nil && f.lose(r) {
		answer.Body.Close()
		return nil, &url.Error{Op: r.Method, URL: r.URL.String() + "?sig=SECRET", Err: net.ErrClosed}
	}
	if f.cut > 0 && r.Method == http.MethodGet && answer.ContentLength > f.cut && f.tries.Add(1)%2 == 1 {
		answer.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(io.LimitReader(answer.Body, f.cut), broken{}), answer.Body}
	}
	return answer, nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, net.ErrClosed }

func through(f *faulty) Options {
	return Options{RangeBytes: 1 << 20, Client: azcore.ClientOptions{
		Transport: f,
		Retry:     policy.RetryOptions{MaxRetries: 3, RetryDelay: time.Millisecond, MaxRetryDelay: time.Millisecond},
	}}
}

// once loses the answer to the first request that does what is asked for.
func once(method, comp string) func(*http.Request) bool {
	var lost atomic.Bool
	return func(r *http.Request) bool {
		return r.Method == method && r.URL.Query().Get("comp") == comp && r.URL.Query().Get("restype") == "" && lost.CompareAndSwap(false, true)
	}
}

// A write whose answer is lost is written again by the SDK, finds itself done,
// and is no conflict.
func TestLostAnswers(t *testing.T) {
	server := azurite.Start(t)
	ctx := t.Context()
	setting := server.NewSetting()
	sound := emulated(t, setting, Options{})
	open := func(method, comp string) *Container {
		return emulated(t, setting, through(&faulty{lose: once(method, comp)}))
	}

	etag, err := open(http.MethodPut, "").Ledger().Create(ctx, "a", []byte("1"))
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	if etag, err = open(http.MethodPut, "").Ledger().Update(ctx, "a", etag, []byte("2")); err != nil {
		t.Fatalf("Update: %v", err)
	}
	if body, now, err := sound.Ledger().Read(ctx, "a"); err != nil || string(body) != "2" || now != etag {
		t.Errorf("Read = %q, %q, %v, want the record of version %q", body, now, err, etag)
	}
	info, err := open(http.MethodPut, "blocklist").Files().Create(ctx, "a.cap", strings.NewReader("evidence"), nil)
	if err != nil {
		t.Fatalf("Create of a file: %v", err)
	}
	if err := sound.Files().Delete(ctx, "a.cap", info.ETag); err != nil {
		t.Errorf("Delete of the version that Create returned: %v", err)
	}
	lease, err := open(http.MethodPut, "lease").Ledger().Lease(ctx, "sweep", 15*time.Second)
	if err != nil {
		t.Fatalf("Lease: %v", err)
	}
	if err := lease.Release(ctx); err != nil {
		t.Error(err)
	}
}

// TestF41Unreachable: a name that does not resolve and an endpoint that does not
// answer are outages, which another try may find over, and never an empty
// store or a record that somebody else has.
func TestF41Unreachable(t *testing.T) {
	for name, dial := range map[string]func(context.Context, string, string) (net.Conn, error){
		"no such name": func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.DNSError{Err: "no such host", Name: "evidence.blob.core.windows.net", IsNotFound: true}
		},
		"no answer": func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Open("UseDevelopmentStorage=true;Container=records", nil, Options{Client: azcore.ClientOptions{
				Transport: &http.Client{Transport: &http.Transport{DialContext: dial}},
				Retry:     policy.RetryOptions{MaxRetries: 2, RetryDelay: time.Millisecond, MaxRetryDelay: time.Millisecond},
			}})
			if err != nil {
				t.Fatal(err)
			}
			l := c.Ledger()
			check := func(op string, err error) {
				t.Helper()
				for _, answer := range []error{ledger.ErrNotFound, ledger.ErrExists, ledger.ErrConflict, ledger.ErrLeased} {
					if errors.Is(err, answer) {
						t.Errorf("%s = %v, which is an answer of a store", op, err)
					}
				}
				if err == nil || !strings.Contains(err.Error(), "storage can't be reached") || strings.Contains(err.Error(), "http") {
					t.Errorf("%s = %v; want to hear that storage can't be reached, without its URL", op, err)
				}
			}
			_, err = l.Create(t.Context(), "a", []byte("1"))
			check("Create", err)
			_, _, err = l.Read(t.Context(), "a")
			check("Read", err)
			_, err = l.Lease(t.Context(), "sweep", 20*time.Second)
			check("Lease", err)
			for _, err = range l.List(t.Context(), "") {
			}
			check("List", err)
			_, err = c.Files().Open(t.Context(), "a.cap")
			check("Open", err)
		})
	}
}

// A connection that breaks in the middle of every range costs a new request,
// not the stream.
func TestBrokenBodies(t *testing.T) {
	server := azurite.Start(t)
	setting := server.NewSetting()
	want := make([]byte, 5<<20+17)
	numbered(0, want)
	if _, err := emulated(t, setting, Options{}).Files().Put(t.Context(), "a.cap", bytes.NewReader(want)); err != nil {
		t.Fatal(err)
	}
	f, err := emulated(t, setting, through(&faulty{cut: 300 << 10})).Files().Open(t.Context(), "a.cap")
	if err != nil {
		t.Fatal(err)
	}
	r, err := f.Reader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d bytes, %v, want the %d of the file", len(got), err, len(want))
	}
}

// An unreachable service is an error that tells what was tried, without the
// URL and what may be in its query.
func TestErrorsShowNoSecrets(t *testing.T) {
	server := azurite.Start(t)
	c, err := Open(server.NewSetting(), nil, through(&faulty{lose: func(*http.Request) bool { return true }}))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Files().Open(t.Context(), "a.cap")
	if err == nil || errors.Is(err, evidence.ErrNotFound) || !strings.Contains(err.Error(), `open file "a.cap"`) || strings.ContainsAny(err.Error(), "?\n") {
		t.Errorf("Open = %v", err)
	}
}

// A missing container is a deployment gone wrong, not an empty store.
func TestMissingContainer(t *testing.T) {
	c, err := Open(azurite.Start(t).NewSetting(), nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, open := c.Files().Open(t.Context(), "a.cap")
	_, _, read := c.Ledger().Read(t.Context(), "a")
	for _, err := range []error{open, read} {
		if err == nil || errors.Is(err, evidence.ErrNotFound) || errors.Is(err, ledger.ErrNotFound) || !strings.Contains(err.Error(), "container") {
			t.Errorf("error %v, want one about the container", err)
		}
	}
}

// What an agent, or somebody with its key, may put into the landing.
func TestOddBlobs(t *testing.T) {
	c := emulated(t, azurite.Start(t).NewSetting(), Options{})
	ctx := t.Context()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	fmt.Fprint(z, "unpacked")
	z.Close()
	body := packed.Bytes()
	if _, err := c.client.NewBlockBlobClient("gzip.cap").Upload(ctx, streaming.NopCloser(bytes.NewReader(body)), &blockblob.UploadOptions{
		HTTPHeaders: &blob.HTTPHeaders{BlobContentEncoding: new("gzip"), BlobContentType: new("text/html")},
	}); err != nil {
		t.Fatal(err)
	}
	appended := c.client.NewAppendBlobClient("append.cap")
	if _, err := appended.Create(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := appended.AppendBlock(ctx, streaming.NopCloser(bytes.NewReader(body)), nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"gzip.cap", "append.cap"} {
		f, err := c.Files().Open(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		r, err := f.Reader(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%s: read %q, %v, want the bytes that were stored", name, got, err)
		}
	}
}

// A listing is foreign text: names that lead elsewhere are left out.
func TestHostileListing(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		fmt.Fprint(w, `<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs>`)
		for _, name := range []string{"../../etc/passwd", "a//b", `a\b`, "", "good.cap", "$lease/x", "a&#10;b"} {
			fmt.Fprintf(w, `<Blob><Name>%s</Name><Properties><Etag>0x1</Etag><Content-Length>1</Content-Length>`+
				`<Last-Modified>Thu, 08 Oct 2026 02:00:00 GMT</Last-Modified></Properties></Blob>`, name)
		}
		fmt.Fprint(w, `<Blob></Blob><Blob><Name>bare</Name></Blob></Blobs><NextMarker/></EnumerationResults>`)
	}))
	defer server.Close()
	c, err := Open("UseDevelopmentStorage=true;Container=landing;BlobEndpoint="+server.URL+"/a", nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var files, keys []string
	for info, err := range c.Files().List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, info.Name)
	}
	for key, err := range c.Ledger().List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	if got := strings.Join(files, " "); got != "good.cap $lease/x" {
		t.Errorf("files: %s", got)
	}
	if got := strings.Join(keys, " "); got != "good.cap" {
		t.Errorf("records: %s", got)
	}
}
