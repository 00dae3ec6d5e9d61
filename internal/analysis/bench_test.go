package analysis_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/test/bench/traffic"
)

// BenchmarkRun analyses ordinary traffic: the whole engine, without a disk.
func BenchmarkRun(b *testing.B) {
	for _, bm := range []struct {
		name  string
		write func(io.Writer) error
	}{
		{"mixed", func(w io.Writer) error { return traffic.Mixed(w, 20e6) }},
		{"syns", func(w io.Writer) error { return traffic.SYNs(w, 200_000) }},
		{"lookups", func(w io.Writer) error { return traffic.Lookups(w, 50_000) }},
		{"short_tls", func(w io.Writer) error { return traffic.ShortTLS(w, 5000) }},
	} {
		b.Run(bm.name, func(b *testing.B) {
			capture := made(b, bm.write)
			b.SetBytes(int64(len(capture)))
			b.ReportAllocs()
			packets := int64(0)
			for b.Loop() {
				a, err := analysis.Run(b.Context(), bytes.NewReader(capture), analysis.Options{})
				if err != nil {
					b.Fatal(err)
				}
				packets = a.Capture.Packets
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(packets), "ns/packet")
		})
	}
}
