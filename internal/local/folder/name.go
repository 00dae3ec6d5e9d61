package folder

import (
	"fmt"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/evidence"
)

// maxSegment is the longest file name, in bytes, of the usual file systems.
const maxSegment = 255

// plain are the characters that stand for themselves on every file system.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+=@, ()"

// pathOf returns where the file called name lies: under the same name, all
// unusual bytes written as %XX, so that no two names share a file and no name
// leads anywhere else.
func pathOf(name string) (string, error) {
	if err := evidence.CheckName(name); err != nil {
		return "", err
	}
	var b strings.Builder
	segment := 0
	for i := range len(name) {
		switch c := name[i]; {
		case c == '/':
			b.WriteByte(c)
			segment = b.Len()
			continue
		case strings.IndexByte(plain, c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
		if b.Len()-segment > maxSegment {
			return "", fmt.Errorf("%w: %q: a segment is too long for a file", evidence.ErrBadName, name[:min(len(name), maxSegment)])
		}
	}
	return b.String(), nil
}

// nameOf undoes pathOf for one segment; a file that pathOf could not have
// named is nobody's.
func nameOf(file string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(file); i++ {
		c := file[i]
		if c == '%' {
			if i+2 >= len(file) {
				return "", false
			}
			if _, err := fmt.Sscanf(file[i+1:i+3], "%02X", &c); err != nil {
				return "", false
			}
			i += 2
		}
		b.WriteByte(c)
	}
	name := b.String()
	back, err := pathOf(name)
	return name, err == nil && back == file
}
