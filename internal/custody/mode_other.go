//go:build !unix

package custody

import "io/fs"

// othersRead can't tell: permissions are elsewhere on this system.
func othersRead(fs.FileInfo) bool { return false }
