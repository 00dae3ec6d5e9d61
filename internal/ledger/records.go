package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
)

// ErrCorrupt says that a record is no longer what was written: somebody
// edited it, or another version of the program wrote it. It is for a person
// to mend; the others go on.
var ErrCorrupt = errors.New("record is corrupt")

// Records keeps values of one type under a prefix of a [Store], as indented
// JSON that a person can read during an incident.
type Records[T any] struct {
	store  Store
	prefix string
}

// In returns the records under prefix, which ends in "/" or is empty.
func In[T any](s Store, prefix string) Records[T] { return Records[T]{store: s, prefix: prefix} }

// Create writes the record id, which must not exist: ErrExists.
func (r Records[T]) Create(ctx context.Context, id string, v T) error {
	body, err := encode(v)
	if err != nil {
		return fmt.Errorf("create record %q: %w", r.prefix+id, err)
	}
	_, err = r.store.Create(ctx, r.prefix+id+".json", body)
	return err
}

// Read returns the record id: ErrNotFound, ErrCorrupt.
func (r Records[T]) Read(ctx context.Context, id string) (T, error) {
	v, _, err := r.read(ctx, id)
	return v, err
}

func (r Records[T]) read(ctx context.Context, id string) (v T, etag string, err error) {
	body, etag, err := r.store.Read(ctx, r.prefix+id+".json")
	if err != nil {
		return v, "", err
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if err := dec.Decode(&v); err != nil {
		return v, "", fmt.Errorf("read record %q: %w: %v", r.prefix+id, ErrCorrupt, err)
	}
	return v, etag, nil
}

// changes bounds how often Change begins anew. Each conflict means that
// somebody else got on, so a few suffice; more mean that two instances fight.
const changes = 8

// ErrUnchanged, returned by the function given to Change, leaves the record
// as it is; Change then returns it without an error.
var ErrUnchanged = errors.New("nothing to change")

// Change reads the record id, lets change alter it, and writes it back if
// nobody else did in between; else it begins anew, so change must do nothing
// but alter its argument. Any error of change but ErrUnchanged is returned,
// and nothing is written.
func (r Records[T]) Change(ctx context.Context, id string, change func(*T) error) (T, error) {
	var zero T
	for range changes {
		v, etag, err := r.read(ctx, id)
		if err != nil {
			return zero, err
		}
		if err := change(&v); errors.Is(err, ErrUnchanged) {
			return v, nil
		} else if err != nil {
			return zero, err
		}
		body, err := encode(v)
		if err != nil {
			return zero, fmt.Errorf("change record %q: %w", r.prefix+id, err)
		}
		if _, err = r.store.Update(ctx, r.prefix+id+".json", etag, body); err == nil {
			return v, nil
		} else if !errors.Is(err, ErrConflict) {
			return zero, err
		}
	}
	return zero, fmt.Errorf("change record %q: %w, %d times in a row", r.prefix+id, ErrConflict, changes)
}

// Delete removes the record id, whatever its version. One that is gone is no
// error.
func (r Records[T]) Delete(ctx context.Context, id string) error {
	return r.delete(ctx, id, func([]byte) (bool, error) { return true, nil })
}

// DeleteIf removes the record id if what it says allows that, and nobody
// changes it meanwhile. One that is gone is no error.
func (r Records[T]) DeleteIf(ctx context.Context, id string, allowed func(T) bool) error {
	return r.delete(ctx, id, func(body []byte) (bool, error) {
		var v T
		if err := json.Unmarshal(body, &v); err != nil {
			return false, fmt.Errorf("read record %q: %w: %v", r.prefix+id, ErrCorrupt, err)
		}
		return allowed(v), nil
	})
}

func (r Records[T]) delete(ctx context.Context, id string, allowed func(body []byte) (bool, error)) error {
	for range changes {
		body, etag, err := r.store.Read(ctx, r.prefix+id+".json")
		if err == nil {
			var ok bool
			if ok, err = allowed(body); err != nil || !ok {
				return err
			}
			err = r.store.Delete(ctx, r.prefix+id+".json", etag)
		}
		switch {
		case err == nil, errors.Is(err, ErrNotFound):
			return nil
		case !errors.Is(err, ErrConflict):
			return err
		}
	}
	return fmt.Errorf("delete record %q: %w, %d times in a row", r.prefix+id, ErrConflict, changes)
}

// List yields the identifiers that begin with prefix, in order.
func (r Records[T]) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for key, err := range r.store.List(ctx, r.prefix+prefix) {
			if err != nil {
				yield("", err)
				return
			}
			id, ok := strings.CutSuffix(strings.TrimPrefix(key, r.prefix), ".json")
			if ok && !yield(id, nil) {
				return
			}
		}
	}
}

func encode(v any) ([]byte, error) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(body, '\n'), nil
}
