package flow

import (
	"time"

	"github.com/pcapwarden/pcapwarden/internal/packet"
)

// silent is the shortest pause that may be an idle connection rather than a
// slow one.
const silent = time.Second

// atRest reports whether everything that was sent has been acknowledged.
func (c *Conn) atRest() bool { return c.Outstanding(0) == 0 && c.Outstanding(1) == 0 }

// paused reports whether a packet at this moment has to do with a silence: it
// ends one, or there was one before.
func (c *Conn) paused(at Moment) bool {
	return c.decline != nil || at.Time.Sub(c.Last.Time) >= silent
}

// idleness keeps the longest silence, and the longest one after which the
// connection did not go on. rested says that nothing was in flight before p.
func (t *Table) idleness(c *Conn, p *packet.Packet, from Direction, at Moment, a Analysis, rested bool) {
	if !c.Last.Seen() || c.OneWay() {
		return
	}
	gap := at.Since(c.Last)
	d := t.declining(c)
	if gap > max(d.to.Since(d.from), silent) {
		d.from, d.to = c.Last, at
	}
	rst := p.Flags&packet.RST != 0
	if d.idle.Before.Seen() {
		d.follow(from, at, rst, a.Has(Retransmissions|OutOfOrder|KeepAlive))
		return
	}
	if gap < silent || !rested || !c.spoken || c.Completeness&(SawFIN|SawRST) != 0 {
		return
	}
	d.idle = Break{Before: c.Last, After: at, By: from}
	if rst {
		d.follow(from, at, true, false)
	}
}

// follow watches what comes of a silence.
func (d *decline) follow(from Direction, at Moment, rst, again bool) {
	b := &d.idle
	switch {
	case rst:
		b.Reset, b.ResetBy = at, from
	case from != b.By:
		// It was answered: no harm done.
		if d.brk.After == b.After {
			d.brk = Break{}
		}
		*b = Break{}
		return
	case again:
		b.Retransmissions++
	default:
		return
	}
	if b.Silence() >= d.brk.Silence() {
		d.brk = *b
	}
	if rst {
		*b = Break{}
	}
}
