package dhcp

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// message builds a DHCP message.
func message(op byte, yiaddr [4]byte, options ...byte) []byte {
	b := make([]byte, optionsOffset)
	b[opOffset] = op
	copy(b[yiaddrOffset:], yiaddr[:])
	copy(b[chaddrOffset:], []byte{2, 0, 0, 0, 0, 1})
	binary.BigEndian.PutUint32(b[cookieOffset:], cookie)
	return append(b, options...)
}

func TestParse(t *testing.T) {
	addr := netip.MustParseAddr
	from := addr("168.63.129.16")
	tests := []struct {
		name string
		b    []byte
		want *Lease
	}{
		{
			name: "ack",
			b: message(2, [4]byte{10, 0, 0, 5},
				0, 53, 1, 5, 54, 4, 10, 0, 0, 1, 6, 8, 10, 0, 0, 4, 10, 0, 0, 6, 3, 4, 10, 0, 0, 1,
				51, 4, 0, 0, 0x0e, 0x10, 58, 4, 0, 0, 7, 8, 59, 4, 0, 0, 0x0c, 0x4e, 255, 53, 1, 6),
			want: &Lease{
				Message: ACK, Client: [6]byte{2, 0, 0, 0, 0, 1}, Address: addr("10.0.0.5"), Server: addr("10.0.0.1"),
				Resolvers: []netip.Addr{addr("10.0.0.4"), addr("10.0.0.6")}, Routers: []netip.Addr{addr("10.0.0.1")},
				Duration: time.Hour, Renew: 30 * time.Minute, Rebind: 3150 * time.Second,
			},
		},
		{
			name: "offer_for_ever_without_server_identifier",
			b:    message(2, [4]byte{10, 0, 0, 5}, 53, 1, 2, 51, 4, 255, 255, 255, 255),
			want: &Lease{Message: Offer, Client: [6]byte{2, 0, 0, 0, 0, 1}, Address: addr("10.0.0.5"), Server: from, Duration: Forever},
		},
		{
			name: "request",
			b:    message(1, [4]byte{}, 53, 1, 3, 50, 4, 10, 0, 0, 5, 255),
			want: &Lease{Message: Request, Client: [6]byte{2, 0, 0, 0, 0, 1}, Address: addr("10.0.0.5")},
		},
		{
			name: "option_behind_the_end",
			b:    message(2, [4]byte{}, 53, 1, 6, 6, 200, 10, 0, 0),
			want: &Lease{Message: NAK, Client: [6]byte{2, 0, 0, 0, 0, 1}, Server: from},
		},
		{name: "bootp", b: message(2, [4]byte{10, 0, 0, 5}, 255)},
		{name: "short", b: message(2, [4]byte{})[:100]},
		{name: "other", b: make([]byte, 300)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := Parse(from, 0, 0, tt.b)
			if ok != (tt.want != nil) {
				t.Fatalf("Parse = %+v, %v", got, ok)
			}
			same := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
			if diff := cmp.Diff(tt.want, got, same); ok && diff != "" {
				t.Errorf("lease (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(message(2, [4]byte{10, 0, 0, 5}, 53, 1, 5, 6, 4, 10, 0, 0, 4, 255))
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, ok := Parse(netip.Addr{}, 0, 0, b); ok && (len(l.Resolvers) > MaxAddresses || len(l.Routers) > MaxAddresses) {
			t.Errorf("%d resolvers, %d routers", len(l.Resolvers), len(l.Routers))
		}
	})
}
