//go:build !linux

package loopback

import "net"

// Take finds a free port. It may be another's by the time it is listened on:
// nothing that works on every system keeps it.
func Take() (*Port, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &Port{Number: l.Addr().(*net.TCPAddr).Port}, l.Close()
}

// Close does nothing here.
func (p *Port) Close() error { return nil }
