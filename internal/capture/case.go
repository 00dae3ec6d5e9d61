package capture

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/ledger"
)

// State is how far a capture has come.
type State string

// The states, in the order that a capture goes through.
const (
	Asked     State = "asked"     // allowed by the policy, not started yet
	Capturing State = "capturing" // Network Watcher took it
	Ended     State = "ended"     // stopped; its file is awaited
	Analysed  State = "analysed"  // its findings are on the incident queue
	Closed    State = "closed"    // and its session is deleted
	Lost      State = "failed"    // it will not come, and Reason says why
	Declined  State = "declined"  // the target did not qualify at the start
)

// Done reports whether nothing is left to do.
func (s State) Done() bool { return s == Closed || s == Lost || s == Declined }

// A Case is the record of one capture on one machine: what was asked, who
// approved it, what was done, and where its evidence is. It is all that the
// program remembers; a capture whose case is not Done is looked at by every
// sweep.
type Case struct {
	Schema   string `json:"schema"` // CaseSchema
	ID       string `json:"id"`     // the session's name
	Incident string `json:"incident"`
	State    State  `json:"state"`
	Reason   string `json:"reason,omitempty"` // why it is in this state, in words

	Alert      AlertRef `json:"alert"`
	Profile    string   `json:"profile"`
	Role       string   `json:"role,omitempty"` // "compareWith": the healthy side
	PolicyHash string   `json:"policyHash"`
	Approval   Approval `json:"approval"`

	Target     string     `json:"target"` // ARM ID
	TargetType TargetType `json:"targetType"`
	Instances  []string   `json:"instances,omitempty"`
	VMID       string     `json:"vmId,omitempty"`
	Region     string     `json:"region,omitempty"`
	Addresses  []string   `json:"addresses,omitempty"` // the machine's own: the vantage point
	StorageID  string     `json:"storageId,omitempty"`

	Filters        []Filter      `json:"filters"`
	TimeLimit      time.Duration `json:"timeLimitNanoseconds"`
	TotalBytes     int64         `json:"totalBytes"`
	BytesPerPacket int64         `json:"bytesPerPacket"`
	Retention      time.Duration `json:"retentionNanoseconds"`

	SessionID   string    `json:"sessionId,omitempty"`
	StoragePath string    `json:"storagePath,omitempty"`
	Attempts    int       `json:"attempts"`           // of starting
	NotBefore   time.Time `json:"notBefore,omitzero"` // Azure wants no call earlier
	Asked       time.Time `json:"asked"`
	Started     time.Time `json:"started,omitzero"`
	Resolved    time.Time `json:"resolved,omitzero"` // the alert is over: stop early
	StopAsked   time.Time `json:"stopAsked,omitzero"`
	Stopped     time.Time `json:"stopped,omitzero"`
	StopReason  string    `json:"stopReason,omitempty"`
	AgentErrors []string  `json:"agentErrors,omitempty"` // Azure's words
	DeleteAfter time.Time `json:"deleteAfter"`

	Files   []File  `json:"files,omitempty"`
	History []Entry `json:"history"` // at most maxHistory, the first and the latest

	TraceParent string `json:"traceparent,omitempty"`
}

// CaseSchema is the version of the record.
const CaseSchema = "pcapwarden.case/v1"

// AlertRef is the alert that asked for a capture.
type AlertRef struct {
	ID          string    `json:"id"`
	Rule        string    `json:"rule"`
	Severity    string    `json:"severity"`
	Fired       time.Time `json:"fired"`
	WindowStart time.Time `json:"windowStart,omitzero"`
	WindowEnd   time.Time `json:"windowEnd,omitzero"`
}

// Approval is who allowed it, why, and until when.
type Approval struct {
	Mode     string    `json:"mode"`
	Reason   string    `json:"reason"`
	Owner    string    `json:"owner"`
	Approver string    `json:"approver"`
	Expires  time.Time `json:"expires"`
}

// A File is one capture file that landed. A session has one for each
// instance of a scale set, or for each turn of a ring.
type File struct {
	Name      string    `json:"name"` // in the landing container
	ETag      string    `json:"etag"`
	Bytes     int64     `json:"bytes"`
	SHA256    string    `json:"sha256"`
	Landed    time.Time `json:"landed"`
	Vault     string    `json:"vault"`    // name in the vault
	Report    string    `json:"report"`   // name among the reports
	Analysis  string    `json:"analysis"` // name among the reports
	Cause     string    `json:"cause"`
	Culprit   string    `json:"culprit"`
	MessageID string    `json:"messageId"`
	Sent      time.Time `json:"sent"`
}

// An Entry is one line of a case's history.
type Entry struct {
	At   time.Time `json:"at"`
	What string    `json:"what"`
}

const maxHistory = 64

// Note adds a line to the history.
func (c *Case) Note(at time.Time, format string, args ...any) {
	if len(c.History) >= maxHistory {
		c.History = slices.Delete(c.History, maxHistory/2, maxHistory/2+1)
	}
	c.History = append(c.History, Entry{at.UTC(), fmt.Sprintf(format, args...)})
}

// File returns the file of that name, or nil.
func (c *Case) File(name string) *File {
	for i := range c.Files {
		if c.Files[i].Name == name {
			return &c.Files[i]
		}
	}
	return nil
}

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
	paths     ledger.Records[pathRecord]
}

// NewLedger keeps its records in s.
func NewLedger(s ledger.Store) *Ledger {
	return &Ledger{
		store:     s,
		open:      ledger.In[Case](s, "open/"),
		closed:    ledger.In[Case](s, "closed/"),
		incidents: ledger.In[Incident](s, "incidents/"),
		paths:     ledger.In[pathRecord](s, "paths/"),
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
	return c, err
}

// Change alters a case by compare-and-swap, see [ledger.Records.Change]. A
// case that is Done afterwards moves to the closed ones; when the process
// dies in the middle of the move, the next sweep ends it.
func (l *Ledger) Change(ctx context.Context, incident, id string, change func(*Case) error) (Case, error) {
	k := key(incident, id)
	c, err := l.open.Change(ctx, k, change)
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
	prefix := ""
	if incident != "" {
		prefix = incident + "/"
	}
	return func(yield func(Case, error) bool) {
		for k, err := range l.open.List(ctx, prefix) {
			if err != nil {
				yield(Case{}, err)
				return
			}
			c, err := l.open.Read(ctx, k)
			if errors.Is(err, ledger.ErrNotFound) { // closed since it was listed
				continue
			}
			if err == nil && c.Schema != CaseSchema {
				err = fmt.Errorf("read case %q: %w: schema is %q, want %q", k, ledger.ErrCorrupt, c.Schema, CaseSchema)
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

// pathRecord leads from a file to its case.
type pathRecord struct {
	Incident string `json:"incident"`
	Case     string `json:"case"`
}

// ExpectAt remembers that the file or folder at a session's storage path
// belongs to a case. The path holds no capture name, so this is the only way
// back. https://learn.microsoft.com/azure/network-watcher/packet-capture-overview
func (l *Ledger) ExpectAt(ctx context.Context, storagePath string, c Case) error {
	err := l.paths.Create(ctx, pathKey(storagePath), pathRecord{c.Incident, c.ID})
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
	}
	return Case{}, fmt.Errorf("case of a file: %w", ledger.ErrNotFound)
}

// pathKey compares paths as Azure does: without regard to case.
func pathKey(url string) string { return digest(strings.ToLower(strings.TrimSuffix(url, "/"))) }

// Lease keeps other sweeps away from a subscription's sessions.
func (l *Ledger) Lease(ctx context.Context, name string, d time.Duration) (ledger.Lease, error) {
	return l.store.Lease(ctx, "leases/"+name, d)
}
