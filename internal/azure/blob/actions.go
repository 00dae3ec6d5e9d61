package blob

// The data actions that the calls of this package need, as Azure's role
// definitions spell them. The custom roles in infra/ grant these and no
// others.
//
// Source: the permissions of each operation,
// https://learn.microsoft.com/rest/api/storageservices/authorize-with-azure-active-directory.
const (
	ReadBlobs    = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"
	AddBlobs     = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action"
	DeleteBlobs  = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete"
	DeleteOld    = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/deleteBlobVersion/action"
	ReadBlobTags = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/tags/read"
	// Blocks are staged and committed with it. It could overwrite, too: what
	// forbids that is the condition on the commit, and the immutability of the
	// container for whoever leaves it out.
	WriteBlobs    = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write"
	WriteBlobTags = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/tags/write"
)

// ClearerActions are what it takes to empty a landing into a vault, and to mark
// what is suspect. Scope: the landing's container.
func ClearerActions() []string {
	return []string{ReadBlobs, DeleteBlobs, ReadBlobTags, WriteBlobTags}
}

// WriterActions are what it takes to add files to a vault, and to see what is
// there. Scope: its container.
func WriterActions() []string {
	return []string{ReadBlobs, AddBlobs, WriteBlobs, ReadBlobTags, WriteBlobTags}
}

// DeleterActions are what it takes to delete what is due, with its versions.
// Scope: the containers of landing, vault and reports.
func DeleterActions() []string { return []string{ReadBlobs, DeleteBlobs, DeleteOld, ReadBlobTags} }
