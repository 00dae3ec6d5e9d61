package loopback

import (
	"errors"
	"os"
	"syscall"
)

// Take takes a free port. Who is told its number can listen on it once, and
// again after that ended, if it sets SO_REUSEADDR as Go and Node.js do: Linux
// lets two such sockets have one port as long as only one of them listens, and
// this one never does.
func Take() (_ *Port, err error) {
	s, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, syscall.Close(s))
		}
	}()
	if err := syscall.SetsockoptInt(s, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return nil, os.NewSyscallError("setsockopt", err)
	}
	if err := syscall.Bind(s, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, os.NewSyscallError("bind", err)
	}
	name, err := syscall.Getsockname(s)
	if err != nil {
		return nil, os.NewSyscallError("getsockname", err)
	}
	return &Port{Number: name.(*syscall.SockaddrInet4).Port, held: s}, nil
}

// Close gives the port back.
func (p *Port) Close() error { return os.NewSyscallError("close", syscall.Close(p.held)) }
