package blob

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

type identity struct{}

func (identity) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "SECRET", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func TestOpen(t *testing.T) {
	const key = ";AccountName=a;AccountKey=U0VDUkVU"
	for _, test := range []struct{ setting, want string }{ // want: the URL, or what the error says
		{"https://landing01.blob.core.windows.net/network-watcher-logs", "https://landing01.blob.core.windows.net/network-watcher-logs"},
		{"https://vault.z12.blob.storage.azure.net/evidence", "https://vault.z12.blob.storage.azure.net/evidence"},
		{"UseDevelopmentStorage=true;Container=cases", "http://127.0.0.1:10000/devstoreaccount1/cases"},
		{"BlobEndpoint=http://[::1]:1/a;Container=cases" + key, "http://[::1]:1/a/cases"},
		{"BlobEndpoint=https://a.blob.localhost:1/;Container=cases" + key, "https://a.blob.localhost:1/cases"},

		{"https://landing01.blob.core.windows.net/logs?sv=1&sig=SECRET", "no keys, SAS"},
		{"https://u:SECRET@landing01.blob.core.windows.net/logs", "no keys, SAS"},
		{"https://landing01.blob.core.windows.net@evil.example/logs", "no keys, SAS"},
		{"https://landing01.blob.core.windows.net.evil.example/logs", "not a storage account"},
		{"https://evil.example/.blob.core.windows.net/logs", "not a storage account"},
		{"https://169.254.169.254/metadata", "not a storage account"},
		{"https://landing01.blob.core.windows.net:8443/logs", "not a storage account"},
		{"https://LANDING01.blob.core.windows.net/logs", "not a storage account"},
		{"https://landing01.queue.core.windows.net/logs", "not a storage account"},
		{"https://landing01.blob.core.windows.net/", "not a container's name"},
		{"https://landing01.blob.core.windows.net/logs/more", "not a container's name"},
		{"https://landing01.blob.core.windows.net/..", "not a container's name"},
		{"https://landing01.blob.core.windows.net/%2e%2e", "not a container's name"},
		{"https://landing01.blob.core.windows.net/a--b", "not a container's name"},
		{"http://landing01.blob.core.windows.net/logs", "neither a URL nor"},
		{"", "only for Azurite"},
		{"UseDevelopmentStorage=true", "add Container=NAME"},
		{"UseDevelopmentStorage=true;Container=../x", "add Container=NAME"},
		{"DefaultEndpointsProtocol=https;EndpointSuffix=core.windows.net;Container=cases" + key, "only for Azurite"},
		{"BlobEndpoint=https://landing01.blob.core.windows.net;Container=cases" + key, "only for Azurite"},
		{"BlobEndpoint=http://169.254.169.254/;Container=cases" + key, "only for Azurite"},
		{"BlobEndpoint=http://127.0.0.1:1/a?sig=SECRET;Container=cases" + key, "only for Azurite"},
		{"BlobEndpoint=http://127.0.0.1:1/a;Container=cases;AccountName=a;AccountKey=SECRET!", "not base64"},
		{"BlobEndpoint=http://127.0.0.1:1/a;Container=cases;SharedAccessSignature=SECRET", "is missing"},
	} {
		c, err := Open(test.setting, identity{}, Options{})
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = c.client.URL()
		}
		if strings.HasPrefix(test.want, "http") && got != test.want || !strings.Contains(got, test.want) {
			t.Errorf("Open(%q) = %s, want %s", test.setting, got, test.want)
		}
		if strings.Contains(got, "SECRET") || strings.Contains(got, "U0VDUkVU") {
			t.Errorf("Open(%q) shows a secret: %s", test.setting, got)
		}
	}
	if _, err := Open("https://landing01.blob.core.windows.net/logs", nil, Options{}); err == nil {
		t.Error("Open without an identity went well")
	}
}

// A redirect would carry the request to an address that nobody checked.
func TestNoRedirect(t *testing.T) {
	followed := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed = true }))
	defer elsewhere.Close()
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	c, err := Open("UseDevelopmentStorage=true;Container=cases;BlobEndpoint="+server.URL+"/a", nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Files().Open(t.Context(), "a.cap"); err == nil || followed {
		t.Errorf("Open = %v, redirect followed: %t", err, followed)
	}
}
