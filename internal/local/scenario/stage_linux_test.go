package scenario

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pcapwarden/pcapwarden/internal/local/netns"
)

// TestStageFollowsRights runs itself as somebody else, with the rights that
// such a user may have.
func TestStageFollowsRights(t *testing.T) {
	const self = "-test.run=^TestStageFollowsRights$"
	switch os.Getenv("PCAPWARDEN_TEST_STAGE") {
	case "rootless":
		if os.Geteuid() != 0 {
			if _, err := netns.RunRootless(t.Context(), self); err != nil {
				fmt.Println("stage: refused:", err)
			}
			return
		}
		fallthrough
	case "plain":
		s, _ := Find("partner-tls")
		stage, err := s.Stage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer stage.Close()
		fmt.Printf("stage: real %v: %s\n", stage.Real, stage.Description)
		return
	}
	if os.Getuid() != 0 {
		t.Skip("needs root, to give rights up")
	}
	tests := []struct {
		name, mode string
		rights     []uintptr
		want       string
	}{
		{"none", "plain", nil, "stage: real false: recorded packets, replayed, since this process may not capture"},
		{"capture", "plain", []uintptr{unix.CAP_NET_RAW, unix.CAP_NET_BIND_SERVICE}, "stage: real true: real packets, on the loopback"},
		{"capture_but_no_low_ports", "plain", []uintptr{unix.CAP_NET_RAW}, "stage: real false: recorded packets"},
		{"none_but_rootless", "rootless", nil, "stage: real true: real packets, in a network namespace"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if low, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start"); tt.name == "capture_but_no_low_ports" && err == nil {
				if first, err := strconv.Atoi(strings.TrimSpace(string(low))); err == nil && first <= 443 {
					t.Skip("everybody may serve low ports here")
				}
			}
			cmd := exec.CommandContext(t.Context(), "/proc/self/exe", self)
			cmd.Dir = "/"
			cmd.Env = []string{"PCAPWARDEN_TEST_STAGE=" + tt.mode}
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Credential:  &syscall.Credential{Uid: 65534, Gid: 65534},
				AmbientCaps: tt.rights,
			}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if strings.Contains(string(out), "stage: refused") {
				t.Skipf("this system has no user namespaces for users: %s", out)
			}
			if !strings.Contains(string(out), tt.want) {
				t.Errorf("as nobody: want %q in\n%s", tt.want, out)
			}
		})
	}
}
