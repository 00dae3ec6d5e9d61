// Package failpoint lets a test kill the process at a named step, as the
// Functions host and the kernel do without warning.
//
// It is compiled in, so that what is tested is what runs, and off unless the
// one setting that arms it is given.
package failpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
)

var armed atomic.Pointer[point]

type point struct{ name, marker string }

// Arm sets the one failpoint from a setting of the form NAME@FILE: the first
// process that comes to the step NAME writes FILE and is killed; once FILE is
// there, nothing happens any more. The empty setting disarms.
func Arm(setting string) error {
	if setting == "" {
		armed.Store(nil)
		return nil
	}
	name, marker, ok := strings.Cut(setting, "@")
	if !ok || name == "" || marker == "" {
		return fmt.Errorf("failpoint %q: want NAME@FILE", setting)
	}
	armed.Store(&point{name, marker})
	return nil
}

// Here is the step name. It returns, unless a test armed this very step.
func Here(name string) {
	p := armed.Load()
	if p == nil || p.name != name {
		return
	}
	f, err := os.OpenFile(p.marker, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		panic(fmt.Sprintf("failpoint %s: %v", name, err)) // a test that can't fail once would fail for ever
	}
	kill()
}
