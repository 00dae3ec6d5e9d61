package netns

import (
	"encoding/hex"
	"net"
	"net/netip"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func addrs(s ...string) (as []netip.Addr) {
	for _, a := range s {
		as = append(as, netip.MustParseAddr(a))
	}
	return as
}

func TestLoopbackPlan(t *testing.T) {
	tests := []struct {
		name  string
		addrs []netip.Addr
		ok    bool
	}{
		{"apart", addrs("10.40.1.4", "203.0.113.9"), true},
		{"named_twice", addrs("10.40.1.4", "10.40.1.4"), true},
		{"meet", addrs("10.40.1.4", "192.40.1.4"), false},
		{"host", addrs("10.0.0.53"), false},
		{"ipv6", addrs("2001:db8::1"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := OpenLoopback(tt.addrs); (err == nil) != tt.ok {
				t.Errorf("OpenLoopback(%v) = %v, want ok %v", tt.addrs, err, tt.ok)
			}
		})
	}
}

func TestLoopbackCarriesTraffic(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux answers on all of 127.0.0.0/8")
	}
	l, err := OpenLoopback(addrs("10.99.1.4", "203.0.113.9"))
	if err != nil {
		t.Fatal(err)
	}
	server, client := netip.MustParseAddr("10.99.1.4"), netip.MustParseAddr("203.0.113.9")

	a, err := l.ListenPacket(t.Context(), netip.AddrPortFrom(server, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := l.ListenPacket(t.Context(), netip.AddrPortFrom(client, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	port := a.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	if _, err := b.WriteTo([]byte("ping"), net.UDPAddrFromAddrPort(netip.AddrPortFrom(server, port))); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 16)
	n, from, err := a.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "ping" {
		t.Fatalf("read %q, %v", buf[:n], err)
	}
	if got := from.(*net.UDPAddr).AddrPort().Addr(); got != netip.MustParseAddr("127.0.113.9") {
		t.Errorf("came from %v", got)
	}
	if _, err := l.Dial(t.Context(), client, netip.MustParseAddrPort("10.99.1.5:1")); err == nil {
		t.Error("Dial to a machine that is not in the plan works")
	}
}

func TestRestore(t *testing.T) {
	l, err := OpenLoopback(addrs("10.99.1.4", "203.0.113.9"))
	if err != nil {
		t.Fatal(err)
	}
	ethernet := "0000000000000000000000000800"
	tests := []struct{ name, frame, want string }{
		{
			"both_ends",
			ethernet + "4500002000004000" + "4011" + "0000" + "7f630104" + "7f007109" + "0035003500080000",
			ethernet + "4500002000004000" + "4011" + "f35c" + "0a630104" + "cb007109" + "0035003500080000",
		},
		{"not_ip", "0000000000000000000000000806" + "00010800060400010000000000007f630104", "0000000000000000000000000806" + "00010800060400010000000000007f630104"},
		{"short", ethernet + "4500", ethernet + "4500"},
		{
			"header_longer_than_frame",
			ethernet + "4f00002000004000" + "4011" + "0000" + "7f630104" + "7f007109",
			ethernet + "4f00002000004000" + "4011" + "0000" + "7f630104" + "7f007109",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			frame, err := hex.DecodeString(tt.frame)
			if err != nil {
				t.Fatal(err)
			}
			l.Restore(frame)
			if diff := cmp.Diff(tt.want, hex.EncodeToString(frame)); diff != "" {
				t.Errorf("Restore (-want +got):\n%s", diff)
			}
		})
	}
}
