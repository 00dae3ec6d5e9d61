package analysis_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
)

// FuzzRun analyses arbitrary bytes. Whatever they are, they give an analysis
// that is the same each time and fits into JSON.
func FuzzRun(f *testing.F) {
	for _, pattern := range []string{"../local/scenario/recordings/*.pcap", filepath.Join(lab, "*.pcap")} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b[:min(len(b), 3<<10)])
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		text := func() []byte {
			a, err := analysis.Run(t.Context(), bytes.NewReader(b), analysis.Options{})
			if err != nil {
				t.Fatal(err)
			}
			out, err := json.Marshal(a)
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		if once, twice := text(), text(); !bytes.Equal(once, twice) {
			t.Fatalf("two analyses differ:\n%s\n%s", once, twice)
		}
	})
}
