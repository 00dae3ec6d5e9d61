package analysis_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/metrics"
	"slices"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/pcaptest/devset"
)

// Inputs are kept small, so that thousands of them take seconds.
const (
	head     = 4 << 10  // where files are cut
	most     = 48 << 10 // what is looked at of a file that is damaged elsewhere
	affords  = 16 << 20 // bytes that a damaged file may allocate, in all
	sampled  = 24       // damaged copies of each file whose memory is measured in a short run
	longRuns = "PCAPWARDEN_LONG"
)

// TestDamagedRecordings does to the repository's own recordings what disks,
// networks and attackers do to files.
func TestDamagedRecordings(t *testing.T) {
	var files []string
	for _, pattern := range []string{"../local/scenario/recordings/*.pcap", filepath.Join(lab, "*.pcap")} {
		some, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, some...)
	}
	if len(files) < 10 {
		t.Fatalf("only %d recordings: %v", len(files), files)
	}
	damageAll(t, files, 41, 2000)
}

// TestDamagedDevset does the same to the captures of others: formats, link
// types and protocols that no recording has.
func TestDamagedDevset(t *testing.T) {
	var captures []string
	for _, file := range devset.Files(t) {
		captures = append(captures, file.Path)
	}
	damageAll(t, captures, 13, 10_000)
}

// damageAll cuts every file at every step-th byte of its head, each at others,
// and flips bits in as many copies, over all files. A sample is held against
// the memory that it may take. With PCAPWARDEN_LONG it cuts at every byte, and
// everything is.
func damageAll(t *testing.T, files []string, step, flips int) {
	long := os.Getenv(longRuns) != ""
	if long {
		step, flips = 1, 10*flips
	} else if raceDetector || testing.Short() {
		step, flips = 10*step+1, flips/10
	}
	for i, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			whole, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			random := rand.New(rand.NewPCG(uint64(i), 0))
			part := whole[:min(most, len(whole))]
			if !long { // what others allocate would be counted, too
				for n := range sampled {
					cut := random.IntN(min(head, len(whole)) + 1)
					frugal(t, whole[:cut], "cut after byte %d", cut)
					frugal(t, flipped(random, part), "measured copy %d with flipped bits", n)
				}
				t.Parallel()
			}
			check := survive
			if long {
				check = frugal
			}
			for n := i % step; n < min(head, len(whole)); n += step {
				check(t, whole[:n], "cut after byte %d", n)
			}
			for n := range flips/len(files) + 1 {
				check(t, flipped(random, part), "copy %d with flipped bits", n)
			}
		})
	}
}

// flipped returns a copy with up to eight bits flipped, more often near the
// beginning, where the headers are that the rest depends on.
func flipped(random *rand.Rand, b []byte) []byte {
	b = slices.Clone(b)
	for range 1 + random.IntN(8) {
		within := len(b)
		if random.IntN(3) == 0 {
			within = min(within, 512)
		}
		if within > 0 {
			b[random.IntN(within)] ^= 1 << random.IntN(8)
		}
	}
	return b
}

// survive analyses a damaged capture: that gives an analysis, and neither an
// error nor a panic.
func survive(t *testing.T, b []byte, how string, n int) {
	t.Helper()
	defer func() {
		if p := recover(); p != nil {
			t.Errorf(how+": panic: %v", n, p)
			panic(p) // the stack is worth more than the other files
		}
	}()
	a, err := analysis.Run(t.Context(), bytes.NewReader(b), analysis.Options{})
	switch {
	case err != nil:
		t.Fatalf(how+": %v", n, err)
	case a.Verdict.Summary == "" || !a.Capture.Readable && a.Capture.Error == "":
		t.Fatalf(how+": capture %+v, verdict %+v", n, a.Capture, a.Verdict)
	}
}

// frugal is survive within the memory that a small file may take, however
// damaged: all that was allocated is more than what was held at a time.
func frugal(t *testing.T, b []byte, how string, n int) {
	t.Helper()
	before := allocated()
	survive(t, b, how, n)
	if got := allocated() - before; got > affords {
		t.Errorf(how+": %d MB were allocated", n, got>>20)
	}
}

// TestClaims are files that claim more than they hold: nothing is allocated
// for it.
func TestClaims(t *testing.T) {
	order := []byte{0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	ng := []byte{0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 28, 0, 0, 0}
	endless := []byte{255, 255, 255, 0x7f}
	for _, tt := range []struct {
		name  string
		parts [][]byte
	}{
		{"snap_length", [][]byte{order, endless, {1, 0, 0, 0}}},
		{"packet", [][]byte{order, {0, 0, 4, 0, 1, 0, 0, 0}, make([]byte, 8), endless, endless}},
		{"largest_packet", [][]byte{order, {0, 0, 4, 0, 1, 0, 0, 0}, make([]byte, 8), {0, 0, 4, 0, 0, 0, 4, 0}}},
		{"block", [][]byte{ng, {6, 0, 0, 0}, endless}},
		{"interfaces", [][]byte{ng, bytes.Repeat([]byte{1, 0, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0}, 100_000)}},
		{"sections", [][]byte{bytes.Repeat(ng, 100_000)}},
		{"tiny_packets", [][]byte{order, {0, 0, 4, 0, 1, 0, 0, 0}, make([]byte, 16*200_000)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			frugal(t, slices.Concat(tt.parts...), "claim %d", 0)
		})
	}
}

func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
