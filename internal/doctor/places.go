package doctor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/pcapwarden/pcapwarden/internal/evidence"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
)

// probe is the folder of the records that the doctor makes and deletes.
const probe = "doctor/"

// Records makes a record, reads it, and deletes it again. It is the one thing
// that the doctor writes: a ledger that can't be written is found out by the
// first alert otherwise.
func Records(setting string, open func() (ledger.Store, error)) Check {
	return Check{Name: "records", Look: func(ctx context.Context) []Line {
		const role = "give the app's identity Storage Blob Data Contributor on this container alone"
		store, err := open()
		if err != nil {
			return []Line{Bad(setting, err, "correct the setting")}
		}
		key := probe + strings.ToLower(rand.Text())
		etag, err := store.Create(ctx, key, []byte(`{"doctor":"a probe; it may be deleted"}`))
		if err != nil {
			return []Line{Bad(setting, err, "%s", place(ctx, err, role))}
		}
		_, _, readErr := store.Read(ctx, key)
		deleteErr := store.Delete(ctx, key, etag)
		var lines []Line
		if readErr != nil {
			lines = append(lines, Bad(setting, readErr, "%s", place(ctx, readErr, role)))
		}
		if deleteErr != nil {
			lines = append(lines, Bad(setting, fmt.Errorf("the probe %s stays: %w", key, deleteErr), "%s; delete the probe", place(ctx, deleteErr, role)))
		}
		if len(lines) == 0 {
			return []Line{Good(setting, "a record was made, read and deleted")}
		}
		return lines
	}}
}

// A Container is what can be listed.
type Container interface {
	List(ctx context.Context, prefix string) iter.Seq2[evidence.Info, error]
}

// Files looks whether a container is there and can be listed. What a role
// allows beyond that is not tried: evidence is not for trying things out.
func Files(name, setting, role string, open func() (Container, error)) Check {
	return Check{Name: name, Look: func(ctx context.Context) []Line {
		c, err := open()
		if err != nil {
			return []Line{Bad(setting, err, "correct the setting")}
		}
		for _, err := range c.List(ctx, "") {
			if err != nil {
				return []Line{Bad(setting, err, "%s", place(ctx, err, "give the app's identity "+role+" on this container"))}
			}
			break // one is proof
		}
		return []Line{Good(setting, "it can be listed")}
	}}
}

// A Queue can be reached without sending or taking a message.
type Queue interface {
	Reach(ctx context.Context) error
}

// Reachable looks whether a queue is there and may be used.
func Reachable(name, setting, role string, open func() (Queue, error)) Check {
	return Check{Name: name, Look: func(ctx context.Context) []Line {
		q, err := open()
		if err != nil {
			return []Line{Bad(setting, err, "correct the setting")}
		}
		if err := q.Reach(ctx); err != nil {
			do := "make the queue with duplicate detection, and give the app's identity " + role + " on it"
			if overdue(ctx, err) {
				do = "is the namespace's name right, and do its firewall and private endpoint let the app in (AMQP, port 5671)?"
			}
			return []Line{Bad(setting, err, "%s", do)}
		}
		return []Line{Good(setting, "it can be reached")}
	}}
}

// place is what to do about a container that can't be used.
func place(ctx context.Context, err error, role string) string {
	text := err.Error()
	switch {
	case overdue(ctx, err):
		return "is the account's name right, and do its firewall and private endpoint let the app in?"
	case strings.Contains(text, "the container is missing"):
		return "make the container, or correct the setting"
	case errors.Is(err, ledger.ErrExists), strings.Contains(text, " 403 "):
		return role
	}
	return "does it exist, and may the app's identity use it? If so, " + role
}
