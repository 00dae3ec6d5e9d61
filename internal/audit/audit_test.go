package audit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/ledger"
	"github.com/pcapwarden/pcapwarden/internal/local/folder"
)

var t0 = time.Date(2026, 3, 17, 2, 10, 0, 0, time.UTC)

func store(t *testing.T) ledger.Store {
	t.Helper()
	s, err := folder.OpenLedger(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func entry(n int) Entry {
	return Entry{At: t0.Add(time.Duration(n) * time.Second), Actor: "pcapwarden", Action: Start, Phase: Before, Case: fmt.Sprint(n)}
}

func verify(t *testing.T, s ledger.Store, anchor string) Report {
	t.Helper()
	r, err := Verify(t.Context(), s, anchor)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestManyWriters has two processes and many goroutines append to one log:
// there is one chain, and every entry is in it once.
func TestManyWriters(t *testing.T) {
	s := store(t)
	logs := []*Log{New(s), New(s)}
	var wg sync.WaitGroup
	for n := range 60 {
		wg.Go(func() {
			if err := logs[n%2].Append(t.Context(), entry(n)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	r := verify(t, s, "")
	if !r.Intact() || r.Entries != 60 {
		t.Fatalf("report %+v, want 60 entries and no problems", r)
	}
	seen := map[string]int{}
	for e, err := range New(s).All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		seen[e.Case]++
	}
	for n := range 60 {
		if seen[fmt.Sprint(n)] != 1 {
			t.Errorf("entry %d is there %d times", n, seen[fmt.Sprint(n)])
		}
	}
}

// TestFindsTheEnd opens logs of many lengths anew.
func TestFindsTheEnd(t *testing.T) {
	s := store(t)
	for n := range 20 {
		if err := New(s).Append(t.Context(), entry(n)); err != nil {
			t.Fatal(err)
		}
		if r := verify(t, s, ""); !r.Intact() || r.Segments != int64(n+1) {
			t.Fatalf("after %d appends: %+v", n+1, r)
		}
	}
}

func TestVerifySeesTampering(t *testing.T) {
	tests := []struct {
		name   string
		tamper func(ctx context.Context, s ledger.Store) error
		says   string
	}{
		{"changed", func(ctx context.Context, s ledger.Store) error {
			body, etag, err := s.Read(ctx, key(2))
			if err != nil {
				return err
			}
			_, err = s.Update(ctx, key(2), etag, []byte(strings.Replace(string(body), "pcapwarden\"", "nobody\"", 1)))
			return err
		}, "does not continue"},
		{"removed", func(ctx context.Context, s ledger.Store) error {
			_, etag, err := s.Read(ctx, key(2))
			if err != nil {
				return err
			}
			return s.Delete(ctx, key(2), etag)
		}, "is gone"},
		{"cut short", func(ctx context.Context, s ledger.Store) error {
			_, etag, err := s.Read(ctx, key(4))
			if err != nil {
				return err
			}
			return s.Delete(ctx, key(4), etag)
		}, "cut short"},
		{"garbage", func(ctx context.Context, s ledger.Store) error {
			_, err := s.Create(ctx, key(5), []byte("hello"))
			return err
		}, "not JSON"},
		{"a stranger's", func(ctx context.Context, s ledger.Store) error {
			_, err := s.Create(ctx, "audit/notes.json", []byte("{}"))
			return err
		}, "no segment"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := store(t)
			l := New(s)
			for n := range 4 {
				if err := l.Append(t.Context(), entry(n)); err != nil {
					t.Fatal(err)
				}
			}
			head := verify(t, s, "").Head
			if r := verify(t, s, head); !r.Intact() || !r.Anchored {
				t.Fatalf("before: %+v", r)
			}
			if err := tt.tamper(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			if r := verify(t, s, head); !strings.Contains(strings.Join(r.Problems, "\n"), tt.says) {
				t.Errorf("problems %q, want one that says %q", r.Problems, tt.says)
			}
		})
	}
}

// broken is a store that takes nothing.
type broken struct{ ledger.Store }

var errBroken = errors.New("disk full")

func (broken) Create(context.Context, string, []byte) (string, error) { return "", errBroken }

func TestAppendTellsItFailed(t *testing.T) {
	if err := New(broken{store(t)}).Append(t.Context(), entry(1)); !errors.Is(err, errBroken) {
		t.Errorf("Append = %v, want the store's error", err)
	}
}

// TestVerifySeesEveryByte flips each byte of the last segment, which no other
// holds the hash of.
func TestVerifySeesEveryByte(t *testing.T) {
	s := store(t)
	l := New(s)
	for n := range 2 {
		e := entry(n)
		e.Outcome, e.Target = "not UTF-8: \xff", "<&>\u2028"
		if err := l.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if r := verify(t, s, ""); !r.Intact() {
		t.Fatalf("untouched: %v", r.Problems)
	}
	body, etag, err := s.Read(t.Context(), key(2))
	if err != nil {
		t.Fatal(err)
	}
	for i := range body {
		flipped := append([]byte{}, body...)
		flipped[i] ^= 1 << (i % 8)
		if etag, err = s.Update(t.Context(), key(2), etag, flipped); err != nil {
			t.Fatal(err)
		}
		if r := verify(t, s, ""); r.Intact() || !strings.Contains(r.Problems[0], "segment 2") {
			t.Errorf("byte %d flipped: %v", i, r.Problems)
		}
	}
}
