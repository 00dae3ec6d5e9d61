package capture

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/ledger"
)

// An Incident is the record of one alert: what it asked for and what was
// refused. It is there before anything is done for the alert.
type Incident struct {
	ID       string    `json:"id"`
	Alert    AlertRef  `json:"alert"`
	Received time.Time `json:"received"`
	Resolved time.Time `json:"resolved,omitzero"`
	Cases    []string  `json:"cases"`
	Refused  []Refused `json:"refused,omitempty"`
}

// Refused is a target that the policy does not allow.
type Refused struct {
	Target  string `json:"target"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// Ledger keeps cases and incidents. A case is under "open/" until it is Done,
// then under "closed/", so that a sweep lists only what is alive.
type Ledger struct {
	store     ledger.Store
	open      ledger.Records[Case]
	closed    ledger.Records[Case]
	incidents ledger.Records[Incident]
	paths     ledger.Records[CaseRef]
	names     ledger.Records[CaseRef]
	machines  ledger.Records[machineRecord]
	budget    ledger.Records[startsRecord]
	pauses    ledger.Records[pauseRecord]
	strangers ledger.Records[stranger]
	due       ledger.Records[CaseRef]
	forget    ledger.Records[string]

	budgeting sync.Mutex // one process does not conflict with itself
}

// NewLedger keeps its records in s.
func NewLedger(s ledger.Store) *Ledger {
	return &Ledger{
		store:     s,
		open:      ledger.In[Case](s, "open/"),
		closed:    ledger.In[Case](s, "closed/"),
		incidents: ledger.In[Incident](s, "incidents/"),
		paths:     ledger.In[CaseRef](s, "paths/"),
		names:     ledger.In[CaseRef](s, "names/"),
		machines:  ledger.In[machineRecord](s, "machines/"),
		budget:    ledger.In[startsRecord](s, "budget/"),
		pauses:    ledger.In[pauseRecord](s, "pauses/"),
		strangers: ledger.In[stranger](s, "strangers/"),
		due:       ledger.In[CaseRef](s, "due/"),
		forget:    ledger.In[string](s, "forget/"),
	}
}

// key is where a case is: an incident's cases stand together.
func key(incident, id string) string { return incident + "/" + id }

// Open records a case that is asked for. One that is there already, open or
// closed, is returned instead, and fresh is false.
func (l *Ledger) Open(ctx context.Context, c Case) (_ Case, fresh bool, err error) {
	if known, err := l.Case(ctx, c.Incident, c.ID); !errors.Is(err, ledger.ErrNotFound) {
		return known, false, err
	}
	// The name first: a session must never run whose case can't be found by it.
	if err := l.names.Create(ctx, c.ID, c.ref()); err != nil && !errors.Is(err, ledger.ErrExists) {
		return c, false, err
	}
	err = l.open.Create(ctx, key(c.Incident, c.ID), c)
	if errors.Is(err, ledger.ErrExists) { // another instance was faster
		known, err := l.Case(ctx, c.Incident, c.ID)
		return known, false, err
	}
	return c, err == nil, err
}

// Case returns a case, open or closed: ledger.ErrNotFound, ledger.ErrCorrupt.
func (l *Ledger) Case(ctx context.Context, incident, id string) (Case, error) {
	c, err := l.open.Read(ctx, key(incident, id))
	if errors.Is(err, ledger.ErrNotFound) {
		c, err = l.closed.Read(ctx, key(incident, id))
	}
	if err == nil {
		err = checkSchema(c, key(incident, id))
	}
	return c, err
}

func checkSchema(c Case, k string) error {
	if c.Schema != CaseSchema {
		return fmt.Errorf("read case %q: %w: schema is %.40q, want %q", k, ledger.ErrCorrupt, c.Schema, CaseSchema)
	}
	return nil
}

// ByName returns the case of a session's name: ledger.ErrNotFound,
// ledger.ErrCorrupt.
func (l *Ledger) ByName(ctx context.Context, name string) (Case, error) {
	if ledger.CheckKey(name) != nil || strings.Contains(name, "/") {
		return Case{}, fmt.Errorf("case %.80q: %w", name, ledger.ErrNotFound)
	}
	r, err := l.names.Read(ctx, name)
	if err != nil {
		return Case{}, err
	}
	return l.Case(ctx, r.Incident, r.Case)
}

// Change alters a case by compare-and-swap, see [ledger.Records.Change]. A
// case that is Done afterwards moves to the closed ones; when the process
// dies in the middle of the move, the next sweep ends it.
func (l *Ledger) Change(ctx context.Context, incident, id string, change func(*Case) error) (Case, error) {
	k := key(incident, id)
	var was Case
	c, err := l.open.Change(ctx, k, func(c *Case) error {
		was = *c
		return change(c)
	})
	if err == nil {
		measure(ctx, was, c)
	}
	if errors.Is(err, ledger.ErrNotFound) {
		return l.closed.Change(ctx, k, change)
	}
	if err != nil || !c.State.Done() {
		return c, err
	}
	return c, l.archive(ctx, c)
}

func (l *Ledger) archive(ctx context.Context, c Case) error {
	k := key(c.Incident, c.ID)
	if err := l.closed.Create(ctx, k, c); err != nil && !errors.Is(err, ledger.ErrExists) {
		return err
	}
	return l.open.Delete(ctx, k)
}

// OpenCases yields the cases that are not Done, of one incident or, with "",
// of all. A record that can't be read is yielded with its error, and the walk
// goes on: one bad record must not stop the rest.
func (l *Ledger) OpenCases(ctx context.Context, incident string) iter.Seq2[Case, error] {
	return cases(ctx, l.open, incident)
}

// ClosedCases yields the cases that are Done, like OpenCases.
func (l *Ledger) ClosedCases(ctx context.Context, incident string) iter.Seq2[Case, error] {
	return cases(ctx, l.closed, incident)
}

func cases(ctx context.Context, records ledger.Records[Case], incident string) iter.Seq2[Case, error] {
	prefix := ""
	if incident != "" {
		prefix = incident + "/"
	}
	return func(yield func(Case, error) bool) {
		for k, err := range records.List(ctx, prefix) {
			if err != nil {
				yield(Case{}, err)
				return
			}
			c, err := records.Read(ctx, k)
			if errors.Is(err, ledger.ErrNotFound) { // moved since it was listed
				continue
			}
			if err == nil {
				err = checkSchema(c, k)
			}
			c.ID, c.Incident = path.Base(k), path.Dir(k) // the key is what later calls need
			if !yield(c, err) {
				return
			}
		}
	}
}

// Cases returns every case of an incident that is known, open and closed.
func (l *Ledger) Cases(ctx context.Context, i Incident) ([]Case, error) {
	var all []Case
	for _, id := range i.Cases {
		c, err := l.Case(ctx, i.ID, id)
		if errors.Is(err, ledger.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// OpenIncident records an incident, or returns the one that is there.
func (l *Ledger) OpenIncident(ctx context.Context, i Incident) (_ Incident, fresh bool, err error) {
	if known, err := l.incidents.Read(ctx, i.ID); !errors.Is(err, ledger.ErrNotFound) {
		return known, false, err
	}
	// The date first, so that none is kept for good.
	if err := l.forgetOn(ctx, i.ID, i.Received.Add(forgetSoon)); err != nil {
		return i, false, err
	}
	err = l.incidents.Create(ctx, i.ID, i)
	if errors.Is(err, ledger.ErrExists) {
		known, err := l.incidents.Read(ctx, i.ID)
		return known, false, err
	}
	return i, err == nil, err
}

// Incident returns an incident: ledger.ErrNotFound.
func (l *Ledger) Incident(ctx context.Context, id string) (Incident, error) {
	return l.incidents.Read(ctx, id)
}

// ChangeIncident alters an incident by compare-and-swap.
func (l *Ledger) ChangeIncident(ctx context.Context, id string, change func(*Incident) error) (Incident, error) {
	return l.incidents.Change(ctx, id, change)
}

// ExpectAt remembers that the file or folder at a session's storage path
// belongs to a case. The path holds no capture name, so this is the only way
// back. https://learn.microsoft.com/azure/network-watcher/packet-capture-overview
func (l *Ledger) ExpectAt(ctx context.Context, storagePath string, c Case) error {
	err := l.paths.Create(ctx, pathKey(storagePath), c.ref())
	if errors.Is(err, ledger.ErrExists) {
		return nil
	}
	return err
}

// ByPath returns the case whose session writes to the URL of a file, or to a
// folder above it: ledger.ErrNotFound.
func (l *Ledger) ByPath(ctx context.Context, url string) (Case, error) {
	// A scale set's files lie at most two levels below the path of their session.
	for range 3 {
		r, err := l.paths.Read(ctx, pathKey(url))
		if err == nil {
			return l.Case(ctx, r.Incident, r.Case)
		}
		if !errors.Is(err, ledger.ErrNotFound) {
			return Case{}, err
		}
		cut := strings.LastIndexByte(url, '/')
		if cut < 0 {
			break
		}
		url = url[:cut]
		if strings.HasSuffix(strings.ToLower(url), ".cap") {
			break // a file, which has nothing below it: somebody put x.cap/y.cap beside x.cap
		}
	}
	return Case{}, fmt.Errorf("case of a file: %w", ledger.ErrNotFound)
}

// pathKey compares paths as Azure does: without regard to case.
func pathKey(url string) string { return digest(strings.ToLower(strings.TrimSuffix(url, "/"))) }

// Lease keeps other sweeps away from a subscription's sessions.
func (l *Ledger) Lease(ctx context.Context, name string, d time.Duration) (ledger.Lease, error) {
	return l.store.Lease(ctx, "leases/"+name, d)
}

// put writes the record id, new or not.
func put[T any](ctx context.Context, r ledger.Records[T], id string, v T) error {
	err := r.Create(ctx, id, v)
	if errors.Is(err, ledger.ErrExists) {
		_, err = r.Change(ctx, id, func(old *T) error { *old = v; return nil })
	}
	return err
}
