package flow

import (
	"cmp"
	"slices"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// An Event is a key packet of a connection, to draw it as a ladder and to
// prove a finding.
type Event struct {
	Moment
	From  Direction
	Kind  EventKind
	Label string // of a Labelled event
}

// EventKind says what makes a packet worth showing.
type EventKind uint8

// The kinds of events.
const (
	Labelled EventKind = iota // by [Table.Note]
	EventSYN
	EventSYNACK
	EventACK          // the end of the handshake
	EventFirstPayload // of either side
	EventFIN
	EventRST
	EventRetransmission
	EventLateSegment
	EventLostSegment
	EventDuplicateAck // the first of a row
	EventZeroWindow
	EventZeroWindowProbe
	EventWindowFull
	EventKeepAlive
)

var eventNames = [...]string{"", "SYN", "SYN-ACK", "ACK", "first payload", "FIN", "RST", "retransmission", "late segment",
	"previous segment not captured", "duplicate ACK", "zero window", "zero window probe", "window full", "keep-alive"}

// String returns how a ladder calls the event: the label, or the kind.
func (e Event) String() string {
	if e.Kind != Labelled && int(e.Kind) < len(eventNames) {
		return eventNames[e.Kind]
	}
	return e.Label
}

// A note is an Event in 16 bytes.
type note struct {
	time  pcap.Timestamp
	frame uint32
	label uint16
	what  uint8 // the kind, and the direction in the highest bit
}

// A trace keeps the first and the last notes of a connection.
type trace struct {
	notes []note
	total int
}

const maxLabels = 1 << 12

// Note adds a packet to the events of c, such as a TLS message or an alert.
// There may be few different labels in a capture: text from packets does not
// belong in them.
func (t *Table) Note(c *Conn, from Direction, at Moment, label string) {
	i, ok := t.labels[label]
	if !ok {
		if len(t.labelNames) >= maxLabels {
			t.drops.Events++
			return
		}
		i = uint16(len(t.labelNames))
		t.labels[label] = i
		t.labelNames = append(t.labelNames, label)
	}
	t.note(c, note{at.Time, frame32(at.Frame), i, uint8(Labelled) | uint8(from)<<7})
}

func (t *Table) event(c *Conn, kind EventKind, from Direction, at Moment) {
	t.note(c, note{at.Time, frame32(at.Frame), 0, uint8(kind) | uint8(from)<<7})
}

// frame32 holds because 2^32 packets need at least 64 GiB of capture file.
func frame32(frame int64) uint32 { return uint32(min(frame, 1<<32-1)) }

func (t *Table) note(c *Conn, n note) {
	limit := t.limits.EventsPerConnection
	if c.trace == nil {
		if last := len(t.traces) - 1; last >= 0 {
			c.trace, t.traces = t.traces[last], t.traces[:last]
		} else if t.noted+4 <= t.limits.Events {
			c.trace = &trace{notes: make([]note, 0, 4)}
			t.noted += 4
		} else {
			t.drops.Events++
			return
		}
	}
	tr := c.trace
	tr.total++
	switch {
	case len(tr.notes) < cap(tr.notes):
		tr.notes = append(tr.notes, n)
	case cap(tr.notes) < limit && t.noted+cap(tr.notes) <= t.limits.Events:
		grown := make([]note, len(tr.notes), min(2*cap(tr.notes), limit))
		copy(grown, tr.notes)
		t.noted += cap(grown) - cap(tr.notes)
		tr.notes = append(grown, n)
	default:
		// Full: the first half stays, the other half holds the latest.
		half := len(tr.notes) / 2
		tr.notes[half+(tr.total-1-half)%(len(tr.notes)-half)] = n
	}
}

// Events returns the key packets of c in the order of the capture: those of
// the handshake and the teardown, the first payload, what went wrong, and
// whatever was noted. Of a long list only the beginning and the end are there.
func (t *Table) Events(c *Conn) []Event {
	var events []Event
	add := func(m Moment, kind EventKind, from Direction, label string) {
		if m.Seen() {
			events = append(events, Event{m, from, kind, label})
		}
	}
	client, server := c.ClientSide, c.ClientSide.Other()
	add(c.FirstSYN, EventSYN, client, "")
	if c.LastSYN != c.FirstSYN {
		add(c.LastSYN, EventSYN, client, "")
	}
	add(c.SYNACK, EventSYNACK, server, "")
	add(c.HandshakeACK, EventACK, client, "")
	for d := range Direction(2) {
		add(c.Sides[d].Talk().First, EventFirstPayload, d, "")
		add(c.Sides[d].FIN, EventFIN, d, "")
	}
	rst := c.RST()
	add(rst.Moment, EventRST, rst.From, "")
	if c.trace != nil {
		for _, n := range c.trace.notes {
			label := ""
			if EventKind(n.what&0x7f) == Labelled {
				label = t.labelNames[n.label]
			}
			add(Moment{n.time, int64(n.frame)}, EventKind(n.what&0x7f), Direction(n.what>>7), label)
		}
	}
	slices.SortStableFunc(events, func(a, b Event) int { return cmp.Compare(a.Frame, b.Frame) })
	return events
}

// forget gives the events of c back.
func (t *Table) forget(c *Conn) {
	if c.trace != nil {
		c.trace.notes, c.trace.total = c.trace.notes[:0], 0
		t.traces = append(t.traces, c.trace)
		c.trace = nil
	}
}
