// Package evidencetest knows what an [evidence.Landing] and an
// [evidence.Vault] promise: a suite that every implementation passes.
package evidencetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/evidence"
)

// A Place is an empty landing and an empty vault.
type Place struct {
	Landing evidence.Landing
	Vault   evidence.Vault
	// Drop does what a capture agent does: it puts a file into the landing,
	// in place of one that has the name.
	Drop func(ctx context.Context, name string, content io.Reader) error
}

// Run tests the stores that open makes, one pair per subtest.
func Run(t *testing.T, open func(t *testing.T) Place) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, p Place)
	}{
		{"what_was_dropped_is_read", read},
		{"missing", missing},
		{"overwritten_while_open", overwritten},
		{"deleted_while_open", deletedWhileOpen},
		{"reading_cancelled", readingCancelled},
		{"odd_names", oddNames},
		{"bad_names", badNames},
		{"list", list},
		{"list_many", listMany},
		{"tags", tags},
		{"bad_tags", badTags},
		{"delete", deletes},
		{"vault_keeps_what_it_has", vaultKeeps},
		{"vault_takes_whole_files", vaultTakesWhole},
		{"vault_takes_one_of_many", vaultTakesOne},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, open(t))
		})
	}
	// By itself: it measures the process.
	t.Run("streams_in_bounded_memory", func(t *testing.T) { streams(t, open(t)) })
}

// content is n bytes that no two seeds share.
func content(seed byte, n int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{seed}), n)
}

func digest(t *testing.T, r io.Reader) [sha256.Size]byte {
	t.Helper()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		t.Fatal(err)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func drop(t *testing.T, p Place, name string, r io.Reader) {
	t.Helper()
	if err := p.Drop(t.Context(), name, r); err != nil {
		t.Fatalf("drop %q: %v", name, err)
	}
}

// opener is what landing and vault share.
type opener interface {
	Open(ctx context.Context, name string) (evidence.File, error)
}

func openFile(t *testing.T, s opener, name string) evidence.File {
	t.Helper()
	f, err := s.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func reader(t *testing.T, ctx context.Context, f evidence.File) io.ReadCloser {
	t.Helper()
	r, err := f.Reader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func readAll(t *testing.T, s opener, name string) string {
	t.Helper()
	body, err := io.ReadAll(reader(t, t.Context(), openFile(t, s, name)))
	if err != nil {
		t.Fatalf("read %q: %v", name, err)
	}
	return string(body)
}

// ends reads to the end, which the file must not have any more, if even
// Reader gave it out.
func ends(ctx context.Context, f evidence.File) error {
	r, err := f.Reader(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	return err
}

func read(t *testing.T, p Place) {
	for _, size := range []int64{0, 1, 24, 1<<20 + 1, 4<<20 - 1, 4 << 20, 4<<20 + 1, 13 << 20} {
		name := fmt.Sprintf("subscriptions/one/%d.cap", size)
		drop(t, p, name, content(1, size))
		f := openFile(t, p.Landing, name)
		if i := f.Info(); i.Name != name || i.Bytes != size || i.ETag == "" || i.Modified.IsZero() || len(i.Tags) != 0 {
			t.Errorf("Info = %+v, want name %q, %d bytes, a version, a time, no tags", i, name, size)
		}
		want := digest(t, content(1, size))
		for range 2 { // a file can be read again
			if got := digest(t, reader(t, t.Context(), f)); got != want {
				t.Errorf("%q: read other bytes than were dropped", name)
			}
		}
	}
}

func missing(t *testing.T, p Place) {
	drop(t, p, "a/b.cap", strings.NewReader("x"))
	for _, name := range []string{"c", "a", "a/c", "A/b.cap", "a/b"} {
		if _, err := p.Landing.Open(t.Context(), name); !errors.Is(err, evidence.ErrNotFound) {
			t.Errorf("Landing.Open(%q) = %v, want ErrNotFound", name, err)
		}
		if _, err := p.Vault.Open(t.Context(), name); !errors.Is(err, evidence.ErrNotFound) {
			t.Errorf("Vault.Open(%q) = %v, want ErrNotFound", name, err)
		}
	}
}

func overwritten(t *testing.T, p Place) {
	const size = 24 << 20
	drop(t, p, "a.cap", content(1, size))
	f := openFile(t, p.Landing, "a.cap")
	r := reader(t, t.Context(), f)
	if _, err := io.CopyN(io.Discard, r, 1<<20); err != nil {
		t.Fatal(err)
	}
	drop(t, p, "a.cap", content(2, size))
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, evidence.ErrChanged) {
		t.Errorf("reading on in an overwritten file = %v, want ErrChanged", err)
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, evidence.ErrChanged) {
		t.Errorf("reading once more = %v, want ErrChanged again", err)
	}
	if err := ends(t.Context(), f); !errors.Is(err, evidence.ErrChanged) {
		t.Errorf("reading an overwritten file from its beginning = %v, want ErrChanged", err)
	}
	if got, want := digest(t, reader(t, t.Context(), openFile(t, p.Landing, "a.cap"))), digest(t, content(2, size)); got != want {
		t.Error("opened anew, the file is not what was dropped last")
	}
}

func deletedWhileOpen(t *testing.T, p Place) {
	drop(t, p, "a.cap", content(1, 24<<20))
	f := openFile(t, p.Landing, "a.cap")
	r := reader(t, t.Context(), f)
	if _, err := io.CopyN(io.Discard, r, 1<<20); err != nil {
		t.Fatal(err)
	}
	if err := p.Landing.Delete(t.Context(), "a.cap", f.Info().ETag); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, evidence.ErrNotFound) {
		t.Errorf("reading on in a deleted file = %v, want ErrNotFound", err)
	}
	if err := ends(t.Context(), f); !errors.Is(err, evidence.ErrNotFound) {
		t.Errorf("reading a deleted file = %v, want ErrNotFound", err)
	}
}

func readingCancelled(t *testing.T, p Place) {
	drop(t, p, "a.cap", content(1, 24<<20))
	f := openFile(t, p.Landing, "a.cap")
	why := errors.New("the host is going down")
	ctx, cancel := context.WithCancelCause(t.Context())
	r := reader(t, ctx, f)
	if _, err := io.CopyN(io.Discard, r, 1<<20); err != nil {
		t.Fatal(err)
	}
	cancel(why)
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, why) {
		t.Errorf("reading on after the context ended = %v, want its cause", err)
	}
	if _, err := p.Landing.Open(ctx, "a.cap"); !errors.Is(err, why) {
		t.Errorf("Open with an ended context = %v, want its cause", err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func list(t *testing.T, p Place) {
	names := []string{"a-b", "a/b", "a/c/d", "a0", "b/1.cap", "b/10.cap", "b/2.cap", "ba"}
	for _, name := range names {
		drop(t, p, name, strings.NewReader(name))
		if _, err := p.Vault.Create(t.Context(), name, strings.NewReader(name), nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		prefix string
		want   []string
	}{
		{"", names}, {"a", names[:4]}, {"a/", names[1:3]}, {"b/1", names[4:6]}, {"c", nil}, {"..", nil}, {"/", nil},
	} {
		for _, s := range []evidence.Vault{p.Vault, landingAsVault{p.Landing}} {
			var got []string
			for info, err := range s.List(t.Context(), test.prefix) {
				if err != nil {
					t.Fatalf("List(%q): %v", test.prefix, err)
				}
				got = append(got, info.Name)
				if opened := openFile(t, s, info.Name).Info(); opened.ETag != info.ETag || opened.Bytes != info.Bytes || info.Bytes != int64(len(info.Name)) {
					t.Errorf("List says %+v, Open says %+v", info, opened)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("List(%q) (-want +got):\n%s", test.prefix, diff)
			}
		}
	}
	for info := range p.Landing.List(t.Context(), "") {
		if info.Name != names[0] {
			t.Errorf("walk went on to %q after its end", info.Name)
		}
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var last error
	for _, err := range p.Landing.List(ctx, "") {
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("List with an ended context yields %v last, want context.Canceled", last)
	}
}

// landingAsVault lets one test walk through both.
type landingAsVault struct{ evidence.Landing }

func (landingAsVault) Create(context.Context, string, io.Reader, map[string]string) (evidence.Info, error) {
	return evidence.Info{}, errors.ErrUnsupported
}

func listMany(t *testing.T, p Place) {
	var want []string
	for n := range 300 {
		name := fmt.Sprintf("many/%03d.cap", n)
		want = append(want, name)
		drop(t, p, name, strings.NewReader("x"))
	}
	var got []string
	for info, err := range p.Landing.List(t.Context(), "many/") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, info.Name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
}

func deletes(t *testing.T, p Place) {
	ctx := t.Context()
	drop(t, p, "dir/a.cap", strings.NewReader("1"))
	old := openFile(t, p.Landing, "dir/a.cap").Info().ETag
	drop(t, p, "dir/a.cap", strings.NewReader("2"))
	if err := p.Landing.Delete(ctx, "dir/a.cap", old); !errors.Is(err, evidence.ErrChanged) {
		t.Errorf("Delete of an old version = %v, want ErrChanged", err)
	}
	if got := readAll(t, p.Landing, "dir/a.cap"); got != "2" {
		t.Errorf("the file is %q, want %q", got, "2")
	}
	if err := p.Landing.Delete(ctx, "dir/a.cap", openFile(t, p.Landing, "dir/a.cap").Info().ETag); err != nil {
		t.Errorf("Delete: %v", err)
	}
	for _, name := range []string{"dir/a.cap", "dir", "other"} {
		if err := p.Landing.Delete(ctx, name, old); !errors.Is(err, evidence.ErrNotFound) {
			t.Errorf("Delete(%q) = %v, want ErrNotFound", name, err)
		}
	}
	drop(t, p, "dir", strings.NewReader("3")) // the name is free again
	if got := readAll(t, p.Landing, "dir"); got != "3" {
		t.Errorf("the file is %q, want %q", got, "3")
	}
	info, err := p.Vault.Create(ctx, "a.cap", strings.NewReader("1"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Vault.Delete(ctx, "a.cap", "another"); !errors.Is(err, evidence.ErrChanged) {
		t.Errorf("Delete of another version = %v, want ErrChanged", err)
	}
	if err := p.Vault.Delete(ctx, "a.cap", info.ETag); err != nil {
		t.Errorf("Delete of what Create returned: %v", err)
	}
}
