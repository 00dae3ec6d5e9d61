package analysis

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/pcaptest/devset"
)

// TestCountersEqualTshark compares every counter of every file.
func TestCountersEqualTshark(t *testing.T) {
	for _, file := range devset.Files(t) {
		t.Run(file.Name(), func(t *testing.T) {
			var truth map[string]any
			file.Truth(t, &truth)
			a, err := Run(t.Context(), file.Open(t), Options{File: file.Path})
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(a.Counters)
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
			for _, group := range []string{"tcp", "dns", "tls", "icmp", "cleartext", "http"} {
				want, have := truth[group], got[group]
				// Spreads depend on rounding: they are compared where they are made.
				for _, spread := range []string{"irtt_ms", "ack_rtt_ms", "time_ms"} {
					if m, ok := want.(map[string]any); ok {
						delete(m, spread)
					}
					if m, ok := have.(map[string]any); ok {
						delete(m, spread)
					}
				}
				if diff := cmp.Diff(want, have); diff != "" {
					t.Errorf("%s (-tshark +ours):\n%s", group, diff)
				}
			}
			if n, ok := truth["packets"].(float64); ok && int64(n) != a.Capture.Packets {
				t.Errorf("%d packets, tshark has %v", a.Capture.Packets, n)
			}
			if n, ok := truth["snaplen_truncated_packets"].(float64); ok && int64(n) != a.Capture.TruncatedPackets {
				t.Errorf("%d truncated packets, tshark has %v", a.Capture.TruncatedPackets, n)
			}
			if cut, ok := truth["cut_short"].(bool); ok && cut != a.Capture.CutShort {
				t.Errorf("cut short: %v, tshark has %v", a.Capture.CutShort, cut)
			}
		})
	}
}
