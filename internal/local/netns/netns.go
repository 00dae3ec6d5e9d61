// Package netns lets one process be several machines: it gives addresses such
// as 10.40.1.4 and 203.0.113.9 to sockets of this process, in a network
// namespace of its own or, where that is refused, on the host's loopback.
package netns

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// Interface is the only one of a [Namespace] and of a [Loopback]: what is
// captured is captured there.
const Interface = "lo"

// The addresses here are literals, so that net resolves nothing and makes the
// socket on the calling goroutine: whoever locked it to a thread of another
// namespace gets a socket of that namespace. TestSocketsLiveInside holds net
// to it.

func listen(ctx context.Context, addr netip.AddrPort) (net.Listener, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // SO_LINGER 0 must mean a RST
	return lc.Listen(ctx, "tcp4", addr.String())
}

func listenPacket(ctx context.Context, addr netip.AddrPort) (net.PacketConn, error) {
	var lc net.ListenConfig
	return lc.ListenPacket(ctx, "udp4", addr.String())
}

func dial(ctx context.Context, local netip.Addr, remote netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0)), KeepAlive: -1}
	return d.DialContext(ctx, "tcp4", remote.String())
}

func checkAddresses(addrs []netip.Addr) error {
	for _, a := range addrs {
		if !a.Is4() {
			return fmt.Errorf("address %v: only IPv4 addresses can be given to a machine", a)
		}
	}
	return nil
}
