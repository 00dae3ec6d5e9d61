//go:build !linux

package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// A Namespace needs Linux.
type Namespace struct{}

// Open fails: there are no network namespaces here.
func Open(addrs []netip.Addr) (*Namespace, error) {
	return nil, fmt.Errorf("open network namespace: %w", errors.ErrUnsupported)
}

// Do fails.
func (*Namespace) Do(func() error) error { return errors.ErrUnsupported }

// Listen fails.
func (*Namespace) Listen(context.Context, netip.AddrPort) (net.Listener, error) {
	return nil, errors.ErrUnsupported
}

// ListenPacket fails.
func (*Namespace) ListenPacket(context.Context, netip.AddrPort) (net.PacketConn, error) {
	return nil, errors.ErrUnsupported
}

// Dial fails.
func (*Namespace) Dial(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) {
	return nil, errors.ErrUnsupported
}

// Restore does nothing.
func (*Namespace) Restore([]byte) {}

// Close does nothing.
func (*Namespace) Close() error { return nil }

// RunRootless fails: there are no user namespaces here.
func RunRootless(context.Context, ...string) (exitCode int, err error) {
	return 0, fmt.Errorf("run rootless: %w", errors.ErrUnsupported)
}
