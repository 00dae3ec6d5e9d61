package blob

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"github.com/pcapwarden/pcapwarden/internal/evidence"
)

// uploads is how many blocks are on their way at once.
const uploads = 2

// maxBlocks is the service's limit: 195 GiB in blocks of 4 MiB.
// https://learn.microsoft.com/azure/storage/blobs/scalability-targets
const maxBlocks = 50_000

// upload stages content as blocks and commits them as a file under the
// conditions of commit. Until then nothing can be seen of it, and the service
// drops blocks that nobody commits. Even with an error it says how much it
// read.
//
// The SDK's UploadStream sends a small file in one request instead, with other
// rules when an earlier upload was abandoned, and passes the reader's errors
// off as its own.
func (s *Files) upload(ctx context.Context, name string, content io.Reader, commit *blockblob.CommitBlockListOptions) (evidence.Info, error) {
	info := evidence.Info{Name: name}
	target := s.container.client.NewBlockBlobClient(name)
	stageCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	buffers := make(chan []byte, uploads)
	for range uploads {
		buffers <- nil // made when it is needed
	}
	// Two uploads of one name must not mix: each names its blocks its own way,
	// at the one length that the service wants.
	upload := rand.Text()
	var ids []string
	var staging sync.WaitGroup
	var readErr error
	for readErr == nil && stageCtx.Err() == nil {
		var buffer []byte
		select {
		case buffer = <-buffers:
		case <-stageCtx.Done():
			continue
		}
		if buffer == nil {
			buffer = make([]byte, s.container.options.RangeBytes)
		}
		var n int
		n, readErr = io.ReadFull(content, buffer)
		info.Bytes += int64(n)
		if errors.Is(readErr, io.ErrUnexpectedEOF) {
			readErr = io.EOF
		}
		if n == 0 {
			continue
		}
		if len(ids) == maxBlocks {
			readErr = fmt.Errorf("more than %d bytes", maxBlocks*s.container.options.RangeBytes)
			continue
		}
		id := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s-%08d", upload, len(ids)))
		ids = append(ids, id)
		staging.Go(func() {
			if _, err := target.StageBlock(stageCtx, id, streaming.NopCloser(bytes.NewReader(buffer[:n])), nil); err != nil {
				cancel(err)
			}
			buffers <- buffer // never waits
		})
	}
	if readErr != nil && readErr != io.EOF {
		cancel(readErr)
	}
	staging.Wait()
	if stageCtx.Err() != nil {
		return info, context.Cause(stageCtx)
	}
	commit.HTTPHeaders = &blob.HTTPHeaders{BlobContentType: new("application/octet-stream")}
	done, err := target.CommitBlockList(ctx, ids, commit)
	if err != nil {
		return info, err
	}
	info.ETag, info.Modified = string(*done.ETag), *done.LastModified
	return info, nil
}
