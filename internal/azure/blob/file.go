package blob

import (
	"context"
	"fmt"
	"io"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"

	"github.com/pcapwarden/pcapwarden/internal/evidence"
)

// file is one version of a blob.
type file struct {
	store *Files
	info  evidence.Info
}

// Open implements [evidence.Landing] and [evidence.Vault]. Reading the tags
// of a file that has some needs their permission, which the role Storage Blob
// Data Owner holds and Storage Blob Data Reader does not.
func (s *Files) Open(ctx context.Context, name string) (evidence.File, error) {
	doing := fmt.Sprintf("open file %q", name)
	if err := evidence.CheckName(name); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	client := s.container.client.NewBlobClient(name)
	p, err := client.GetProperties(ctx, nil)
	if err != nil {
		return nil, fileError(ctx, err, doing)
	}
	info := evidence.Info{Name: name, Bytes: *p.ContentLength, ETag: string(*p.ETag), Modified: *p.LastModified}
	if p.TagCount != nil && *p.TagCount > 0 {
		got, err := client.GetTags(ctx, nil)
		if err != nil {
			return nil, fileError(ctx, err, doing+": read tags")
		}
		info.Tags = make(map[string]string, len(got.BlobTagSet))
		for _, tag := range got.BlobTagSet {
			if tag.Key != nil && tag.Value != nil {
				info.Tags[*tag.Key] = *tag.Value
			}
		}
	}
	return &file{s, info}, nil
}

// Info implements [evidence.File].
func (f *file) Info() evidence.Info { return f.info }

// Reader implements [evidence.File]. Before it returns it looks whether the
// file is still this version.
func (f *file) Reader(ctx context.Context) (io.ReadCloser, error) {
	doing := fmt.Sprintf("read file %q", f.info.Name)
	client := f.store.container.client.NewBlobClient(f.info.Name)
	if _, err := client.GetProperties(ctx, &blob.GetPropertiesOptions{AccessConditions: f.unchanged()}); err != nil {
		return nil, fileError(ctx, f.store.container.refine(ctx, f.info.Name, err), doing)
	}
	options := f.store.container.options
	fetch := func(ctx context.Context, offset int64, into []byte) error {
		got, err := client.DownloadStream(ctx, &blob.DownloadStreamOptions{
			Range:            blob.HTTPRange{Offset: offset, Count: int64(len(into))},
			AccessConditions: f.unchanged(),
		})
		if err != nil {
			return fileError(ctx, f.store.container.refine(ctx, f.info.Name, err), doing)
		}
		body := got.NewRetryReader(ctx, &blob.RetryReaderOptions{MaxRetries: 4, EarlyCloseAsError: true})
		defer body.Close()
		if _, err := io.ReadFull(body, into); err != nil {
			return fileError(ctx, f.store.container.refine(ctx, f.info.Name, err), doing)
		}
		return nil
	}
	return newStream(ctx, f.info.Bytes, options.RangeBytes, options.Parallel, fetch), nil
}

// unchanged is the condition on every request: this version or none.
func (f *file) unchanged() *blob.AccessConditions {
	return &blob.AccessConditions{
		ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfMatch: new(azcore.ETag(f.info.ETag))},
	}
}
