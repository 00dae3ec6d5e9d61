// Package excerpt cuts a few packets out of a capture: those that prove a
// finding, and the handshakes of their connections, as a small pcapng file
// with comments.
//
// An excerpt is evidence like the capture itself, only less of it: addresses
// and names in headers are as they were. What can be shared is made by package
// redact.
package excerpt

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// Limits of what one pass cuts out. They bound its memory to about 100 MiB,
// whatever the capture holds; excerpts of ordinary findings take a few.
const (
	MaxExcerpts = 50
	MaxPackets  = 1000 // that all selections together name
	MaxPayload  = 65535
	// maxKept is how many bytes of payload are kept of all packets together.
	// From then on payload is cut.
	maxKept = 32 << 20
)

// Options say how to cut.
type Options struct {
	Payload     int    // bytes of payload to keep of a packet named, at most MaxPayload
	Application string // that makes the excerpts
}

// A Summary says what an excerpt holds.
type Summary struct {
	Finding    int // index of the finding that it proves, or of the selection
	Packets    int // that were named
	Handshake  int // that belong to them
	Unwritable int // that were named, but have no link type or a time that pcapng cannot hold
	Shortened  int // that were named, and lost payload that was asked for: all of it was too much
}

// A MissingError says that a capture does not have the frames asked for: it is
// another capture than the one that was analysed, or only a part of it.
type MissingError struct {
	Frames  []int64
	Packets int64 // that the capture has
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("the capture has no frame %d: it has %d packets", e.Frames[0], e.Packets)
}

// Cut reads the capture in src once, from its beginning to the last packet
// that matters, and makes an excerpt for each selection. When reading is done,
// create is called for one excerpt after the other; what it returns gets the
// whole file in one call of Write, and is closed. Where it returns neither a
// writer nor an error that excerpt is left out. So is one of which nothing can
// be written.
//
// The same capture, selections and options always give the same bytes. Frames
// that the capture does not have give a [*MissingError], and create is not
// called.
//
// Handshakes of connections that a selection's flow names are found wherever
// they are; those of others, if no more than some 16,000 connections were
// begun between them and the packet.
func Cut(ctx context.Context, src io.Reader, selections []Selection, o Options, create func(selection int) (io.WriteCloser, error)) ([]Summary, error) {
	c, err := newCutter(selections, o)
	if err != nil {
		return nil, err
	}
	if err := c.read(ctx, src); err != nil {
		return nil, err
	}
	summaries := make([]Summary, 0, len(selections))
	for i := range selections {
		file, s, err := c.file(i)
		if err != nil {
			return summaries, err
		}
		if s.Packets > 0 {
			if err := store(file, i, create); err != nil {
				return summaries, err
			}
		}
		summaries = append(summaries, s)
	}
	return summaries, nil
}

func store(file []byte, i int, create func(int) (io.WriteCloser, error)) error {
	w, err := create(i)
	if w == nil || err != nil {
		return err
	}
	if _, err := w.Write(file); err != nil {
		w.Close() // its own error would be about the same
		return err
	}
	return w.Close()
}

// file makes the excerpt of one selection, in the capture's order.
func (c *cutter) file(selection int) ([]byte, Summary, error) {
	s, items := c.selections[selection], c.chosen[selection]
	summary := Summary{Finding: selection, Unwritable: c.unwritable[selection]}
	slices.SortFunc(items, func(a, b item) int { return cmp.Compare(a.Number, b.Number) })
	longest := 0
	for _, it := range items {
		longest = max(longest, len(it.data()))
	}
	var out buffer
	w, err := pcap.NewNGWriter(&out, pcap.Section{Comment: s.About, Application: c.options.Application, Interface: s.Interface}, longest)
	if err != nil {
		return nil, summary, err
	}
	for _, it := range items {
		switch {
		case it.handshake:
			summary.Handshake++
		default:
			summary.Packets++
			if it.shortened {
				summary.Shortened++
			}
		}
		if err := w.WritePacket(it.Time, it.LinkType, it.Length, it.data(), s.comment(it)); err != nil {
			return nil, summary, err
		}
	}
	return out, summary, nil
}

type buffer []byte

func (b *buffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}
