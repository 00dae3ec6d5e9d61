// Package agent is the Network Watcher agent of the local run: it captures
// what passes a machine's interface, filters it as Network Watcher does, and
// hands over the file once it is complete.
package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/local/arm"
)

// Options is what an agent works with.
type Options struct {
	Wire Wire
	// Land stores a complete file in the landing account's container. The
	// context ends when the agent is closed.
	Land func(ctx context.Context, blobName string, content io.Reader, size int64) error
	// Folder is where files grow; empty means the system's. They have no name
	// there (except on Windows), so that not even SIGKILL leaves one behind.
	Folder string
	Log    *slog.Logger
}

// An Agent captures for every machine on its wire: it tells them apart by
// their addresses. It implements [arm.Agent].
type Agent struct {
	options Options

	mu       sync.Mutex
	closed   bool
	captures map[string]*capturing // by session, while they run
}

var _ arm.Agent = (*Agent)(nil)

// New returns an agent without captures.
func New(o Options) *Agent {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Agent{options: o, captures: map[string]*capturing{}}
}

// Start begins a capture, as [arm.Agent] says.
func (a *Agent) Start(ctx context.Context, s arm.Session) (err error) {
	if s.TimeLimit <= 0 || s.TotalBytes <= 0 {
		return fmt.Errorf("start capture %q: it needs a time limit and a byte limit", s.Name)
	}
	match, err := newMatcher(s.Addresses, s.Filters)
	if err != nil {
		return fmt.Errorf("start capture %q: %w", s.Name, err)
	}
	run, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	c := &capturing{session: s, match: match, cancel: cancel, ended: make(chan struct{})}
	if err := a.admit(c); err != nil {
		cancel(nil)
		return fmt.Errorf("start capture %q: %w", s.Name, err)
	}
	defer func() {
		if err != nil {
			cancel(nil)
			a.forget(c)
			close(c.ended)
		}
	}()

	if c.file, err = os.CreateTemp(a.options.Folder, "capture-*.cap"); err != nil {
		return fmt.Errorf("start capture %q: %w", s.Name, err)
	}
	if os.Remove(c.file.Name()) != nil { // Windows refuses
		c.path = c.file.Name()
	}
	tap, err := a.options.Wire.Tap(ctx)
	if err != nil {
		return errors.Join(fmt.Errorf("start capture %q: %w", s.Name, err), c.discard())
	}
	c.begin(tap)
	a.options.Log.DebugContext(ctx, "capture started", "capture", s.Name)
	go a.run(run, c)
	return nil
}

// Stop ends a capture, as [arm.Agent] says. A capture that is just starting
// is waited for.
func (a *Agent) Stop(sessionID string) error {
	a.mu.Lock()
	c := a.captures[sessionID]
	a.mu.Unlock()
	if c == nil {
		return nil
	}
	c.end(arm.StoppedManually)
	<-c.ended
	return nil
}

// Close abandons what is being captured: no file lands any more. It returns
// when nothing of the agent is running.
func (a *Agent) Close() error {
	a.mu.Lock()
	a.closed = true
	var running []*capturing
	for _, c := range a.captures {
		running = append(running, c)
	}
	a.mu.Unlock()
	for _, c := range running {
		c.cancel(errClosed)
		c.end("")
	}
	for _, c := range running {
		<-c.ended
	}
	return nil
}

var errClosed = errors.New("the agent was stopped before the capture was complete")

func (a *Agent) admit(c *capturing) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return errClosed
	}
	if a.captures[c.session.ID] != nil {
		return errors.New("the session is running already")
	}
	a.captures[c.session.ID] = c
	return nil
}

func (a *Agent) forget(c *capturing) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.captures, c.session.ID)
}

// run captures until one of the ends, lands the file and tells the session.
func (a *Agent) run(ctx context.Context, c *capturing) {
	limit := time.AfterFunc(c.session.TimeLimit, func() { c.end(arm.TimeExceeded) })
	bytes, packets, err := c.capture()
	limit.Stop()

	outcome := arm.Outcome{StopReason: c.reason(), Bytes: bytes}
	var problems []error
	if err != nil {
		problems = append(problems, fmt.Errorf("capture: %w", err))
	}
	if dropped, err := c.tap.Dropped(); err != nil {
		problems = append(problems, fmt.Errorf("count lost packets: %w", err))
	} else if dropped > 0 {
		problems = append(problems, fmt.Errorf("%d packets were lost: they came faster than they could be written", dropped))
	}
	if err := a.land(ctx, c, bytes); err != nil {
		outcome.Bytes = 0
		problems = append(problems, err)
	}
	if err := errors.Join(c.tap.Close(), c.discard()); err != nil {
		problems = append(problems, err)
	}
	for _, p := range problems {
		outcome.Errors = append(outcome.Errors, p.Error())
	}
	a.options.Log.InfoContext(ctx, "capture ended", "capture", c.session.Name, "reason", outcome.StopReason,
		"packets", packets, "bytes", outcome.Bytes, "err", errors.Join(problems...))
	c.cancel(nil)
	a.forget(c)
	c.session.Done(outcome)
	close(c.ended)
}

// landTimeout is for one file to a folder or to storage on this machine.
const landTimeout = time.Minute

func (a *Agent) land(ctx context.Context, c *capturing, size int64) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if _, err := c.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read capture: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, landTimeout)
	defer cancel()
	if err := a.options.Land(ctx, c.session.BlobName, io.LimitReader(c.file, size), size); err != nil {
		return fmt.Errorf("store capture: %w", err)
	}
	return nil
}
