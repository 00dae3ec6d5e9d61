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

// idleness keeps the longest silence, and the longest one after which the
// connection did not go on. rested says that nothing was in flight before p.
func (c *Conn) idleness(p *packet.Packet, from Direction, at Moment, a Analysis, rested bool) {
	if !c.Last.Seen() {
		return
	}
	gap := at.Since(c.Last)
	if gap > c.SilenceTo.Since(c.SilenceFrom) {
		c.SilenceFrom, c.SilenceTo = c.Last, at
	}
	rst := p.Flags&packet.RST != 0
	if c.idle.Before.Seen() {
		c.follow(from, at, rst, a.Has(Retransmissions|OutOfOrder|KeepAlive))
		return
	}
	worked := c.spoken && !c.OneWay() && c.Completeness&(SawFIN|SawRST) == 0
	if gap < silent || !worked || !rested {
		return
	}
	c.idle = Break{Before: c.Last, After: at, By: from}
	if rst {
		c.follow(from, at, true, false)
	}
}

// follow watches what comes of a silence.
func (c *Conn) follow(from Direction, at Moment, rst, again bool) {
	b := &c.idle
	switch {
	case rst:
		b.Reset, b.ResetBy = at, from
	case from != b.By:
		// It was answered: no harm done.
		if c.Break.After == b.After {
			c.Break = Break{}
		}
		*b = Break{}
		return
	case again:
		b.Retransmissions++
	default:
		return
	}
	if b.Silence() >= c.Break.Silence() {
		c.Break = *b
	}
	if rst {
		*b = Break{}
	}
}
