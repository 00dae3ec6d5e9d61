package policy

import (
	"time"

	"github.com/pcapwarden/pcapwarden/internal/resourceid"
)

// A Decision is what a policy makes of one alert.
type Decision struct {
	Profile  string    // the profile that applies, or ""
	Shadowed []string  // profiles that match too, but come later
	Allowed  []Plan    // captures to start
	Awaiting []Plan    // captures that start once somebody approves them; each is in Refused too
	Refused  []Refusal // never empty where Allowed is
	Warnings []string
	Matches  []Match // every profile in file order, and why it does not match
}

// A Match says whether a profile matches an alert.
type Match struct {
	Profile string
	Line    int    // of the policy file
	Why     string // why it does not; "" if it does
}

// A Plan is one capture that the policy lets an alert start. All but its
// target is from the policy file, or inside a range that it sets.
type Plan struct {
	Role Role
	// Target is the VM or scale set. Where Lookup is ByName it is zero, where
	// Lookup is ByNetworkInterface it is the interface: look the machine up,
	// and put what was found through [Policy.CheckTarget].
	Target     resourceid.ID
	TargetType TargetType
	Lookup     Lookup
	Name       string // computer name, for Lookup ByName
	Given      string // the target as the alert or policy has it
	Source     string // where the target was found: "alertTargetIDs", "compareWith", ...

	// Instances is how many instances of a scale set to capture at most.
	// Where Only is not empty, it names those to choose from, by ID or name.
	Instances int
	Only      []string

	Filters        []Filter // never empty
	TimeLimit      time.Duration
	TotalBytes     int64
	BytesPerPacket int64 // 0: whole packets
	Retention      time.Duration
	Approval       Approval
	CheckedAtStart []string // what only Azure can say, in words
}

// Role is why a machine is captured.
type Role string

// The roles of a capture.
const (
	RoleTarget      Role = "target"
	RoleCompareWith Role = "compareWith" // the healthy side
)

// TargetType is what Network Watcher calls a capture's target.
type TargetType string

// The target types of Network Watcher.
const (
	AzureVM   TargetType = "AzureVM"
	AzureVMSS TargetType = "AzureVMSS"
)

// Lookup is how to find the machine of a [Plan].
type Lookup string

// The lookups; the zero value needs none.
const (
	ByName             Lookup = "computer-name"
	ByNetworkInterface Lookup = "network-interface"
)

// A Filter is one filter of a capture in Network Watcher's grammar: a port is
// "80", "80-85" or "80;443"; an address "10.0.0.4", "10.0.0.0-10.0.0.255" or
// "10.0.0.4;10.0.0.9"; empty means all. A packet is captured if any filter
// matches it. Local is the machine's side.
type Filter struct {
	Protocol   string `json:"protocol"` // TCP, UDP, Any
	LocalIP    string `json:"localIP,omitempty"`
	LocalPort  string `json:"localPort,omitempty"`
	RemoteIP   string `json:"remoteIP,omitempty"`
	RemotePort string `json:"remotePort,omitempty"`
}

// An Approval says who answers for the captures of a profile, and until when.
type Approval struct {
	Mode     ApprovalMode
	Reason   string
	Owner    string
	Approver string    // empty unless the file names one
	Expires  time.Time // midnight UTC of the last day on which it is valid
}

// ValidAt reports whether the approval has not expired. It is valid through
// the end of its last day, UTC.
func (a Approval) ValidAt(now time.Time) bool {
	return now.Before(a.Expires.AddDate(0, 0, 1))
}

// ApprovalMode is how captures of a profile are approved.
type ApprovalMode string

// The modes of approval.
const (
	Standing ApprovalMode = "standing" // approved in advance
	Required ApprovalMode = "required" // each time, by a person
)

// A Refusal is a capture that does not start.
type Refusal struct {
	Target  string // as the alert has it; "" if the alert as a whole is refused
	Reason  Reason
	Message string // what is wrong, and what to do; quotes of the alert are escaped
}

// Reason is a stable code of why a capture does not start.
type Reason string

// The reasons of a [Refusal]. A refusal of an alert that cannot be read has
// its [alert.Reason].
const (
	TestAction         Reason = "test-action"
	NotFired           Reason = "resolved"
	Stale              Reason = "stale"
	FiredInFuture      Reason = "fired-in-future"
	TimeInvalid        Reason = "time-invalid"
	TargetInvalid      Reason = "target-invalid"       // malformed: the whole alert is refused
	NoTarget           Reason = "no-target"            // nothing in the alert is a machine
	NotAMachine        Reason = "not-a-machine"        // this target is none, another one is
	NoProfile          Reason = "no-profile"           // no profile matches
	ProfileUnknown     Reason = "profile-unknown"      // pcapProfile names none
	ProfileNotMatching Reason = "profile-not-matching" // pcapProfile names one that does not match
	TargetTypeExcluded Reason = "target-type"          // the profile is for other types
	ApprovalExpired    Reason = "approval-expired"
	AwaitingApproval   Reason = "awaiting-approval"
	OutOfScope         Reason = "out-of-scope"
	PlaceholderMissing Reason = "placeholder-missing" // the alert has no such dimension
	PlaceholderInvalid Reason = "placeholder-invalid" // not one IPv4 address, or outside "within"
	TooManyFilters     Reason = "too-many-filters"
	NeedsLookup        Reason = "needs-lookup" // dry run only
	TagMissing         Reason = "tag-missing"
	TagDenied          Reason = "tag-denied"
	NoLanding          Reason = "no-landing"
)
