package excerpt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"

	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

const (
	// between is how many packets are read before somebody asks whether to go
	// on.
	between = 8192
	// patience is how many packets are read after the last that was named: the
	// rest of its handshake may follow it, or never come.
	patience = 65536
	// maxHeaders is what is kept of headers; hostile ones have no end.
	maxHeaders = 1024
	// unknownHeaders is kept of a frame that holds no IP: the shortest
	// Ethernet frame, which ARP fits in.
	unknownHeaders = 60
)

// kept is a packet that may get into an excerpt. Its data is a copy.
type kept struct {
	pcap.Record
	head      int        // bytes of Data before the payload
	what      string     // its headers in words
	src       netip.Addr // who sent it
	srcPort   uint16
	shortened bool
}

// item is a packet of an excerpt.
type item struct {
	*kept
	handshake bool // and not named
}

// data is what the excerpt shows. Another may have asked for the payload.
func (it item) data() []byte {
	if it.handshake {
		return it.Data[:it.head]
	}
	return it.Data
}

// cutter makes the excerpts of one capture.
type cutter struct {
	selections []Selection
	options    Options
	by         map[int64][]int // frame numbers, and the selections that name them
	numbers    []int64         // the same numbers, sorted
	next       int             // index of the first that was not read yet
	table      table
	awaited    []*handshake
	chosen     [][]item // by selection
	unwritable []int
	payload    int // bytes that are kept
}

func newCutter(selections []Selection, o Options) (*cutter, error) {
	c := &cutter{
		selections: selections, options: o, by: map[int64][]int{}, table: newTable(),
		chosen: make([][]item, len(selections)), unwritable: make([]int, len(selections)),
	}
	named := 0
	for i, s := range selections {
		if len(s.Packets) == 0 {
			return nil, errors.New("excerpt: no packets are asked for")
		}
		named += len(s.Packets)
		for _, n := range s.Packets {
			if !slices.Contains(c.by[n], i) {
				c.by[n] = append(c.by[n], i)
			}
		}
		if id, ok := s.connection(); ok {
			c.table.pin(id)
		}
	}
	switch {
	case len(selections) > MaxExcerpts || named > MaxPackets:
		return nil, fmt.Errorf("excerpt: %d packets are asked for, in %d excerpts; at most %d, in %d, can be had", named, len(selections), MaxPackets, MaxExcerpts)
	case o.Payload < 0 || o.Payload > MaxPayload:
		return nil, fmt.Errorf("excerpt: %d bytes of payload are asked for; 0 to %d can be had", o.Payload, MaxPayload)
	}
	for n := range c.by {
		c.numbers = append(c.numbers, n)
	}
	slices.Sort(c.numbers)
	return c, nil
}

// read reads the capture once.
func (c *cutter) read(ctx context.Context, src io.Reader) error {
	if len(c.numbers) == 0 {
		return nil
	}
	if n := c.numbers[0]; n < 1 {
		return &MissingError{Frames: []int64{n}}
	}
	r, err := pcap.NewReader(src)
	if err != nil {
		return err
	}
	var d packet.Decoder
	var p packet.Packet
	for n, rest := 0, patience; ; n++ {
		if n%between == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if c.next == len(c.numbers) {
			if rest == 0 || rest%64 == 0 && !slices.ContainsFunc(c.awaited, (*handshake).awaited) {
				return nil
			}
			rest--
		}
		rec, err := r.Next()
		if err != nil {
			_, damaged := errors.AsType[*pcap.FormatError](err)
			switch {
			case err != io.EOF && !damaged:
				return err
			case c.next < len(c.numbers): // what can be read is the capture
				return &MissingError{Frames: c.numbers[c.next:], Packets: r.Summary().Packets}
			}
			return nil
		}
		d.Decode(rec, &p)
		c.take(rec, &p)
	}
}

// take keeps what belongs to an excerpt, or may turn out to.
func (c *cutter) take(rec *pcap.Record, p *packet.Packet) {
	var named []int
	if c.next < len(c.numbers) && c.numbers[c.next] == rec.Number {
		named = c.by[rec.Number]
		c.next++
	}
	if rec.Time < 0 || rec.LinkType > 1<<16-1 {
		for _, s := range named {
			c.unwritable[s]++
		}
		return
	}
	var k *kept
	if len(named) > 0 {
		k = c.cut(rec, p, c.options.Payload)
		for _, s := range named {
			c.chosen[s] = append(c.chosen[s], item{k, false})
		}
	}
	id, ok := connection(p)
	if !ok {
		return
	}
	isTCP := p.Transport && p.Protocol == packet.ProtocolTCP
	h := c.table.find(id)
	if h == nil {
		if len(named) == 0 && !(isTCP && p.Flags&packet.SYN != 0) {
			return // nobody knows how it began
		}
		h = c.table.add(id)
	}
	part := isTCP && h.part(p)
	for _, s := range named {
		if h.want(s) {
			c.awaited = append(c.awaited, h)
			for _, earlier := range h.packets {
				c.handshake(s, earlier)
			}
		}
	}
	if part {
		if k == nil {
			k = c.cut(rec, p, 0)
		}
		c.table.keep(id, h, k)
		for _, s := range h.wanted {
			c.handshake(s, k)
		}
	}
}

// handshake puts a packet of a handshake into an excerpt, unless it is named.
func (c *cutter) handshake(selection int, k *kept) {
	if !slices.Contains(c.by[k.Number], selection) {
		c.chosen[selection] = append(c.chosen[selection], item{k, true})
	}
}

// cut copies a packet, with so many bytes of its payload.
func (c *cutter) cut(rec *pcap.Record, p *packet.Packet, payload int) *kept {
	n := min(p.HeaderLength, maxHeaders)
	switch {
	case p.IPVersion == 0 || n == 0:
		n = unknownHeaders
	case p.ICMP.Quoted:
		n += quotedHeaders(&p.ICMP)
	}
	k := &kept{Record: *rec, head: min(len(rec.Data), n), what: describe(p), src: p.Src, srcPort: p.SrcPort}
	size := min(len(rec.Data), n+payload)
	if c.payload+size-k.head > maxKept {
		k.shortened = size > k.head
		size = k.head
	}
	c.payload += size - k.head
	k.Data = slices.Clone(rec.Data[:size])
	return k
}

// quotedHeaders is how much of the packet that an ICMP error quotes are
// headers without options.
func quotedHeaders(m *packet.ICMP) int {
	n := 40
	if m.QuotedSrc.Is4() {
		n = 20
	}
	if m.QuotedProtocol == packet.ProtocolTCP {
		return n + 20
	}
	return n + 8 // what every error quotes (RFC 792)
}
