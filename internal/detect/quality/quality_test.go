package quality_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/detect/detecttest"
	"github.com/pcapwarden/pcapwarden/internal/detect/quality"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
	"github.com/pcapwarden/pcapwarden/internal/pcaptest"
)

func Test(t *testing.T) { detecttest.Run(t, quality.Detector) }

// TestSummary is about what a script cannot make: files, and how they end.
func TestSummary(t *testing.T) {
	at := func(d time.Duration) pcap.Timestamp { return pcap.Timestamp(pcaptest.Epoch.Add(d).UnixNano()) }
	minute := detect.Summary{Packets: 1000, First: at(0), Last: at(time.Minute), Bytes: 1000000, TCP: &flow.Counters{}}
	with := func(change func(*detect.Summary)) detect.Summary {
		s := minute
		change(&s)
		return s
	}
	for _, tt := range []struct {
		name    string
		known   detect.Context
		summary detect.Summary
		want    string // KIND SEVERITY, empty: nothing
		says    string
	}{
		{"ordinary", detect.Context{}, minute, "", ""},
		{"empty", detect.Context{}, detect.Summary{}, "capture.no-traffic medium", "no packet passed this machine"},
		{"empty_with_filters", detect.Context{Filtered: true}, detect.Summary{}, "capture.no-traffic medium", "nothing that its filters ask for"},
		{"damaged_at_once", detect.Context{}, detect.Summary{Damage: errors.New("block of 4 GiB")}, "capture.cut-short medium", "damaged after 0 packets"},
		{"damaged", detect.Context{}, with(func(s *detect.Summary) { s.Damage = errors.New("block of 4 GiB") }), "capture.cut-short medium", "damaged after 1000 packets"},
		{"cut_short", detect.Context{}, with(func(s *detect.Summary) { s.CutShort = true }), "capture.cut-short low", "in the middle of a packet"},
		{"cut_before_ports", detect.Context{}, with(func(s *detect.Summary) { s.Truncated, s.ShortestCut = 1000, 34 }), "capture.truncated high", "ports, flags and payload"},
		{"cut_after_the_header", detect.Context{}, with(func(s *detect.Summary) { s.Truncated, s.ShortestCut = 700, 54 }), "capture.truncated low", "no window scale"},
		{"cut_in_the_payload", detect.Context{}, with(func(s *detect.Summary) { s.Truncated, s.ShortestCut = 700, 94 }), "capture.truncated info", "payload behind the headers"},
		{"hardly_cut", detect.Context{}, with(func(s *detect.Summary) { s.Truncated, s.ShortestCut = 1, 1500 }), "capture.truncated info", "1 of 1000 packets"},
		{"full", detect.Context{TotalBytes: 1000100, TimeLimit: 5 * time.Minute}, minute, "capture.limit-reached low", "after 60 s of its 5 min"},
		{"full_in_the_window", detect.Context{TotalBytes: 1000100, TimeLimit: 5 * time.Minute, WindowEnd: pcaptest.Epoch.Add(2 * time.Minute)}, minute, "capture.limit-reached medium", ""},
		{"full_without_time_limit", detect.Context{TotalBytes: 1000100}, minute, "capture.limit-reached low", "after 60 s:"},
		{"full_in_time", detect.Context{TotalBytes: 1000100, TimeLimit: time.Minute}, minute, "", ""},
		{"not_full", detect.Context{TotalBytes: 1100000, TimeLimit: 5 * time.Minute}, minute, "", ""},
		{"begins_late", detect.Context{WindowStart: pcaptest.Epoch.Add(-8 * time.Second)}, minute, "capture.incomplete-window info", "8 s after the start"},
		{"begins_in_time", detect.Context{WindowStart: pcaptest.Epoch.Add(-4 * time.Second)}, minute, "", ""},
		{"dropped", detect.Context{}, with(func(s *detect.Summary) { s.Dropped = 1 }), "capture.loss low", "dropped 1 packet (0.1 %)"},
		{"dropped_many", detect.Context{}, with(func(s *detect.Summary) { s.Dropped = 200 }), "capture.loss medium", "(16.7 %)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run := detect.Start(tt.known, []*detect.Detector{quality.Detector})
			run.Wants.End(&tt.summary)
			if tt.want == "" {
				if len(run.Findings) > 0 {
					t.Fatalf("found %v", run.Findings)
				}
				return
			}
			if len(run.Findings) != 1 {
				t.Fatalf("%d findings, want 1: %v", len(run.Findings), run.Findings)
			}
			f := run.Findings[0]
			if got := string(f.Kind) + " " + f.Severity.String(); got != tt.want {
				t.Errorf("found %s, want %s", got, tt.want)
			}
			if !strings.Contains(f.Summary, tt.says) {
				t.Errorf("it says %q, want %q in it", f.Summary, tt.says)
			}
			if f.Culprit != finding.Capture || f.NextStep == "" || f.Packets == nil {
				t.Errorf("culprit %q, next step %q, packets %v", f.Culprit, f.NextStep, f.Packets)
			}
		})
	}
}
