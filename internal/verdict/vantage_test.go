package verdict_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/pcaptest"
)

// TestVantage: where a capture was taken shows in who takes part, and in which
// half of a handshake takes no time.
func TestVantage(t *testing.T) {
	handshake := func(client, server string, there, back float64) string {
		return fmt.Sprintf("+0.5 %s > %s SYN\n+%g %s > %s SYN-ACK\n+%g %s > %s ACK\n", client, server, there, server, client, back, client, server)
	}
	tests := []struct {
		name    string
		script  string
		said    string
		want    string // address; "": not known
		because string
		opened  int64
	}{
		{"the client of two servers", handshake("10.0.0.5:40001", "10.0.0.4:443", .01, .0001) + handshake("10.0.0.5:40002", "10.0.0.6:443", .01, .0001), "",
			"10.0.0.5", "both conversations", 2},
		{"the server of two clients", handshake("10.0.0.5:40001", "10.0.0.4:443", .0001, .01) + handshake("10.0.0.7:40002", "10.0.0.4:443", .0001, .01), "",
			"10.0.0.4", "conversations", 0},
		{"two ends: the server's half takes no time", handshake("10.0.0.5:40001", "10.0.0.4:443", .0001, .01), "", "10.0.0.4", "its half of 1 handshake took no time", 0},
		{"two ends: the client's does not", handshake("10.0.0.5:40001", "10.0.0.4:443", .01, .0001), "", "10.0.0.5", "its half of 1 handshake took no time", 1},
		{"two ends of one machine", handshake("10.0.0.5:40001", "10.0.0.4:443", .00001, .00002), "", "", "", 0},
		{"between two ends", handshake("10.0.0.5:40001", "10.0.0.4:443", .005, .005), "", "", "", 0},
		{"a mirror of many", handshake("10.0.0.5:40001", "10.0.0.4:443", .01, .01) + handshake("10.0.0.7:40002", "10.0.0.6:443", .01, .01), "", "", "", 0},
		{"a SYN that was sent again says nothing",
			"0 10.0.0.5:40001 > 10.0.0.4:443 SYN\n+1 10.0.0.5:40001 > 10.0.0.4:443 SYN seq=0\n", "", "", "", 0},
		{"Azure's platform is talked to by the machine itself", "0 10.0.0.5:40001 > 168.63.129.16:53 query A a.example id=1\n" + handshake("10.0.0.7:40002", "10.0.0.5:443", .005, .005) +
			handshake("10.0.0.8:40002", "10.0.0.9:443", .005, .005), "", "10.0.0.5", "platform", 0},
		{"no router on this side", "0 10.0.0.5:40001 > 192.0.2.4:443 SYN ttl=64\n+0.0001 192.0.2.4:443 > 10.0.0.5:40001 RST-ACK ttl=52\n", "", "10.0.0.5", "not passed a router", 1},
		{"what was said is not guessed", handshake("10.0.0.5:40001", "10.0.0.4:443", .0001, .01), "10.0.0.5", "10.0.0.5", "", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := analysis.Options{Detectors: []*detect.Detector{}}
			if tt.said != "" {
				o.Vantage = []netip.Addr{netip.MustParseAddr(tt.said)}
			}
			a, err := analysis.Run(t.Context(), bytes.NewReader(pcaptest.Capture(tt.script)), o)
			if err != nil {
				t.Fatal(err)
			}
			v := a.Vantage
			if got := v.Machine(); got != tt.want {
				t.Errorf("captured on %q, want %q (%s)", got, tt.want, v.Because)
			}
			if tt.want == "" {
				return
			}
			if v.Inferred != (tt.said == "") || !strings.Contains(v.Because, tt.because) {
				t.Errorf("inferred %v because %q, want %q", v.Inferred, v.Because, tt.because)
			}
			if v.Opened != tt.opened {
				t.Errorf("opened %d connections, want %d", v.Opened, tt.opened)
			}
		})
	}
}
