package netns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// RunRootless runs this program once more, with the given arguments and this
// process's environment and standard streams, as the root of a user namespace
// of its own. There [Open] works for everybody, and so does capturing in the
// namespace that Open makes; for files and the rest of the machine the
// program is who it was. It returns the program's exit code, or an error if
// the system does not let it start.
//
// When ctx ends, the program is interrupted; when this process dies, it is
// killed.
func RunRootless(ctx context.Context, args ...string) (exitCode int, err error) {
	if os.Geteuid() == 0 {
		return 0, errors.New("run rootless: this is root already")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Linux kills the child when the thread that started it ends, not
		// when the process does.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		exitCode, err = runRootless(ctx, args)
	}()
	<-done
	return exitCode, err
}

func runRootless(ctx context.Context, args []string) (int, error) {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}},
		Pdeathsig:   unix.SIGKILL,
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("run rootless: %w", err)
	}
	err := cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), nil
	}
	return 0, err
}
