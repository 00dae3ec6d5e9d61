package main

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/pcapwarden/pcapwarden/internal/custody"
)

// version prints what was built, and from what. The hash is that of this very
// binary, and of the manifest of all evidence that it handles: whoever builds
// the commit with this Go has the same.
func version(_ context.Context, e environment, _ []string) int {
	t := custody.ThisTool(buildVersion())
	fmt.Fprintf(e.stdout, "pcapwarden %s\ncommit     %s\ngo         %s %s/%s\nsha256     %s\n",
		t.Version, cmp.Or(t.Commit, "unknown"), t.Go, runtime.GOOS, runtime.GOARCH, cmp.Or(t.SHA256, "unknown"))
	return exitOK
}

// buildVersion is the module's version, or the commit that was built.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+changes"
		}
	}
	switch {
	case revision != "":
		return revision + dirty
	case info.Main.Version != "":
		return info.Main.Version
	}
	return "unknown"
}
