//go:build linux

package lab

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A path is what becomes of packets in one direction. One packet in so many
// suffers; zero means none, so that a case is the same each time.
type path struct {
	delay     time.Duration
	rate      int // bits per second; 0 means any
	lose      int
	duplicate int
	corrupt   int
	overtake  int // one packet in so many comes late, after those behind it
	late      time.Duration
}

// relay puts a stretch of network into the router: what it forwards goes
// through this process, from one TUN interface to another. (Not every kernel
// has netem.)
func (w *world) relay(toServer, toClient path) {
	w.t.Helper()
	near, far := w.router.tunnel("near"), w.router.tunnel("far")
	w.router.ip("link set near" + wire + "link set far" + wire +
		"rule add iif toclient to 10.70.2.0/24 lookup 101\nrule add iif toclient to 203.0.113.0/24 lookup 101\n" +
		"route add default dev near table 101\n" +
		"rule add iif toserver to 10.70.1.0/24 lookup 102\nroute add default dev far table 102\n")
	go toServer.carry(near, far)
	go toClient.carry(far, near)
}

// tunnel makes a TUN interface (Documentation/networking/tuntap.rst).
func (h *host) tunnel(name string) (tun *os.File) {
	h.t.Helper()
	h.must(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return os.NewSyscallError("open /dev/net/tun", err)
		}
		request, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
			unix.Close(fd)
			return os.NewSyscallError("TUNSETIFF", err)
		}
		tun = os.NewFile(uintptr(fd), name)
		return nil
	})
	h.t.Cleanup(func() { tun.Close() })
	return tun
}

// carry takes packets from one interface to another until they are closed.
func (p path) carry(from, to *os.File) {
	type parcel struct {
		due    time.Time
		packet []byte
	}
	queue := make(chan parcel, 4096)
	go func() {
		for q := range queue {
			time.Sleep(time.Until(q.due))
			to.Write(q.packet) // an interface that is full or down loses it, as in life
		}
	}()
	defer close(queue)
	var free time.Time // when the line has sent what it was given
	every := func(n, oneIn int) bool { return oneIn > 0 && n%oneIn == oneIn/2 }
	for n := 0; ; n++ {
		buf := make([]byte, 2048)
		size, err := from.Read(buf)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		packet := buf[:size]
		now := time.Now()
		if free.Before(now) {
			free = now
		}
		if p.rate > 0 {
			free = free.Add(time.Duration(size) * 8 * time.Second / time.Duration(p.rate))
		}
		due := free.Add(p.delay)
		switch {
		case every(n, p.lose):
			continue
		case every(n, p.corrupt):
			packet[size-1] ^= 0xff
		case every(n, p.overtake):
			time.AfterFunc(time.Until(due)+p.late, func() { to.Write(packet) })
			continue
		case every(n, p.duplicate):
			queue <- parcel{due, packet}
		}
		queue <- parcel{due, packet}
	}
}
