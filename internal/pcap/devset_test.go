package pcap

import (
	"errors"
	"strings"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/pcaptest/devset"
)

// TestDevset reads foreign captures, which lie beside the repository where
// they are at hand, and expects what tshark 4.0.17 says of them.
func TestDevset(t *testing.T) {
	for _, file := range devset.Files(t) {
		t.Run(file.Name(), func(t *testing.T) {
			var want struct {
				Format      string
				LinkType    *LinkType
				SnapLength  int   `json:"snaplen"`
				Packets     int64 `json:"packets"`
				Truncated   int   `json:"snaplen_truncated_packets"`
				CutShort    bool  `json:"cut_short"`
				ExitCode    int   `json:"tshark_rc"`
				First, Last float64
			}
			file.Truth(t, &want)
			r, err := NewReader(file.Open(t))
			if err != nil {
				t.Fatal(err)
			}
			truncated := 0
			first, last := 0.0, 0.0
			for {
				var rec *Record
				if rec, err = r.Next(); err != nil {
					break
				}
				if len(rec.Data) < rec.Length {
					truncated++
				}
				at := float64(rec.Time) / 1e9
				if rec.Number == 1 {
					first, last = at, at
				}
				first, last = min(first, at), max(last, at)
			}
			if _, damaged := errors.AsType[*FormatError](err); damaged != (want.ExitCode != 0 && !want.CutShort) {
				t.Errorf("ends with %v, tshark with exit code %d", err, want.ExitCode)
			}
			sum := r.Summary()
			format := strings.TrimSuffix(want.Format, "-modified")
			if format == "unknown" {
				format = "netmon" // the only one that the truth does not know
			}
			if string(sum.Format) != format {
				t.Errorf("format %s, want %s", sum.Format, format)
			}
			if want.LinkType != nil && sum.LinkTypes[0] != *want.LinkType {
				t.Errorf("link type %d, want %d", sum.LinkTypes[0], *want.LinkType)
			}
			if len(sum.LinkTypes) == 1 && sum.SnapLength != want.SnapLength {
				t.Errorf("snap length %d, want %d", sum.SnapLength, want.SnapLength)
			}
			if sum.Packets != want.Packets || truncated != want.Truncated || sum.CutShort != want.CutShort {
				t.Errorf("%d packets, %d truncated, cut short %t; want %d, %d, %t", sum.Packets, truncated, sum.CutShort, want.Packets, want.Truncated, want.CutShort)
			}
			if d := max(first-want.First, want.First-first, last-want.Last, want.Last-last); d > 1e-6 {
				t.Errorf("from %f to %f, want %f to %f", first, last, want.First, want.Last)
			}
		})
	}
}
