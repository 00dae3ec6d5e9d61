package main

import (
	"context"
	"fmt"
	"runtime/debug"
)

func version(_ context.Context, e environment, _ []string) int {
	fmt.Fprintln(e.stdout, "pcapwarden", buildVersion())
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
