package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/ledger"
)

// A Report is what [Verify] found.
type Report struct {
	Segments int64     `json:"segments"`
	Entries  int64     `json:"entries"`
	First    time.Time `json:"first,omitzero"`
	Last     time.Time `json:"last,omitzero"`
	Head     string    `json:"head"`               // SHA-256 of the last segment
	Anchored bool      `json:"anchored,omitempty"` // the anchor given is in the chain
	Problems []string  `json:"problems"`           // at most maxProblems
}

// Intact reports whether the chain is whole.
func (r Report) Intact() bool { return len(r.Problems) == 0 }

const maxProblems = 100

func (r *Report) complain(format string, args ...any) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
}

// Verify reads the whole log and checks its chain. With an anchor, the head of
// an earlier report, it also checks that this segment is still there: without
// one a log that was cut short looks like a shorter log. The error is the
// store's.
func Verify(ctx context.Context, s ledger.Store, anchor string) (Report, error) {
	anchored := false
	r, err := Check(ctx, s, func(hash string, _ []Entry) { anchored = anchored || hash == anchor })
	if r.Anchored = anchored && anchor != ""; anchor != "" && !anchored && err == nil {
		r.complain("no segment has the hash %.64s: the log was cut short, or changed before it", anchor)
	}
	return r, err
}

// Check is [Verify] for who wants to see each segment: its hash, and its
// entries, such as they are.
func Check(ctx context.Context, s ledger.Store, visit func(hash string, entries []Entry)) (Report, error) {
	r := Report{Problems: []string{}}
	for k, err := range s.List(ctx, prefix) {
		if err != nil {
			return r, fmt.Errorf("list the audit log: %w", err)
		}
		body, _, err := s.Read(ctx, k)
		if err != nil {
			return r, fmt.Errorf("read the audit log: %w", err)
		}
		number, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimPrefix(k, prefix), ".json"), 10, 64)
		if err != nil || key(number) != k {
			r.complain("%q is no segment: somebody else wrote it", k)
			continue
		}
		if number != r.Segments+1 {
			r.complain("segment %d follows segment %d: what was in between is gone", number, r.Segments)
		}
		g := r.judge(number, body)
		for _, e := range g.Entries {
			if r.First.IsZero() {
				r.First = e.At
			}
			r.Last = e.At
			r.Entries++
		}
		r.Segments, r.Head = number, digest(body)
		visit(r.Head, g.Entries)
	}
	return r, nil
}

// judge reads a segment, and complains about what is wrong with it.
func (r *Report) judge(number int64, body []byte) (g segment) {
	if json.Unmarshal(body, &g) != nil {
		r.complain("segment %d is not JSON: it was changed", number)
		return g
	}
	again, err := g.encode()
	switch {
	case g.Schema != Schema:
		r.complain("segment %d has schema %.40q, want %q", number, g.Schema, Schema)
	case g.Sequence != number:
		r.complain("segment %d says that it is segment %d: it was copied", number, g.Sequence)
	case err != nil || !bytes.Equal(again, body):
		r.complain("segment %d was changed: it does not have its own digest", number)
	case number == r.Segments+1 && g.Previous != r.Head:
		r.complain("segment %d does not continue segment %d: one of them was changed", number, r.Segments)
	}
	return g
}

// All yields the entries in order. It takes the segments as they are; see
// [Verify]. The walk ends at the first error, which it yields last.
func (l *Log) All(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for k, err := range l.store.List(ctx, prefix) {
			if err != nil {
				yield(Entry{}, fmt.Errorf("list the audit log: %w", err))
				return
			}
			body, _, err := l.store.Read(ctx, k)
			if err != nil {
				yield(Entry{}, fmt.Errorf("read the audit log: %w", err))
				return
			}
			var g segment
			if err := json.Unmarshal(body, &g); err != nil {
				yield(Entry{}, fmt.Errorf("read the audit log: %q: %w", k, ledger.ErrCorrupt))
				return
			}
			for _, e := range g.Entries {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}
