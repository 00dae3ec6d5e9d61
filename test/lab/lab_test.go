//go:build linux

package lab

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/analysis/analysistest"
)

var update = flag.Bool("update", false, "record the captures anew that internal/analysis is tested with")

const recordings = "../../internal/analysis/testdata/lab"

// atOnce is how many experiments run at a time: nearly all of their time they
// wait for a timer of TCP.
const atOnce = 10

func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", strconv.Itoa(atOnce))
	os.Exit(m.Run())
}

// An experiment is a fault, or health, with what has to be found.
type experiment struct {
	name string
	doc  string
	at   vantage
	limits
	late bool // run begins the capture itself
	run  func(*world)
	// shows is a display filter of tshark for the packets that prove the
	// fault; a capture without any is a mistake of the lab's.
	shows string
	want  analysistest.Want
}

// A vantage is where it is captured.
type vantage int

const (
	clientSide vantage = iota
	serverSide
	monitorPort
)

var experiments = slices.Concat(idleness, connecting, resetting, handshakes, resolving, lossy, sized, waiting, behaviour, partial, healthy)

type result struct {
	recording analysistest.Recording
	analysis  *analysis.Analysis
	file      []byte
	took      time.Duration
	mistakes  []string
}

func TestLab(t *testing.T) {
	require(t)
	results := &ledger{done: map[string]result{}}
	t.Cleanup(func() {
		t.Log(results.table())
		if *update {
			results.store(t)
		}
	})
	for _, e := range experiments {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			r := e.perform(t)
			r.took = time.Since(start)
			results.add(r)
			for _, m := range r.mistakes {
				t.Error(m)
			}
			if t.Failed() {
				t.Logf("verdict: %s", r.analysis.Verdict.Summary)
				for _, f := range r.analysis.Findings {
					t.Logf("%-8s %s: %s %v", f.Severity, f.Kind, f.Summary, f.Packets)
				}
			}
		})
	}
}

// require skips where the lab can't be built, or when nobody asked for it: it
// takes minutes, and its clocks want a machine that does little else.
func require(t *testing.T) {
	if asked := flag.Lookup("test.run").Value.String(); !strings.Contains(asked, "Lab") {
		t.Skip("the fault lab runs when it is asked for: make lab")
	}
	if os.Getuid() != 0 {
		t.Skip("the fault lab needs root, for network namespaces, packet filters and TUN interfaces")
	}
	for _, tool := range []string{"ip", "nft", "tc"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the fault lab needs %s (Debian packages iproute2, nftables)", tool)
		}
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skip("the fault lab needs TUN interfaces:", err)
	}
}

// perform makes the fault, captures it and has it analysed.
func (e *experiment) perform(t *testing.T) result {
	w := newWorld(t)
	w.begin = func() {
		t.Helper()
		switch e.at {
		case clientSide:
			w.recorder = record(w.client, "eth0", e.limits)
		case serverSide:
			w.recorder = record(w.server, "eth0", e.limits)
		case monitorPort:
			w.recorder = record(w.router, "monitor", e.limits)
		}
	}
	if !e.late {
		if e.at == monitorPort {
			w.mirror()
		}
		w.begin()
	}
	e.run(w)
	for _, leave := range w.client.leave {
		leave()
	}
	r := result{file: w.recorder.stop()}
	r.recording = analysistest.Recording{
		Name: e.name, Doc: e.doc, Filtered: len(e.filters) > 0, TotalBytes: e.total, WindowStart: w.incident, Want: e.want,
	}
	switch e.at {
	case clientSide:
		r.recording.Vantage = append(r.recording.Vantage, clientAddr)
	case serverSide:
		r.recording.Vantage = append(r.recording.Vantage, serverAddr, resolverAddr, partnerAddr)
	}
	if e.shows != "" {
		r.recording.Proof = prove(t, r.file, e.shows)
	}
	var err error
	if r.analysis, err = r.recording.Analyze(t.Context(), bytes.NewReader(r.file)); err != nil {
		t.Fatal(err)
	}
	r.mistakes = r.recording.Mistakes(r.analysis)
	return r
}

// prove returns the packets that tshark finds, which are the fault.
func prove(t *testing.T, file []byte, filter string) (frames analysistest.Frames) {
	t.Helper()
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		if *update {
			t.Fatal("recording needs tshark, to see that the fault is in the capture")
		}
		return nil
	}
	cmd := exec.CommandContext(t.Context(), tshark, "-n", "-r", "-", "-Y", filter, "-T", "fields", "-e", "frame.number")
	cmd.Stdin = bytes.NewReader(file)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark -Y %q: %v", filter, err)
	}
	for number := range strings.FieldsSeq(string(out)) {
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			t.Fatalf("tshark says %q", number)
		}
		frames = append(frames, n)
	}
	if len(frames) == 0 {
		kept := filepath.Join(os.TempDir(), "lab-"+filepath.Base(t.Name())+".pcap")
		t.Errorf("the capture does not hold what it should: no packet is %q; see %s: %v", filter, kept, os.WriteFile(kept, file, 0o600))
	}
	return frames
}

// A ledger holds what came of the experiments.
type ledger struct {
	mu   sync.Mutex
	done map[string]result
}

func (l *ledger) add(r result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done[r.recording.Name] = r
}

func (l *ledger) table() string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\ncase\texpected\tgot\tok\tpackets\tseconds\n")
	right, all := 0, 0
	for _, e := range experiments {
		r, ok := l.done[e.name]
		if !ok {
			continue
		}
		mark := "no"
		if all++; len(r.mistakes) == 0 {
			right++
			mark = "yes"
		}
		v := r.analysis.Verdict
		fmt.Fprintf(w, "%s\t%s/%s\t%s/%s\t%s\t%d\t%.1f\n", e.name,
			e.want.Cause, e.want.Culprits[0], v.Cause, v.Culprit, mark, r.analysis.Capture.Packets, r.took.Seconds())
	}
	fmt.Fprintf(w, "%d of %d right\n", right, all)
	w.Flush()
	return text.String()
}

// What the recordings may take in the repository.
const (
	maxFile = 40_000
	maxAll  = 1_200_000
)

// store writes what was recorded, beside what was not made this time.
func (l *ledger) store(t *testing.T) {
	old, err := analysistest.Load(recordings)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if err := os.MkdirAll(recordings, 0o755); err != nil {
		t.Fatal(err)
	}
	var all []analysistest.Recording
	total := 0
	for _, e := range experiments {
		file := filepath.Join(recordings, e.name+".pcap")
		r, made := l.done[e.name]
		switch i := slices.IndexFunc(old, func(o analysistest.Recording) bool { return o.Name == e.name }); {
		case made && (e.shows == "" || len(r.recording.Proof) > 0):
			if len(r.file) > maxFile {
				t.Errorf("%s: the recording has %d bytes, more than %d", e.name, len(r.file), maxFile)
				continue
			}
			if err := os.WriteFile(file, r.file, 0o644); err != nil {
				t.Fatal(err)
			}
			all = append(all, r.recording)
		case i >= 0:
			all = append(all, old[i])
		default:
			continue
		}
		if info, err := os.Stat(file); err == nil {
			total += int(info.Size())
		}
	}
	if total > maxAll {
		t.Errorf("the recordings have %d bytes together, more than %d", total, maxAll)
	}
	if err := analysistest.Store(recordings, all); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d recordings, %d bytes", len(all), total)
}
