// Package custody knows how evidence proves what it is and where it has been:
// the custody manifest of a file, its signature, and the checks that find
// whatever was changed since.
package custody

import (
	"time"
)

// Schema is the version of a [Manifest].
const Schema = "pcapwarden.custody/v1"

// A Manifest is the record of one piece of evidence, made when it was sealed
// into the vault and never changed. What nobody knows is left out. What
// happened later, such as a hold or the deletion, is in the audit log, which
// also holds the manifest's hash.
type Manifest struct {
	Schema      string      `json:"schema"`
	Identity    Identity    `json:"identity"`
	Authority   Authority   `json:"authority"`
	Source      Source      `json:"source"`
	Trigger     Trigger     `json:"trigger"`
	Acquisition Acquisition `json:"acquisition"`
	Integrity   Integrity   `json:"integrity"`
	Location    Location    `json:"location"`
	Custody     []Transfer  `json:"custody"` // in the order of time
	Log         Log         `json:"log"`
	Disposition Disposition `json:"disposition"`
	Derived     []Derived   `json:"derived,omitempty"`
}

// Identity names the evidence. An ID is never given twice, however alike two
// files are: equal bytes from two captures are two pieces of evidence.
type Identity struct {
	EvidenceID string `json:"evidenceId"`
	RootID     string `json:"rootEvidenceId"` // of the file it was made from; an original's own
	Kind       Kind   `json:"kind"`
	Incident   string `json:"incident"`
	Capture    string `json:"capture"` // the case, and the session's name
	File       string `json:"file"`    // as the capture agent called it
}

// Kind is what evidence is.
type Kind string

// The kinds.
const (
	Original Kind = "original" // as the capture agent wrote it
	Report   Kind = "report"   // for people and programs to read
	Excerpt  Kind = "excerpt"  // some packets of an original
	Redacted Kind = "redacted" // a derivative that may be shared
)

// Authority is who allowed the capture, why, and until when.
type Authority struct {
	Profile    string    `json:"profile"`
	PolicyHash string    `json:"policyHash"`
	Mode       string    `json:"mode"` // "standing": the policy itself; "required": a person each time
	Reason     string    `json:"reason"`
	Owner      string    `json:"owner"`
	Approver   string    `json:"approver,omitempty"`
	ApprovedAt time.Time `json:"approvedAt,omitzero"` // by a person
	ValidTo    time.Time `json:"validTo,omitzero"`
}

// Source is the machine that was captured on, and what was let through.
type Source struct {
	Target         string   `json:"target"` // ARM ID
	TargetType     string   `json:"targetType"`
	Subscription   string   `json:"subscription,omitempty"`
	Region         string   `json:"region,omitempty"`
	VMID           string   `json:"vmId,omitempty"` // the machine's own UUID, which a new one of the same name has not
	Instances      []string `json:"instances,omitempty"`
	Addresses      []string `json:"addresses,omitempty"`
	Role           string   `json:"role,omitempty"`
	Filters        []Filter `json:"filters"`
	TimeLimit      string   `json:"timeLimit"` // such as 5m
	TotalBytes     int64    `json:"totalBytes"`
	BytesPerPacket int64    `json:"bytesPerPacket"` // 0: whole packets
}

// A Filter is one filter of the session; an empty field lets all through.
type Filter struct {
	Protocol   string `json:"protocol,omitempty"`
	LocalIP    string `json:"localIp,omitempty"`
	LocalPort  string `json:"localPort,omitempty"`
	RemoteIP   string `json:"remoteIp,omitempty"`
	RemotePort string `json:"remotePort,omitempty"`
}

// Trigger is the alert that asked for the capture.
type Trigger struct {
	Alert       string    `json:"alert"` // ARM ID
	Rule        string    `json:"rule"`
	Severity    string    `json:"severity,omitempty"`
	Fired       time.Time `json:"fired,omitzero"`
	Received    time.Time `json:"received,omitzero"`
	Joined      int       `json:"joinedAlerts,omitempty"` // more alerts that it captured for
	TraceParent string    `json:"traceparent,omitempty"`
}

// Acquisition is the session and the program that took the file.
type Acquisition struct {
	Session     string    `json:"session,omitempty"` // ARM ID
	Started     time.Time `json:"started,omitzero"`
	Stopped     time.Time `json:"stopped,omitzero"` // only if it was known when the file was sealed
	StopReason  string    `json:"stopReason,omitempty"`
	AgentErrors []string  `json:"agentErrors,omitempty"`
	Landed      time.Time `json:"landed"`
	Clock       Clock     `json:"clock"`
	Tool        Tool      `json:"tool"`
}

// Clock compares this machine's clock with the one of the storage service.
type Clock struct {
	Local   time.Time `json:"local"`
	Storage time.Time `json:"storage,omitzero"`
	SkewMS  int64     `json:"skewMilliseconds,omitempty"` // local minus storage
}

// Tool is the program that sealed the evidence.
type Tool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	SHA256  string `json:"sha256,omitempty"` // of the binary that ran
	Go      string `json:"go,omitempty"`
}

// Integrity is what the bytes are known by.
type Integrity struct {
	Bytes     int64     `json:"bytes"`
	SHA256    string    `json:"sha256"`
	BlockSize int64     `json:"blockSize"` // bytes
	Blocks    []string  `json:"blocks"`    // SHA-256 of each block
	Merkle    string    `json:"merkleRoot"`
	Read      string    `json:"readVersion"`  // ETag of the landed file that was read
	Written   string    `json:"vaultVersion"` // ETag of the vault's copy
	Verified  time.Time `json:"verifiedAt"`   // the vault's copy was read back and hashed
}

// Location is where the evidence is.
type Location struct {
	Store     string `json:"store"` // container, or folder
	Name      string `json:"name"`
	Region    string `json:"region,omitempty"`
	LandedAt  string `json:"landedAt"`            // URL, where it was before
	AccountID string `json:"accountId,omitempty"` // of the landing account
}

// A Transfer is one step of the evidence's way: who did what with it.
type Transfer struct {
	Sequence int       `json:"sequence"` // 1, 2, 3, ...
	At       time.Time `json:"at"`
	Actor    string    `json:"actor"`
	Action   string    `json:"action"`
	Reason   string    `json:"reason,omitempty"`
	From     string    `json:"from,omitempty"`
	To       string    `json:"to,omitempty"`
	Outcome  string    `json:"outcome,omitempty"`
}

// The actions of a [Transfer].
const (
	Request = "request"
	Approve = "approve"
	Start   = "start"
	Stop    = "stop"
	Land    = "land"
	Hash    = "hash"
	Promote = "promote" // from where it landed into the vault
	Verify  = "verify"  // read back, and hashed again
	Analyse = "analyse"
	Derive  = "derive" // something was made from it
)

// Log is where the audit log ended when the manifest was signed: whoever cuts
// it short, or writes it anew, contradicts the manifest.
type Log struct {
	Segment int64  `json:"segment"`
	SHA256  string `json:"sha256"`
}

// Disposition is when the evidence goes. How it went is in its certificate.
type Disposition struct {
	DeleteAfter    time.Time `json:"deleteAfter"`
	Retention      string    `json:"retention"` // such as 7d
	Classification string    `json:"classification"`
}

// Derived is a document made from the evidence; it goes with it or before.
type Derived struct {
	EvidenceID string   `json:"evidenceId"`
	Kind       Kind     `json:"kind"`
	Store      string   `json:"store"`
	Name       string   `json:"name"`
	Bytes      int64    `json:"bytes"`
	SHA256     string   `json:"sha256"`
	Transforms []string `json:"transforms,omitempty"` // what was done to the original
	Note       string   `json:"note,omitempty"`       // what still may be told from it
}
