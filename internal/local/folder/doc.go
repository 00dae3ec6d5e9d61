// Package folder is a directory that keeps the promises of the storage
// account and of the Service Bus queue, for runs that have neither.
//
// A person can read it: a file lies under its own name, a message is one JSON
// file as it was sent. What the package itself needs (locks, tags, leases,
// half-written files) lies beside them in a subdirectory whose name starts
// with "$". Any number of processes may use one directory at once, and any of
// them may be killed at any moment: a file appears whole or not at all.
//
// The directory has to be on a local file system.
package folder

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// Path returns the directory of a setting of the form "file:DIR" or
// "file:///DIR".
func Path(setting string) (string, error) {
	dir, ok := strings.CutPrefix(setting, "file:")
	if !ok {
		return "", fmt.Errorf("folder: want file:DIR")
	}
	if strings.HasPrefix(dir, "//") {
		u, err := url.Parse(setting)
		if err != nil || u.Host != "" && u.Host != "localhost" || u.RawQuery != "" || u.Fragment != "" {
			return "", fmt.Errorf("folder %q: want file:DIR or file:///DIR", setting)
		}
		dir = u.Path
	}
	if dir == "" {
		return "", fmt.Errorf("folder %q: no directory given", setting)
	}
	return filepath.FromSlash(dir), nil
}
