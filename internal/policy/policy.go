// Package policy decides which captures an alert may start, and refuses the
// rest with a reason. It asks nobody: everything it knows is the policy file,
// the alert and the time.
package policy

import (
	"net/netip"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/resourceid"
)

// A Policy is a valid policy file.
type Policy struct {
	Hash     string // SHA-256 of the file, lower-case hexadecimal
	Limits   Limits
	Scope    Scope
	Landing  map[string]resourceid.ID // storage account by region, see [Region]
	Profiles []Profile                // in file order
	Expected Expected
	Alerts   Alerts
	Records  Records

	Severities map[finding.Kind]finding.Severity // in place of the detectors'

	warnings []Mistake
}

// Limits are ceilings for all profiles together.
type Limits struct {
	TimeLimit     time.Duration
	TotalBytes    int64
	ActivePerVM   int // captures of ours that may run on one machine at once
	StartsPerHour int // captures that may be started in any hour
}

// A Scope is where captures may run. Names are lower case.
type Scope struct {
	Subscriptions  []string
	ResourceGroups []string          // valid in each subscription
	RequireTag     map[string]string // a machine needs all of these
	DenyTag        map[string]string // a machine may have none of these
}

// Alerts says what is believed of an alert.
type Alerts struct {
	// Reread has Azure Monitor asked about each alert before anything is done
	// for it: one that it does not know is refused. It takes the right to
	// read alerts in the subscriptions whose rules send them.
	Reread bool
}

// Records says how long is remembered what was done.
type Records struct {
	Retention time.Duration // from the deletion of the evidence to that of its record
}

// DefaultRetention of records is a year and what a yearly audit takes.
const DefaultRetention = 400 * 24 * time.Hour

// A Profile is a sort of capture, and the alerts that start it.
type Profile struct {
	Name      string
	Line      int // of the policy file
	When      When
	Capture   Capture
	Approval  Approval
	Retention time.Duration // from landing to deletion

	path    string // in the file
	expires int    // line of approval.expires
}

// When says which alerts a profile is for. An empty list means any.
type When struct {
	AlertRules  []string
	Severities  []string
	SignalTypes []string // "Activity Log" is written ActivityLog
	TargetTypes []string // vm, vmss
}

// A Capture is what a profile captures.
type Capture struct {
	TimeLimit      time.Duration
	TotalBytes     int64
	BytesPerPacket int64 // 0: whole packets
	Instances      int   // of a scale set, at most
	CompareWith    []resourceid.ID
	Filters        []FilterRule
}

// A FilterRule is a filter of the policy file: plain, or with placeholders
// that an alert fills in.
type FilterRule struct {
	Filter                         // LocalIP and RemoteIP are empty where a placeholder stands
	LocalPlaceholder  string       // dimension whose values are the local address
	RemotePlaceholder string       // dimension whose values are the remote address
	Within            netip.Prefix // where those values have to be
}

// Expected is what is normal on this network.
type Expected struct {
	Outbound  []netip.Prefix
	Resolvers []netip.Addr
}
