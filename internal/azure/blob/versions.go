package blob

import (
	"context"
	"errors"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
)

// Purge deletes the versions that an account with versioning keeps of the
// files whose names begin with prefix and which are deleted, or were
// overwritten: without it evidence would be there for ever, where nobody
// lists it. It returns how many there were, and [evidence.ErrHeld] for one
// that immutability still keeps; all others are tried. Accounts without
// versioning keep none.
//
// A file cannot be deleted by the version that it currently is, so this comes
// after [Files.Delete].
// https://learn.microsoft.com/azure/storage/blobs/versioning-overview
func (s *Files) Purge(ctx context.Context, prefix string, wanted func(name string) bool) (int, error) {
	purged := 0
	var errs []error
	options := &container.ListBlobsFlatOptions{Prefix: &prefix, Include: container.ListBlobsInclude{Versions: true}}
	pages := s.container.client.NewListBlobsFlatPager(options)
	for pages.More() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return purged, errors.Join(append(errs, explain(ctx, err, fmt.Sprintf("list versions of %q", prefix)))...)
		}
		for _, item := range page.Segment.BlobItems {
			if item.Name == nil || item.VersionID == nil || item.IsCurrentVersion != nil && *item.IsCurrentVersion || !wanted(*item.Name) {
				continue
			}
			doing := fmt.Sprintf("delete version %s of file %q", *item.VersionID, *item.Name)
			version, err := s.container.client.NewBlobClient(*item.Name).WithVersionID(*item.VersionID)
			if err == nil {
				_, err = version.Delete(ctx, nil)
			}
			switch {
			case err == nil:
				purged++
			case !missing(err):
				errs = append(errs, fileError(ctx, err, doing))
			}
		}
	}
	return purged, errors.Join(errs...)
}
