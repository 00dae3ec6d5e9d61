package functionshost

import (
	"os"
	"os/exec"
	"syscall"
)

// isolate makes the handler a process group that dies with the thread that
// starts it.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// kill ends the handler and what it started, at once, as the host does.
func kill(p *os.Process) {
	syscall.Kill(-p.Pid, syscall.SIGKILL) // fails when all have ended
}
