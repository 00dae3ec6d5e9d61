package packet

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// devset returns the folder of foreign captures with tshark's counts, which
// lies beside the repository where it is at hand.
func devset(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("PCAPWARDEN_DEVSET")
	if dir == "" {
		dir = "../../../shared/captures/devset"
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no foreign captures at %s; set PCAPWARDEN_DEVSET to test against tshark's counts", dir)
	}
	return dir
}

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
	files, err := filepath.Glob(filepath.Join(devset(t), "*.truth.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no truth files: %v", err)
	}
	for _, file := range files {
		capture := strings.TrimSuffix(file, ".truth.json")
		t.Run(filepath.Base(capture), func(t *testing.T) {
			var want truth
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(b, &want); err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(capture)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			r, err := pcap.NewReader(f)
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
