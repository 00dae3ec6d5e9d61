package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// A Namespace is a network namespace that lives in one thread of this
// process. It has no name and no file: when the thread and the sockets made
// in it are gone, for whatever reason, so is the namespace. Its loopback is
// its whole world.
//
// Its methods may be called from several goroutines.
type Namespace struct {
	calls  chan func()
	closed chan struct{}
	close  func()
}

// Open makes a namespace whose loopback has the given IPv4 addresses, each
// once. It takes the right to unshare (CAP_SYS_ADMIN); without it the error
// is an [io/fs.ErrPermission].
func Open(addrs []netip.Addr) (*Namespace, error) {
	if err := checkAddresses(addrs); err != nil {
		return nil, err
	}
	n := &Namespace{calls: make(chan func()), closed: make(chan struct{})}
	n.close = sync.OnceFunc(func() { close(n.closed) })
	ready := make(chan error)
	go n.run(addrs, ready)
	if err := <-ready; err != nil {
		return nil, fmt.Errorf("open network namespace: %w", err)
	}
	return n, nil
}

func (n *Namespace) run(addrs []netip.Addr, ready chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// The main thread cannot end before the process does: leave it alone.
		moved := make(chan error)
		go n.run(addrs, moved)
		ready <- <-moved
		runtime.UnlockOSThread()
		return
	}
	// Never unlocked: Go ends a thread whose goroutine returns locked, and no
	// other goroutine ever wakes up in the wrong namespace.
	err := unix.Unshare(unix.CLONE_NEWNET)
	if err == nil {
		err = addAddresses(addrs)
	}
	ready <- err
	if err != nil {
		return
	}
	for {
		select {
		case call := <-n.calls:
			call()
		case <-n.closed:
			return
		}
	}
}

// mtu is a virtual network's, so that connections agree on a segment size
// that is seen there.
const mtu = 1500

// addAddresses gives the loopback of the calling thread's namespace the
// addresses, one alias each, and brings it up.
func addAddresses(addrs []netip.Addr) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open control socket: %w", err)
	}
	defer unix.Close(fd)

	lo, err := unix.NewIfreq(Interface)
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, lo); err != nil {
		return fmt.Errorf("read flags of %s: %w", Interface, err)
	}
	lo.SetUint16(lo.Uint16() | unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("bring %s up: %w", Interface, err)
	}
	lo.SetUint32(mtu)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFMTU, lo); err != nil {
		return fmt.Errorf("set MTU of %s: %w", Interface, err)
	}
	for i, addr := range addrs {
		if err := addAlias(fd, fmt.Sprintf("%s:%d", Interface, i+1), addr); err != nil {
			return fmt.Errorf("add %v to %s: %w", addr, Interface, err)
		}
	}
	return nil
}

func addAlias(fd int, label string, addr netip.Addr) error {
	ip := addr.As4()
	alias, err := unix.NewIfreq(label)
	if err != nil {
		return err
	}
	if err := alias.SetInet4Addr(ip[:]); err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFADDR, alias); err != nil {
		return err
	}
	// The kernel takes the mask of the address's old class, and all of
	// 10.0.0.0/8 would answer.
	if err := alias.SetInet4Addr([]byte{255, 255, 255, 255}); err != nil {
		return err
	}
	return unix.IoctlIfreq(fd, unix.SIOCSIFNETMASK, alias)
}

// Do calls f on the namespace's thread, one call at a time, and returns what
// f returns. Sockets that f makes on its own goroutine belong to the
// namespace for ever, and may be used anywhere.
func (n *Namespace) Do(f func() error) error {
	result := make(chan error, 1)
	select {
	case n.calls <- func() { result <- f() }:
		return <-result
	case <-n.closed:
		return errClosed
	}
}

var errClosed = errors.New("network namespace is closed")

// Listen listens for TCP connections on one of the namespace's addresses.
func (n *Namespace) Listen(ctx context.Context, addr netip.AddrPort) (l net.Listener, err error) {
	err = n.Do(func() (err error) {
		l, err = listen(ctx, addr)
		return err
	})
	return l, err
}

// ListenPacket opens a UDP socket on one of the namespace's addresses.
func (n *Namespace) ListenPacket(ctx context.Context, addr netip.AddrPort) (c net.PacketConn, err error) {
	err = n.Do(func() (err error) {
		c, err = listenPacket(ctx, addr)
		return err
	})
	return c, err
}

// Dial connects to remote by TCP from the address local. While it waits for
// an answer, which on a loopback comes at once, other calls wait too.
func (n *Namespace) Dial(ctx context.Context, local netip.Addr, remote netip.AddrPort) (c net.Conn, err error) {
	err = n.Do(func() (err error) {
		c, err = dial(ctx, local, remote)
		return err
	})
	return c, err
}

// Restore does nothing: packets carry the addresses that they should.
func (n *Namespace) Restore([]byte) {}

// Close ends the namespace's thread. Sockets stay usable until they are
// closed; the last one takes the namespace along.
func (n *Namespace) Close() error {
	n.close()
	return nil
}
