package loopback

import (
	"fmt"
	"net"
	"runtime"
	"testing"
)

// A port can be listened on again and again while it is held.
func TestListenOnTaken(t *testing.T) {
	p, err := Take()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", p.Number))
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp4", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		l.Close()
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// Nobody else is given a taken port, though others ask for one as often as
// there are ports.
func TestTakenIsKept(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("skipped: only Linux keeps a port")
	}
	p, err := Take()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for range 30_000 {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if l.Addr().(*net.TCPAddr).Port == p.Number {
			t.Fatalf("port %d was given away", p.Number)
		}
		l.Close()
	}
}
