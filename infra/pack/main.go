// Command pack makes the zip that is deployed: the program, what the Functions
// host reads of it, the policy, the licence, and a bill of what is in the
// program. The same sources always make the same bytes, wherever and whenever
// they are built: who distrusts a zip builds it again and compares.
package main

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden"
	"github.com/pcapwarden/pcapwarden/internal/policy"
)

// maxBytes is the most that a package may have: it is fetched by each instance
// that starts.
const maxBytes = 20 << 20

// epoch is the time of all files: the first that a zip can tell.
var epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

func main() {
	version := flag.String("version", "dev", "the `VERSION` that the bill names")
	program := flag.String("program", "", "the `FILE` of the program, for linux/amd64")
	policyFile := flag.String("policy", "policy.sample.yaml", "the policy `FILE` that is deployed")
	licence := flag.String("licence", "LICENSE", "the licence `FILE`")
	out := flag.String("out", "", "the zip `FILE` to write; the bill is written beside it")
	flag.Parse()
	if err := run(*version, *program, *policyFile, *licence, *out); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func run(version, program, policyFile, licence, out string) error {
	files, err := contents(version, program, policyFile, licence)
	if err != nil {
		return err
	}
	body, err := pack(files)
	if err != nil {
		return err
	}
	if len(body) > maxBytes {
		return fmt.Errorf("%d bytes, want at most %d: look for a new dependency with go version -m %s", len(body), maxBytes, program)
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(out, body, 0o644); err != nil {
		return err
	}
	bill := strings.TrimSuffix(out, ".zip") + ".cdx.json"
	if err := os.WriteFile(bill, files["sbom.cdx.json"].body, 0o644); err != nil {
		return err
	}
	fmt.Printf("%s: %.1f MB, SHA-256 %x\n%s: what is in it\n", out, float64(len(body))/1e6, sha256.Sum256(body), bill)
	return nil
}

// A file of the package.
type file struct {
	body []byte
	mode fs.FileMode
}

// contents lays the package out as the Functions host wants it: each function
// is a direct child of the root.
func contents(version, program, policyFile, licence string) (map[string]file, error) {
	files := map[string]file{}
	err := fs.WalkDir(pcapwarden.App, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(pcapwarden.App, name)
		files[strings.TrimPrefix(name, "functions/")] = file{body, 0o644}
		return err
	})
	if err != nil {
		return nil, err
	}
	for name, from := range map[string]struct {
		path string
		mode fs.FileMode
	}{"pcapwarden": {program, 0o755}, "policy.yaml": {policyFile, 0o644}, "LICENSE": {licence, 0o644}} {
		body, err := os.ReadFile(from.path)
		if err != nil {
			return nil, err
		}
		files[name] = file{body, from.mode}
	}
	// An app that cannot read its policy does not start.
	if _, err := policy.Load(files["policy.yaml"].body); err != nil {
		return nil, fmt.Errorf("%s: %w", policyFile, err)
	}
	bill, err := sbom(version, bytes.NewReader(files["pcapwarden"].body))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", program, err)
	}
	files["sbom.cdx.json"] = file{bill, 0o644}
	return files, nil
}

// pack writes a zip whose bytes follow from the files alone.
func pack(files map[string]file) ([]byte, error) {
	var names []string
	for name := range files {
		names = append(names, path.Clean(name))
	}
	slices.Sort(names)
	var body bytes.Buffer
	z := zip.NewWriter(&body)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(w, flate.BestCompression)
	})
	for _, name := range names {
		header := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: epoch}
		header.SetMode(files[name].mode)
		w, err := z.CreateHeader(header)
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(files[name].body); err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return body.Bytes(), nil
}
