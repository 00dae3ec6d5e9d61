package evidencetest

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/evidence"
)

func vaultKeeps(t *testing.T, p Place) {
	ctx := t.Context()
	info, err := p.Vault.Create(ctx, "pc-1/a.cap", strings.NewReader("evidence"), map[string]string{"capture": "pc-1"})
	if err != nil {
		t.Fatal(err)
	}
	if info.Name != "pc-1/a.cap" || info.Bytes != 8 || info.ETag == "" {
		t.Errorf("Create = %+v, want name, 8 bytes and a version", info)
	}
	if _, err := p.Vault.Create(ctx, "pc-1/a.cap", content(1, 9<<20), map[string]string{"capture": "pc-2"}); !errors.Is(err, evidence.ErrExists) {
		t.Errorf("second Create = %v, want ErrExists", err)
	}
	if now := openFile(t, p.Vault, "pc-1/a.cap").Info(); now.ETag != info.ETag || now.Tags["capture"] != "pc-1" {
		t.Errorf("the file is %+v by now, want it untouched", now)
	}
	if got := readAll(t, p.Vault, "pc-1/a.cap"); got != "evidence" {
		t.Errorf("the file holds %q by now", got)
	}
}

func vaultTakesWhole(t *testing.T, p Place) {
	why := errors.New("the landing account is gone")
	broken := func() io.Reader { return io.MultiReader(content(1, 9<<20), failing{why}) }
	ctx, cancel := context.WithCancelCause(t.Context())
	for _, test := range []struct {
		name    string
		ctx     context.Context
		content io.Reader
	}{
		{"at once", t.Context(), failing{why}},
		{"midway", t.Context(), broken()},
		{"cancelled midway", ctx, io.MultiReader(content(1, 9<<20), cancelling{func() { cancel(why) }}, content(2, 9<<20))},
	} {
		if _, err := p.Vault.Create(test.ctx, "a.cap", test.content, nil); !errors.Is(err, why) {
			t.Errorf("Create from a reader that fails %s = %v, want its error", test.name, err)
		}
		if _, err := p.Vault.Open(t.Context(), "a.cap"); !errors.Is(err, evidence.ErrNotFound) {
			t.Errorf("a file whose reader failed %s was stored: %v", test.name, err)
		}
		for info := range p.Vault.List(t.Context(), "") {
			t.Errorf("a file whose reader failed %s is listed: %q", test.name, info.Name)
		}
	}
	if _, err := p.Vault.Create(t.Context(), "a.cap", strings.NewReader("whole"), nil); err != nil {
		t.Fatalf("Create after failures: %v", err)
	}
	if got := readAll(t, p.Vault, "a.cap"); got != "whole" {
		t.Errorf("the file holds %d bytes, want those of the last Create", len(got))
	}
}

type failing struct{ err error }

func (r failing) Read([]byte) (int, error) { return 0, r.err }

type cancelling struct{ cancel func() }

func (r cancelling) Read([]byte) (int, error) { r.cancel(); return 0, io.EOF }

func vaultTakesOne(t *testing.T, p Place) {
	const creators, size = 4, 6 << 20
	won := make(chan byte, creators)
	var all sync.WaitGroup
	for n := range byte(creators) {
		all.Go(func() {
			_, err := p.Vault.Create(t.Context(), "a.cap", content(n, size), nil)
			switch {
			case err == nil:
				won <- n
			case !errors.Is(err, evidence.ErrExists):
				t.Errorf("Create = %v, want ErrExists", err)
			}
		})
	}
	all.Wait()
	if len(won) != 1 {
		t.Fatalf("%d created the file, want 1", len(won))
	}
	if got, want := digest(t, reader(t, t.Context(), openFile(t, p.Vault, "a.cap"))), digest(t, content(<-won, size)); got != want {
		t.Error("the file is not the winner's")
	}
}

// streams copies a file that is larger than what a stream may hold.
func streams(t *testing.T, p Place) {
	const size, ceiling = 64 << 20, 40 << 20
	drop(t, p, "large.cap", content(1, size))
	f := openFile(t, p.Landing, "large.cap")
	watch := &watcher{r: reader(t, t.Context(), f)}
	if _, err := p.Vault.Create(t.Context(), "large.cap", watch, nil); err != nil {
		t.Fatal(err)
	}
	if watch.peak > watch.before+ceiling {
		t.Errorf("copying 64 MiB held %d MiB, want at most %d", (watch.peak-watch.before)>>20, ceiling>>20)
	}
	if got, want := digest(t, reader(t, t.Context(), openFile(t, p.Vault, "large.cap"))), digest(t, content(1, size)); got != want {
		t.Error("the copy differs")
	}
}

// watcher measures what is alive every 8 MiB.
type watcher struct {
	r            io.Reader
	read         int
	before, peak uint64
}

func (w *watcher) Read(p []byte) (int, error) {
	if w.before == 0 {
		w.before = alive()
	}
	n, err := w.r.Read(p)
	if (w.read+n)>>23 > w.read>>23 {
		w.peak = max(w.peak, alive())
	}
	w.read += n
	return n, err
}

func alive() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
