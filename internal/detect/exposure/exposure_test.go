package exposure_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/detect/detecttest"
	"github.com/pcapwarden/pcapwarden/internal/detect/exposure"
	"github.com/pcapwarden/pcapwarden/internal/pcaptest"
)

func Test(t *testing.T) { detecttest.Run(t, exposure.Detector) }

// TestNoSecretLeaves analyses every story with all detectors. The stories'
// users and secrets all begin with "sesame" (the base64 of which is c2VzYW1l):
// nothing of that may be in the document.
func TestNoSecretLeaves(t *testing.T) {
	stories, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(stories) == 0 {
		t.Fatal("no story in testdata")
	}
	other := regexp.MustCompile(`(?m)^(want|vantage) .*$`)
	for _, file := range stories {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		a, err := analysis.Run(t.Context(), bytes.NewReader(pcaptest.Capture(other.ReplaceAllString(string(text), ""))), analysis.Options{File: file})
		if err != nil {
			t.Fatal(err)
		}
		document, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"sesame", "c2VzYW1l", "5lc2FtZ"} {
			if strings.Contains(string(document), secret) {
				t.Errorf("%s: %q is in the analysis", file, secret)
			}
		}
	}
}
