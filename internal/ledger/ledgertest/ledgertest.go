// Package ledgertest knows what a [ledger.Store] promises: a suite that every
// implementation passes.
package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pcapwarden/pcapwarden/internal/ledger"
)

// A Place is an empty store, as two processes see it.
type Place struct {
	One, Other ledger.Store
	// Pass lets time pass for leases. Without it the suite waits, unless the
	// run is a short one.
	Pass func(time.Duration)
}

// Run tests the stores that open makes, one per subtest.
func Run(t *testing.T, open func(t *testing.T) Place) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, p Place)
	}{
		{"create_read_update_delete", life},
		{"nothing_is_overwritten", nothingOverwritten},
		{"old_versions_change_nothing", oldVersions},
		{"bad_keys", badKeys},
		{"large_records", largeRecords},
		{"list", list},
		{"list_many", listMany},
		{"one_creator_of_many", oneCreator},
		{"no_update_is_lost", noUpdateLost},
		{"one_holder_of_a_lease", oneHolder},
		{"a_lease_ends", leaseEnds},
		{"a_lease_is_not_a_record", leaseIsNoRecord},
		{"cancelled", cancelled},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, open(t))
		})
	}
}

func life(t *testing.T, p Place) {
	ctx := t.Context()
	first, err := p.One.Create(ctx, "cases/one.json", []byte(`{"n":1}`))
	if err != nil {
		t.Fatal(err)
	}
	body, etag, err := p.Other.Read(ctx, "cases/one.json")
	if err != nil || string(body) != `{"n":1}` || etag != first {
		t.Fatalf("Read = %q, %q, %v, want what was created as %q", body, etag, err, first)
	}
	second, err := p.Other.Update(ctx, "cases/one.json", first, []byte(`{"n":1}`))
	if err != nil {
		t.Fatal(err)
	}
	if second == first {
		t.Errorf("the same body again kept the version %q: a change of which nobody would know", first)
	}
	third, err := p.One.Update(ctx, "cases/one.json", second, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, etag, err := p.One.Read(ctx, "cases/one.json"); err != nil || len(body) != 0 || etag != third {
		t.Errorf("Read = %q, %q, %v, want an empty record of version %q", body, etag, err, third)
	}
	if err := p.One.Delete(ctx, "cases/one.json", third); err != nil {
		t.Error(err)
	}
	if _, _, err := p.Other.Read(ctx, "cases/one.json"); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("Read of a deleted record = %v, want ErrNotFound", err)
	}
}

func nothingOverwritten(t *testing.T, p Place) {
	ctx := t.Context()
	etag, err := p.One.Create(ctx, "a", []byte("first"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Other.Create(ctx, "a", []byte("second")); !errors.Is(err, ledger.ErrExists) {
		t.Errorf("second Create = %v, want ErrExists", err)
	}
	body, now, err := p.One.Read(ctx, "a")
	if err != nil || string(body) != "first" || now != etag {
		t.Errorf("Read = %q, %q, %v, want the first record untouched", body, now, err)
	}
}

func oldVersions(t *testing.T, p Place) {
	ctx := t.Context()
	old, err := p.One.Create(ctx, "a", []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	current, err := p.One.Update(ctx, "a", old, []byte("2"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Other.Update(ctx, "a", old, []byte("3")); !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("Update of an old version = %v, want ErrConflict", err)
	}
	if err := p.Other.Delete(ctx, "a", old); !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("Delete of an old version = %v, want ErrConflict", err)
	}
	if err := p.Other.Delete(ctx, "a", current); err != nil {
		t.Fatal(err)
	}
	if _, err := p.One.Update(ctx, "a", current, []byte("4")); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("Update of a deleted record = %v, want ErrNotFound", err)
	}
	if err := p.One.Delete(ctx, "a", current); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("Delete of a deleted record = %v, want ErrNotFound", err)
	}
	if _, err := p.One.Create(ctx, "a", []byte("2")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.One.Update(ctx, "a", current, []byte("5")); !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("Update of a record that was deleted and made anew = %v, want ErrConflict", err)
	}
}

func badKeys(t *testing.T, p Place) {
	ctx := t.Context()
	for _, key := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "A", "a b", "a\\b", "a\x00", "a\nb", "%2e%2e/a",
		"é", "$ledger/lock", "a?b", strings.Repeat("a", 201), strings.Repeat("a/", 256) + "a",
	} {
		_, err := p.One.Create(ctx, key, []byte("x"))
		_, _, read := p.One.Read(ctx, key)
		_, update := p.One.Update(ctx, key, "etag", []byte("x"))
		_, lease := p.One.Lease(ctx, key, 15*time.Second)
		for verb, err := range map[string]error{
			"Create": err, "Read": read, "Update": update, "Lease": lease, "Delete": p.One.Delete(ctx, key, "etag"),
		} {
			if err == nil || slices.ContainsFunc([]error{ledger.ErrExists, ledger.ErrNotFound, ledger.ErrConflict, ledger.ErrLeased},
				func(known error) bool { return errors.Is(err, known) }) {
				t.Errorf("%s(%q) = %v, want an error about the key", verb, key, err)
			}
		}
	}
	long := strings.Repeat(strings.Repeat("a", 101)+"/", 5) + "ab"
	if _, err := p.One.Create(ctx, long, nil); err != nil {
		t.Errorf("Create of a key of %d bytes: %v", len(long), err)
	}
}

func largeRecords(t *testing.T, p Place) {
	ctx := t.Context()
	largest := make([]byte, ledger.MaxRecord)
	etag, err := p.One.Create(ctx, "a", largest)
	if err != nil {
		t.Fatal(err)
	}
	if body, _, err := p.One.Read(ctx, "a"); err != nil || len(body) != len(largest) {
		t.Errorf("Read = %d bytes, %v, want the largest record", len(body), err)
	}
	if _, err := p.One.Update(ctx, "a", etag, append(largest, 0)); err == nil {
		t.Error("Update took a record above MaxRecord")
	}
	if _, err := p.One.Create(ctx, "b", append(largest, 0)); err == nil {
		t.Error("Create took a record above MaxRecord")
	}
}

func list(t *testing.T, p Place) {
	ctx := t.Context()
	keys := []string{"a-b", "a/b", "a/c/d", "a0", "b/1.json", "b/10.json", "b/2.json", "ba"}
	for _, key := range keys {
		if _, err := p.One.Create(ctx, key, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		prefix string
		want   []string
	}{
		{"", keys},
		{"a", keys[:4]},
		{"a/", keys[1:3]},
		{"b", keys[4:]},
		{"b/1", keys[4:6]},
		{"b/1.json", keys[4:5]},
		{"c", nil},
		{"..", nil},
		{"../", nil},
	} {
		if diff := cmp.Diff(test.want, listed(t, p.Other, test.prefix)); diff != "" {
			t.Errorf("List(%q) (-want +got):\n%s", test.prefix, diff)
		}
	}
	for key := range p.One.List(ctx, "") {
		if key != keys[0] {
			t.Errorf("walk went on to %q after its end", key)
		}
		break
	}
}

func listMany(t *testing.T, p Place) {
	var want []string
	for n := range 300 {
		key := fmt.Sprintf("cases/%03d.json", n)
		want = append(want, key)
		if _, err := p.One.Create(t.Context(), key, nil); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, listed(t, p.Other, "cases/")); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
}

func listed(t *testing.T, s ledger.Store, prefix string) (keys []string) {
	t.Helper()
	for key, err := range s.List(t.Context(), prefix) {
		if err != nil {
			t.Fatalf("List(%q): %v", prefix, err)
		}
		keys = append(keys, key)
	}
	return keys
}

func oneCreator(t *testing.T, p Place) {
	var winners atomic.Int32
	var all sync.WaitGroup
	for n := range 8 {
		s := []ledger.Store{p.One, p.Other}[n%2]
		all.Go(func() {
			_, err := s.Create(t.Context(), "cases/one", []byte(strconv.Itoa(n)))
			switch {
			case err == nil:
				winners.Add(1)
			case !errors.Is(err, ledger.ErrExists):
				t.Errorf("Create = %v, want ErrExists", err)
			}
		})
	}
	all.Wait()
	if n := winners.Load(); n != 1 {
		t.Errorf("%d of 8 created the record, want 1", n)
	}
}

func noUpdateLost(t *testing.T, p Place) {
	const writers, rounds = 4, 5
	ctx := t.Context()
	if _, err := p.One.Create(ctx, "counter", []byte("0")); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for n := range writers {
		s := []ledger.Store{p.One, p.Other}[n%2]
		all.Go(func() {
			for done := 0; done < rounds; {
				body, etag, err := s.Read(ctx, "counter")
				if err != nil {
					t.Errorf("Read: %v", err)
					return
				}
				count, err := strconv.Atoi(string(body))
				if err != nil {
					t.Errorf("a record was torn: %v", err)
					return
				}
				_, err = s.Update(ctx, "counter", etag, []byte(strconv.Itoa(count+1)))
				switch {
				case err == nil:
					done++
				case !errors.Is(err, ledger.ErrConflict):
					t.Errorf("Update = %v, want ErrConflict", err)
					return
				}
			}
		})
	}
	all.Wait()
	if body, _, err := p.One.Read(ctx, "counter"); err != nil || string(body) != strconv.Itoa(writers*rounds) {
		t.Errorf("counter = %q, %v, want %d", body, err, writers*rounds)
	}
}

func cancelled(t *testing.T, p Place) {
	etag, err := p.One.Create(t.Context(), "a", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, create := p.One.Create(ctx, "b", nil)
	_, _, read := p.One.Read(ctx, "a")
	_, update := p.One.Update(ctx, "a", etag, nil)
	_, lease := p.One.Lease(ctx, "a", 15*time.Second)
	var list error
	for _, err := range p.One.List(ctx, "") {
		list = err
	}
	for verb, err := range map[string]error{
		"Create": create, "Read": read, "Update": update, "Delete": p.One.Delete(ctx, "a", etag), "Lease": lease, "List": list,
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s = %v, want context.Canceled", verb, err)
		}
	}
}
