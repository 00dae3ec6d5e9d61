package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
	"github.com/pcapwarden/pcapwarden/internal/pcaptest"
)

func TestExcerptCommand(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	in := at("in.pcap")
	script := "0 10.0.0.5:40000 > 10.0.0.4:443 SYN\n+0.001 10.0.0.4:443 > 10.0.0.5:40000 RST-ACK\n"
	if err := os.WriteFile(in, pcaptest.Capture(script+strings.ReplaceAll(script, "40000", "40001")), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := program(t, nil, "excerpt", in, "--packets", "2,3-4", at("a.pcapng"))
	if code != exitOK || stdout != at("a.pcapng")+": 3 packets, 1 of handshakes\n" || stderr != "" {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
	code, stdout, stderr = program(t, nil, "excerpt", in, "--finding", "1", at("b.pcapng"))
	if code != exitOK || stderr != "" {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
	file, err := os.ReadFile(at("b.pcapng"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := pcap.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := r.Next(); err == nil; _, err = r.Next() {
		n++
	}
	if n == 0 || !bytes.Contains(file, []byte("tcp.connect-refused: RST from the server (packet 2 of the capture)")) || !bytes.Contains(file, []byte("pcapwarden "+buildVersion())) {
		t.Errorf("%d packets, in %q", n, file)
	}
	if info, err := os.Stat(at("b.pcapng")); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, mode %v; want a file that its owner reads", err, info.Mode())
	}
	// All of them, into a folder that is made; and one kind, to standard output.
	code, stdout, stderr = program(t, nil, "excerpt", "--output", at("all"), in)
	if want := "in-01-tcp.connect-refused.pcapng"; code != exitOK || listing(t, at("all")) != want || !strings.HasPrefix(stdout, filepath.Join(dir, "all", want)) || stderr != "" {
		t.Errorf("exit %d: %s%s, files %s", code, stdout, stderr, listing(t, at("all")))
	}
	code, stdout, stderr = program(t, nil, "excerpt", "--finding", "tcp.connect-refused", "--payload", in, "-")
	if code != exitOK || stdout != string(file) || !strings.HasPrefix(stderr, "-: ") {
		t.Errorf("exit %d: %d bytes, %s", code, len(stdout), stderr)
	}
	// An excerpt can be shared like a capture: what redact reads is a pipe.
	if code, stdout, stderr := program(t, nil, "redact", at("b.pcapng"), at("b.pcap")); code != exitOK || !strings.Contains(stdout, "b.pcap: 4 of 4 packets") {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
	before := listing(t, dir)
	for _, bad := range []struct {
		name string
		args []string
		code int
	}{
		{"nothing asked for", []string{in, at("c")}, exitUsage},
		{"both", []string{in, at("c"), "--finding", "1", "--packets", "1"}, exitUsage},
		{"no output", []string{in, "--packets", "1"}, exitUsage},
		{"a word", []string{in, at("c"), "--packets", "one"}, exitUsage},
		{"backwards", []string{in, at("c"), "--packets", "4-1"}, exitUsage},
		{"too many", []string{in, at("c"), "--packets", "1-9223372036854775807"}, exitUsage},
		{"a folder for packets", []string{in, "--packets", "1", "--output", at("all")}, exitUsage},
		{"a folder and a file", []string{in, at("c"), "--output", at("all")}, exitUsage},
		{"less than no payload", []string{in, at("c"), "--packets", "1", "--payload=-1"}, exitUsage},
		{"no such kind", []string{in, at("c"), "--finding", "tls.alert"}, exitError},
		{"there already, in a folder", []string{in, "--output", at("all")}, exitError},
		{"no such frame", []string{in, at("c"), "--packets", "9"}, exitError},
		{"no such finding", []string{in, at("c"), "--finding", "99"}, exitError},
		{"no such file", []string{at("none"), at("c"), "--packets", "1"}, exitError},
		{"there already", []string{in, in, "--packets", "1"}, exitError},
	} {
		if code, stdout, stderr := program(t, nil, append([]string{"excerpt"}, bad.args...)...); code != bad.code || stdout != "" || stderr == "" {
			t.Errorf("%s: exit %d, want %d: %s%s", bad.name, code, bad.code, stdout, stderr)
		}
	}
	if after := listing(t, dir); after != before {
		t.Errorf("files before: %s\nafter failures: %s", before, after)
	}
}
