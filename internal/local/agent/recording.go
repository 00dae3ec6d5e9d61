package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// A Recording is a [Wire] on which the packets of an earlier capture pass
// again, now, at the pace at which they passed then. What passes while nobody
// listens is lost, as on any wire.
type Recording struct {
	packets []Packet // Time counts from the first one's

	mu   sync.Mutex
	taps []*recordedTap
}

// ReadRecording reads a capture of Ethernet frames into memory.
func ReadRecording(src io.Reader) (*Recording, error) {
	in, err := pcap.NewReader(src)
	if err != nil {
		return nil, fmt.Errorf("read recording: %w", err)
	}
	r := &Recording{}
	var first pcap.Timestamp
	for {
		rec, err := in.Next()
		if errors.Is(err, io.EOF) {
			return r, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read recording: %w", err)
		}
		if rec.LinkType != pcap.LinkTypeEthernet {
			return nil, fmt.Errorf("read recording: packet %d is %v, not Ethernet", rec.Number, rec.LinkType)
		}
		if len(r.packets) == 0 {
			first = rec.Time
		}
		r.packets = append(r.packets, Packet{rec.Time - first, rec.Length, slices.Clone(rec.Data)})
	}
}

// Duration is how long the recording takes.
func (r *Recording) Duration() time.Duration {
	if len(r.packets) == 0 {
		return 0
	}
	return time.Duration(r.packets[len(r.packets)-1].Time)
}

// Play lets every packet pass once, and returns after the last or when ctx
// ends.
func (r *Recording) Play(ctx context.Context) error {
	start := time.Now()
	for _, p := range r.packets {
		at := start.Add(time.Duration(p.Time))
		if wait := time.Until(at); wait > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		r.pass(Packet{pcap.Timestamp(at.UnixNano()), p.Length, p.Data})
	}
	return nil
}

func (r *Recording) pass(p Packet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.taps {
		select {
		case t.packets <- p:
		default:
			t.dropped.Add(1)
		}
	}
}

// Tap listens to what passes from now on.
func (r *Recording) Tap(ctx context.Context) (Tap, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t := &recordedTap{recording: r, packets: make(chan Packet, 1024), ended: make(chan struct{})}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taps = append(r.taps, t)
	return t, nil
}

type recordedTap struct {
	recording *Recording
	packets   chan Packet
	ended     chan struct{}
	dropped   atomic.Int64
}

func (t *recordedTap) Next() (Packet, error) {
	select {
	case p := <-t.packets:
		return p, nil
	default:
	}
	select {
	case p := <-t.packets:
		return p, nil
	case <-t.ended:
	}
	select { // what passed before the end
	case p := <-t.packets:
		return p, nil
	default:
		return Packet{}, io.EOF
	}
}

func (t *recordedTap) End() {
	r := t.recording
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.Index(r.taps, t); i >= 0 {
		r.taps = slices.Delete(r.taps, i, i+1)
		close(t.ended)
	}
}

func (t *recordedTap) Dropped() (int64, error) { return t.dropped.Load(), nil }

func (t *recordedTap) Close() error {
	t.End()
	return nil
}
