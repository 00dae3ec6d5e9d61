package arm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/pcapwarden/pcapwarden/internal/capture"
)

// Start implements [capture.Watcher]. It refuses, with a *capture.DeniedError
// and without asking Azure, a spec that lacks one of its limits or that would
// capture on a whole scale set.
func (w *Watcher) Start(ctx context.Context, s capture.Spec) (capture.Session, error) {
	target, err := parseID(s.Target)
	if err != nil {
		return capture.Session{}, refuse(WriteCaptures, "start capture %q: %w", s.Name, err)
	}
	body, err := newCapture(s)
	if err != nil {
		return capture.Session{}, refuse(WriteCaptures, "start capture %q: %w", s.Name, err)
	}
	at, err := w.place(ctx, target.SubscriptionID, s.Region)
	if err != nil {
		return capture.Session{}, fmt.Errorf("start capture %q: %w", s.Name, err)
	}
	c, err := w.clients(at.subscription)
	if err != nil {
		return capture.Session{}, err
	}
	var first *http.Response
	_, err = c.captures.BeginCreate(policy.WithCaptureResponse(ctx, &first), at.group, at.name, s.Name, body, nil)
	switch status(first) {
	case http.StatusCreated:
		if started, ok := readSession(first, at.region); ok {
			return started, nil
		}
		return w.get(ctx, at, s.Name)
	case http.StatusOK, http.StatusConflict:
		// Azure has a session of that name: 200 is how it answers an
		// overwrite, which the SDK takes for an error.
		err = classify(WriteCaptures, err)
		_, denied := errors.AsType[*capture.DeniedError](err)
		_, busy := errors.AsType[*BusyError](err) // that session is on its way out, say
		if denied || busy {
			return capture.Session{}, fmt.Errorf("start capture %q: %w", s.Name, err)
		}
		existing, getErr := w.get(ctx, at, s.Name)
		if getErr == nil {
			return capture.Session{}, &capture.ExistsError{Session: existing}
		}
		if errors.Is(getErr, capture.ErrNotFound) && err != nil {
			getErr = err // another conflict than that of names
		}
		return capture.Session{}, fmt.Errorf("start capture %q: %w", s.Name, getErr)
	case http.StatusNotFound:
		err = w.recheck(ctx, at, classify(WriteCaptures, err), 0)
		return capture.Session{}, fmt.Errorf("start capture %q: %w", s.Name, err)
	}
	return capture.Session{}, fmt.Errorf("start capture %q: %w", s.Name, classify(WriteCaptures, err))
}

// Find implements [capture.Watcher].
func (w *Watcher) Find(ctx context.Context, subscription, region, name string) (capture.Session, error) {
	at, err := w.place(ctx, subscription, region)
	if err != nil {
		return capture.Session{}, fmt.Errorf("find capture %q: %w", name, err)
	}
	s, err := w.get(ctx, at, name)
	if errors.Is(err, capture.ErrNotFound) {
		err = w.recheck(ctx, at, err, placesFresh)
	}
	return s, err
}

func (w *Watcher) get(ctx context.Context, at place, name string) (capture.Session, error) {
	c, err := w.clients(at.subscription)
	if err != nil {
		return capture.Session{}, err
	}
	r, err := c.captures.Get(ctx, at.group, at.name, name, nil)
	if err != nil {
		return capture.Session{}, fmt.Errorf("read capture %q: %w", name, classify(ReadCaptures, err))
	}
	return newSession(&r.PacketCaptureResult, at.region), nil
}

// Status implements [capture.Watcher]. Azure's answer for a running session
// is that it works on one (202), but the whole status is in it already; the
// operation's result, ten seconds later, says the same.
func (w *Watcher) Status(ctx context.Context, sessionID string) (capture.Status, error) {
	at, name, err := parseSession(sessionID)
	if err != nil {
		return capture.Status{}, refuse(QueryCaptures, "ask for the status of a capture: %w", err)
	}
	c, err := w.clients(at.subscription)
	if err != nil {
		return capture.Status{}, err
	}
	var first *http.Response
	_, err = c.captures.BeginGetStatus(policy.WithCaptureResponse(ctx, &first), at.group, at.name, name, nil)
	switch status(first) {
	case http.StatusOK, http.StatusAccepted:
		return readStatus(first)
	}
	return capture.Status{}, fmt.Errorf("ask for the status of capture %q: %w", name, classify(QueryCaptures, err))
}

// Stop implements [capture.Watcher]. A session that does not exist is
// capture.ErrNotFound.
func (w *Watcher) Stop(ctx context.Context, sessionID string) error {
	at, name, err := parseSession(sessionID)
	if err != nil {
		return refuse(StopCaptures, "stop a capture: %w", err)
	}
	c, err := w.clients(at.subscription)
	if err != nil {
		return err
	}
	var first *http.Response
	_, err = c.captures.BeginStop(policy.WithCaptureResponse(ctx, &first), at.group, at.name, name, nil)
	switch status(first) {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent:
		return nil
	}
	return fmt.Errorf("stop capture %q: %w", name, classify(StopCaptures, err))
}

// Delete implements [capture.Watcher]. It does not stop the session first:
// whether Azure completes the file of a session that is deleted while it runs
// is not documented.
func (w *Watcher) Delete(ctx context.Context, sessionID string) error {
	at, name, err := parseSession(sessionID)
	if err != nil {
		return refuse(DeleteCaptures, "delete a capture: %w", err)
	}
	c, err := w.clients(at.subscription)
	if err != nil {
		return err
	}
	var first *http.Response
	_, err = c.captures.BeginDelete(policy.WithCaptureResponse(ctx, &first), at.group, at.name, name, nil)
	switch status(first) {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent:
		return nil
	}
	if err = classify(DeleteCaptures, err); errors.Is(err, capture.ErrNotFound) {
		return nil
	}
	return fmt.Errorf("delete capture %q: %w", name, err)
}

// listAtOnce is how many watchers List asks at the same time: a subscription
// may have one in each of some sixty regions.
const listAtOnce = 6

// List implements [capture.Watcher]. If some watchers do not answer, the
// sessions of the others come with the error: one region's outage must not
// keep captures elsewhere from being stopped. After the first sign of
// throttling no more are asked.
func (w *Watcher) List(ctx context.Context, subscription string) ([]capture.Session, error) {
	entries, err := w.places(ctx, subscription, placesExpire)
	if err != nil {
		return nil, fmt.Errorf("list captures: %w", err)
	}
	c, err := w.clients(subscription)
	if err != nil {
		return nil, err
	}
	ctx, halt := context.WithCancelCause(ctx)
	defer halt(nil)
	var (
		found = make([][]capture.Session, len(entries))
		errs  = make([]error, len(entries))
		next  = make(chan int)
		wg    sync.WaitGroup
	)
	for range min(listAtOnce, len(entries)) {
		wg.Go(func() {
			for i := range next {
				if ctx.Err() != nil {
					errs[i] = fmt.Errorf("list captures in %s: %w", entries[i].region, context.Cause(ctx))
					continue
				}
				found[i], errs[i] = c.list(ctx, entries[i])
				if t, ok := errors.AsType[*capture.ThrottledError](errs[i]); ok {
					halt(t)
				}
			}
		})
	}
	for i := range entries {
		next <- i
	}
	close(next)
	wg.Wait()
	var all []capture.Session
	for _, f := range found {
		all = append(all, f...)
	}
	return all, errors.Join(errs...)
}

func (c *clients) list(ctx context.Context, at place) ([]capture.Session, error) {
	var all []capture.Session
	pager := c.captures.NewListPager(at.group, at.name, nil)
	for pager.More() {
		page, err := pager.NextPage(ctx)
		if err != nil {
			err = classify(ReadCaptures, err)
			if errors.Is(err, capture.ErrNotFound) {
				return all, nil // the watcher went away, its sessions with it
			}
			return all, fmt.Errorf("list captures in %s: %w", at.region, err)
		}
		for _, r := range page.Value {
			if r != nil {
				all = append(all, newSession(r, at.region))
			}
		}
	}
	return all, nil
}

// parseSession reads the ARM ID of a packet capture.
func parseSession(id string) (place, string, error) {
	parsed, err := parseID(id)
	if err != nil {
		return place{}, "", err
	}
	if typeOf(parsed) != typeCapture || parsed.Parent == nil {
		return place{}, "", fmt.Errorf("%.300q is not the ID of a packet capture", id)
	}
	return place{
		subscription: strings.ToLower(parsed.SubscriptionID),
		group:        parsed.ResourceGroupName,
		name:         parsed.Parent.Name,
	}, parsed.Name, nil
}

// status is the status of an answer, 0 if there was none.
func status(r *http.Response) int {
	if r == nil {
		return 0
	}
	return r.StatusCode
}
