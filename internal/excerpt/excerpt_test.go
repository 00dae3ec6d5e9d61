package excerpt_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/excerpt"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
	"github.com/pcapwarden/pcapwarden/internal/pcaptest"
	"github.com/pcapwarden/pcapwarden/internal/pcaptest/devset"
	"github.com/pcapwarden/pcapwarden/test/tshark"
)

// One pair of ports is used twice, another connection and a lookup lie between.
var capture = pcaptest.Capture(`
0.000  10.0.0.5:40001 > 10.0.0.4:443   SYN mss=1460
+0.001 10.0.0.6:40001 > 10.0.0.4:443   SYN
+0.010 10.0.0.4:443 > 10.0.0.5:40001   SYN-ACK
+0.001 10.0.0.5:40001 > 10.0.0.4:443   ACK
+0.001 10.0.0.5:40001 > 10.0.0.4:443   text "GET /first HTTP/1.1"
+0.001 10.0.0.5:5353 > 10.0.0.2:53     query A www.example.com
+0.001 10.0.0.4:443 > 10.0.0.5:40001   RST
+1.000 10.0.0.5:40001 > 10.0.0.4:443   SYN seq=9000000
+1.000 10.0.0.5:40001 > 10.0.0.4:443   SYN seq=9000000
+0.010 10.0.0.4:443 > 10.0.0.5:40001   SYN-ACK
+0.001 10.0.0.5:40001 > 10.0.0.4:443   ACK
+0.001 10.0.0.5:40001 > 10.0.0.4:443   text "GET /second HTTP/1.1"
+0.001 10.0.0.5:40001 > 10.0.0.4:443   text "GET /third HTTP/1.1"
+0.001 10.0.0.1 > 10.0.0.5             icmp 3/4 quotes=12 mtu=1400
`)

// A memory is a file in memory.
type memory struct {
	bytes.Buffer
	closed int
}

func (m *memory) Close() error { m.closed++; return nil }

// cut makes one excerpt, from a reader that cannot go back.
func cut(t *testing.T, source []byte, s excerpt.Selection, payload int) (excerpt.Summary, []byte, error) {
	t.Helper()
	var out memory
	all, err := excerpt.Cut(t.Context(), onlyReader{bytes.NewReader(source)}, []excerpt.Selection{s}, excerpt.Options{Payload: payload},
		func(int) (io.WriteCloser, error) { return &out, nil })
	if err != nil {
		return excerpt.Summary{}, out.Bytes(), err
	}
	if want := min(all[0].Packets, 1); out.closed != want { // not even made, if nothing can be written
		t.Errorf("the excerpt was closed %d times, want %d", out.closed, want)
	}
	return all[0], out.Bytes(), nil
}

type onlyReader struct{ io.Reader }

// lines returns the packets of a pcapng file, a line each: its length in the
// file, on the wire, and its comment.
func lines(t *testing.T, file []byte) (lines []string) {
	t.Helper()
	r, err := pcap.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	comments := commentsOf(file)
	for i := 0; ; i++ {
		rec, err := r.Next()
		if err != nil {
			return lines
		}
		lines = append(lines, fmt.Sprintf("%d/%d %s", len(rec.Data), rec.Length, comments[i]))
	}
}

// commentsOf returns the comments of packet blocks (draft-ietf-opsawg-pcapng,
// 4.3), little-endian.
func commentsOf(file []byte) (comments []string) {
	for u32 := binary.LittleEndian.Uint32; len(file) >= 12; file = file[u32(file[4:]):] {
		if u32(file) != 6 {
			continue
		}
		options := file[28+(u32(file[20:])+3)/4*4 : u32(file[4:])-4]
		comment := ""
		for len(options) >= 4 {
			code, n := binary.LittleEndian.Uint16(options), int(binary.LittleEndian.Uint16(options[2:]))
			if code == 1 {
				comment = string(options[4 : 4+n])
			}
			options = options[4+(n+3)/4*4:]
		}
		comments = append(comments, comment)
	}
	return comments
}

func TestCut(t *testing.T) {
	flow := &finding.Flow{Protocol: "tcp", Client: end("10.0.0.5:40001"), Server: end("10.0.0.4:443")}
	for _, test := range []struct {
		name      string
		selection excerpt.Selection
		payload   int
		want      []string
		summary   excerpt.Summary
	}{
		{
			name:      "with_the_handshake_of_its_connection",
			selection: excerpt.Selection{Packets: []int64{7}, Kind: "tcp.reset", Flow: flow, Labels: map[int64]string{7: "it breaks", 1: "it begins"}},
			want: []string{
				"58/58 handshake: it begins from the client (packet 1 of the capture)",
				"54/54 handshake: SYN-ACK from the server (packet 3 of the capture)",
				"54/54 handshake: ACK from the client (packet 4 of the capture)",
				"54/54 tcp.reset: it breaks from the server (packet 7 of the capture)",
			},
			summary: excerpt.Summary{Packets: 1, Handshake: 3},
		},
		{
			name:      "of_the_second_connection_between_the_same_ports",
			selection: excerpt.Selection{Packets: []int64{13, 12}, Flow: flow},
			want: []string{
				"54/54 handshake: SYN from the client (packet 8 of the capture)", "54/54 handshake: SYN from the client (packet 9 of the capture)",
				"54/54 handshake: SYN-ACK from the server (packet 10 of the capture)", "54/54 handshake: ACK from the client (packet 11 of the capture)",
				"54/74 20 bytes of payload from the client (packet 12 of the capture)", "54/73 19 bytes of payload from the client (packet 13 of the capture)",
			},
			summary: excerpt.Summary{Packets: 2, Handshake: 4},
		},
		{
			name:      "with_payload",
			selection: excerpt.Selection{Packets: []int64{5, 6}},
			payload:   4,
			want: []string{
				"58/58 handshake: SYN from 10.0.0.5:40001 (packet 1 of the capture)", "54/54 handshake: SYN-ACK from 10.0.0.4:443 (packet 3 of the capture)",
				"54/54 handshake: ACK from 10.0.0.5:40001 (packet 4 of the capture)",
				"58/73 19 bytes of payload from 10.0.0.5:40001 (packet 5 of the capture)", "46/75 33 bytes over UDP from 10.0.0.5:5353 (packet 6 of the capture)",
			},
			summary: excerpt.Summary{Packets: 2, Handshake: 3},
		},
		{
			name:      "a_handshake_that_comes_after",
			selection: excerpt.Selection{Packets: []int64{1}, Flow: flow},
			want: []string{
				"58/58 SYN from the client (packet 1 of the capture)", "54/54 handshake: SYN-ACK from the server (packet 3 of the capture)",
				"54/54 handshake: ACK from the client (packet 4 of the capture)",
			},
			summary: excerpt.Summary{Packets: 1, Handshake: 2},
		},
		{
			name:      "of_the_connection_that_an_error_is_about",
			selection: excerpt.Selection{Packets: []int64{14}, Flow: flow, Kind: "icmp.fragmentation-needed"},
			want: []string{
				"54/54 handshake: SYN from the client (packet 8 of the capture)", "54/54 handshake: SYN from the client (packet 9 of the capture)",
				"54/54 handshake: SYN-ACK from the server (packet 10 of the capture)", "54/54 handshake: ACK from the client (packet 11 of the capture)",
				"82/90 icmp.fragmentation-needed: fragmentation needed, MTU 1400, from 10.0.0.1 (packet 14 of the capture)",
			},
			summary: excerpt.Summary{Packets: 1, Handshake: 4},
		},
		{
			name:      "no_connection",
			selection: excerpt.Selection{Packets: []int64{6, 6}},
			want:      []string{"42/75 33 bytes over UDP from 10.0.0.5:5353 (packet 6 of the capture)"},
			summary:   excerpt.Summary{Packets: 1},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			summary, first, err := cut(t, capture, test.selection, test.payload)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, lines(t, first)); diff != "" {
				t.Errorf("packets(-want +got):\n%s", diff)
			}
			if summary != test.summary {
				t.Errorf("summary %+v, want %+v", summary, test.summary)
			}
			if _, again, _ := cut(t, capture, test.selection, test.payload); !bytes.Equal(first, again) {
				t.Error("the second excerpt differs from the first")
			}
			if test.payload == 0 && bytes.Contains(first, []byte("GET")) {
				t.Error("payload is in the excerpt")
			}
		})
	}
}

func end(s string) finding.Endpoint { return finding.Endpoint{AddrPort: netip.MustParseAddrPort(s)} }

// Two findings that name the same packet get it each, with their own words.
func TestCutTogether(t *testing.T) {
	files := map[int]*memory{}
	all := []excerpt.Selection{{Packets: []int64{5}, Kind: "a.b"}, {Packets: []int64{3, 5}, Kind: "c.d"}, {Packets: []int64{6}}}
	summaries, err := excerpt.Cut(t.Context(), bytes.NewReader(capture), all, excerpt.Options{Payload: 4}, func(i int) (io.WriteCloser, error) {
		if i == 2 {
			return nil, nil // not wanted
		}
		files[i] = &memory{}
		return files[i], nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]excerpt.Summary{{Finding: 0, Packets: 1, Handshake: 3}, {Finding: 1, Packets: 2, Handshake: 2}, {Finding: 2, Packets: 1}}, summaries); diff != "" {
		t.Errorf("summaries(-want +got):\n%s", diff)
	}
	for i, want := range [][]string{
		{"58/58 handshake: SYN", "54/54 handshake: SYN-ACK", "54/54 handshake: ACK", "58/73 a.b: 19 bytes of payload"},
		{"58/58 handshake: SYN", "54/54 c.d: SYN-ACK", "54/54 handshake: ACK", "58/73 c.d: 19 bytes of payload"},
	} {
		var got []string
		for _, l := range lines(t, files[i].Bytes()) {
			got = append(got, strings.SplitN(l, " from ", 2)[0])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("excerpt %d(-want +got):\n%s", i, diff)
		}
	}
}

func TestRefusals(t *testing.T) {
	one := excerpt.Selection{Packets: []int64{1}}
	for _, test := range []struct {
		name       string
		selections []excerpt.Selection
		payload    int
	}{
		{"nothing", []excerpt.Selection{{}}, 0},
		{"too many packets", []excerpt.Selection{{Packets: make([]int64, excerpt.MaxPackets+1)}}, 0},
		{"too many excerpts", slices.Repeat([]excerpt.Selection{one}, excerpt.MaxExcerpts+1), 0},
		{"less than no payload", []excerpt.Selection{one}, -1},
		{"too much payload", []excerpt.Selection{one}, excerpt.MaxPayload + 1},
	} {
		if _, err := excerpt.Cut(t.Context(), bytes.NewReader(capture), test.selections, excerpt.Options{Payload: test.payload}, nil); err == nil {
			t.Errorf("%s: no error", test.name)
		}
	}
	_, out, err := cut(t, capture, excerpt.Selection{Packets: []int64{99, 3, 98}}, 0)
	missing, ok := errors.AsType[*excerpt.MissingError](err)
	if !ok || len(out) > 0 {
		t.Fatalf("frames that are not there: %v, %d bytes written", err, len(out))
	}
	if diff := cmp.Diff(&excerpt.MissingError{Frames: []int64{98, 99}, Packets: 14}, missing); diff != "" {
		t.Errorf("missing(-want +got):\n%s", diff)
	}
	if _, _, err := cut(t, capture, excerpt.Selection{Packets: []int64{0, 3}}, 0); err == nil {
		t.Error("there is a frame 0")
	}
	if _, out, err := cut(t, []byte("<html>"), one, 0); err == nil || len(out) > 0 {
		t.Errorf("a web page: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if _, err := excerpt.Cut(ctx, bytes.NewReader(capture), []excerpt.Selection{one}, excerpt.Options{}, nil); err == nil || err.Error() != "enough" {
		t.Errorf("cancelled: %v", err)
	}
	for _, create := range []func(int) (io.WriteCloser, error){
		func(int) (io.WriteCloser, error) { return nil, errors.New("disk full") },
		func(int) (io.WriteCloser, error) { return broken{}, nil },
	} {
		if _, err := excerpt.Cut(t.Context(), bytes.NewReader(capture), []excerpt.Selection{one}, excerpt.Options{}, create); err == nil || err.Error() != "disk full" {
			t.Errorf("a full disk: %v", err)
		}
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("disk full") }
func (broken) Close() error              { return errors.New("nothing was written") }

// Reading ends soon after the last packet that matters.
func TestReadsNoFurther(t *testing.T) {
	rest := &counter{Reader: strings.NewReader(strings.Repeat("\xff", 8<<20))}
	_, err := excerpt.Cut(t.Context(), io.MultiReader(bytes.NewReader(capture), rest), []excerpt.Selection{{Packets: []int64{5, 6}}}, excerpt.Options{},
		func(int) (io.WriteCloser, error) { return &memory{}, nil })
	if err != nil || rest.read > 1<<20 {
		t.Errorf("%d bytes after the capture were read: %v", rest.read, err)
	}
}

type counter struct {
	io.Reader
	read int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read += n
	return n, err
}

// A flood of connections pushes out what nobody asked for by name, and no
// more than that is remembered.
func TestFlood(t *testing.T) {
	var script strings.Builder
	script.WriteString("0 10.0.0.5:40001 > 10.0.0.4:443 SYN\n+0.001 10.0.0.6:40001 > 10.0.0.4:443 SYN\n")
	const flood = 40000
	for i := range flood {
		fmt.Fprintf(&script, "+0.001 10.%d.%d.9:%d > 10.0.0.4:443 SYN\n", 1+i/250%250, i%250, 1000+i/62500)
	}
	script.WriteString("+0.001 10.0.0.4:443 > 10.0.0.5:40001 RST\n+0.001 10.0.0.4:443 > 10.0.0.6:40001 RST\n")
	source := pcaptest.Capture(script.String())
	packets := []int64{flood + 3, flood + 4}
	for _, test := range []struct {
		name string
		flow *finding.Flow
		want int
	}{
		{"nobody_asked", nil, 0},
		{"asked_by_name", &finding.Flow{Protocol: "tcp", Client: end("10.0.0.5:40001"), Server: end("10.0.0.4:443")}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, _, err := cut(t, source, excerpt.Selection{Packets: packets, Flow: test.flow}, 0)
			if err != nil || s.Packets != 2 || s.Handshake != test.want {
				t.Errorf("%+v, %v; want %d of handshakes", s, err, test.want)
			}
		})
	}
}

// TestFindings makes the excerpts of each recording in one more pass, and
// opens them with tshark.
func TestFindings(t *testing.T) {
	if !tshark.Installed() {
		t.Log("no tshark on this machine to open the excerpts with")
	}
	files, err := filepath.Glob("../analysis/testdata/lab/*.pcap")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	for _, f := range devset.AtHand(t) {
		files = append(files, f.Path)
	}
	opened, made := 0, 0
	for i, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		a, err := analysis.Run(t.Context(), bytes.NewReader(source), analysis.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if !a.Capture.Readable {
			continue
		}
		var whole [][]string
		excerpts := map[int]*memory{}
		summaries, err := excerpt.Write(t.Context(), onlyReader{bytes.NewReader(source)}, a, excerpt.Options{}, func(n int) (io.WriteCloser, error) {
			excerpts[n] = &memory{}
			return excerpts[n], nil
		})
		if err != nil {
			t.Fatalf("%s: %v", filepath.Base(file), err)
		}
		for _, s := range summaries {
			f := a.Findings[s.Finding]
			if s.Packets != len(f.Packets) || s.Unwritable != 0 || s.Shortened != 0 {
				t.Errorf("%s, finding %s: %+v, want the %d packets that it names", filepath.Base(file), f.Kind, s, len(f.Packets))
			}
			made++
			if !tshark.Installed() || i%6 != 0 || s.Finding > 1 {
				continue // starting it takes longer than all else
			}
			opened++
			if whole == nil {
				whole, _ = tshark.Fields(t, file, asWritten, keepNumbers...) // it may be cut
			}
			isPartOf(t, excerpts[s.Finding].Bytes(), whole, f)
		}
		for n, f := range a.Findings {
			if (len(f.Packets) > 0) != (excerpts[n] != nil) {
				t.Errorf("%s: finding %s names %d packets and has the excerpt %v", filepath.Base(file), f.Kind, len(f.Packets), excerpts[n])
			}
		}
	}
	t.Logf("%d excerpts, %d opened with tshark", made, opened)
	if made < 50 || tshark.Installed() && opened < 5 {
		t.Error("want more")
	}
}

// asWritten is what tshark says of each packet: its comment, and what an excerpt
// leaves as it is.
var (
	asWritten   = []string{"frame.comment", "frame.time_epoch", "frame.len", "eth.src", "ip.src", "ip.id", "ip.checksum", "ipv6.src", "tcp.seq_raw", "tcp.flags", "udp.srcport", "_ws.malformed"}
	keepNumbers = []string{"-o", "tcp.relative_sequence_numbers:FALSE"}
)

// number finds the frame number in a comment.
var number = regexp.MustCompile(`\(packet (\d+) of the capture\)$`)

// isPartOf asks tshark whether an excerpt holds packets of the capture, all
// that the finding names among them, as they were.
func isPartOf(t *testing.T, file []byte, capture [][]string, f finding.Finding) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "excerpt.pcapng")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	frames, complaint := tshark.Fields(t, name, asWritten, keepNumbers...)
	if complaint != "" {
		t.Errorf("tshark: %s", complaint)
	}
	for _, l := range frames {
		m := number.FindStringSubmatch(l[0])
		if m == nil {
			t.Errorf("finding %s: the comment %q names no frame", f.Kind, l[0])
			continue
		}
		n, _ := strconv.Atoi(m[1])
		if diff := cmp.Diff(capture[n-1][1:], l[1:]); diff != "" {
			t.Errorf("finding %s, frame %d(-capture +excerpt):\n%s", f.Kind, n, diff)
		}
		if strings.HasPrefix(l[0], string(f.Kind)+": ") {
			named[m[1]] = true
		} else if !strings.HasPrefix(l[0], "handshake: ") {
			t.Errorf("finding %s: comment %q", f.Kind, l[0])
		}
	}
	for _, n := range f.Packets {
		if !named[fmt.Sprint(n)] {
			t.Errorf("finding %s: tshark shows no frame %d", f.Kind, n)
		}
	}
}

// FuzzCut makes excerpts of any file.
func FuzzCut(f *testing.F) {
	f.Add(capture, int64(7), int64(12), 4)
	f.Add(capture, int64(14), int64(1), 0)
	f.Fuzz(func(t *testing.T, data []byte, first, second int64, payload int) {
		if len(data) > 1<<16 {
			return
		}
		s, out, err := cut(t, data, excerpt.Selection{Packets: []int64{first, second}}, payload)
		if err != nil || s.Packets == 0 {
			return
		}
		r, err := pcap.NewReader(bytes.NewReader(out))
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := r.Next(); err != nil {
				break
			}
		}
		if got := r.Summary(); got.Packets != int64(s.Packets+s.Handshake) || got.CutShort {
			t.Fatalf("the excerpt reads as %+v, want %+v", got, s)
		}
	})
}

// Packets that nobody asks for cost their decoding, and nothing that stays.
func BenchmarkCut(b *testing.B) {
	var script strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&script, "+0.001 10.0.0.5:%d > 10.0.0.4:443 SYN\n+0.001 10.0.0.4:443 > 10.0.0.5:%[1]d SYN-ACK\n", 1024+i)
		for range 8 {
			fmt.Fprintf(&script, "+0.001 10.0.0.5:%d > 10.0.0.4:443 data 1000\n", 1024+i)
		}
	}
	source := pcaptest.Capture("0" + strings.TrimPrefix(script.String(), "+0.001"))
	b.SetBytes(int64(len(source)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := excerpt.Cut(b.Context(), bytes.NewReader(source), []excerpt.Selection{{Packets: []int64{20000}}}, excerpt.Options{},
			func(int) (io.WriteCloser, error) { return &memory{}, nil }); err != nil {
			b.Fatal(err)
		}
	}
}
