package folder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/evidence"
)

func TestPath(t *testing.T) {
	for _, test := range []struct{ setting, want string }{
		{"file:.local/cases", ".local/cases"},
		{"file:/var/lib/x", "/var/lib/x"},
		{"file:///var/lib/x%20y", "/var/lib/x y"},
		{"file://localhost/x", "/x"},
		{"file:", ""},
		{"file://server/share", ""},
		{"file:///x?y", ""},
		{"/var/lib/x", ""},
		{"https://account.blob.core.windows.net/x", ""},
	} {
		got, err := Path(test.setting)
		if got != filepath.FromSlash(test.want) || (err == nil) != (test.want != "") {
			t.Errorf("Path(%q) = %q, %v, want %q", test.setting, got, err, test.want)
		}
	}
}

// Whatever the name, the file stays inside, is no file of the package's own,
// and is no other name's.
func FuzzPathOf(f *testing.F) {
	for _, name := range []string{"a/b.cap", "..", "%2e%2e/x", "$files/lock", "a\\b", "é", "a\x00", strings.Repeat("%", 300)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		p, err := pathOf(name)
		if err != nil {
			if !errors.Is(err, evidence.ErrBadName) {
				t.Errorf("pathOf(%q) = %v, want ErrBadName", name, err)
			}
			return
		}
		if !filepath.IsLocal(p) || !fs.ValidPath(p) || strings.HasPrefix(p, ownFiles) {
			t.Errorf("pathOf(%q) = %q, which leads elsewhere", name, p)
		}
		var back []string
		for segment := range strings.SplitSeq(p, "/") {
			if len(segment) > maxSegment {
				t.Errorf("pathOf(%q) has a segment of %d bytes", name, len(segment))
			}
			s, ok := nameOf(segment)
			if !ok {
				t.Fatalf("nameOf(%q) does not know its own", segment)
			}
			back = append(back, s)
		}
		if got := strings.Join(back, "/"); got != name {
			t.Errorf("pathOf(%q) = %q is the file of %q", name, p, got)
		}
	})
}

// What lies in the folder and is no file of a capture: links that lead out,
// directories, names that nobody gives.
func TestFilesIgnoresWhatIsNoFile(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := openFiles(t, dir)
	for name, err := range map[string]error{
		"file link":      os.Symlink(outside, filepath.Join(dir, "link.cap")),
		"directory link": os.Symlink(filepath.Dir(outside), filepath.Join(dir, "out")),
		"directory":      os.Mkdir(filepath.Join(dir, "dir.cap"), 0o700),
		"odd name":       os.WriteFile(filepath.Join(dir, "a%zz"), nil, 0o600),
		"lower escape":   os.WriteFile(filepath.Join(dir, "a%2f"), nil, 0o600),
		"dropped file":   os.WriteFile(filepath.Join(dir, "by-hand.cap"), []byte("x"), 0o600),
	} {
		if err != nil {
			t.Fatal(name, err)
		}
	}
	for _, name := range []string{"link.cap", "out/secret", "dir.cap"} {
		if f, err := s.Open(t.Context(), name); err == nil {
			t.Errorf("Open(%q) = %+v, want an error", name, f.Info())
		}
	}
	for info, err := range s.List(t.Context(), "") {
		if err != nil || info.Name != "by-hand.cap" {
			t.Errorf("listed: %q, %v", info.Name, err)
		}
	}
	if f, err := s.Open(t.Context(), "by-hand.cap"); err != nil || f.Info().Bytes != 1 {
		t.Errorf("a file that was copied there: %v", err)
	}
}
