package blob

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/test/azurite"
)

// versioned answers as an account with versioning does; the emulator has none.
type versioned struct {
	deleted []string // versions
	held    string   // the version that is immutable
}

const versions = `<?xml version="1.0" encoding="utf-8"?>
<EnumerationResults ServiceEndpoint="https://x.blob.core.windows.net/" ContainerName="vault"><Blobs>
<Blob><Name>inc/a.cap</Name><VersionId>2026-01-01T00:00:00.0000001Z</VersionId><Properties><Content-Length>1</Content-Length></Properties></Blob>
<Blob><Name>inc/a.cap</Name><VersionId>2026-01-01T00:00:00.0000002Z</VersionId><Properties><Content-Length>1</Content-Length></Properties></Blob>
<Blob><Name>inc/a.cap.bak</Name><VersionId>2026-01-01T00:00:00.0000004Z</VersionId><Properties><Content-Length>1</Content-Length></Properties></Blob>
<Blob><Name>inc/b.cap</Name><VersionId>2026-01-01T00:00:00.0000003Z</VersionId><IsCurrentVersion>true</IsCurrentVersion><Properties><Content-Length>1</Content-Length></Properties></Blob>
<Blob><Name>inc/c.cap</Name><Properties><Content-Length>1</Content-Length></Properties></Blob>
</Blobs><NextMarker /></EnumerationResults>`

func (v *versioned) Do(r *http.Request) (*http.Response, error) {
	answer := func(status int, code, body string) *http.Response {
		return &http.Response{
			StatusCode: status, Status: http.StatusText(status), Request: r, Body: io.NopCloser(strings.NewReader(body)),
			Header: http.Header{"Content-Type": {"application/xml"}, "X-Ms-Error-Code": {code}},
		}
	}
	q := r.URL.Query()
	switch version := q.Get("versionid"); {
	case r.Method == http.MethodGet && q.Get("comp") == "list" && strings.Contains(q.Get("include"), "versions"):
		return answer(http.StatusOK, "", versions), nil
	case r.Method == http.MethodDelete && version != "" && version == v.held:
		return answer(http.StatusConflict, "BlobImmutableDueToPolicy", ""), nil
	case r.Method == http.MethodDelete && version != "":
		v.deleted = append(v.deleted, r.URL.Path+" "+version)
		return answer(http.StatusAccepted, "", ""), nil
	}
	return answer(http.StatusBadRequest, "InvalidInput", ""), nil
}

func TestPurge(t *testing.T) {
	for _, test := range []struct {
		name, held string
		deleted    []string
	}{
		{"all_that_is_old", "", []string{"1", "2"}},
		{"what_is_held_stays", "2026-01-01T00:00:00.0000001Z", []string{"2"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			service := &versioned{held: test.held}
			o := Options{Client: azcore.ClientOptions{Transport: service}}
			c, err := Open("UseDevelopmentStorage=true;BlobEndpoint=http://127.0.0.1:1/devstoreaccount1;Container=vault", nil, o)
			if err != nil {
				t.Fatal(err)
			}
			wanted := func(name string) bool { return name != "inc/a.cap.bak" }
			n, err := c.Files().Purge(t.Context(), "inc/", wanted)
			if errors.Is(err, evidence.ErrHeld) != (test.held != "") || err != nil && test.held == "" {
				t.Errorf("Purge: %v", err)
			}
			var want []string
			for _, v := range test.deleted {
				want = append(want, "/devstoreaccount1/vault/inc/a.cap 2026-01-01T00:00:00.000000"+v+"Z")
			}
			if diff := cmp.Diff(want, service.deleted); diff != "" || n != len(want) {
				t.Errorf("%d purged (-want +have):\n%s", n, diff)
			}
		})
	}
}

// TestPurgeWithoutVersions: the emulator, like an account without versioning,
// keeps nothing, and what is there stays.
func TestPurgeWithoutVersions(t *testing.T) {
	c, err := Open(azurite.Start(t).NewSetting(), nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := c.Files()
	if _, err := s.Create(t.Context(), "inc/a.cap", strings.NewReader("x"), nil); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Purge(t.Context(), "inc/", func(string) bool { return true }); n != 0 || err != nil {
		t.Errorf("%d purged: %v", n, err)
	}
	if _, err := s.Open(t.Context(), "inc/a.cap"); err != nil {
		t.Error(err)
	}
}
