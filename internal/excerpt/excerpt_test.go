package excerpt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/excerpt"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
	"github.com/pcapwarden/pcapwarden/internal/pcaptest"
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

// cut returns an excerpt's packets, a line each: its length in the file, on
// the wire, and its comment.
func cut(t *testing.T, o excerpt.Options) ([]string, excerpt.Summary, []byte) {
	t.Helper()
	var out bytes.Buffer
	s, err := excerpt.Write(t.Context(), bytes.NewReader(capture), &out, o)
	if err != nil {
		t.Fatal(err)
	}
	r, err := pcap.NewReader(bytes.NewReader(out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	rest := out.Bytes()
	for {
		rec, err := r.Next()
		if err != nil {
			return lines, s, out.Bytes()
		}
		_, after, ok := bytes.Cut(rest, []byte("frame "))
		if !ok {
			t.Fatal("a packet has no comment")
		}
		comment, _, _ := bytes.Cut(after, []byte{0})
		rest = after
		lines = append(lines, fmt.Sprintf("%d/%d %s", len(rec.Data), rec.Length, strings.TrimRight(string(comment), "\x00")))
	}
}

func TestWrite(t *testing.T) {
	for _, test := range []struct {
		name    string
		options excerpt.Options
		want    []string
		summary excerpt.Summary
	}{
		{
			name:    "with_the_handshake_of_its_connection",
			options: excerpt.Options{Packets: []int64{7}, Comments: map[int64]string{7: "RST by the server", 1: "where it begins"}},
			want: []string{
				"58/58 1 of the capture: where it begins", "54/54 3 of the capture: handshake", "54/54 4 of the capture: handshake",
				"54/54 7 of the capture: RST by the server",
			},
			summary: excerpt.Summary{Packets: 1, Handshake: 3},
		},
		{
			name:    "of_the_second_connection_between_the_same_ports",
			options: excerpt.Options{Packets: []int64{13, 12}},
			want: []string{
				"54/54 8 of the capture: handshake", "54/54 9 of the capture: handshake", "54/54 10 of the capture: handshake",
				"54/54 11 of the capture: handshake", "54/74 12 of the capture", "54/73 13 of the capture",
			},
			summary: excerpt.Summary{Packets: 2, Handshake: 4},
		},
		{
			name:    "with_payload",
			options: excerpt.Options{Packets: []int64{5, 6}, Payload: 4},
			want: []string{
				"58/58 1 of the capture: handshake", "54/54 3 of the capture: handshake", "54/54 4 of the capture: handshake",
				"58/73 5 of the capture", "46/75 6 of the capture",
			},
			summary: excerpt.Summary{Packets: 2, Handshake: 3},
		},
		{
			name:    "a_handshake_that_comes_after",
			options: excerpt.Options{Packets: []int64{1}},
			want:    []string{"58/58 1 of the capture", "54/54 3 of the capture: handshake", "54/54 4 of the capture: handshake"},
			summary: excerpt.Summary{Packets: 1, Handshake: 2},
		},
		{
			name:    "of_the_connection_that_an_error_is_about",
			options: excerpt.Options{Packets: []int64{14}},
			want: []string{
				"54/54 8 of the capture: handshake", "54/54 9 of the capture: handshake", "54/54 10 of the capture: handshake",
				"54/54 11 of the capture: handshake", "70/90 14 of the capture",
			},
			summary: excerpt.Summary{Packets: 1, Handshake: 4},
		},
		{
			name:    "no_connection",
			options: excerpt.Options{Packets: []int64{6, 6}},
			want:    []string{"42/75 6 of the capture"},
			summary: excerpt.Summary{Packets: 1},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, summary, first := cut(t, test.options)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("packets(-want +got):\n%s", diff)
			}
			if summary != test.summary {
				t.Errorf("summary %+v, want %+v", summary, test.summary)
			}
			if _, _, again := cut(t, test.options); !bytes.Equal(first, again) {
				t.Error("the second excerpt differs from the first")
			}
			if test.options.Payload == 0 && bytes.Contains(first, []byte("GET")) {
				t.Error("payload is in the excerpt")
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	for _, o := range []excerpt.Options{
		{}, {Packets: make([]int64, excerpt.MaxPackets+1)}, {Packets: []int64{1}, Payload: -1}, {Packets: []int64{1}, Payload: excerpt.MaxPayload + 1},
	} {
		if _, err := excerpt.Write(t.Context(), bytes.NewReader(capture), &bytes.Buffer{}, o); err == nil {
			t.Errorf("%d packets with %d bytes are excerpted", len(o.Packets), o.Payload)
		}
	}
	var out bytes.Buffer
	_, err := excerpt.Write(t.Context(), bytes.NewReader(capture), &out, excerpt.Options{Packets: []int64{99, 3, 0}})
	missing, ok := errors.AsType[*excerpt.MissingError](err)
	if !ok || out.Len() > 0 {
		t.Fatalf("frames that are not there: %v, %d bytes written", err, out.Len())
	}
	if diff := cmp.Diff(&excerpt.MissingError{Frames: []int64{0, 99}, Packets: 14}, missing); diff != "" {
		t.Errorf("missing(-want +got):\n%s", diff)
	}
	if _, err := excerpt.Write(t.Context(), strings.NewReader("<html>"), &out, excerpt.Options{Packets: []int64{1}}); err == nil || out.Len() > 0 {
		t.Errorf("a web page: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if _, err := excerpt.Write(ctx, bytes.NewReader(capture), &out, excerpt.Options{Packets: []int64{1}}); err == nil || err.Error() != "enough" {
		t.Errorf("cancelled: %v", err)
	}
}

// TestFindings makes an excerpt for each finding of each recording, and opens
// it with tshark.
func TestFindings(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Log("no tshark on this machine to open the excerpts with")
	}
	files, err := filepath.Glob("../analysis/testdata/lab/*.pcap")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	opened, labelled := 0, 0
	for i, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		a, err := analysis.Run(t.Context(), bytes.NewReader(source), analysis.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for n, f := range a.Findings {
			if len(f.Packets) == 0 {
				continue
			}
			o := excerpt.ForFinding(a, n)
			for _, c := range o.Comments {
				if strings.Contains(c, " by the ") {
					labelled++
				}
			}
			var out bytes.Buffer
			if _, err := excerpt.Write(t.Context(), bytes.NewReader(source), &out, o); err != nil {
				t.Errorf("%s, finding %s: %v", filepath.Base(file), f.Kind, err)
				continue
			}
			if tshark == "" || i%6 != 0 {
				continue // starting it takes longer than all else
			}
			opened++
			comments := tsharkComments(t, tshark, out.Bytes())
			for _, number := range f.Packets {
				if want := fmt.Sprintf("frame %d of the capture: %s", number, o.Comments[number]); !strings.Contains(comments, want+"\n") {
					t.Errorf("%s, finding %s: tshark shows no packet with the comment %q:\n%s", filepath.Base(file), f.Kind, want, comments)
				}
			}
		}
	}
	t.Logf("%d excerpts opened with tshark, %d packets with a label", opened, labelled)
	if labelled == 0 {
		t.Error("no comment says what a packet is")
	}
}

// tsharkComments returns the comments of all packets, a line each.
func tsharkComments(t *testing.T, tshark string, capture []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "excerpt.pcapng")
	if err := os.WriteFile(file, capture, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), tshark, "-n", "-r", file, "-T", "fields", "-e", "frame.comment")
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	// It warns of root, whatever the file.
	said := strings.ReplaceAll(complaints.String(), "Running as user \"root\" and group \"root\". This could be dangerous.\n", "")
	if err != nil || said != "" {
		t.Errorf("tshark: %v %s", err, said)
	}
	return string(out)
}

// FuzzWrite makes excerpts of any file.
func FuzzWrite(f *testing.F) {
	f.Add(capture, int64(7), 4)
	f.Add(capture, int64(14), 0)
	f.Fuzz(func(t *testing.T, data []byte, frame int64, payload int) {
		if len(data) > 1<<16 {
			return
		}
		var out bytes.Buffer
		if _, err := excerpt.Write(t.Context(), bytes.NewReader(data), &out, excerpt.Options{Packets: []int64{frame}, Payload: payload}); err != nil {
			return
		}
		r, err := pcap.NewReader(&out)
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := r.Next(); err != nil {
				break
			}
		}
		if s := r.Summary(); s.Packets == 0 || s.CutShort {
			t.Fatalf("the excerpt reads as %+v", s)
		}
	})
}
