//go:build unix

package custody

import "io/fs"

func othersRead(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 != 0 }
