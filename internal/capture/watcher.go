// Package capture knows the life of a packet capture: asked, approved,
// started, stopped, landed, deleted.
package capture

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/policy"
)

// A Watcher runs packet captures on machines: Network Watcher in Azure, the
// local ARM on a laptop. Its methods send one request, or few, and never wait
// for what Azure does next: the sweep looks again.
//
// Implementations pass the suite in capturetest.
type Watcher interface {
	// Machine looks a target up as it is now: ErrNotFound when it is gone.
	Machine(ctx context.Context, target string) (Machine, error)
	// Start asks for a session on the watcher of the spec's region, and
	// returns as soon as it was accepted. A session of that name is an
	// *ExistsError; a region without a watcher ErrNoWatcher.
	Start(ctx context.Context, s Spec) (Session, error)
	// Find returns the session of that name in the subscription and region:
	// ErrNotFound, ErrNoWatcher.
	Find(ctx context.Context, subscription, region, name string) (Session, error)
	// Status asks what the session does now. It costs one request; while a
	// session runs, Azure's answer takes seconds.
	Status(ctx context.Context, sessionID string) (Status, error)
	// Stop ends a session, so that its file is completed. Stopping what is
	// stopped is no error.
	Stop(ctx context.Context, sessionID string) error
	// Delete removes the session, never its file. Deleting what is gone is
	// no error.
	Delete(ctx context.Context, sessionID string) error
	// List returns the sessions of every watcher in the subscription.
	List(ctx context.Context, subscription string) ([]Session, error)
}

// The errors that a [Watcher] answers with, wrapped. Every other error may go
// away, unless it is a *DeniedError.
var (
	ErrNotFound  = errors.New("not found")
	ErrNoWatcher = errors.New("no Network Watcher in the region")
)

// ExistsError says that a session has that name already; whether it is the
// same capture is for the caller to see.
type ExistsError struct{ Session Session }

func (e *ExistsError) Error() string {
	return fmt.Sprintf("packet capture %q exists", e.Session.Name)
}

// DeniedError says that the identity lacks a right, or that Azure refuses the
// request for good. Trying again does not help until somebody changes
// something.
type DeniedError struct {
	Action string // the missing action or the refused call, as Azure names it
	Err    error
}

func (e *DeniedError) Error() string { return fmt.Sprintf("%s denied: %v", e.Action, e.Err) }

// Unwrap returns what Azure said.
func (e *DeniedError) Unwrap() error { return e.Err }

// ThrottledError says that Azure wants no more requests for a while.
type ThrottledError struct {
	RetryAfter time.Duration // 0: Azure did not say
	Err        error
}

func (e *ThrottledError) Error() string {
	return fmt.Sprintf("throttled, retry after %v: %v", e.RetryAfter, e.Err)
}

// Unwrap returns what Azure said.
func (e *ThrottledError) Unwrap() error { return e.Err }

// TargetType is what a session captures on.
type TargetType = policy.TargetType

// The target types of Network Watcher.
const (
	AzureVM   = policy.AzureVM
	AzureVMSS = policy.AzureVMSS
)

// A Machine is a capture target as Azure describes it now.
type Machine struct {
	ID        string // as Azure spells it
	Type      TargetType
	VMID      string // the machine's unique identifier, survives renaming; empty for a scale set
	Region    string // lower case, without spaces
	Tags      map[string]string
	ManagedBy string   // set where a service such as AKS owns the machine
	Power     string   // "running", "deallocated", ...; empty for a scale set
	Agent     Agent    // of a VM; for a scale set the model's
	Addresses []string // private addresses, where known; the vantage point
	Instances []Instance
}

// An Agent is the Network Watcher agent extension of a machine, found by
// publisher and type, never by name.
type Agent struct {
	Present           bool
	Type              string // NetworkWatcherAgentLinux or NetworkWatcherAgentWindows
	ProvisioningState string // "Succeeded", ...
}

// An Instance is a machine of a uniform scale set.
type Instance struct {
	ID          string // "0", "17"
	Name        string
	Power       string
	LatestModel bool
	Agent       Agent
}

// A Spec is a session to start. It always has both limits: Azure stops the
// capture even if nobody is left to do it.
type Spec struct {
	Name           string // see Name
	Target         string // ARM ID
	TargetType     TargetType
	Instances      []string // of a scale set; never empty there: empty would mean all
	Region         string
	StorageID      string // ARM ID of the landing account
	Filters        []Filter
	TimeLimit      time.Duration
	TotalBytes     int64
	BytesPerPacket int64 // 0: whole packets
}

// A Filter is one of a session's filters, in Network Watcher's grammar.
type Filter = policy.Filter

// A Session is a packet capture as Network Watcher lists it. It does not say
// whether it runs: see Status.
type Session struct {
	ID                string // ARM ID of the packet capture
	Name              string
	Region            string
	ProvisioningState string
	Target            string
	TargetType        TargetType
	StoragePath       string // URL of the file, or its folder for several instances; may be empty
	TimeLimit         time.Duration
	TotalBytes        int64
	BytesPerPacket    int64
	Filters           []Filter
}

// Status is what a session does, and what its agent said.
type Status struct {
	State      PcStatus
	Started    time.Time // zero if Azure did not say
	StopReason string    // "Manual", "TimeExceeded", ...; often empty
	Errors     []string  // Azure's words; free text in practice
}

// PcStatus is Azure's state of a session. Treat it as an open set.
type PcStatus string

// The states that Azure documents.
const (
	NotStarted PcStatus = "NotStarted"
	Running    PcStatus = "Running"
	Stopped    PcStatus = "Stopped"
	Failed     PcStatus = "Error"
	Undefined  PcStatus = "Unknown"
)
