package netns

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
)

// A Loopback plays machines on the host's own loopback, where all of
// 127.0.0.0/8 answers: 10.40.1.4 becomes 127.40.1.4. It is for a process that
// may capture, but not have a namespace: root in a container.
type Loopback struct {
	there map[netip.Addr]netip.Addr
	back  map[[4]byte][4]byte
}

// OpenLoopback plans where the addresses go. It refuses a plan in which two
// of them meet, or one meets 127.0.0.0/24, where the host's own services are.
func OpenLoopback(addrs []netip.Addr) (*Loopback, error) {
	if err := checkAddresses(addrs); err != nil {
		return nil, err
	}
	l := &Loopback{there: map[netip.Addr]netip.Addr{}, back: map[[4]byte][4]byte{}}
	for _, addr := range addrs {
		ip := addr.As4()
		on := [4]byte{127, ip[1], ip[2], ip[3]}
		if other, taken := l.back[on]; taken && other != ip {
			return nil, fmt.Errorf("play %v on the loopback: %v has its place", addr, netip.AddrFrom4(other))
		}
		if on[1] == 0 && on[2] == 0 {
			return nil, fmt.Errorf("play %v on the loopback: %v belongs to the host", addr, netip.AddrFrom4(on))
		}
		l.there[addr] = netip.AddrFrom4(on)
		l.back[on] = ip
	}
	return l, nil
}

// Do calls f: this is the namespace.
func (l *Loopback) Do(f func() error) error { return f() }

// Listen listens for TCP connections in the place of addr.
func (l *Loopback) Listen(ctx context.Context, addr netip.AddrPort) (net.Listener, error) {
	on, err := l.place(addr.Addr())
	if err != nil {
		return nil, err
	}
	return listen(ctx, netip.AddrPortFrom(on, addr.Port()))
}

// ListenPacket opens a UDP socket in the place of addr.
func (l *Loopback) ListenPacket(ctx context.Context, addr netip.AddrPort) (net.PacketConn, error) {
	on, err := l.place(addr.Addr())
	if err != nil {
		return nil, err
	}
	c, err := listenPacket(ctx, netip.AddrPortFrom(on, addr.Port()))
	if err != nil {
		return nil, err
	}
	return placedPacketConn{c, l}, nil
}

// Dial connects by TCP from the place of local to the place of remote.
func (l *Loopback) Dial(ctx context.Context, local netip.Addr, remote netip.AddrPort) (net.Conn, error) {
	from, err := l.place(local)
	if err != nil {
		return nil, err
	}
	to, err := l.place(remote.Addr())
	if err != nil {
		return nil, err
	}
	return dial(ctx, from, netip.AddrPortFrom(to, remote.Port()))
}

func (l *Loopback) place(addr netip.Addr) (netip.Addr, error) {
	on, ok := l.there[addr]
	if !ok {
		return on, fmt.Errorf("no machine has the address %v", addr)
	}
	return on, nil
}

// placedPacketConn sends to where an address is played. What it receives
// comes from there too, and is answered there.
type placedPacketConn struct {
	net.PacketConn
	loopback *Loopback
}

func (c placedPacketConn) WriteTo(b []byte, to net.Addr) (int, error) {
	if udp, ok := to.(*net.UDPAddr); ok {
		ap := udp.AddrPort()
		if on, ok := c.loopback.there[ap.Addr().Unmap()]; ok {
			to = net.UDPAddrFromAddrPort(netip.AddrPortFrom(on, ap.Port()))
		}
	}
	return c.PacketConn.WriteTo(b, to)
}

// Restore puts the machines' addresses back into an Ethernet frame that was
// captured on the loopback, if it is one of theirs. Transport checksums stay
// as they are: the kernel does not finish them for a loopback.
func (l *Loopback) Restore(frame []byte) {
	const ethernet, minimum = 14, 20
	if len(frame) < ethernet+minimum || binary.BigEndian.Uint16(frame[12:]) != 0x0800 {
		return
	}
	header := frame[ethernet:]
	size := int(header[0]&0x0f) * 4
	if header[0]>>4 != 4 || size < minimum || size > len(header) {
		return
	}
	header = header[:size]
	for _, field := range [][]byte{header[12:16], header[16:20]} {
		if addr, ok := l.back[[4]byte(field)]; ok {
			copy(field, addr[:])
		}
	}
	header[10], header[11] = 0, 0
	var sum uint32
	for i := 0; i < size; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(header[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(header[10:], ^uint16(sum))
}

// Close does nothing: the sockets are all there is.
func (l *Loopback) Close() error { return nil }
