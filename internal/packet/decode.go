package packet

import (
	"encoding/binary"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// maxDepth is how many headers that can hold one of their own kind (IP, VLAN
// tags, label stacks) are opened in one frame. An attacker nests thousands;
// what networks do ends well below.
const maxDepth = 16

// Counters are what a [Decoder] could not tell, or gave up.
type Counters struct {
	Undecodable      int64 // frames of an unknown link type, or whose headers are cut or contradict themselves
	DepthCapped      int64 // frames nested deeper than 16
	Fragments        int64 // IP fragments seen
	Reassembled      int64 // datagrams put together again
	FragmentsDropped int64 // fragments given up: malformed, too old, or pushed out by newer ones
	FragmentsPushed  int64 // of these, the last: a limit was reached
	FragmentsWaiting int64 // fragments that still wait for the rest
	FragmentsCut     int64 // fragments that were not captured whole, so that no reassembly was tried
}

// A Decoder decodes frames. It allocates nothing for a frame, but remembers
// IP fragments, within limits, to reassemble them. Its zero value is ready.
// It is not for concurrent use.
type Decoder struct {
	cursor    cursor
	counters  Counters
	fragments fragmentTable
}

// Counters returns what the decoder counted so far.
func (d *Decoder) Counters() Counters {
	c := d.counters
	c.FragmentsDropped += d.fragments.dropped
	c.FragmentsPushed += d.fragments.pushed
	c.FragmentsWaiting = d.fragments.waiting()
	return c
}

// header names what the next bytes of a frame are.
type header uint8

const (
	headerNone header = iota // nothing that is decoded follows
	headerBad                // what follows is cut off or contradicts itself
	headerEthernet
	headerEtherType // cursor.kind says which
	headerIP        // version 4 or 6, as its first nibble says
	headerTransport // cursor.kind says which, of the IP packet just decoded
	headerMPLS
	headerPPP
	headerHDLC // PPP or Cisco framing
	headerLLC
	headerNSH
)

// A cursor walks over the headers of one frame. Like Wireshark's tvbuff it
// knows two ends: data ends where the capture does, wire where the packet
// did. Bytes are read from data alone; lengths are judged by wire.
type cursor struct {
	data   []byte
	wire   int
	kind   uint16 // EtherType, or IP protocol
	depth  int
	tunnel Tunnel // what was opened so far
	start  int    // capacity of data at the start of the frame; -1 once data is a reassembled datagram
}

// headerEnds notes where the headers of the frame end, if rest, which follows
// them, lies in the frame. Slicing takes from the capacity what it takes from
// the front.
func (c *cursor) headerEnds(p *Packet, rest []byte) {
	if c.start >= 0 {
		p.HeaderLength = c.start - cap(rest)
	}
}

// skip passes over n bytes; false if they were not captured.
func (c *cursor) skip(n int) bool {
	if n > len(c.data) {
		return false
	}
	c.data = c.data[n:]
	c.wire -= n
	return true
}

// limit ends the packet after n bytes, which drops trailers and padding.
func (c *cursor) limit(n int) {
	if n < c.wire {
		c.wire = n
		c.data = c.data[:min(len(c.data), n)]
	}
}

// Decode fills p with what the headers of rec say. p refers to the bytes of
// rec, or to those of the decoder where fragments were reassembled, and is
// valid until the next call.
func (d *Decoder) Decode(rec *pcap.Record, p *Packet) {
	// Neither *p nor *c is assigned with values in it: they would be built
	// elsewhere and copied, and a copy waits for what was just written.
	*p = Packet{}
	p.Number, p.Time = rec.Number, rec.Time
	p.Length, p.CapturedLength = rec.Length, len(rec.Data)
	p.WindowScale = -1
	d.fragments.recycle()
	// More bytes captured than sent makes no sense; tshark ignores them.
	c := &d.cursor
	*c = cursor{}
	c.data, c.wire, c.start = rec.Data[:min(len(rec.Data), rec.Length)], rec.Length, cap(rec.Data)
	next := c.linkHeader(rec.LinkType)
	for next > headerBad {
		if c.depth > maxDepth {
			p.forgetTransport()
			d.counters.DepthCapped++
			return
		}
		switch next {
		case headerEthernet:
			next = c.ethernet()
		case headerEtherType:
			next = c.etherType(p)
		case headerIP:
			next = d.ip(c, p)
		case headerTransport:
			next = c.transport(p)
		case headerMPLS:
			next = c.mpls()
		case headerPPP:
			next = c.ppp()
		case headerHDLC:
			next = c.hdlc()
		case headerLLC:
			next = c.llc()
		case headerNSH:
			next = c.nsh()
		}
	}
	if next == headerBad {
		d.counters.Undecodable++
	}
	if p.Payload != nil {
		c.headerEnds(p, p.Payload)
	} else {
		c.headerEnds(p, c.data)
	}
}

// forgetTransport clears what an outer packet left behind.
func (p *Packet) forgetTransport() {
	p.Transport = false
	p.PartialHeader = false
	p.SrcPort, p.DstPort = 0, 0
	p.Payload = nil
	p.ICMP = ICMP{}
}

func be16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }
func be32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }
