package analysis_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"runtime"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
	"github.com/pcapwarden/pcapwarden/test/bench/traffic"
)

// made returns a made-up capture.
func made(t testing.TB, write func(io.Writer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// gauge is a reader that looks at the heap now and then.
type gauge struct {
	io.Reader
	alive uint64 // the most
	read  int
}

func (g *gauge) Read(p []byte) (int, error) {
	const every = 6 << 20
	n, err := g.Reader.Read(p)
	if g.read/every != (g.read+n)/every || err == io.EOF {
		g.alive = max(g.alive, alive())
	}
	g.read += n
	return n, err
}

func alive() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// run analyses a capture and returns how many bytes the engine held meanwhile,
// at most.
func run(t *testing.T, capture []byte) (*analysis.Analysis, int64) {
	t.Helper()
	before := alive()
	g := &gauge{Reader: bytes.NewReader(capture)}
	a, err := analysis.Run(t.Context(), g, analysis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	held := int64(max(g.alive, alive())) - int64(before)
	runtime.KeepAlive(capture)
	return a, held
}

// TestMemory bounds what the engine holds, whatever the capture.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("analyses a million packets")
	}
	for _, tt := range []struct {
		name    string
		write   func(io.Writer) error
		ceiling int64  // MB that may be held
		finding string // kind that must be there
		dropped string // what must be counted as dropped
	}{
		{"ordinary", func(w io.Writer) error { return traffic.Mixed(w, 60e6) }, 16, "", ""},
		{"syn_flood", func(w io.Writer) error { return traffic.SYNs(w, 300_000) }, 96, "tcp.half-open", "connections"},
		{"lookups", func(w io.Writer) error { return traffic.Lookups(w, 150_000) }, 64, "", "udp and icmp conversations"},
		{"crowd", func(w io.Writer) error { return traffic.Crowd(w, 12_000) }, 64, "tcp.connect-refused", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, held := run(t, made(t, tt.write))
			t.Logf("%d packets, %.1f MB", a.Capture.Packets, float64(held)/1e6)
			if held > tt.ceiling<<20 {
				t.Errorf("%d MB were held, want at most %d", held>>20, tt.ceiling)
			}
			if tt.finding != "" && !found(a, tt.finding) {
				t.Errorf("no finding %s: %+v", tt.finding, a.Findings)
			}
			if tt.dropped != "" && (!a.Limits.Hit || a.Limits.Dropped[tt.dropped] == 0) {
				t.Errorf("limits = %+v, want dropped %s", a.Limits, tt.dropped)
			}
		})
	}
}

func found(a *analysis.Analysis, kind string) bool {
	for _, f := range a.Findings {
		if string(f.Kind) == kind {
			return true
		}
	}
	return false
}

// TestBomb: what was read before a compressed file turned out to be a bomb
// stays, and the analysis says why there is no more.
func TestBomb(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	w, err := pcap.NewWriter(z, pcap.LinkTypeEthernet, 0)
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 64<<10)
	for i := range 1000 {
		if err := w.WritePacket(pcap.Timestamp(i+1), len(zeros), zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	a, held := run(t, bomb.Bytes())
	if !a.Capture.Readable || a.Capture.Error == "" || a.Capture.Packets == 0 || a.Capture.Packets == 1000 {
		t.Errorf("capture = %+v, want some packets and an error", a.Capture)
	}
	if held > 8<<20 {
		t.Errorf("%d MB were held", held>>20)
	}
}

// TestAllocations: packets of connections that are known cost no allocation,
// through all of the engine, and neither does one more SYN of a flood.
func TestAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	count := func(capture []byte) (packets int64, mallocs uint64) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		a, err := analysis.Run(t.Context(), bytes.NewReader(capture), analysis.Options{})
		if err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return a.Capture.Packets, after.Mallocs - before.Mallocs
	}
	for _, tt := range []struct {
		name        string
		once, twice []byte
		allowed     float64 // a packet: what stands for the group grows with it now and then
	}{
		{
			"known_connections",
			made(t, func(w io.Writer) error { return traffic.Steady(w, 40) }),
			made(t, func(w io.Writer) error { return traffic.Steady(w, 80) }), 0.001,
		},
		{
			"syn_flood",
			made(t, func(w io.Writer) error { return traffic.SYNs(w, 100_000) }),
			made(t, func(w io.Writer) error { return traffic.SYNs(w, 200_000) }), 0.01,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, few := count(tt.once)
			m, many := count(tt.twice)
			each := (float64(many) - float64(few)) / float64(m-n)
			t.Logf("%d allocations for %d packets, %d for %d: %.4f each", few, n, many, m, each)
			if m < n*3/2 || each > tt.allowed {
				t.Errorf("%.4f allocations for each of %d more packets, want at most %v", each, m-n, tt.allowed)
			}
		})
	}
}
