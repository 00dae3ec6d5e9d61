package tlsfail_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/detect/tlsfail"
	"github.com/pcapwarden/pcapwarden/internal/dissect/quic"
	"github.com/pcapwarden/pcapwarden/internal/dissect/tls"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
	"github.com/pcapwarden/pcapwarden/internal/pcaptest"
)

// TestQUIC is a test of hooks: Initial packets are encrypted, which a script
// does not do.
func TestQUIC(t *testing.T) {
	start := pcap.Timestamp(pcaptest.Epoch.UnixNano())
	server := netip.MustParseAddrPort("203.0.113.7:443")
	call := func(port uint16, initials int, answered bool) *quic.Connection {
		return &quic.Connection{
			Client: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.4"), port), Server: server, First: start, Frame: int64(port),
			Hello: &tls.ClientHello{SNI: "www.example.com"}, Initials: initials, Answered: answered,
		}
	}
	for _, tt := range []struct {
		name  string
		calls []*quic.Connection
		lasts time.Duration
		want  bool
	}{
		{"unanswered", []*quic.Connection{call(1, 3, false)}, 10 * time.Second, true},
		{"unanswered_in_all", []*quic.Connection{call(1, 2, false), call(2, 2, false)}, 10 * time.Second, true},
		{"asked_too_little", []*quic.Connection{call(1, 2, false)}, 10 * time.Second, false},
		{"ends_too_early", []*quic.Connection{call(1, 3, false)}, time.Second, false},
		{"answered_at_times", []*quic.Connection{call(1, 3, false), call(2, 1, true)}, 10 * time.Second, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run := detect.Start(detect.Context{}, []*detect.Detector{tlsfail.Detector})
			for _, c := range tt.calls {
				run.Wants.QUIC(c)
			}
			run.Wants.End(&detect.Summary{First: start, Last: start + pcap.Timestamp(tt.lasts)})
			if !tt.want {
				if len(run.Findings) > 0 {
					t.Fatalf("found %v", run.Findings)
				}
				return
			}
			if len(run.Findings) != 1 {
				t.Fatalf("%d findings, want 1", len(run.Findings))
			}
			f := run.Findings[0]
			if f.Kind != "tls.handshake-timeout" || f.Culprit != finding.Firewall || f.Flow.SNI != "www.example.com" || !strings.Contains(f.Summary, "UDP port 443 is blocked") {
				t.Errorf("found %+v", f)
			}
		})
	}
}
