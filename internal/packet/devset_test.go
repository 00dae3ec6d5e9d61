package packet

import (
	"errors"
	"io"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
	"github.com/pcapwarden/pcapwarden/internal/pcaptest/devset"
)

// truth is what tshark 4.0.17 counts in a capture.
type truth struct {
	Packets   int64
	UDP       int `json:"udp_packets"`
	Fragments int `json:"ip_fragments"`
	VLAN      int `json:"vlan_packets"`
	TCP       struct{ Packets int }
	ICMP      struct{ V4, V6 map[string]int }
}

func TestDevset(t *testing.T) {
	for _, file := range devset.Files(t) {
		t.Run(file.Name(), func(t *testing.T) {
			var want truth
			file.Truth(t, &want)
			r, err := pcap.NewReader(file.Open(t))
			if err != nil {
				t.Fatal(err)
			}
			var d Decoder
			var p Packet
			var tcp, udp, vlan int
			for {
				rec, err := r.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					if _, ok := errors.AsType[*pcap.FormatError](err); !ok || want.Packets != 0 {
						t.Errorf("Next: %v", err)
					}
					break
				}
				d.Decode(rec, &p)
				if p.VLAN != 0 {
					vlan++
				}
				switch {
				case p.Transport && p.Protocol == ProtocolTCP:
					tcp++
				case p.Transport && p.Protocol == ProtocolUDP:
					udp++
				}
				if p.ICMP.QuotedProtocol == ProtocolUDP || p.Tunnel&TunnelVXLAN != 0 {
					udp++ // tshark's count has quoted and outer headers
				}
			}
			if tcp != want.TCP.Packets {
				t.Errorf("TCP packets = %d, want %d", tcp, want.TCP.Packets)
			}
			if udp != want.UDP {
				t.Errorf("UDP packets = %d, want %d", udp, want.UDP)
			}
			if got := d.Counters().Fragments; got != int64(want.Fragments) {
				t.Errorf("fragments = %d, want %d", got, want.Fragments)
			}
			if vlan != want.VLAN {
				t.Errorf("VLAN packets = %d, want %d", vlan, want.VLAN)
			}
		})
	}
}
