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
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// Limits of an excerpt. They bound its memory: 1000 packets of 64 KiB.
const (
	MaxPackets = 1000
	MaxPayload = 65535
	// maxHeaders is what is kept of headers; hostile ones have no end.
	maxHeaders = 1024
	// maxHandshake is how many packets a handshake may have: each side may
	// repeat itself, and a connection that is not answered does.
	maxHandshake = 8
	// unknownHeaders is kept of a frame that holds no IP: the shortest
	// Ethernet frame, which ARP fits in.
	unknownHeaders = 60
)

// Options say what to cut out.
type Options struct {
	Packets  []int64          // frame numbers, from 1, at most MaxPackets, in any order
	Comments map[int64]string // on packets, by frame number
	Payload  int              // bytes of payload to keep of a packet named, at most MaxPayload
	About    pcap.Section
}

// A Summary says what an excerpt holds.
type Summary struct {
	Packets   int // that were named
	Handshake int // that belong to them
}

// A MissingError says that a capture does not have the frames asked for.
type MissingError struct {
	Frames  []int64
	Packets int64 // that the capture has
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("the capture has no frame %d: it has %d packets", e.Frames[0], e.Packets)
}

// between is how many packets are read before somebody asks whether to go on.
const between = 8192

// Write reads the capture in src twice, from where it begins, and writes the
// excerpt to dst: the same capture and options always give the same bytes.
// Frames that the capture does not have give a [*MissingError], and nothing is
// written.
func Write(ctx context.Context, src io.ReadSeeker, dst io.Writer, o Options) (Summary, error) {
	switch {
	case len(o.Packets) == 0 || len(o.Packets) > MaxPackets:
		return Summary{}, fmt.Errorf("excerpt: %d packets are asked for; name 1 to %d", len(o.Packets), MaxPackets)
	case o.Payload < 0 || o.Payload > MaxPayload:
		return Summary{}, fmt.Errorf("excerpt: %d bytes of payload are asked for; 0 to %d can be had", o.Payload, MaxPayload)
	}
	c := &cutter{options: o, named: map[int64]bool{}, connections: map[pair]*handshake{}, chosen: map[int64]kept{}}
	for _, n := range o.Packets {
		c.named[n] = true
	}
	if err := c.locate(ctx, src); err != nil {
		return Summary{}, err
	}
	if err := c.pass(ctx, src, c.take); err != nil {
		return Summary{}, err
	}
	return c.write(dst)
}

// kept is a packet of the excerpt.
type kept struct {
	pcap.Record
	handshake bool
}

// A pair names a TCP connection by its endpoints, the lower first.
type pair struct{ low, high endpoint }

// cutter makes one excerpt.
type cutter struct {
	options     Options
	named       map[int64]bool
	connections map[pair]*handshake // those with a packet that was named
	chosen      map[int64]kept
}

// errDone ends a pass before the capture does.
var errDone = errors.New("done")

// pass reads the capture once.
func (c *cutter) pass(ctx context.Context, src io.ReadSeeker, look func(*pcap.Record, *packet.Packet) error) error {
	if _, err := src.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("go to the start of the capture: %w", err)
	}
	r, err := pcap.NewReader(src)
	if err != nil {
		return err
	}
	var d packet.Decoder
	var p packet.Packet
	for n := 0; ; n++ {
		if n%between == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		rec, err := r.Next()
		if err == io.EOF {
			return nil
		} else if err != nil {
			if _, damaged := errors.AsType[*pcap.FormatError](err); damaged {
				return nil // what can be read is the capture
			}
			return err
		}
		d.Decode(rec, &p)
		if err := look(rec, &p); err != nil {
			return err
		}
	}
}

// locate finds out which connections the packets named belong to.
func (c *cutter) locate(ctx context.Context, src io.ReadSeeker) error {
	var packets int64
	found := map[int64]bool{}
	err := c.pass(ctx, src, func(rec *pcap.Record, p *packet.Packet) error {
		packets = rec.Number
		if !c.named[rec.Number] || rec.LinkType == pcap.LinkTypeNone {
			return nil
		}
		if id, ok := connection(p); ok {
			c.connections[id] = &handshake{}
		}
		if found[rec.Number] = true; len(found) == len(c.named) {
			return errDone
		}
		return nil
	})
	if err == errDone {
		return nil
	}
	if err != nil {
		return err
	}
	e := &MissingError{Packets: packets}
	for _, n := range slices.Sorted(maps.Keys(c.named)) {
		if !found[n] {
			e.Frames = append(e.Frames, n)
		}
	}
	return e
}

// take keeps what belongs to the excerpt.
func (c *cutter) take(rec *pcap.Record, p *packet.Packet) error {
	named := c.named[rec.Number]
	if named {
		c.chosen[rec.Number] = kept{c.cut(rec, p, c.options.Payload), false}
	}
	id, ok := connection(p)
	if !ok {
		return nil
	}
	h := c.connections[id]
	if h == nil {
		return nil
	}
	if p.Protocol == packet.ProtocolTCP && h.part(p) {
		h.packets = append(h.packets, c.cut(rec, p, 0))
	}
	h.wanted = h.wanted || named
	if h.wanted {
		for _, rec := range h.packets {
			if !c.named[rec.Number] {
				c.chosen[rec.Number] = kept{rec, true}
			}
		}
		h.packets = h.packets[:0]
	}
	return nil
}

// cut copies a packet, with so many bytes of its payload.
func (c *cutter) cut(rec *pcap.Record, p *packet.Packet, payload int) pcap.Record {
	n := min(p.HeaderLength, maxHeaders)
	switch {
	case p.IPVersion == 0 || n == 0:
		n = unknownHeaders
	case p.ICMP.Quoted && p.ICMP.QuotedSrc.Is4():
		n += 28 // what an error quotes at least (RFC 792)
	case p.ICMP.Quoted:
		n += 48
	}
	cut := *rec
	cut.Data = slices.Clone(rec.Data[:min(len(rec.Data), n+payload)])
	return cut
}

// write writes what was chosen, in the capture's order.
func (c *cutter) write(dst io.Writer) (Summary, error) {
	all := slices.SortedFunc(maps.Values(c.chosen), func(a, b kept) int { return cmp.Compare(a.Number, b.Number) })
	longest := 0
	for _, k := range all {
		longest = max(longest, len(k.Data))
	}
	var s Summary
	w, err := pcap.NewNGWriter(dst, c.options.About, longest)
	if err != nil {
		return s, err
	}
	for _, k := range all {
		comment := fmt.Sprintf("frame %d of the capture", k.Number)
		if text := c.options.Comments[k.Number]; text != "" {
			comment += ": " + text
		} else if k.handshake {
			comment += ": handshake"
		}
		if k.handshake {
			s.Handshake++
		} else {
			s.Packets++
		}
		if err := w.WritePacket(k.Time, k.LinkType, k.Length, k.Data, comment); err != nil {
			return s, err
		}
	}
	return s, nil
}
