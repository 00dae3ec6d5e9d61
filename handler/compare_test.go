package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/pcaptest"
)

func TestCompare(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	good := write("good.pcap", pcaptest.Capture("0 10.0.0.5:5000 > 10.0.0.4:53 query A a.example id=1\n+0.01 10.0.0.4:53 > 10.0.0.5:5000 answer A a.example 192.0.2.1 id=1\n"))
	slow := write("slow.pcap", pcaptest.Capture(`
repeat 3
+0.1 10.0.0.6:{5000+i} > 10.0.9.9:53 query A n{i}.example id={1+i}
+3   10.0.0.6:{6000+i} > 10.0.0.4:53 query A n{i}.example id={50+i}
+.01 10.0.0.4:53 > 10.0.0.6:{6000+i} answer A n{i}.example 192.0.2.1 id={50+i}
end
`))
	bad := write("bad.pcap", []byte("this is no capture at all, whatever it is called"))
	page := filepath.Join(dir, "page.html")
	tests := []struct {
		name   string
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{"text", []string{good, slow}, 0, "asks 10.0.9.9 first, which never answers", ""},
		{"flags last", []string{good, slow, "--format", "json"}, 0, `"schema": "pcapwarden.comparison/v1"`, ""},
		{"html into a file", []string{"--format=html", "--output", page, good, slow}, 0, "", ""},
		{"the vantage of each", []string{"--baseline-vantage", "10.0.0.5", "--vantage", "10.0.0.6", good, slow}, 0, "10.0.0.6 asks 10.0.9.9 first", ""},
		{"one is unreadable", []string{good, bad}, 1, "could not be read", "bad.pcap"},
		{"one is missing", []string{filepath.Join(dir, "none"), good}, 1, "could not be read", "none"},
		{"one only", []string{good}, 2, "", "usage: pcapwarden compare"},
		{"three", []string{good, slow, bad}, 1, "could not be read", "bad.pcap"},
		{"three as a page", []string{"--format=html", good, slow, slow}, 0, "The captures</h2>", ""},
		{"two as a ticket", []string{"--format=markdown", good, slow}, 0, "| good.pcap | baseline |", ""},
		{"twice standard input", []string{"-", "-"}, 2, "", "usage: pcapwarden compare"},
		{"an unknown format", []string{"--format", "xml", good, slow}, 2, "", "want text, json, html"},
		{"help", []string{"-h"}, 0, "", "BASELINE CAPTURE"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			e := environment{getenv: func(string) string { return "" }, stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr}
			if code := run(t.Context(), e, append([]string{"compare"}, tt.args...)); code != tt.code {
				t.Errorf("exit %d, want %d\n%s", code, tt.code, stderr.String())
			}
			if !strings.Contains(stdout.String(), tt.stdout) {
				t.Errorf("output lacks %q:\n%s", tt.stdout, stdout.String())
			}
			if !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("errors lack %q:\n%s", tt.stderr, stderr.String())
			}
			if strings.Contains(strings.Join(tt.args, " "), "json") && tt.code == 0 && !json.Valid(stdout.Bytes()) {
				t.Error("not JSON")
			}
		})
	}
	text, err := os.ReadFile(page)
	if err != nil || !bytes.HasPrefix(text, []byte("<!doctype html>")) {
		t.Errorf("page: %.40q, %v", text, err)
	}
	if info, err := os.Stat(page); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("page is %v, %v", info, err)
	}
}
