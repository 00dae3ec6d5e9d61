package traffic

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// Every capture is the same each time, in the order of time, and decodable.
func TestCaptures(t *testing.T) {
	for _, tt := range []struct {
		name  string
		write func(io.Writer) error
	}{
		{"mixed", func(w io.Writer) error { return Mixed(w, 3e6) }},
		{"lookups", func(w io.Writer) error { return Lookups(w, 500) }},
		{"short_tls", func(w io.Writer) error { return ShortTLS(w, 100) }},
		{"syns", func(w io.Writer) error { return SYNs(w, 1000) }},
		{"steady", func(w io.Writer) error { return Steady(w, 3) }},
		{"crowd", func(w io.Writer) error { return Crowd(w, 100) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var first, second bytes.Buffer
			if err := errors.Join(tt.write(&first), tt.write(&second)); err != nil {
				t.Fatal(err)
			}
			if sha256.Sum256(first.Bytes()) != sha256.Sum256(second.Bytes()) {
				t.Error("the second time it is another one")
			}
			r, err := pcap.NewReader(&first)
			if err != nil {
				t.Fatal(err)
			}
			var d packet.Decoder
			var p packet.Packet
			last := start
			for {
				rec, err := r.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				d.Decode(rec, &p)
				if !p.Transport || p.Time < last {
					t.Fatalf("packet %d: transport %v, at %v after %v", p.Number, p.Transport, p.Time.Time(), last.Time())
				}
				last = p.Time
				checkSums(t, rec.Data, &p)
			}
			if d.Counters().Undecodable > 0 || r.Summary().Packets < 100 {
				t.Errorf("%d packets, %d of them not decodable", r.Summary().Packets, d.Counters().Undecodable)
			}
		})
	}
}

// checkSums verifies the checksums of IPv4 and of the transport.
func checkSums(t *testing.T, frame []byte, p *packet.Packet) {
	t.Helper()
	ip, addresses := frame[14:], 12
	segment := ip[20:]
	if p.IPVersion == 6 {
		segment, addresses = ip[40:], 8
	} else if sum(0, ip[:20]) != 0xffff {
		t.Fatalf("packet %d: wrong checksum of the IP header", p.Number)
	}
	pseudo := uint64(0)
	if p.Protocol != packet.ProtocolICMP {
		pseudo = uint64(p.Protocol) + uint64(len(segment)) + uint64(sum(0, ip[addresses:len(ip)-len(segment)]))
	}
	if sum(pseudo, segment) != 0xffff {
		t.Fatalf("packet %d: wrong checksum of the transport", p.Number)
	}
}
