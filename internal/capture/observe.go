package capture

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"
)

// observe asks what Azure shows of a case. That a session is not listed proves
// nothing: a region may not have answered, and the capture may have been
// started since. That there is no answer about the state of one proves nothing
// either, and must not keep it from being stopped.
func (s *Sweeper) observe(ctx context.Context, c Case, l *listing) (o Observation, err error) {
	w := s.Starter.Watcher
	o.Session, o.Found = l.byName[c.ID]
	if !o.Found && (c.State == Capturing || l.partial) && c.Region != "" {
		o.Session, err = w.Find(ctx, c.subscription(), c.Region, c.ID)
		switch {
		case err == nil:
			o.Found = true
		case !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrNoWatcher):
			return o, s.throttled(ctx, c, err)
		}
	}
	if !o.Found || !s.curious(c, o.Session, s.Starter.Now()) {
		o.Unasked = true
		return o, nil
	}
	o.Status, err = w.Status(ctx, o.Session.ID)
	if err != nil {
		if t, ok := errors.AsType[*ThrottledError](err); ok {
			return o, s.throttled(ctx, c, t)
		}
		o.Status = Status{State: Undefined, Errors: []string{err.Error()}}
	}
	return o, nil
}

// due reports whether a capture should end, or shows signs that it has.
func due(c Case, now time.Time) bool {
	return now.Sub(c.Started) >= c.TimeLimit || !c.Resolved.IsZero() || !c.StopAsked.IsZero() || !c.OddSince.IsZero()
}

// curious reports whether the state of a session matters now. The answer
// costs a request, and most captures just run until their limit: they are asked
// when they are a minute old and every five minutes then, so that three hundred
// of them do not use up what Azure allows for starting and stopping others.
func (s *Sweeper) curious(c Case, session Session, now time.Time) bool {
	switch {
	case c.State == Analysed:
		return c.Stopped.IsZero() // its file was faster than any sweep
	case c.State != Capturing:
		return false
	case due(c, now) || session.ProvisioningState != "Succeeded":
		return true
	case int(now.Sub(c.Started)/time.Minute)%5 != 1:
		return false
	}
	return s.glances.first(c.ID, now)
}

// glances remembers when a session was asked how it does, so that sweeps in
// quick succession do not ask again. It is a hint: another process asks anew.
type glances struct {
	mu sync.Mutex
	at map[string]time.Time
}

// glanceAgain is when the next question is due: the minute in which one may be
// asked is over by then.
const glanceAgain = 2 * time.Minute

// first reports whether the session was not asked lately.
func (g *glances) first(id string, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	maps.DeleteFunc(g.at, func(_ string, at time.Time) bool { return now.Sub(at).Abs() > glanceAgain })
	if _, ok := g.at[id]; ok {
		return false
	}
	if g.at == nil {
		g.at = map[string]time.Time{}
	}
	g.at[id] = now
	return true
}
