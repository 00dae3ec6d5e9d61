package analysis_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
	"github.com/pcapwarden/pcapwarden/internal/pcaptest"
)

// TestLimits: what no longer fits is left out, the rest is judged, and the
// analysis says what it lacks.
func TestLimits(t *testing.T) {
	for _, tt := range []struct {
		name    string
		capture []byte
		dropped string
	}{
		{"refusing_pairs", pcaptest.Capture(repeated(5000,
			"+0.010 10.{i/200}.0.{i%200+1}:4000 > 172.16.{i/200}.{i%200+1}:{1000+i}  SYN",
			"+0.001 172.16.{i/200}.{i%200+1}:{1000+i} > 10.{i/200}.0.{i%200+1}:4000  RST")), "events that detectors did not tell apart"},
		{"resolvers", pcaptest.Capture(repeated(300,
			"+0.010 10.0.0.5:{4000+i} > 10.1.{i/200}.{i%200+1}:53  query A a.example")), "questions to further resolvers"},
		{"lookups", pcaptest.Capture(repeated(9000,
			"+0.001 10.0.0.5:{4000+i} > 10.0.0.4:53  query A n{i}.example")), "dns lookups"},
		{"fragments", frames(t, 300, func(i int) []byte {
			return ipv4(17, i, 0x2000, bytes.Repeat([]byte{1}, 64))
		}), "ip fragments"},
		{"tunnels", frames(t, 5, func(i int) []byte {
			packet := ipv4(17, i, 0, make([]byte, 8))
			for range 20 {
				packet = ipv4(4, i, 0, packet)
			}
			return packet
		}), "packets in too many tunnels"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, err := analysis.Run(t.Context(), bytes.NewReader(tt.capture), analysis.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if !a.Limits.Hit || a.Limits.Dropped[tt.dropped] == 0 {
				t.Errorf("limits = %+v, want dropped %q", a.Limits, tt.dropped)
			}
			if a.Verdict.Summary == "" || a.Capture.Error != "" {
				t.Errorf("capture %+v, verdict %+v", a.Capture, a.Verdict)
			}
		})
	}
}

// TestNoLimit: what ordinary captures hold is within the limits.
func TestNoLimit(t *testing.T) {
	a, err := analysis.Run(t.Context(), bytes.NewReader(pcaptest.Capture(repeated(2000,
		"+0.010 10.0.0.{i%200+1}:{4000+i} > 10.1.0.{i%20+1}:443  SYN",
		"+0.001 10.1.0.{i%20+1}:443 > 10.0.0.{i%200+1}:{4000+i}  SYN-ACK",
		"+0.001 10.0.0.{i%200+1}:{4000+i} > 10.1.0.{i%20+1}:443  ACK"))), analysis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if a.Limits.Hit {
		t.Errorf("limits = %+v", a.Limits)
	}
}

func repeated(n int, lines ...string) string {
	return fmt.Sprintf("repeat %d\n%s\nend", n, strings.Join(lines, "\n"))
}

// frames is a capture of n IP packets.
func frames(t *testing.T, n int, frame func(i int) []byte) []byte {
	t.Helper()
	var file bytes.Buffer
	w, err := pcap.NewWriter(&file, pcap.LinkTypeRaw, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		b := frame(i)
		if err := w.WritePacket(pcap.Timestamp(1e18+i), len(b), b); err != nil {
			t.Fatal(err)
		}
	}
	return file.Bytes()
}

func ipv4(protocol byte, id, offset int, payload []byte) []byte {
	h := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}
	binary.BigEndian.PutUint16(h[2:], uint16(len(h)+len(payload)))
	binary.BigEndian.PutUint16(h[4:], uint16(id))
	binary.BigEndian.PutUint16(h[6:], uint16(offset))
	return append(h, payload...)
}
