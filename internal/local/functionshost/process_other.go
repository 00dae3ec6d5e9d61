//go:build !linux

package functionshost

import (
	"os"
	"os/exec"
)

// isolate does nothing here: a handler outlives a host that is killed.
func isolate(*exec.Cmd) {}

// kill ends the handler at once, as the host does.
func kill(p *os.Process) {
	p.Kill() // fails when it has ended
}
