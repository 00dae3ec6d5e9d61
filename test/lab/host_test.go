//go:build linux

package lab

import (
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pcapwarden/pcapwarden/internal/local/netns"
)

// A host is a machine: a network namespace, in which any number of
// goroutines may have business at once.
type host struct {
	t      *testing.T
	name   string
	handle *os.File // of the namespace
	leave  []func() // says goodbye to whom it talked with
}

func newHost(t *testing.T, name string) *host {
	t.Helper()
	ns, err := netns.Open(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close() // the handle keeps it
	h := &host{t: t, name: name}
	err = ns.Do(func() (err error) {
		h.handle, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.handle.Close() })
	// Neighbour discovery is not what the cases are about.
	h.set("ipv6/conf/all/disable_ipv6", "1")
	h.set("ipv6/conf/default/disable_ipv6", "1")
	return h
}

// path names the host's namespace for programs that this one starts.
func (h *host) path() string {
	return filepath.Join("/proc", strconv.Itoa(os.Getpid()), "fd", strconv.Itoa(int(h.handle.Fd())))
}

// do calls f on a thread of the host. Sockets that f makes on its own
// goroutine, and programs that it starts, are the host's.
func (h *host) do(f func() error) error {
	done := make(chan error, 1)
	go func() {
		// Never unlocked: the thread ends with the goroutine.
		runtime.LockOSThread()
		if err := unix.Setns(int(h.handle.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- os.NewSyscallError("setns", err)
			return
		}
		done <- f()
	}()
	return <-done
}

// must is do for what can't go wrong unless the lab is broken.
func (h *host) must(f func() error) {
	h.t.Helper()
	if err := h.do(f); err != nil {
		h.t.Fatalf("%s: %v", h.name, err)
	}
}

// feed runs a program on the host, with the given input.
func (h *host) feed(input, program string, args ...string) {
	h.t.Helper()
	h.must(func() error {
		cmd := exec.CommandContext(h.t.Context(), program, args...)
		cmd.Stdin = strings.NewReader(input)
		out, err := cmd.CombinedOutput()
		if err != nil {
			h.t.Logf("%s %s: %s\n%s", program, strings.Join(args, " "), out, input)
		}
		return err
	})
}

// ip runs commands of ip(8), one a line.
func (h *host) ip(commands string) {
	h.t.Helper()
	h.feed(commands, "ip", "-batch", "-")
}

// filter adds nftables rules, one a line, to a chain of the host: input,
// forward or output.
func (h *host) filter(chain string, rules ...string) {
	h.t.Helper()
	h.feed("table ip "+chain+" {\nchain rules {\ntype filter hook "+chain+" priority 0;\n"+strings.Join(rules, "\n")+"\n}\n}\n", "nft", "-f", "-")
}

// set changes a kernel parameter of the host's, below /proc/sys/net.
func (h *host) set(parameter, value string) {
	h.t.Helper()
	h.must(func() error { return os.WriteFile("/proc/sys/net/"+parameter, []byte(value), 0) })
}

// dial connects by TCP. An option may change the socket before it connects.
func (h *host) dial(to netip.AddrPort, timeout time.Duration, options ...func(*net.Dialer)) (c net.Conn, err error) {
	d := net.Dialer{Timeout: timeout, KeepAlive: -1}
	for _, o := range options {
		o(&d)
	}
	err = h.do(func() (err error) {
		c, err = d.DialContext(h.t.Context(), "tcp4", to.String())
		return err
	})
	if err == nil {
		h.t.Cleanup(func() { c.Close() })
	}
	return c, err
}

// from gives a connection its own address.
func from(addr netip.Addr) func(*net.Dialer) {
	return func(d *net.Dialer) { d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)) }
}

// connect is dial for what has to work.
func (h *host) connect(to netip.AddrPort, options ...func(*net.Dialer)) net.Conn {
	h.t.Helper()
	c, err := h.dial(to, 10*time.Second, options...)
	if err != nil {
		h.t.Fatalf("%s: %v", h.name, err)
	}
	return c
}

// listen listens for TCP connections.
func (h *host) listen(at netip.AddrPort) (l net.Listener) {
	h.t.Helper()
	lc := net.ListenConfig{KeepAlive: -1}
	lc.SetMultipathTCP(false) // SO_LINGER 0 must mean a RST
	h.must(func() (err error) {
		l, err = lc.Listen(h.t.Context(), "tcp4", at.String())
		return err
	})
	h.t.Cleanup(func() { l.Close() })
	return l
}

// serve calls talk for every connection, and closes it afterwards.
func (h *host) serve(at netip.AddrPort, talk func(c *net.TCPConn)) {
	h.t.Helper()
	l := h.listen(at)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				talk(c.(*net.TCPConn))
			}()
		}
	}()
}

// packets opens a UDP socket.
func (h *host) packets(at netip.AddrPort) (c net.PacketConn) {
	h.t.Helper()
	h.must(func() (err error) {
		var lc net.ListenConfig
		c, err = lc.ListenPacket(context.Background(), "udp4", at.String())
		return err
	})
	h.t.Cleanup(func() { c.Close() })
	return c
}

// dialPackets opens a UDP socket that talks to one address.
func (h *host) dialPackets(to netip.AddrPort) (c net.Conn) {
	h.t.Helper()
	h.must(func() (err error) {
		var d net.Dialer
		c, err = d.DialContext(h.t.Context(), "udp4", to.String())
		return err
	})
	return c
}
