package arm

import (
	"context"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/capture"
)

// Container is the blob container that Network Watcher writes captures to. An
// agent creates it when it is missing.
const Container = "network-watcher-logs"

// An Agent captures on a machine, as the Network Watcher agent extension
// does. The server calls it from several goroutines.
type Agent interface {
	// Start begins capturing and returns once packets are being captured, or
	// with the reason why not: then nothing is left behind, Done is never
	// called, and the session's state becomes Error with that reason. The
	// capture outlives ctx, which bounds the start alone: it runs until one
	// of the session's limits, or Stop.
	Start(ctx context.Context, s Session) error
	// Stop ends the session's capture, completes its file and returns after
	// the session's Done was called. Stopping a session that is unknown, or
	// has ended, is no error.
	Stop(sessionID string) error
}

// A Session is one capture that the agent is asked to make: for a scale set
// the server starts one Session per instance.
type Session struct {
	// ID is unique among running and past sessions, and stays the same over
	// Start and Stop. It is the packet capture's ARM ID in lower case; for an
	// instance of a scale set "#" and the instance's number follow.
	ID string
	// Name is the packet capture's name.
	Name string
	// Target is the machine's ARM ID as the caller spelled it, for a scale
	// set the instance's.
	Target string
	// Addresses are the machine's private addresses as far as the world knows
	// them: the local side of the filters. May be empty.
	Addresses []string
	// Filters is what to capture: a packet that any of them matches. None
	// means everything. Protocol is TCP, UDP or Any. Addresses and ports are
	// as they were asked for: Azure accepts what makes no sense, and then
	// captures nothing, so a field that does not follow the grammar of
	// [capture.Filter] matches no packet.
	Filters []capture.Filter
	// TimeLimit is kept by the agent: the session ends that long after the
	// capture began. Always positive.
	TimeLimit time.Duration
	// TotalBytes ends the session when the file has that size. Always
	// positive.
	TotalBytes int64
	// BytesPerPacket cuts longer packets; 0 keeps them whole.
	BytesPerPacket int64
	// StorageAccount is the ARM ID of the landing account, in lower case.
	StorageAccount string
	// BlobName is where the finished file goes, inside [Container] of the
	// landing account. The file appears there once it is complete, not
	// before: Azure does it the same way. Empty for a session that asked for
	// a file on the machine alone: then the file may be thrown away.
	BlobName string
	// URL is the finished file's address as Azure would have it, for the
	// event that announces it. Empty with BlobName.
	URL string
	// Started is when the server accepted the session, UTC.
	Started time.Time
	// Done must be called exactly once for a session whose Start succeeded:
	// when the capture has ended, for whatever reason, and its file is
	// complete and in place. It does not block, and may be called before
	// Start returns.
	Done func(Outcome)
}

// An Outcome is how a capture ended.
type Outcome struct {
	// StopReason is "Manual" after Stop, "TimeExceeded" at the time limit,
	// and empty for anything else: which word Azure has for the size limit is
	// not known.
	StopReason string
	// Errors is what went wrong, as free text: what Azure's agent does too.
	// An outcome with errors may still have a file.
	Errors []string
	// Bytes is the size of the finished file.
	Bytes int64
}

// The reasons that Azure is known to give for the end of a capture.
const (
	StoppedManually = "Manual"
	TimeExceeded    = "TimeExceeded"
)
