//go:build linux

package lab

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// What the lab captures is what tcpdump captures beside it, packet for packet.
func TestLabCapturesAsTcpdump(t *testing.T) {
	require(t)
	tcpdump, err := exec.LookPath("tcpdump")
	if err != nil {
		t.Skip("needs tcpdump")
	}
	t.Parallel()
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "tcpdump.pcap")
	cmd := exec.CommandContext(t.Context(), tcpdump, "-i", "eth0", "--immediate-mode", "-U", "-n", "-Z", "root", "-B", "16384", "-w", file)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	w.client.must(cmd.Start)
	said := bufio.NewScanner(stderr)
	for said.Scan() && !strings.Contains(said.Text(), "listening on") {
	}
	ours := record(w.client, "eth0", limits{})

	p := line()
	p.lose = 20
	w.resolver(answer)
	w.lookUp(resolverAddr)
	download(line(), p)(w)

	got := ours.stop()
	time.Sleep(200 * time.Millisecond)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, stderr)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	a, b := frames(t, got), frames(t, want)
	if len(a) < 300 || !cmp.Equal(a, b) {
		t.Errorf("%d packets, tcpdump has %d, and they are not the same", len(a), len(b))
	}
	t.Logf("%d packets, tcpdump %d", len(a), len(b))
}

// frames are the packets of a capture, without their times.
func frames(t *testing.T, file []byte) (all []string) {
	t.Helper()
	r, err := pcap.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	for {
		rec, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(rec.Data))
	}
}
