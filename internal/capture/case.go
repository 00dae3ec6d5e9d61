package capture

import (
	"fmt"
	"slices"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/policy"
)

// State is how far a capture has come.
type State string

// The states, in the order that a capture goes through.
const (
	Asked     State = "asked"             // allowed by the policy, not started yet
	Awaiting  State = "awaiting-approval" // qualifies; a person has to agree
	Capturing State = "capturing"         // Network Watcher took it
	Ended     State = "ended"             // stopped; its file is awaited
	Analysed  State = "analysed"          // its findings are on the incident queue
	Closed    State = "closed"            // and its session is deleted
	Expired   State = "expired"           // and its evidence is deleted
	Held      State = "held"              // its evidence should be gone, and a hold keeps it
	Lost      State = "failed"            // it will not come, and Reason says why
	Declined  State = "declined"          // the target did not qualify at the start
	Rejected  State = "rejected"          // a person did not agree
	Joined    State = "joined"            // another case captures for it, see JoinedTo
)

// Done reports whether nothing is left to do but to delete the evidence on
// its date.
func (s State) Done() bool {
	switch s {
	case Closed, Expired, Held, Lost, Declined, Rejected, Joined:
		return true
	}
	return false
}

// A Case is the record of one capture on one machine: what was asked, who
// approved it, what was done, and where its evidence is. It is all that the
// program remembers: the policy of the moment it was asked for travels with
// it. A capture whose case is not Done is looked at by every sweep.
type Case struct {
	Schema   string `json:"schema"` // CaseSchema
	ID       string `json:"id"`     // the session's name
	Incident string `json:"incident"`
	State    State  `json:"state"`
	Reason   string `json:"reason,omitempty"` // why it is in this state, in words

	Alert       AlertRef   `json:"alert"`
	OtherAlerts []AlertRef `json:"otherAlerts,omitempty"` // that joined it, at most maxJoined
	JoinedTo    *CaseRef   `json:"joinedTo,omitempty"`
	Profile     string     `json:"profile"`
	Role        string     `json:"role,omitempty"` // "compareWith": the healthy side
	PolicyHash  string     `json:"policyHash"`
	Approval    Approval   `json:"approval"`

	Sought          string        `json:"sought,omitempty"` // what the alert named, where that is no machine's ID
	SoughtBy        policy.Lookup `json:"soughtBy,omitempty"`
	Target          string        `json:"target"` // ARM ID; empty until what is sought is found
	TargetType      TargetType    `json:"targetType"`
	MaxInstances    int           `json:"maxInstances,omitempty"`
	NamedInstances  []string      `json:"namedInstances,omitempty"` // by the alert, by ID or name
	Instances       []string      `json:"instances,omitempty"`      // the ones chosen
	InstancesReason string        `json:"instancesReason,omitempty"`
	VMID            string        `json:"vmId,omitempty"`
	Region          string        `json:"region,omitempty"`
	Addresses       []string      `json:"addresses,omitempty"` // the machine's own: the vantage point
	StorageID       string        `json:"storageId,omitempty"`

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
	Resolved    time.Time `json:"resolved,omitzero"` // every alert it captures for is over: stop early
	OddSince    time.Time `json:"oddSince,omitzero"` // Azure reports a state that says nothing
	StopAsked   time.Time `json:"stopAsked,omitzero"`
	StopError   string    `json:"stopError,omitempty"` // what Azure answered to the latest stop
	Stopped     time.Time `json:"stopped,omitzero"`
	StopReason  string    `json:"stopReason,omitempty"`
	AgentErrors []string  `json:"agentErrors,omitempty"` // Azure's words
	Searches    int       `json:"searches,omitempty"`    // for files whose event was lost
	DeleteAfter time.Time `json:"deleteAfter"`
	Hold        *Decision `json:"hold,omitempty"` // keeps the evidence past DeleteAfter
	Deleted     time.Time `json:"deleted,omitzero"`

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
	Resolved    time.Time `json:"resolved,omitzero"`
}

// CaseRef names a case.
type CaseRef struct {
	Incident string `json:"incident"`
	Case     string `json:"case"`
}

// Approval is who allowed it, why, and until when.
type Approval struct {
	Mode     string    `json:"mode"`
	Reason   string    `json:"reason"`
	Owner    string    `json:"owner"`
	Approver string    `json:"approver"`
	Expires  time.Time `json:"expires"` // the last day on which it is valid
	Decision *Decision `json:"decision,omitempty"`
}

// A Decision is what a person decided.
type Decision struct {
	By     string    `json:"by"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

// validAt reports whether the approval has not expired; the zero one never does.
func (a Approval) validAt(now time.Time) bool {
	return a.Expires.IsZero() || policy.Approval{Expires: a.Expires}.ValidAt(now)
}

// open reports whether a person still has to agree.
func (a Approval) open() bool { return a.Mode == string(policy.Required) && a.Decision == nil }

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
	Sent      time.Time `json:"sent"` // zero: the message is stored, and not on the queue yet

	Manifest       string    `json:"manifest,omitempty"`       // custody manifest: name in the vault
	ManifestSHA256 string    `json:"manifestSha256,omitempty"` // of its envelope
	Markdown       string    `json:"markdown,omitempty"`       // the report for tickets: name among the reports
	Excerpts       []string  `json:"excerpts,omitempty"`       // names among the reports
	Cleared        time.Time `json:"cleared,omitzero"`         // the copy where it landed is gone
	Quarantine     string    `json:"quarantine,omitempty"`     // why it can't be relied on
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

// ref names the case.
func (c *Case) ref() CaseRef { return CaseRef{c.Incident, c.ID} }

// runs reports whether a session runs for the case, or is about to.
func (c *Case) runs() bool { return c.State == Asked || c.State == Awaiting || c.State == Capturing }

// maxJoined bounds the alerts of one capture: a rule that fires every minute
// of a five-hour capture is there completely.
const maxJoined = 300

// join has the case capture for one more alert. It reports whether it does:
// what is over, or about to end, captures for nobody else.
func (c *Case) join(a AlertRef, now time.Time) bool {
	if !c.runs() || !c.Resolved.IsZero() || !c.StopAsked.IsZero() {
		return false
	}
	known := slices.ContainsFunc(c.OtherAlerts, func(other AlertRef) bool { return other.ID == a.ID })
	if a.ID != c.Alert.ID && !known && len(c.OtherAlerts) < maxJoined {
		c.OtherAlerts = append(c.OtherAlerts, a)
		c.Note(now, "alert of rule %q joined", a.Rule)
	}
	return true
}

// resolve notes that an alert is over. The capture is not wanted any more
// when all its alerts are. It reports whether anything changed.
func (c *Case) resolve(alertID string, now time.Time) bool {
	changed, over := false, true
	mark := func(a *AlertRef) {
		if a.ID == alertID && a.Resolved.IsZero() {
			a.Resolved, changed = now, true
		}
		over = over && !a.Resolved.IsZero()
	}
	mark(&c.Alert)
	for i := range c.OtherAlerts {
		mark(&c.OtherAlerts[i])
	}
	if changed {
		c.Note(now, "alert resolved")
	}
	if over && c.Resolved.IsZero() {
		c.Resolved, changed = now, true
	}
	return changed
}
