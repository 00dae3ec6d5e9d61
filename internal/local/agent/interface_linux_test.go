package agent

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/pcapwarden/pcapwarden/internal/local/arm"
	"github.com/pcapwarden/pcapwarden/internal/local/netns"
)

var (
	vm      = netip.MustParseAddr(machine)
	other   = netip.MustParseAddr("10.40.1.5")
	partner = netip.MustParseAddr("203.0.113.9")
)

func namespace(t *testing.T) *netns.Namespace {
	t.Helper()
	n, err := netns.Open([]netip.Addr{vm, other, partner})
	if errors.Is(err, fs.ErrPermission) {
		t.Skipf("needs the right to make a network namespace (root): %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

// talk makes traffic of several protocols, ports and machines: 20 rounds of a
// TCP conversation of 9000 bytes, UDP with an answer, UDP to a closed port
// (an ICMP error), and a refused TCP connection.
func talk(t *testing.T, n *netns.Namespace) {
	t.Helper()
	ctx := t.Context()
	for _, addr := range []netip.Addr{vm, other} {
		l, err := n.Listen(ctx, netip.AddrPortFrom(addr, 443))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				io.Copy(c, c)
				c.Close()
			}
		}()
	}
	dns, err := n.ListenPacket(ctx, netip.AddrPortFrom(partner, 53))
	if err != nil {
		t.Fatal(err)
	}
	defer dns.Close()
	client, err := n.ListenPacket(ctx, netip.AddrPortFrom(vm, 50053))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	buf := make([]byte, 9000)
	for range 20 {
		for _, addr := range []netip.Addr{vm, other} {
			c, err := n.Dial(ctx, partner, netip.AddrPortFrom(addr, 443))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Write(buf); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, buf); err != nil {
				t.Fatal(err)
			}
			c.Close()
		}
		if _, err := client.WriteTo([]byte("question"), net.UDPAddrFromAddrPort(netip.AddrPortFrom(partner, 53))); err != nil {
			t.Fatal(err)
		}
		_, from, err := dns.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := dns.WriteTo([]byte("answer"), from); err != nil {
			t.Fatal(err)
		}
		if _, _, err := client.ReadFrom(buf); err != nil {
			t.Fatal(err)
		}
		if _, err := client.WriteTo([]byte("anybody?"), net.UDPAddrFromAddrPort(netip.AddrPortFrom(partner, 9))); err != nil {
			t.Fatal(err)
		}
		if c, err := n.Dial(ctx, partner, netip.AddrPortFrom(vm, 8883)); !errors.Is(err, unix.ECONNREFUSED) {
			t.Fatalf("Dial(closed port) = %v, %v", c, err)
		}
	}
	// Connections that are closed say goodbye from the kernel's timers.
	time.Sleep(300 * time.Millisecond)
}

// tcpdump captures in the namespace with tcpdump until the returned function
// is called, which returns the file.
func tcpdump(t *testing.T, n *netns.Namespace, expression string) (stop func() []byte) {
	t.Helper()
	path, err := exec.LookPath("tcpdump")
	if err != nil {
		t.Skip("tcpdump is not installed")
	}
	file := filepath.Join(t.TempDir(), "tcpdump.pcap")
	cmd := exec.CommandContext(t.Context(), path, "-i", netns.Interface, "--immediate-mode", "-U", "-n", "-Z", "root",
		"-B", "16384", "-s", "0", "-w", file, expression)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(stderr)
	for said.Scan() && !strings.Contains(said.Text(), "listening on") {
	}
	return func() []byte {
		time.Sleep(200 * time.Millisecond)
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		lost := 0
		for said.Scan() {
			t.Log("tcpdump:", said.Text())
			if n, _, ok := strings.Cut(said.Text(), " packets dropped by kernel"); ok {
				lost, _ = strconv.Atoi(n)
			}
		}
		if err := cmd.Wait(); err != nil {
			t.Fatalf("tcpdump: %v", err)
		}
		if lost > 0 {
			t.Skipf("tcpdump lost %d packets, so there is nothing to compare with: the machine is busy", lost)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}

func TestCapturesWhatTcpdumpCaptures(t *testing.T) {
	for _, name := range []string{"partner", "port_list", "address_without_port_takes_icmp_and_fragments", "no_filters"} {
		t.Run(name, func(t *testing.T) { compareWithTcpdump(t, name) })
	}
}

func compareWithTcpdump(t *testing.T, filter string) {
	n := namespace(t)
	l := newLab(t, Interface{Name: netns.Interface, Do: n.Do})
	var s arm.Session
	var stop func() []byte
	for _, tt := range filterTests {
		if tt.name == filter {
			stop = tcpdump(t, n, tt.tcpdump)
			s = l.session(func(s *arm.Session) { s.Filters, s.TimeLimit = tt.filters, time.Minute })
		}
	}
	if err := l.Start(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	talk(t, n)
	if err := l.Stop(s.ID); err != nil {
		t.Fatal(err)
	}
	after := time.Now()

	got, want := records(t, bytes.NewReader(l.landed[s.BlobName])), records(t, bytes.NewReader(stop()))
	bare := func(in []byte) string { return fmt.Sprintf("%x", in) }
	var gotFrames, wantFrames []string
	for _, r := range got {
		if r.Time.Time().Before(before) || r.Time.Time().After(after) {
			t.Errorf("packet %d at %v, outside of %v to %v", r.Number, r.Time.Time(), before, after)
		}
		gotFrames = append(gotFrames, bare(r.Data))
	}
	for _, r := range want {
		wantFrames = append(wantFrames, bare(r.Data))
	}
	t.Logf("%d packets, tcpdump %d", len(got), len(want))
	if diff := cmp.Diff(wantFrames, gotFrames); diff != "" {
		t.Errorf("captured %d packets, tcpdump %d", len(got), len(want))
		if len(diff) > 4000 {
			diff = diff[:4000] + "..."
		}
		t.Error(diff)
	}
	if len(got) == 0 {
		t.Error("nothing was captured")
	}
	for _, o := range l.outcomes {
		if len(o.Errors) > 0 {
			t.Errorf("the capture says %q", o.Errors)
		}
	}
}

// A burst that sits in the socket when the capture is stopped is captured.
func TestStopDrainsTheSocket(t *testing.T) {
	n := namespace(t)
	tap, err := Interface{Name: netns.Interface, Do: n.Do}.Tap(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	c, err := n.ListenPacket(t.Context(), netip.AddrPortFrom(vm, 53))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	time.Sleep(100 * time.Millisecond) // until the kernel stamps packets itself
	const burst = 1000
	for i := range burst + 1 {
		if i == burst {
			tap.End() // and one more, too late
		}
		if _, err := c.WriteTo(make([]byte, 100), c.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	tap.End()
	got := 0
	for {
		_, err := tap.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got++
	}
	if got != burst {
		t.Errorf("%d packets, want %d", got, burst)
	}
	if dropped, err := tap.Dropped(); dropped != 0 || err != nil {
		t.Errorf("Dropped = %d, %v", dropped, err)
	}
}

// What comes faster than it is read is counted, not passed over.
func TestLossIsCounted(t *testing.T) {
	n := namespace(t)
	tap, err := Interface{Name: netns.Interface, Do: n.Do}.Tap(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	raw := tap.(*socketTap).raw
	if err := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096)
	}); err != nil {
		t.Fatal(err)
	}
	c, err := n.ListenPacket(t.Context(), netip.AddrPortFrom(vm, 53))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 200 {
		if _, err := c.WriteTo(make([]byte, 1000), c.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	if dropped, err := tap.Dropped(); dropped == 0 || err != nil {
		t.Errorf("Dropped = %d, %v, want many", dropped, err)
	}
}

// Without the right to capture there is an error that says so, so that the
// caller can fall back.
func TestTapWithoutTheRight(t *testing.T) {
	if os.Getenv("PCAPWARDEN_TEST_TAP") != "" {
		tap, err := Interface{Name: netns.Interface}.Tap(t.Context())
		if err == nil {
			tap.Close()
		}
		fmt.Printf("permission error: %v: %v\n", errors.Is(err, fs.ErrPermission), err)
		return
	}
	if os.Getuid() != 0 {
		t.Skip("needs root, to give rights up")
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestTapWithoutTheRight$")
	cmd.Dir = "/"
	cmd.Env = []string{"PCAPWARDEN_TEST_TAP=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "permission error: true") {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
}
