package pcap

import (
	"bytes"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// FuzzReader reads anything, and a beginning of it, in little memory.
func FuzzReader(f *testing.F) {
	for _, file := range samples(f) {
		f.Add(file, uint16(len(file)/2))
	}
	f.Add([]byte("<html>"), uint16(3))
	f.Fuzz(func(t *testing.T, file []byte, cut uint16) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		whole, sum := dump(bytes.NewReader(file))
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 8<<20+64*uint64(len(strings.Join(whole, ""))) {
			t.Fatalf("%d bytes allocated for a file of %d with %d packets", used, len(file), len(whole)-1)
		}
		if len(whole) > 1 && sum.Packets != int64(len(whole)-1) {
			t.Fatalf("%d packets, and %d in the summary", len(whole)-1, sum.Packets)
		}
		if magic, _ := classicMagic(file); magic == magicModified {
			return // whose dialect is guessed from what there is
		}
		part, _ := dump(bytes.NewReader(file[:min(int(cut), len(file))]))
		if n := len(part) - 1; n >= len(whole) || !slices.Equal(part[:n], whole[:n]) {
			t.Fatalf("%d bytes have other packets than the whole file", cut)
		}
	})
}
