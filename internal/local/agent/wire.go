package agent

import (
	"context"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// A Wire is where packets pass: an [Interface], or a [Recording] of one.
type Wire interface {
	// Tap returns once no packet passes unseen any more.
	Tap(ctx context.Context) (Tap, error)
}

// A Tap hands out the Ethernet frames of a wire as they come. End may be
// called from any goroutine, the other methods from one.
type Tap interface {
	// Next waits for the next packet. After End it returns what passed before
	// End, and then io.EOF. Any other error ends the capture.
	Next() (Packet, error)
	// End ends the tapping.
	End()
	// Dropped is how many packets were lost because nobody read in time.
	Dropped() (int64, error)
	Close() error
}

// A Packet is one frame. Data is valid until the next call of Next.
type Packet struct {
	Time   pcap.Timestamp
	Length int // on the wire; Data may be less
	Data   []byte
}
