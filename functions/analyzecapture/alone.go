package analyzecapture

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/ledger"
	"github.com/pcapwarden/pcapwarden/internal/verdict"
)

const (
	// walkLease keeps a second instance off a file. One that is killed holds
	// it that long.
	walkLease = 15 * time.Second
	// walkLeases bounds the leases that there will ever be; files that share
	// one wait for each other.
	walkLeases = 4096
)

// alone returns when nobody else works on the file. Whoever loses a message's
// lock while he works on it meets the next one here. What is stored is stored
// under conditions, so that two at once do no harm but the double work.
func (a *Analyzer) alone(ctx context.Context, c capture.Case, file string) (release func(), err error) {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s", c.ID, file))
	name := fmt.Sprintf("file-%04d", binary.BigEndian.Uint16(sum[:])%walkLeases)
	for {
		lease, err := a.Ledger.Lease(ctx, name, walkLease)
		if err == nil {
			return a.renew(ctx, lease), nil
		}
		if !errors.Is(err, ledger.ErrLeased) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
}

// renew keeps a lease until it is released.
func (a *Analyzer) renew(ctx context.Context, lease ledger.Lease) (release func()) {
	ctx, stop := context.WithCancel(ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(walkLease / 3):
				if err := lease.Renew(ctx); err != nil && ctx.Err() == nil {
					a.Log.WarnContext(ctx, "lease on a file not renewed: somebody else may read it, too", "err", err)
				}
			}
		}
	})
	return func() {
		stop()
		renewing.Wait()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if err := lease.Release(ctx); err != nil {
			a.Log.WarnContext(ctx, "lease on a file not released, it will run out", "err", err)
		}
	}
}

// Tries counts how often the analysis of a file was begun and did not come to
// any end: the program was killed, or ran out of memory.
type Tries struct {
	Begun int `json:"begun"`
}

// maxTries is how often a file may end the program. It is evidence even if
// nobody can analyse it.
const maxTries = 3

// run analyses the file, unless that has ended the program before.
func (a *Analyzer) run(ctx context.Context, c capture.Case, e *examined, content io.Reader) (_ *analysis.Analysis, err error) {
	key := c.ID + "-" + version(e.file)
	t, err := a.Tries.Read(ctx, key)
	if errors.Is(err, ledger.ErrNotFound) {
		err = a.Tries.Create(ctx, key, Tries{1})
		if errors.Is(err, ledger.ErrExists) {
			err = nil
		}
	} else if err == nil && t.Begun >= maxTries {
		e.file.Quarantine = fmt.Sprintf("its analysis ended the program %d times", t.Begun)
		return unanalysable(e.file.Name, e.file.Quarantine), nil
	} else if err == nil {
		_, err = a.Tries.Change(ctx, key, func(t *Tries) error { t.Begun++; return nil })
	}
	if err != nil {
		return nil, fmt.Errorf("count tries: %w", err)
	}
	analysed, err := analysis.Run(ctx, content, a.options(c, e.file.Name))
	// Whatever the result: there is one. A panic does not come here.
	return analysed, errors.Join(err, a.Tries.Delete(context.WithoutCancel(ctx), key))
}

// unanalysable is the analysis of a file that can't be analysed.
func unanalysable(file, reason string) *analysis.Analysis {
	summary := "The file could not be analysed: " + reason + ". It is kept as it landed."
	next := "Open the vault's copy on a machine of its own, and report the file's hash to whoever looks after this program."
	return &analysis.Analysis{
		Schema: analysis.Schema, Capture: analysis.Capture{File: file, Format: "unknown", Error: reason},
		Findings: []finding.Finding{{
			Kind: "capture.unreadable", Severity: finding.Medium, Confidence: 1, Summary: summary, Culprit: finding.Capture, Count: 1, NextStep: next,
		}},
		Verdict: verdict.Verdict{Cause: verdict.Inconclusive, Culprit: finding.Capture, Summary: summary, Confidence: 1, NextStep: next, Findings: []int{0}},
	}
}
