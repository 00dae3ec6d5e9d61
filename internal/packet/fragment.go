package packet

import (
	"net/netip"
	"slices"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// Limits of the reassembly of IP fragments. 256 datagrams of at most 64 KiB
// make 16 MiB, however many a capture begins and never ends; the oldest goes
// first. RFC 8200 gives a datagram 60 seconds.
const (
	maxDatagrams    = 256
	maxDatagramSize = 64 << 10
	datagramTimeout = 60 * time.Second
)

// A fragmentKey tells which fragments belong together (RFC 791, RFC 8200).
type fragmentKey struct {
	src, dst netip.Addr
	id       uint32
	protocol uint8
}

// A fragment is where a piece belongs.
type fragment struct {
	key    fragmentKey
	offset int // bytes
	more   bool
}

// A datagram is being put together.
type datagram struct {
	key       fragmentKey
	started   pcap.Timestamp
	fragments int64 // that went into it
	size      int   // -1 until the last fragment told
	buf       []byte
	filled    int // units of 8 bytes that are there
	units     [maxDatagramSize / 8 / 64]uint64
	newer     *datagram
	older     *datagram
}

// A fragmentTable reassembles IP datagrams. What arrived first is kept where
// fragments overlap: hosts differ, and an attacker makes use of it, so no
// claim is made about what the receiver saw.
type fragmentTable struct {
	byKey          map[fragmentKey]*datagram
	newest, oldest *datagram
	free           []*datagram
	done           []*datagram // complete, and referred to by the packet just decoded
	dropped        int64
	pushed         int64 // of these, because there were too many
}

// fragment adds one to the table. The cursor goes on with the whole datagram
// if this was the missing piece.
func (d *Decoder) fragment(c *cursor, p *Packet, f fragment) header {
	d.counters.Fragments++
	p.Fragment = true
	if len(c.data) < c.wire {
		// As in tshark, nothing is put together from parts of fragments.
		d.counters.FragmentsCut++
		return headerNone
	}
	whole := d.fragments.add(f, c.data, p.Time)
	if whole == nil {
		return headerNone
	}
	d.counters.Reassembled++
	c.headerEnds(p, c.data)
	c.start = -1
	p.Fragment, p.Reassembled = false, true
	c.data, c.wire = whole, len(whole)
	p.IPPayloadLength = len(whole)
	return headerTransport
}

// add takes one fragment in, and returns the datagram if that completes it.
func (t *fragmentTable) add(f fragment, data []byte, now pcap.Timestamp) []byte {
	end := f.offset + len(data)
	if len(data) == 0 || end > maxDatagramSize || f.more && len(data)%8 != 0 {
		t.dropped++
		return nil
	}
	for t.oldest != nil && (len(t.byKey) >= maxDatagrams || now.Sub(t.oldest.started) > datagramTimeout) {
		t.dropped += t.oldest.fragments
		if now.Sub(t.oldest.started) <= datagramTimeout {
			t.pushed += t.oldest.fragments
		}
		t.remove(t.oldest, &t.free)
	}
	g := t.byKey[f.key]
	if g == nil {
		g = t.start(f.key, now)
	}
	g.fragments++
	if !f.more && g.size < 0 {
		g.size = end
	}
	g.fill(f.offset, data)
	if g.size < 0 || g.filled < (g.size+7)/8 || len(g.buf) < g.size {
		return nil
	}
	t.remove(g, &t.done)
	return g.buf[:g.size]
}

// fill copies data to where nothing is yet.
func (g *datagram) fill(offset int, data []byte) {
	// What lies between is filled before anybody reads it.
	if end := offset + len(data); end > len(g.buf) {
		g.buf = slices.Grow(g.buf, end-len(g.buf))[:end]
	}
	for start := 0; start < len(data); start += 8 {
		unit := (offset + start) / 8
		if g.units[unit/64]&(1<<(unit%64)) != 0 {
			continue
		}
		g.units[unit/64] |= 1 << (unit % 64)
		g.filled++
		copy(g.buf[offset+start:], data[start:min(start+8, len(data))])
	}
}

func (t *fragmentTable) start(key fragmentKey, now pcap.Timestamp) *datagram {
	var g *datagram
	if n := len(t.free); n > 0 {
		g = t.free[n-1]
		t.free = t.free[:n-1]
		*g = datagram{buf: g.buf[:0]}
	} else {
		g = new(datagram)
	}
	g.key, g.started, g.size = key, now, -1
	if t.byKey == nil {
		t.byKey = make(map[fragmentKey]*datagram)
	}
	t.byKey[key] = g
	if g.older = t.newest; g.older != nil {
		g.older.newer = g
	} else {
		t.oldest = g
	}
	t.newest = g
	return g
}

// remove takes g out of the table, into list.
func (t *fragmentTable) remove(g *datagram, list *[]*datagram) {
	delete(t.byKey, g.key)
	if g.older != nil {
		g.older.newer = g.newer
	} else {
		t.oldest = g.newer
	}
	if g.newer != nil {
		g.newer.older = g.older
	} else {
		t.newest = g.older
	}
	g.older, g.newer = nil, nil
	*list = append(*list, g)
}

// recycle makes the datagrams that the last packet referred to usable again.
func (t *fragmentTable) recycle() {
	if len(t.done) > 0 {
		t.free = append(t.free, t.done...)
		t.done = t.done[:0]
	}
}

// waiting counts the fragments of datagrams that are not complete.
func (t *fragmentTable) waiting() int64 {
	var n int64
	for _, g := range t.byKey {
		n += g.fragments
	}
	return n
}
