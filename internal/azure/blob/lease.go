package blob

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	blobs "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/lease"

	"github.com/pcapwarden/pcapwarden/internal/ledger"
)

// held is a lease of the service on an empty blob that is there for it alone:
// a leased record could not be written without the lease.
type held struct {
	client *blobs.BlobClient
	doing  string
}

// Lease implements [ledger.Store].
func (l *Ledger) Lease(ctx context.Context, key string, d time.Duration) (ledger.Lease, error) {
	if err := ledger.CheckKey(key); err != nil {
		return nil, err
	}
	if err := ledger.CheckLease(d); err != nil {
		return nil, err
	}
	doing := fmt.Sprintf("lease %q", key)
	target := l.container.client.NewBlockBlobClient("$lease/" + key)
	client, err := blobs.NewBlobClient(target, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	seconds := int32((d + time.Second - 1) / time.Second)
	_, err = client.AcquireLease(ctx, seconds, nil)
	if missing(err) {
		_, err = target.Upload(ctx, streaming.NopCloser(bytes.NewReader(nil)), &blockblob.UploadOptions{
			AccessConditions: &blob.AccessConditions{
				ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfNoneMatch: new(azcore.ETagAny)},
			},
		})
		if err == nil || refused(err) || status(err) == http.StatusConflict {
			_, err = client.AcquireLease(ctx, seconds, nil)
		}
	}
	if lost(err) {
		return nil, fmt.Errorf("%s: %w", doing, ledger.ErrLeased)
	}
	if err != nil {
		return nil, explain(ctx, err, doing)
	}
	return &held{client, doing}, nil
}

// lost says whether the lease is another's.
func lost(err error) bool {
	return status(err) == http.StatusConflict || status(err) == http.StatusPreconditionFailed
}

// Renew implements [ledger.Lease].
func (h *held) Renew(ctx context.Context) error {
	_, err := h.client.RenewLease(ctx, nil)
	if lost(err) || missing(err) {
		return fmt.Errorf("renew %s: %w", h.doing, ledger.ErrLeased)
	}
	return explain(ctx, err, "renew "+h.doing)
}

// Release implements [ledger.Lease].
func (h *held) Release(ctx context.Context) error {
	_, err := h.client.ReleaseLease(ctx, nil)
	if lost(err) || missing(err) {
		return nil
	}
	return explain(ctx, err, "release "+h.doing)
}
