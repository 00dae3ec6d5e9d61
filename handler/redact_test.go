package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/pcaptest"
	"github.com/pcapwarden/pcapwarden/internal/redact"
)

// program runs the program, and returns its exit code and what it says.
func program(t *testing.T, env map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), environment{func(k string) string { return env[k] }, strings.NewReader(""), &out, &errs}, args)
	return code, out.String(), errs.String()
}

func TestRedactCommand(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	in := at("in.pcap")
	if err := os.WriteFile(in, pcaptest.Capture(`0 10.71.72.73:40001 > 10.71.72.1:443  text "GET /secret-of-contoso"`), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := program(t, nil, "redact", "--key", at("key"), in, at("a.pcap"))
	if code != exitOK || !strings.Contains(stdout, "1 of 1 packets") || !strings.Contains(stderr, at("key")) {
		t.Fatalf("exit %d: %s%s", code, stdout, stderr)
	}
	key, err := os.ReadFile(at("key"))
	if err != nil {
		t.Fatal(err)
	}
	k, err := redact.ParseKey(string(key))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(at("a.pcap.redaction.json"))
	if err != nil {
		t.Fatal(err)
	}
	var record redact.Record
	if err := json.Unmarshal(text, &record); err != nil || record.KeyID != k.ID() || record.Schema != redact.Schema {
		t.Errorf("record %s: %v", text, err)
	}
	for _, said := range []string{stdout, stderr, string(text)} {
		if strings.Contains(said, k.Text()) {
			t.Errorf("the key is told: %s", said)
		}
	}
	for _, name := range []string{"key", "a.pcap", "a.pcap.redaction.json"} {
		if info, err := os.Stat(at(name)); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, mode %v; want one that its owner reads", name, err, info.Mode())
		}
	}

	// The file, the environment and a name that is in use.
	if code, _, stderr := program(t, nil, "redact", in, at("b.pcap"), "--key", at("key")); code != exitOK || stderr != "" {
		t.Errorf("exit %d: %s", code, stderr)
	}
	if code, _, stderr := program(t, map[string]string{redactKey: k.Text()}, "redact", in, at("c.pcap")); code != exitOK {
		t.Errorf("exit %d: %s", code, stderr)
	}
	if code, _, stderr := program(t, nil, "redact", in, at("d.pcap")); code != exitOK {
		t.Errorf("exit %d: %s", code, stderr)
	}
	file := map[string][]byte{}
	for _, name := range []string{"a", "b", "c", "d"} {
		if file[name], err = os.ReadFile(at(name + ".pcap")); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(file["a"], file["b"]) || !bytes.Equal(file["a"], file["c"]) || bytes.Equal(file["a"], file["d"]) {
		t.Error("want the same derivative with the same key, and another without")
	}
	// Names: cut, or others.
	if err := os.WriteFile(at("dns.pcap"), pcaptest.Capture("0 10.71.72.73:40001 > 10.71.72.1:53 query A www.contoso.example"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := program(t, nil, "redact", "--names", "hash", "--tlp", "green", "--key", at("key"), at("dns.pcap"), at("names.pcap")); code != exitOK {
		t.Errorf("exit %d: %s", code, stderr)
	}
	names, err := os.ReadFile(at("names.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(at("dns.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	if len(names) != len(source) || bytes.Contains(names, []byte("contoso")) || bytes.Contains(names, []byte("example")) {
		t.Errorf("%d bytes of %d: %q", len(names), len(source), names)
	}
	if text, err := os.ReadFile(at("names.pcap.redaction.json")); err != nil || !strings.Contains(string(text), `"tlp": "TLP:GREEN"`) || !strings.Contains(string(text), "HMAC-SHA-512") {
		t.Errorf("record %s: %v", text, err)
	}
	before := listing(t, dir)
	for _, bad := range []struct {
		name string
		args []string
		env  map[string]string
		code int
	}{
		{"no such marking", []string{in, at("e.pcap"), "--tlp", "pink"}, nil, exitUsage},
		{"names as they are", []string{in, at("e.pcap"), "--names", "keep"}, nil, exitUsage},
		{"no output", []string{in}, nil, exitUsage},
		{"standard output", []string{in, "-"}, nil, exitUsage},
		{"there already", []string{in, at("a.pcap")}, nil, exitError},
		{"onto itself", []string{in, in}, nil, exitError},
		{"not there", []string{at("none.pcap"), at("e.pcap")}, nil, exitError},
		{"no capture", []string{at("key"), at("e.pcap")}, nil, exitError},
		{"no key", []string{in, at("e.pcap"), "--key", in}, nil, exitUsage},
		{"bad key", []string{in, at("e.pcap")}, map[string]string{redactKey: "hunter22"}, exitUsage},
	} {
		code, stdout, stderr := program(t, bad.env, append([]string{"redact"}, bad.args...)...)
		if code != bad.code || stderr == "" || stdout != "" || strings.Contains(stderr, "hunter22") {
			t.Errorf("%s: exit %d, want %d: %s%s", bad.name, code, bad.code, stdout, stderr)
		}
	}
	if after := listing(t, dir); after != before {
		t.Errorf("files before: %s\nafter failures: %s", before, after)
	}
}

func listing(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}
