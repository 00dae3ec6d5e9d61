package custody

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"runtime/debug"
	"sync"
)

// ThisTool is the program that runs. Its binary is hashed once, at the first
// call, from the file that the process was started from: what replaced it
// since is another program.
func ThisTool(version string) Tool {
	t := built()
	t.Version = version
	return t
}

var built = sync.OnceValue(func() Tool {
	t := Tool{Name: "pcapwarden", SHA256: binary()}
	if b, ok := debug.ReadBuildInfo(); ok {
		t.Go = b.GoVersion
		for _, s := range b.Settings {
			if s.Key == "vcs.revision" {
				t.Commit = s.Value
			}
		}
	}
	return t
})

// binary hashes the running program; "" where the system does not show it.
func binary() string {
	f, err := os.Open("/proc/self/exe") // the very file, even if its name leads to another by now
	if err != nil {
		name, nameErr := os.Executable()
		if nameErr != nil {
			return ""
		}
		if f, err = os.Open(name); err != nil {
			return ""
		}
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))
}
