package blob

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"github.com/pcapwarden/pcapwarden/internal/evidence"
)

// Files is an [evidence.Landing] and an [evidence.Vault] in a container. Blobs
// of all types can be read.
type Files struct{ container *Container }

var (
	_ evidence.Landing = (*Files)(nil)
	_ evidence.Vault   = (*Files)(nil)
)

// Files returns the container as a landing and a vault.
func (c *Container) Files() *Files { return &Files{c} }

// Create implements [evidence.Vault]. Nothing interrupts a Read of content
// that hangs; the context is looked at after each block.
func (s *Files) Create(ctx context.Context, name string, content io.Reader, tags map[string]string) (evidence.Info, error) {
	doing := fmt.Sprintf("create file %q", name)
	if err := check(name, tags); err != nil {
		return evidence.Info{}, fmt.Errorf("%s: %w", doing, err)
	}
	// Before anything is sent; what counts is the condition on the commit. An
	// immutable blob would not even take the blocks.
	if _, err := s.container.client.NewBlobClient(name).GetProperties(ctx, nil); err == nil {
		return evidence.Info{}, fmt.Errorf("%s: %w", doing, evidence.ErrExists)
	} else if !missing(err) {
		return evidence.Info{}, explain(ctx, err, doing)
	}
	writer := rand.Text()
	info, err := s.upload(ctx, name, content, &blockblob.CommitBlockListOptions{
		Tags:     tags,
		Metadata: map[string]*string{writerKey: &writer},
		AccessConditions: &blob.AccessConditions{
			ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfNoneMatch: new(azcore.ETagAny)},
		},
	})
	// Another's commit drops our blocks, so that ours may fail for the lack of
	// them rather than for the condition.
	if refused(err) || bloberror.HasCode(err, bloberror.InvalidBlockList, bloberror.BlobImmutableDueToPolicy) {
		etag, mine, lookErr := s.container.wrote(ctx, name, writer)
		switch {
		case lookErr == nil && mine:
			info.ETag, err = etag, nil
		case lookErr == nil:
			return evidence.Info{}, fmt.Errorf("%s: %w", doing, evidence.ErrExists)
		}
	}
	if err != nil {
		return evidence.Info{}, explain(ctx, err, doing)
	}
	info.Tags = maps.Clone(tags)
	return info, nil
}

// Put stores a file, in place of one that has the name. It is what a capture
// agent does to a landing; nobody does it to a vault.
func (s *Files) Put(ctx context.Context, name string, content io.Reader) (evidence.Info, error) {
	doing := fmt.Sprintf("put file %q", name)
	if err := check(name, nil); err != nil {
		return evidence.Info{}, fmt.Errorf("%s: %w", doing, err)
	}
	info, err := s.upload(ctx, name, content, &blockblob.CommitBlockListOptions{})
	if err != nil {
		return evidence.Info{}, explain(ctx, err, doing)
	}
	return info, nil
}

func check(name string, tags map[string]string) error {
	if err := evidence.CheckName(name); err != nil {
		return err
	}
	return evidence.CheckTags(tags)
}

// SetTags implements [evidence.Landing].
func (s *Files) SetTags(ctx context.Context, name string, tags map[string]string) error {
	doing := fmt.Sprintf("tag file %q", name)
	if err := check(name, tags); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	_, err := s.container.client.NewBlobClient(name).SetTags(ctx, tags, nil)
	return fileError(ctx, err, doing)
}

// Delete implements [evidence.Landing] and [evidence.Vault].
func (s *Files) Delete(ctx context.Context, name, etag string) error {
	doing := fmt.Sprintf("delete file %q", name)
	if err := evidence.CheckName(name); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return fileError(ctx, s.container.refine(ctx, name, s.container.remove(ctx, name, etag)), doing)
}

// fileError is explain for one file, with the sentinels of package evidence.
func fileError(ctx context.Context, err error, doing string) error {
	switch {
	case missing(err):
		return fmt.Errorf("%s: %w", doing, evidence.ErrNotFound)
	case status(err) == http.StatusPreconditionFailed:
		return fmt.Errorf("%s: %w", doing, evidence.ErrChanged)
	case bloberror.HasCode(err, bloberror.BlobImmutableDueToPolicy):
		return fmt.Errorf("%s: %w", doing, evidence.ErrHeld)
	}
	return explain(ctx, err, doing)
}

// List implements [evidence.Landing] and [evidence.Vault].
func (s *Files) List(ctx context.Context, prefix string) iter.Seq2[evidence.Info, error] {
	return func(yield func(evidence.Info, error) bool) {
		for item, err := range s.container.list(ctx, prefix) {
			if err != nil {
				yield(evidence.Info{}, err)
				return
			}
			p := item.Properties
			if evidence.CheckName(*item.Name) != nil || p.ETag == nil || p.ContentLength == nil || p.LastModified == nil {
				continue
			}
			info := evidence.Info{Name: *item.Name, Bytes: *p.ContentLength, ETag: quoted(*p.ETag), Modified: *p.LastModified}
			if !yield(info, nil) {
				return
			}
		}
	}
}

// quoted brings the ETag of a listing, which has no quotes, and that of a
// header, which has, to the form of the header.
func quoted(e azcore.ETag) string {
	if len(e) > 0 && e[0] != '"' && !e.WeakEquals(azcore.ETagAny) {
		return `"` + string(e) + `"`
	}
	return string(e)
}
