// Package blob is a container of an Azure storage account: as the ledger, as
// the landing of captures, as the vault of evidence.
package blob

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
)

// Options of a container; the zero value is for production.
type Options struct {
	Parallel   int   // ranges of a file that are fetched at once; 0: 4
	RangeBytes int64 // of one such range, and of an uploaded block; 0: 4 MiB
	PageSize   int32 // names per listing request; 0: what the service likes

	// Client is for telemetry, and for the transport of tests. Retries that
	// are not set here are 4, each try of at most a minute.
	Client azcore.ClientOptions
}

// A Container is one container of one storage account. It keeps connections,
// so make one and share it.
type Container struct {
	client  *container.Client
	options Options
}

// Open returns the container that the setting names, without asking for it:
//
//   - https://ACCOUNT.blob.core.windows.net/CONTAINER, with the identity cred;
//   - UseDevelopmentStorage=true;Container=CONTAINER, or Azurite's connection
//     string with Container=CONTAINER added: on this machine only, as a key is
//     no way to a real account.
//
// Errors never show the setting, which may hold a key or a SAS.
func Open(setting string, cred azcore.TokenCredential, options Options) (*Container, error) {
	if options.Parallel <= 0 {
		options.Parallel = 4
	}
	if options.RangeBytes <= 0 {
		options.RangeBytes = 4 << 20
	}
	configure(&options.Client)
	clientOptions := &container.ClientOptions{ClientOptions: options.Client}
	var client *container.Client
	if strings.HasPrefix(setting, "https://") {
		address, err := accountURL(setting)
		if err != nil {
			return nil, err
		}
		if cred == nil {
			return nil, fmt.Errorf("storage container %s: no identity to sign in with", address)
		}
		if client, err = container.NewClient(address, cred, clientOptions); err != nil {
			return nil, fmt.Errorf("storage container %s: %w", address, err)
		}
	} else {
		dev, err := parseDevelopment(setting)
		if err != nil {
			return nil, err
		}
		key, err := container.NewSharedKeyCredential(dev.account, dev.key)
		if err != nil {
			return nil, errors.New("storage connection string: AccountKey is not base64")
		}
		if client, err = container.NewClientWithSharedKeyCredential(dev.endpoint+"/"+dev.container, key, clientOptions); err != nil {
			return nil, errors.New("storage connection string: not usable")
		}
	}
	return &Container{client: client, options: options}, nil
}

// configure fills in what tests leave open.
func configure(o *policy.ClientOptions) {
	if o.Transport == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		// A blob that says it is gzip is evidence all the same: the bytes
		// that landed are what is hashed and analysed.
		transport.DisableCompression = true
		transport.MaxIdleConnsPerHost = 16
		transport.DialContext = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext
		o.Transport = &http.Client{
			Transport: transport,
			// The service never redirects; whoever else would is not to be followed.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	if o.Retry.MaxRetries == 0 {
		o.Retry.MaxRetries = 4
		o.Retry.TryTimeout = time.Minute
		o.Retry.RetryDelay = 500 * time.Millisecond
		o.Retry.MaxRetryDelay = 10 * time.Second
	}
	if o.Telemetry.ApplicationID == "" {
		o.Telemetry.ApplicationID = "pcapwarden"
	}
}

// accountHost are the storage accounts of the Azure clouds. Nothing else gets
// a token.
// https://learn.microsoft.com/azure/storage/common/storage-account-overview#storage-account-endpoints
var accountHost = regexp.MustCompile(
	`^[a-z0-9]{3,24}(\.blob\.core\.(windows\.net|usgovcloudapi\.net|chinacloudapi\.cn)|\.z[0-9]{1,2}\.blob\.storage\.azure\.net)$`)

var containerName = regexp.MustCompile(`^[a-z0-9](-?[a-z0-9]){2,62}$`)

const wantURL = "want https://ACCOUNT.blob.core.windows.net/CONTAINER"

func accountURL(setting string) (string, error) {
	u, err := url.Parse(setting)
	switch {
	case err != nil:
		return "", errors.New("storage container: not a URL: " + wantURL)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", fmt.Errorf("storage container on %q: no keys, SAS or fragments: %s, and the identity's role", u.Hostname(), wantURL)
	case !accountHost.MatchString(u.Host):
		return "", fmt.Errorf("storage container on %q: not a storage account: %s", u.Host, wantURL)
	}
	name := strings.TrimPrefix(u.EscapedPath(), "/")
	if !containerName.MatchString(name) {
		return "", fmt.Errorf("storage container on %q: %q is not a container's name: %s", u.Host, name, wantURL)
	}
	return "https://" + u.Host + "/" + name, nil
}

type development struct{ account, key, endpoint, container string }

// emulator is what UseDevelopmentStorage=true stands for: a key that everybody
// knows, at an address that nobody else reaches.
// https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string
var emulator = development{
	account:  "devstoreaccount1",
	key:      "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
	endpoint: "http://127.0.0.1:10000/devstoreaccount1",
}

func parseDevelopment(setting string) (development, error) {
	var d development
	for pair := range strings.SplitSeq(setting, ";") {
		name, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
		switch {
		case strings.TrimSpace(pair) == "":
		case !ok:
			return d, errors.New("storage container: neither a URL nor a connection string: " + wantURL)
		case strings.EqualFold(name, "UseDevelopmentStorage") && strings.EqualFold(value, "true"):
			d.account, d.key, d.endpoint = emulator.account, emulator.key, emulator.endpoint
		case strings.EqualFold(name, "AccountName"):
			d.account = value
		case strings.EqualFold(name, "AccountKey"):
			d.key = value
		case strings.EqualFold(name, "BlobEndpoint"):
			d.endpoint = strings.TrimSuffix(value, "/")
		case strings.EqualFold(name, "Container"):
			d.container = value
		}
	}
	u, err := url.Parse(d.endpoint)
	if err != nil || !loopback(u.Hostname()) || u.User != nil || u.RawQuery != "" || (u.Scheme != "http" && u.Scheme != "https") {
		return d, errors.New("storage connection string: only for Azurite on this machine, with UseDevelopmentStorage=true or a BlobEndpoint on 127.0.0.1; " +
			"for a storage account " + wantURL + " and an identity")
	}
	if d.account == "" || d.key == "" {
		return d, errors.New("storage connection string: AccountName or AccountKey is missing")
	}
	if !containerName.MatchString(d.container) {
		return d, errors.New("storage connection string: add Container=NAME, in lower-case letters, digits and single hyphens")
	}
	return d, nil
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// Ensure creates the container if it is missing. In Azure that is the
// deployment's to do; Azurite starts empty.
func (c *Container) Ensure(ctx context.Context) error {
	_, err := c.client.Create(ctx, nil)
	if bloberror.HasCode(err, bloberror.ContainerAlreadyExists) {
		return nil
	}
	return explain(ctx, err, "create container")
}
