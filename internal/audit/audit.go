// Package audit keeps an append-only, hash-chained log of everything that the
// program did to the world: who, what, why, and how it ended, with an entry
// before each effect and one after it.
//
// The log is a row of segments, each one record of the ledger's store. A
// segment is created, never changed, and holds the SHA-256 of the one before
// it: whoever changes, removes or inserts one breaks the chain from there on.
// What is cut off at the end leaves no trace in the chain itself: keep a head
// that [Verify] reported, and compare.
package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/ledger"
)

// Schema is the version of a segment.
const Schema = "pcapwarden.audit/v1"

// prefix is where the segments are in the store.
const prefix = "audit/"

// An Entry is one line of the log.
type Entry struct {
	At       time.Time `json:"at"`
	Actor    string    `json:"actor"` // "pcapwarden", or the person who asked
	Action   Action    `json:"action"`
	Phase    Phase     `json:"phase"`
	Incident string    `json:"incident,omitempty"`
	Case     string    `json:"case,omitempty"`
	Target   string    `json:"target,omitempty"`
	Reason   string    `json:"reason,omitempty"`  // why it is done
	Outcome  string    `json:"outcome,omitempty"` // After: "done", or what went wrong
	File     string    `json:"file,omitempty"`    // what it is done to: name in the vault, or where it landed
	SHA256   string    `json:"sha256,omitempty"`  // of the document that says more: a manifest, a certificate
}

// Action is an effect that is logged.
type Action string

// The actions.
const (
	Start   Action = "start"
	Stop    Action = "stop"
	Delete  Action = "delete" // of a session, never of its file
	Approve Action = "approve"
	Reject  Action = "reject"
	Hold    Action = "hold"
	Release Action = "release"
	Expire  Action = "expire" // deletion of evidence
	Export  Action = "export"
	Refuse  Action = "refuse" // of an alert that Azure Monitor did not raise
	Forget  Action = "forget" // deletion of a record whose evidence is gone for long

	Seal       Action = "seal"       // of evidence in the vault; SHA256 is the manifest's envelope's
	Clear      Action = "clear"      // deletion of the copy where it landed, the vault's being sealed
	Quarantine Action = "quarantine" // of evidence that is not what it was, or nobody's
)

// Phase says whether the effect is about to happen or has.
type Phase string

// The phases.
const (
	Before Phase = "before"
	After  Phase = "after"
)

// Done is the outcome of what went well.
const Done = "done"

// A segment is what was appended at once.
type segment struct {
	Schema   string  `json:"schema"`
	Sequence int64   `json:"sequence"` // 1, 2, 3, ...
	Previous string  `json:"previous"` // SHA-256 of the segment before, as stored; empty in the first
	Entries  []Entry `json:"entries"`
	Digest   string  `json:"digest"` // SHA-256 of the rest, so that a damaged one is known even at the end of the chain
}

// encode returns the segment as it is stored.
func (g segment) encode() ([]byte, error) {
	g.Digest = ""
	body, err := json.Marshal(g)
	if err == nil { // text that is not UTF-8 is only the same from the second time on
		err = json.Unmarshal(body, &g)
	}
	if err == nil {
		body, err = json.Marshal(g)
	}
	if err != nil {
		return nil, err
	}
	g.Digest = digest(body)
	return json.Marshal(g)
}

// A Log appends to the log in a store. Several may write to the same log at
// once: they take turns. Its methods are safe for concurrent use.
type Log struct {
	store ledger.Store
	turn  chan struct{} // held by who writes

	mu      sync.Mutex
	waiting []*appending

	// Where the chain ends, as far as this process knows; a hint alone.
	sequence int64
	hash     string
}

// An appending waits for its entries to be written.
type appending struct {
	entries []Entry
	written bool
	err     error
}

// New returns the log in a store. It reads nothing yet.
func New(s ledger.Store) *Log { return &Log{store: s, turn: make(chan struct{}, 1)} }

// writing bounds one segment's way into the store.
const writing = 30 * time.Second

// Append returns when the entries are stored. Entries of callers that wait at
// the same time go into one segment. An error means that they may not be in
// the log: what must be logged before it happens must then not happen.
func (l *Log) Append(ctx context.Context, entries ...Entry) error {
	a := &appending{entries: entries}
	l.mu.Lock()
	l.waiting = append(l.waiting, a)
	l.mu.Unlock()

	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return fmt.Errorf("append to the audit log: %w", context.Cause(ctx))
	}
	if a.written { // by the one before
		return a.err
	}
	l.mu.Lock()
	batch := l.waiting
	l.waiting = nil
	l.mu.Unlock()
	var all []Entry
	for _, b := range batch {
		all = append(all, b.entries...)
	}
	// The others' entries must not fail because this caller went away.
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), writing, errors.New("the store is slow"))
	defer cancel()
	err := l.write(ctx, all)
	if err != nil {
		err = fmt.Errorf("append to the audit log: %w", err)
	}
	for _, b := range batch {
		b.written, b.err = true, err
	}
	return err
}

// write creates the next segment, and goes on to the one after when somebody
// else was faster.
func (l *Log) write(ctx context.Context, entries []Entry) error {
	if l.sequence == 0 {
		if err := l.findEnd(ctx); err != nil {
			return err
		}
	}
	for {
		body, err := segment{Schema: Schema, Sequence: l.sequence + 1, Previous: l.hash, Entries: entries}.encode()
		if err != nil {
			return err
		}
		_, err = l.store.Create(ctx, key(l.sequence+1), body)
		if err == nil {
			l.sequence, l.hash = l.sequence+1, digest(body)
			return nil
		}
		if !errors.Is(err, ledger.ErrExists) {
			return err
		}
		there, _, err := l.store.Read(ctx, key(l.sequence+1))
		if err != nil {
			return err
		}
		l.sequence, l.hash = l.sequence+1, digest(there)
		if string(there) == string(body) { // the answer to an earlier try was lost
			return nil
		}
	}
}

// Head is where the chain ended when this process last wrote to it: a segment
// and its hash, zero if it has not written. Whoever signs a document that
// names it makes it an anchor of the chain.
func (l *Log) Head(ctx context.Context) (sequence int64, hash string, err error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return 0, "", fmt.Errorf("head of the audit log: %w", context.Cause(ctx))
	}
	return l.sequence, l.hash, nil
}

// findEnd looks for the last segment by doubling, then halving: a log of a
// million segments takes some forty reads, once in the life of a process.
func (l *Log) findEnd(ctx context.Context) error {
	var last []byte
	there := func(n int64) (bool, error) {
		body, _, err := l.store.Read(ctx, key(n))
		if errors.Is(err, ledger.ErrNotFound) {
			return false, nil
		}
		if err == nil {
			last = body
		}
		return err == nil, err
	}
	low, high := int64(0), int64(1) // low is there, high is not
	for {
		ok, err := there(high)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		low, high = high, high*2
	}
	for high-low > 1 {
		middle := low + (high-low)/2
		ok, err := there(middle)
		if err != nil {
			return err
		}
		if ok {
			low = middle
		} else {
			high = middle
		}
	}
	l.sequence = low
	if low > 0 {
		l.hash = digest(last)
	}
	return nil
}

func key(sequence int64) string { return fmt.Sprintf("%s%012d.json", prefix, sequence) }

func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
