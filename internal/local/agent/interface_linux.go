package agent

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// socketBuffer holds what arrives while the agent is not scheduled.
const socketBuffer = 16 << 20

// Tap opens a packet socket on the interface.
func (i Interface) Tap(ctx context.Context) (Tap, error) {
	var t *socketTap
	open := func() (err error) {
		if err := ctx.Err(); err != nil {
			return err
		}
		t, err = openSocket(i.Name)
		return err
	}
	do := i.Do
	if do == nil {
		do = func(f func() error) error { return f() }
	}
	if err := do(open); err != nil {
		return nil, fmt.Errorf("capture on %q: %w", i.Name, err)
	}
	t.restore = i.Restore
	return t, nil
}

// socketTap is an AF_PACKET socket (packet(7)).
type socketTap struct {
	file     *os.File
	raw      syscall.RawConn
	restore  func([]byte)
	buf, oob []byte
	draining bool
	end      chan pcap.Timestamp // holds when End was called
	until    pcap.Timestamp
}

func openSocket(name string) (*socketTap, error) {
	// With protocol 0 the socket sees nothing until it is bound: no packet of
	// another interface, none that the filter did not see.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := prepare(fd, name); err != nil {
		unix.Close(fd)
		return nil, err
	}
	t := &socketTap{
		file: os.NewFile(uintptr(fd), "packet socket"),
		buf:  make([]byte, pcap.MaxPacketLength),
		oob:  make([]byte, 128),
		end:  make(chan pcap.Timestamp, 1),
	}
	if t.raw, err = t.file.SyscallConn(); err != nil {
		t.file.Close()
		return nil, err
	}
	return t, nil
}

func prepare(fd int, name string) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return os.NewSyscallError("setsockopt SO_TIMESTAMPNS", err)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, socketBuffer) != nil {
		// Only CAP_NET_ADMIN may exceed the system's limit.
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, socketBuffer); err != nil {
			return os.NewSyscallError("setsockopt SO_RCVBUF", err)
		}
	}
	ifreq, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFHWADDR, ifreq); err != nil {
		return os.NewSyscallError("read hardware type", err)
	}
	switch hardware := ifreq.Uint16(); hardware {
	case unix.ARPHRD_ETHER:
	case unix.ARPHRD_LOOPBACK:
		if err := attach(fd, incoming); err != nil {
			return err
		}
	default:
		return fmt.Errorf("hardware type %d is neither Ethernet nor a loopback", hardware)
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifreq); err != nil {
		return os.NewSyscallError("read interface index", err)
	}
	all := uint16(unix.ETH_P_ALL)
	err = unix.Bind(fd, &unix.SockaddrLinklayer{
		Protocol: all<<8 | all>>8, // network byte order
		Ifindex:  int(ifreq.Uint32()),
	})
	return os.NewSyscallError("bind", err)
}

// incoming passes what a loopback receives: it shows each packet a second
// time, as sent.
var incoming = []bpf.Instruction{
	bpf.LoadExtension{Num: bpf.ExtType},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.PACKET_OUTGOING, SkipTrue: 1},
	bpf.RetConstant{Val: pcap.MaxPacketLength},
	bpf.RetConstant{Val: 0},
}

func attach(fd int, program []bpf.Instruction) error {
	raw, err := bpf.Assemble(program)
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
	return os.NewSyscallError("setsockopt SO_ATTACH_FILTER", err)
}

func (t *socketTap) Next() (p Packet, err error) {
	for {
		var wait error
		receive := func(fd uintptr) bool {
			p, err = t.receive(int(fd))
			return !errors.Is(err, unix.EAGAIN)
		}
		if t.draining {
			wait = t.raw.Control(func(fd uintptr) { receive(fd) })
		} else {
			wait = t.raw.Read(receive)
		}
		switch {
		case errors.Is(wait, os.ErrDeadlineExceeded):
			t.draining, t.until = true, <-t.end
		case wait != nil:
			return p, wait
		case t.draining && (errors.Is(err, unix.EAGAIN) || err == nil && p.Time > t.until):
			return p, io.EOF
		case err != nil:
			return p, os.NewSyscallError("recvmsg", err)
		default:
			if t.restore != nil {
				t.restore(p.Data)
			}
			return p, nil
		}
	}
}

func (t *socketTap) receive(fd int) (Packet, error) {
	for {
		// MSG_TRUNC: the length is the packet's, however little fitted.
		n, oobn, _, _, err := unix.Recvmsg(fd, t.buf, t.oob, unix.MSG_TRUNC)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return Packet{}, err
		}
		return Packet{Time: timestamp(t.oob[:oobn]), Length: n, Data: t.buf[:min(n, len(t.buf))]}, nil
	}
}

// timestamp is when the kernel saw the packet: two longs, seconds and
// nanoseconds. In the first moments of the first socket that asks for it,
// the kernel does not look at the clock yet, and it is when the packet was
// read.
func timestamp(oob []byte) pcap.Timestamp {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err == nil {
		for _, m := range messages {
			if m.Header.Level != unix.SOL_SOCKET || m.Header.Type != unix.SCM_TIMESTAMPNS {
				continue
			}
			switch order := binary.NativeEndian; len(m.Data) {
			case 16:
				return pcap.Timestamp(order.Uint64(m.Data)*1e9 + order.Uint64(m.Data[8:]))
			case 8:
				return pcap.Timestamp(uint64(order.Uint32(m.Data))*1e9 + uint64(order.Uint32(m.Data[4:])))
			}
		}
	}
	return pcap.Timestamp(time.Now().UnixNano())
}

func (t *socketTap) End() {
	select {
	case t.end <- pcap.Timestamp(time.Now().UnixNano()):
		t.file.SetReadDeadline(time.Unix(1, 0))
	default: // ended already
	}
}

func (t *socketTap) Dropped() (dropped int64, err error) {
	control := t.raw.Control(func(fd uintptr) {
		var stats *unix.TpacketStats
		if stats, err = unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			dropped = int64(stats.Drops)
		}
	})
	return dropped, errors.Join(control, os.NewSyscallError("getsockopt PACKET_STATISTICS", err))
}

func (t *socketTap) Close() error { return t.file.Close() }
