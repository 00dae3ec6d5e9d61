package netns

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// TestRootlessDiesWithItsParent runs itself as somebody without rights, which
// runs itself as root of a user namespace, and kills the one in the middle.
func TestRootlessDiesWithItsParent(t *testing.T) {
	const self = "-test.run=^TestRootlessDiesWithItsParent$"
	if os.Getenv("PCAPWARDEN_TEST_ROOTLESS") != "" {
		if os.Geteuid() == 0 {
			fmt.Println(os.Getpid())
			time.Sleep(time.Minute)
		} else if _, err := RunRootless(t.Context(), self); err != nil {
			fmt.Println("refused:", err)
		}
		return
	}
	if os.Getuid() != 0 {
		t.Skip("needs root, to give rights up")
	}
	if _, err := RunRootless(t.Context(), self); err == nil {
		t.Error("root runs rootless")
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", self)
	cmd.Dir = "/"
	cmd.Env = []string{"PCAPWARDEN_TEST_ROOTLESS=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var child int
	if _, err := fmt.Sscan(line, &child); err != nil {
		cmd.Wait()
		t.Skipf("this system has no user namespaces for users: %s", line)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	for range 500 {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
		if err != nil || bytes.Contains(stat, []byte(") Z ")) { // dead, whether or not somebody buried it
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("process %d is still there", child)
}
