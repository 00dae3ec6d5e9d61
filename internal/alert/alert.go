// Package alert reads the alerts that Azure Monitor sends, all in the common
// alert schema, into one Alert. What an alert says is a key to look things up
// with, never a parameter of a capture.
package alert

import (
	"fmt"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/resourceid"
)

// Bounds of an alert. Azure sends at most 256 KiB
// (https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-common-schema).
const (
	MaxBytes   = 300 << 10
	MaxTargets = 300
	MaxDepth   = 64 // of nested objects and arrays
	MaxText    = 2048
)

// An Alert is what Azure Monitor says happened, and to which machines.
//
// Its strings are the sender's, at most [MaxText] bytes each: whoever prints
// them escapes them.
type Alert struct {
	ID                string // the alert instance, an ARM ID in practice; never empty
	Rule              string // name of the rule, empty for some kinds
	RuleID            string // ARM ID of the rule, often empty
	Severity          string // Sev0 to Sev4, or empty
	SignalType        string // Metric, Log, Activity Log, or empty
	Condition         Condition
	MonitoringService string
	Kind              Kind
	Fired             time.Time
	Resolved          time.Time // zero unless Azure says
	WindowStart       time.Time // the time that was evaluated; zero where the kind has none
	WindowEnd         time.Time

	Targets  []Target
	NoTarget string // why nothing in the alert can be captured on; then Targets hold what was named, if anything

	// TestAction: sent by the "Test" button of an action group, about
	// machines that do not exist.
	TestAction bool

	// The two custom properties that are read; every other is ignored.
	Profile    string // pcapProfile: a wish among the profiles that match anyway
	IncidentID string // incidentId: [A-Za-z0-9][A-Za-z0-9._-]{0,63}

	// Dimensions are the distinct values of each dimension or Prometheus
	// label, in the order they came, by lower-case name: see Values.
	Dimensions map[string][]string
}

// Values returns the distinct values of a dimension or Prometheus label, in
// the order they came. Names match whatever their ASCII case.
func (a *Alert) Values(dimension string) []string {
	return a.Dimensions[lower(dimension)]
}

// Condition is the state of an alert.
type Condition string

// The states of an alert.
const (
	Fired    Condition = "Fired"
	Resolved Condition = "Resolved"
)

// Kind is the sort of alert, which decides where its machine is named.
type Kind string

// A Target is something that the alert names as the place where it happened.
type Target struct {
	Type TargetType
	// ID is the machine, its network interface, or another resource. It is
	// zero for a ComputerName, a Scope and for what is Malformed.
	ID resourceid.ID
	// Name is what to look for, of a ComputerName.
	Name string
	// Instances are the instances of a scale set that the alert points at, by
	// ID or name; the scale set's list tells which. Empty: the scale set as
	// a whole.
	Instances []string
	Given     string // as the alert has it, cut to MaxText
	Source    string // where it was found: "alertTargetIDs", "dimension Computer", ...
	Err       error  // why it is Malformed
}

// TargetType is what a [Target] names.
type TargetType string

// The types of target.
const (
	VM               TargetType = "vm"
	ScaleSet         TargetType = "vmss"
	NetworkInterface TargetType = "network-interface" // of a machine that has to be looked up
	ComputerName     TargetType = "computer-name"     // of a machine that has to be looked up
	Other            TargetType = "other"             // some other resource
	Scope            TargetType = "scope"             // a whole subscription or resource group
	Malformed        TargetType = "malformed"         // an ID that Azure would not write
)

// Machine reports whether the target is, or leads to, a machine.
func (t Target) Machine() bool {
	switch t.Type {
	case VM, ScaleSet, NetworkInterface, ComputerName:
		return true
	}
	return false
}

// Reason is a stable code of why an alert is not read.
type Reason string

// The reasons of an [Error].
const (
	TooLarge         Reason = "too-large"
	NotJSON          Reason = "json-invalid"
	DuplicateKey     Reason = "duplicate-key"
	TooDeep          Reason = "too-deep"
	SchemaUnknown    Reason = "schema-unknown"
	FieldInvalid     Reason = "field-invalid" // missing, too long or of a wrong type
	ConditionUnknown Reason = "condition-unknown"
	TimeInvalid      Reason = "time-invalid"
	TooManyTargets   Reason = "too-many-targets"
	ProfileInvalid   Reason = "profile-invalid"
	IncidentInvalid  Reason = "incident-invalid"
)

// Error says why an alert is refused as a whole. Sending it again does not
// help. It quotes little of the alert, escaped.
type Error struct {
	Reason  Reason
	Message string
}

func (e *Error) Error() string { return "read alert: " + e.Message }

func refuse(r Reason, format string, args ...any) *Error {
	return &Error{Reason: r, Message: fmt.Sprintf(format, args...)}
}

// lower folds ASCII only: Unicode folding maps the Kelvin sign to k.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
