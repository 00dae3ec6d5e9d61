package netns

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var (
	server = netip.MustParseAddr("10.99.1.4")
	client = netip.MustParseAddr("203.0.113.9")
)

func open(t *testing.T) *Namespace {
	t.Helper()
	n, err := Open([]netip.Addr{server, client})
	if errors.Is(err, fs.ErrPermission) {
		t.Skipf("needs the right to make a network namespace (root): %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

// inode names the namespace behind /proc/.../ns/net.
func inode(t *testing.T, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// socketInode names the namespace that a socket belongs to.
func socketInode(t *testing.T, c any) uint64 {
	t.Helper()
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	control := raw.Control(func(fd uintptr) {
		var ns int
		if ns, err = unix.IoctlRetInt(int(fd), unix.SIOCGSKNS); err == nil {
			err = unix.Fstat(ns, &st)
			unix.Close(ns)
		}
	})
	if err := errors.Join(control, err); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

func TestSocketsLiveInside(t *testing.T) {
	n := open(t)
	var inside uint64
	if err := n.Do(func() error {
		inside = inode(t, fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if outside := inode(t, "/proc/self/ns/net"); inside == outside {
		t.Fatalf("the thread's namespace is the process's own, %d", inside)
	}

	l, err := n.Listen(t.Context(), netip.AddrPortFrom(server, 443))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := n.Dial(t.Context(), client, netip.AddrPortFrom(server, 443))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p, err := n.ListenPacket(t.Context(), netip.AddrPortFrom(server, 53))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for name, socket := range map[string]any{"Listen": l, "Dial": c, "ListenPacket": p} {
		if got := socketInode(t, socket); got != inside {
			t.Errorf("%s made a socket in namespace %d, want %d", name, got, inside)
		}
	}

	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	if got := accepted.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap(); got != client {
		t.Errorf("peer is %v, want %v", got, client)
	}
	if _, err := c.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4)
	if _, err := io.ReadFull(accepted, buf); err != nil || string(buf) != "ping" {
		t.Errorf("read %q, %v", buf, err)
	}
}

// Only the addresses that were asked for answer: not the /8 around them.
func TestNeighbourIsAbsent(t *testing.T) {
	n := open(t)
	c, err := n.Dial(t.Context(), client, netip.MustParseAddrPort("10.99.1.5:443"))
	if err == nil {
		c.Close()
	}
	if !errors.Is(err, unix.ENETUNREACH) {
		t.Errorf("Dial(neighbour) = %v, want %v", err, unix.ENETUNREACH)
	}
}

func TestTwoNamespacesDoNotMeet(t *testing.T) {
	a, b := open(t), open(t)
	for _, n := range []*Namespace{a, b} {
		l, err := n.Listen(t.Context(), netip.AddrPortFrom(server, 443))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
}

func TestClosedNamespaceLeavesNoThread(t *testing.T) {
	outside := inode(t, "/proc/self/ns/net")
	awaitStrangers(t, outside, 0) // of the tests before
	n := open(t)
	awaitStrangers(t, outside, 1)
	n.Close()
	n.Close()
	if err := n.Do(func() error { return nil }); err == nil {
		t.Error("Do works after Close")
	}
	awaitStrangers(t, outside, 0)
}

func awaitStrangers(t *testing.T, outside uint64, want int) {
	t.Helper()
	got := strangers(t, outside)
	for range 500 {
		if got == want {
			return
		}
		time.Sleep(10 * time.Millisecond) // a thread's end is the kernel's to tell
		got = strangers(t, outside)
	}
	t.Fatalf("%d threads in a namespace of their own, want %d", got, want)
}

// strangers counts this process's threads outside of the given namespace.
func strangers(t *testing.T, outside uint64) (count int) {
	t.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		var st unix.Stat_t
		err := unix.Stat(task, &st)
		switch {
		case err == nil && st.Ino != outside:
			count++
		case err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ESRCH) && !strings.Contains(err.Error(), "permission"):
			t.Fatal(err)
		}
	}
	return count
}
