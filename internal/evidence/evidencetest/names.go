package evidencetest

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/evidence"
)

// oddNames are legal, and each its own file: nothing unescapes, folds or cuts
// them on the way.
func oddNames(t *testing.T, p Place) {
	names := []string{
		"a.cap", "A.cap", "a b.cap", " a", "a+b.cap", "a%20b.cap", "a%2fb.cap", "%2e%2e/%2e%2e/etc/passwd", "..%2f..%2fx", "%00", "%", "%%",
		"...x", "-rf", "~/x", "$files/lock", "$ledger", "$web", ".hidden", "CON", "nul.cap", "a?b#c&d=e.cap", "a:b*.cap", "a;b|c<d>.cap", `a'b"c.cap`,
		"<script>alert(1)</script>.cap", "${jndi:ldap:x}", "ü/日本/😀.cap", "e\u0301.cap", "\u00e9.cap", "раypal.cap",
		strings.Repeat(strings.Repeat("x", 203)+"/", 5) + "last",
	}
	for _, name := range names {
		drop(t, p, name, strings.NewReader(name))
	}
	listed := map[string]bool{}
	for info, err := range p.Landing.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		listed[info.Name] = true
	}
	want := map[string]bool{}
	for _, name := range names {
		want[name] = true
		if got := readAll(t, p.Landing, name); got != name {
			t.Errorf("%q holds %q", name, got)
		}
		info, err := p.Vault.Create(t.Context(), name, strings.NewReader(name), map[string]string{"of": "it"})
		if err != nil {
			t.Errorf("Create(%q): %v", name, err)
			continue
		}
		f := openFile(t, p.Vault, name)
		if f.Info().ETag != info.ETag || f.Info().Tags["of"] != "it" {
			t.Errorf("%q: Create says %+v, Open says %+v", name, info, f.Info())
		}
		if err := p.Vault.Delete(t.Context(), name, info.ETag); err != nil {
			t.Errorf("Delete(%q): %v", name, err)
		}
	}
	if diff := cmp.Diff(want, listed); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
}

// badNames could lead elsewhere.
func badNames(t *testing.T, p Place) {
	ctx := t.Context()
	for _, name := range []string{
		"", ".", "..", "/", "/a", "a/", "a//b", "../a", "a/../b", "a/..", "a/./b", "../../../../etc/passwd", "http://169.254.169.254/metadata", `a\b`, `..\a`, `\\host\share`,
		"a.", "a./b", "a\x00b", "a\nb", "a\r\nb", "a\x7f", "a\x1b[31m", "\xff\xfe", "a\u202ecap.exe", "a\u200b", strings.Repeat("x/", 512) + "x",
	} {
		_, open := p.Landing.Open(ctx, name)
		_, vaultOpen := p.Vault.Open(ctx, name)
		_, create := p.Vault.Create(ctx, name, strings.NewReader("x"), nil)
		for verb, err := range map[string]error{
			"Landing.Open": open, "Landing.SetTags": p.Landing.SetTags(ctx, name, nil), "Landing.Delete": p.Landing.Delete(ctx, name, "x"),
			"Vault.Open": vaultOpen, "Vault.Create": create, "Vault.Delete": p.Vault.Delete(ctx, name, "x"),
		} {
			if !errors.Is(err, evidence.ErrBadName) {
				t.Errorf("%s(%q) = %v, want ErrBadName", verb, name, err)
			}
		}
	}
	for info, err := range p.Vault.List(ctx, "") {
		t.Errorf("the vault has %q, %v", info.Name, err)
	}
}

func tags(t *testing.T, p Place) {
	ctx := t.Context()
	drop(t, p, "a.cap", strings.NewReader("1"))
	before := openFile(t, p.Landing, "a.cap").Info()
	for _, want := range []map[string]string{
		{"incident": "INC-1", "state": "landed at 02:00"},
		{"state": "sealed"}, // an empty value is allowed, but Azurite refuses it
		{strings.Repeat("k", 128): strings.Repeat("v", 256), "+-./:=_ 1": " +-./:=_"},
		nil,
	} {
		if err := p.Landing.SetTags(ctx, "a.cap", want); err != nil {
			t.Fatalf("SetTags(%v): %v", want, err)
		}
		after := openFile(t, p.Landing, "a.cap").Info()
		if after.ETag != before.ETag {
			t.Error("SetTags changed the version: whoever reads would get ErrChanged")
		}
		if len(want)+len(after.Tags) != 0 && !cmp.Equal(after.Tags, want) {
			t.Errorf("tags are %v, want %v", after.Tags, want)
		}
	}
	if err := p.Landing.SetTags(ctx, "a.cap", map[string]string{"state": "landed"}); err != nil {
		t.Fatal(err)
	}
	drop(t, p, "a.cap", strings.NewReader("2"))
	if got := openFile(t, p.Landing, "a.cap").Info().Tags; len(got) != 0 {
		t.Errorf("a file that was dropped anew has the tags %v of the old one", got)
	}
	if err := p.Landing.SetTags(ctx, "b.cap", map[string]string{"state": "landed"}); !errors.Is(err, evidence.ErrNotFound) {
		t.Errorf("SetTags of a missing file = %v, want ErrNotFound", err)
	}
}

func badTags(t *testing.T, p Place) {
	ctx := t.Context()
	drop(t, p, "a.cap", strings.NewReader("1"))
	eleven := map[string]string{}
	for _, r := range "abcdefghijk" {
		eleven[string(r)] = "x"
	}
	for _, bad := range []map[string]string{
		eleven, {"": "x"}, {strings.Repeat("k", 129): "x"}, {"k": strings.Repeat("v", 257)}, {"k": "a\nb"}, {"k": "a&b"}, {"k": "é"}, {"k": "<script>"},
		{"k'": "x"}, {"k": "a;b"}, {"k": "a\x00"}, {"k": "a,b"},
	} {
		if err := p.Landing.SetTags(ctx, "a.cap", bad); err == nil {
			t.Errorf("SetTags took %.60q", bad)
		}
		if _, err := p.Vault.Create(ctx, "b.cap", strings.NewReader("1"), bad); err == nil {
			t.Errorf("Create took the tags %.60q", bad)
		}
	}
	if _, err := p.Vault.Open(ctx, "b.cap"); !errors.Is(err, evidence.ErrNotFound) {
		t.Errorf("a file with bad tags was stored: %v", err)
	}
}
