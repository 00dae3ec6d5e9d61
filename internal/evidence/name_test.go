package evidence

import (
	"errors"
	"net/url"
	"path"
	"strings"
	"testing"
	"unicode/utf8"
)

// A name that passes is the same after every way of cleaning a path or a URL,
// so no server, proxy or file system takes it for another.
func FuzzCheckName(f *testing.F) {
	for _, name := range []string{
		"a.cap", "a/b.cap", "..", "a/../b", "a//b", "/a", "a/", "a.", "a\\b", "a\x00", "é", "\xff", "%2e%2e/x", "a\u202eb", strings.Repeat("x", 1025),
	} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		err := CheckName(name)
		if err != nil {
			if !errors.Is(err, ErrBadName) || len(err.Error()) > 2000 || strings.ContainsAny(err.Error(), "\n\x00\x1b") {
				t.Errorf("CheckName(%q) = %q", name, err)
			}
			return
		}
		u, err := url.Parse("https://a.example/c/" + url.PathEscape(name))
		if err != nil || u.Path != "/c/"+name || u.RawQuery != "" || u.Fragment != "" {
			t.Errorf("%q becomes the URL path %q, %v", name, u.Path, err)
		}
		if got := path.Clean("/c/" + name); got != "/c/"+name {
			t.Errorf("%q is cleaned to %q", name, got)
		}
		if !utf8.ValidString(name) || utf8.RuneCountInString(name) > 1024 || strings.ContainsAny(name, "\\\r\n\x00") {
			t.Errorf("CheckName took %q", name)
		}
	})
}
