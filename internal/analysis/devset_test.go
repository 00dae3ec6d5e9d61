package analysis

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// devset is a folder of captures with tshark's counts beside each, which are
// others' and not in this repository.
func devset(t *testing.T) []string {
	t.Helper()
	dir := os.Getenv("PCAPWARDEN_DEVSET")
	if dir == "" {
		dir = "../../../shared/captures/devset"
	}
	truths, err := filepath.Glob(filepath.Join(dir, "*.truth.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(truths) == 0 {
		t.Skipf("no captures in %s: set PCAPWARDEN_DEVSET to compare with tshark's counts", dir)
	}
	return truths
}

// TestCountersEqualTshark compares every counter of every file.
func TestCountersEqualTshark(t *testing.T) {
	for _, truthFile := range devset(t) {
		file := strings.TrimSuffix(truthFile, ".truth.json")
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(truthFile)
			if err != nil {
				t.Fatal(err)
			}
			var truth map[string]any
			if err := json.Unmarshal(text, &truth); err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			a, err := Run(t.Context(), f, Options{File: file})
			if err != nil {
				t.Fatal(err)
			}
			text, err = json.Marshal(a.Counters)
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
