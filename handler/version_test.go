package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if code := run(t.Context(), environment{getenv: os.Getenv, stdout: &out, stderr: &out}, []string{"version"}); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"pcapwarden ", "commit ", runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH, fmt.Sprintf("%x", sha256.Sum256(binary))} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out.String())
		}
	}
}
