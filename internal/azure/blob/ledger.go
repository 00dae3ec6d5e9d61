package blob

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/pcapwarden/pcapwarden/internal/ledger"
)

// A Ledger is a [ledger.Store] in a container: one blob a record, called as
// its key.
type Ledger struct{ container *Container }

var _ ledger.Store = (*Ledger)(nil)

// Ledger returns the container as a ledger.
func (c *Container) Ledger() *Ledger { return &Ledger{c} }

// writerKey is the metadata that tells a writer its own work. When the answer
// to a write is lost, the SDK writes again, and the condition that held the
// first time does not hold any more.
const writerKey = "writer"

// Create implements [ledger.Store].
func (l *Ledger) Create(ctx context.Context, key string, body []byte) (string, error) {
	return l.put(ctx, key, body, fmt.Sprintf("create record %q", key), ledger.ErrExists,
		&blob.ModifiedAccessConditions{IfNoneMatch: new(azcore.ETagAny)})
}

// Update implements [ledger.Store].
func (l *Ledger) Update(ctx context.Context, key, etag string, body []byte) (string, error) {
	return l.put(ctx, key, body, fmt.Sprintf("update record %q", key), ledger.ErrConflict,
		&blob.ModifiedAccessConditions{IfMatch: new(azcore.ETag(etag))})
}

func (l *Ledger) put(ctx context.Context, key string, body []byte, doing string, lost error, only *blob.ModifiedAccessConditions) (string, error) {
	if err := errors.Join(ledger.CheckKey(key), ledger.CheckBody(key, body)); err != nil {
		return "", err
	}
	writer := rand.Text()
	done, err := l.container.client.NewBlockBlobClient(key).Upload(ctx, streaming.NopCloser(bytes.NewReader(body)), &blockblob.UploadOptions{
		HTTPHeaders:      &blob.HTTPHeaders{BlobContentType: new("application/json")},
		Metadata:         map[string]*string{writerKey: &writer},
		AccessConditions: &blob.AccessConditions{ModifiedAccessConditions: only},
	})
	switch {
	case err == nil:
		return string(*done.ETag), nil
	case !refused(err):
		return "", explain(ctx, err, doing)
	}
	etag, mine, err := l.container.wrote(ctx, key, writer)
	switch {
	case missing(err) && lost == ledger.ErrConflict:
		return "", fmt.Errorf("%s: %w", doing, ledger.ErrNotFound)
	case err != nil && !missing(err):
		return "", explain(ctx, err, doing)
	case mine:
		return etag, nil
	}
	return "", fmt.Errorf("%s: %w", doing, lost)
}

// wrote says whether the blob as it is now is the one that writer wrote.
func (c *Container) wrote(ctx context.Context, name, writer string) (etag string, mine bool, err error) {
	p, err := c.client.NewBlobClient(name).GetProperties(ctx, nil)
	if err != nil {
		return "", false, err
	}
	for key, value := range p.Metadata { // the service does as it likes with the case of keys
		if strings.EqualFold(key, writerKey) && value != nil && *value == writer {
			return string(*p.ETag), true, nil
		}
	}
	return "", false, nil
}

// Read implements [ledger.Store].
func (l *Ledger) Read(ctx context.Context, key string) ([]byte, string, error) {
	if err := ledger.CheckKey(key); err != nil {
		return nil, "", err
	}
	doing := fmt.Sprintf("read record %q", key)
	got, err := l.container.client.NewBlobClient(key).DownloadStream(ctx, nil)
	if missing(err) {
		return nil, "", fmt.Errorf("%s: %w", doing, ledger.ErrNotFound)
	}
	if err != nil {
		return nil, "", explain(ctx, err, doing)
	}
	// Goes on after a broken connection, with the same version.
	retrying := got.NewRetryReader(ctx, nil)
	defer retrying.Close()
	body, err := io.ReadAll(io.LimitReader(retrying, ledger.MaxRecord+1))
	if refused(err) || missing(err) {
		return l.Read(ctx, key) // it changed while it was read
	}
	if err != nil {
		return nil, "", explain(ctx, err, doing)
	}
	if err := ledger.CheckBody(key, body); err != nil {
		return nil, "", fmt.Errorf("%s: %w", doing, err)
	}
	return body, string(*got.ETag), nil
}

// Delete implements [ledger.Store].
func (l *Ledger) Delete(ctx context.Context, key, etag string) error {
	if err := ledger.CheckKey(key); err != nil {
		return err
	}
	err := l.container.refine(ctx, key, l.container.remove(ctx, key, etag))
	doing := fmt.Sprintf("delete record %q", key)
	switch {
	case missing(err):
		return fmt.Errorf("%s: %w", doing, ledger.ErrNotFound)
	case refused(err):
		return fmt.Errorf("%s: %w", doing, ledger.ErrConflict)
	}
	return explain(ctx, err, doing)
}

// remove deletes one version of a blob, and its snapshots.
func (c *Container) remove(ctx context.Context, name, etag string) error {
	_, err := c.client.NewBlobClient(name).Delete(ctx, &blob.DeleteOptions{
		DeleteSnapshots: new(blob.DeleteSnapshotsOptionTypeInclude),
		AccessConditions: &blob.AccessConditions{
			ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfMatch: new(azcore.ETag(etag))},
		},
	})
	return err
}

// List implements [ledger.Store].
func (l *Ledger) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for item, err := range l.container.list(ctx, prefix) {
			if err != nil {
				yield("", err)
				return
			}
			// Leases lie beside the records, under names that no key has.
			if ledger.CheckKey(*item.Name) == nil && !yield(*item.Name, nil) {
				return
			}
		}
	}
}

// list yields the blobs whose names begin with prefix, in the order of their
// names, page after page.
func (c *Container) list(ctx context.Context, prefix string) iter.Seq2[*container.BlobItem, error] {
	return func(yield func(*container.BlobItem, error) bool) {
		options := &container.ListBlobsFlatOptions{Prefix: &prefix}
		if c.options.PageSize > 0 {
			options.MaxResults = &c.options.PageSize
		}
		pages := c.client.NewListBlobsFlatPager(options)
		for pages.More() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(nil, explain(ctx, err, fmt.Sprintf("list %q", prefix)))
				return
			}
			for _, item := range page.Segment.BlobItems {
				if item.Name != nil && item.Properties != nil && !yield(item, nil) {
					return
				}
			}
		}
	}
}
