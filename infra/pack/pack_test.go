package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// build makes the package of a source tree, as people do.
func build(t *testing.T, tree string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "package.zip")
	cmd := exec.CommandContext(t.Context(), "make", "package", "VERSION=test", "VCS=false", "PACKAGE="+out)
	cmd.Dir = tree
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make package: %v\n%s", err, said)
	}
	return out
}

// tree copies what is built from, to another place.
func tree(t *testing.T) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "a place of another name")
	err := filepath.WalkDir("../..", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel("../..", name)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && (slices.Contains([]string{"bin", "build", "node_modules", "testdata", ".local"}, d.Name()) || strings.HasPrefix(d.Name(), ".git")):
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		case !d.Type().IsRegular() || d.Name() == ".git":
			return nil
		}
		body, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), body, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func TestPackage(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: builds the program twice and plays all stories")
	}
	name := build(t, "../..")
	t.Run("is_the_same_from_another_place", func(t *testing.T) {
		first, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		second, err := os.ReadFile(build(t, tree(t)))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, second) {
			t.Errorf("%d and %d bytes, and they differ", len(first), len(second))
		}
	})
	app := t.TempDir()
	unpack(t, name, app)
	t.Run("holds_what_is_deployed", func(t *testing.T) { holds(t, app) })
	t.Run("plays", func(t *testing.T) {
		for _, story := range []string{"partner-tls", "robot-heartbeat", "dns-delay"} {
			t.Run(story, func(t *testing.T) {
				t.Parallel()
				play(t, app, story)
			})
		}
	})
}

func holds(t *testing.T, app string) {
	var names []string
	err := filepath.WalkDir(app, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(app, name)
			names = append(names, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"LICENSE", "host.json", "pcapwarden", "policy.yaml", "sbom.cdx.json"}
	functions, err := filepath.Glob("../../functions/*/function.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range functions {
		want = append(want, filepath.Base(filepath.Dir(f))+"/function.json")
	}
	slices.Sort(want)
	slices.Sort(names)
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("the package (-want +have):\n%s", diff)
	}
	text, err := os.ReadFile(filepath.Join(app, "sbom.cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	var bill struct {
		Format     string `json:"bomFormat"`
		Components []component
		Metadata   struct{ Component component }
	}
	if err := json.Unmarshal(text, &bill); err != nil {
		t.Fatal(err)
	}
	if bill.Format != "CycloneDX" || bill.Metadata.Component.Version != "test" {
		t.Errorf("%s of version %s", bill.Format, bill.Metadata.Component.Version)
	}
	for _, wanted := range []string{"std", "github.com/Azure/azure-sdk-for-go/sdk/azidentity", "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"} {
		if !slices.ContainsFunc(bill.Components, func(c component) bool { return c.Name == wanted && c.Version != "" }) {
			t.Errorf("the bill lacks %s", wanted)
		}
	}
}

// play runs a story from the package alone.
func play(t *testing.T, app, story string) {
	out := filepath.Join(t.TempDir(), "out")
	cmd := exec.CommandContext(t.Context(), filepath.Join(app, "pcapwarden"), "local", "--app", app, "--scenario", story, "--out", out)
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir()}
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", story, err, said)
	}
	messages, err := filepath.Glob(filepath.Join(out, "incidents", "*.json"))
	if err != nil || len(messages) == 0 {
		t.Errorf("%s: no message: %v", story, err)
	}
}

// unpack unpacks a package as Azure does: files are what their modes say.
func unpack(t *testing.T, name, to string) {
	t.Helper()
	z, err := zip.OpenReader(name)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for _, f := range z.File {
		if !filepath.IsLocal(f.Name) || !f.Modified.Equal(epoch) {
			t.Errorf("%s of %v", f.Name, f.Modified)
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		target := filepath.Join(to, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(target, body, f.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOrderDoesNotMatter: a map has none.
func TestOrderDoesNotMatter(t *testing.T) {
	files := map[string]file{}
	for name := range strings.FieldsSeq("a b c d e f g h i j k l m n o p") {
		files[name] = file{[]byte(name), 0o644}
	}
	first, err := pack(files)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if again, err := pack(files); err != nil || !bytes.Equal(first, again) {
			t.Fatalf("packed again, it differs: %v", err)
		}
	}
}

// TestWhatIsNotDeployed: a program for another machine, a policy that nobody
// could load.
func TestWhatIsNotDeployed(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(bad, []byte("version: 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := contents("test", self, bad, "../../LICENSE"); err == nil || !strings.Contains(err.Error(), "policy.yaml") {
		t.Errorf("a broken policy is deployed: %v", err)
	}
	if _, err := contents("test", "../../go.mod", "../../policy.sample.yaml", "../../LICENSE"); err == nil {
		t.Error("go.mod is deployed as the program")
	}
}
