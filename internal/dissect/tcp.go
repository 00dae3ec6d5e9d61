package dissect

import (
	"github.com/pcapwarden/pcapwarden/internal/dissect/cleartext"
	"github.com/pcapwarden/pcapwarden/internal/dissect/http"
	"github.com/pcapwarden/pcapwarden/internal/dissect/stream"
	"github.com/pcapwarden/pcapwarden/internal/dissect/tls"
	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// A reader reads one connection. The readers of the protocols implement it.
type reader interface {
	Feed(stream.Chunk)
	Again(stream.Chunk)                                                 // a fast retransmission, which tshark dissects once more
	Gap(from stream.Side, n int64)                                      // n bytes are missing; 0: who knows how many
	Cut(from stream.Side, frame int64)                                  // the rest of the segment is beyond the snap length
	Close(from stream.Side, at pcap.Timestamp, frame int64, reset bool) // FIN or RST
	Done() bool                                                         // nothing more is wanted
	Release()                                                           // nothing more will come
}

// conn is what a connection carries in Attached.
type conn struct {
	client flow.Direction
	reader reader // nil while it is not known what is spoken

	tls  *tls.Reader
	http *http.Reader
	text *cleartext.Reader

	service  string // what is spoken, as far as that was found out
	looked   int    // segments that were looked at while reader is nil
	tunnel   bool   // a proxy or an upgrade put another protocol in here
	over     bool   // nothing more is wanted
	messages int    // of tls that the flow was told about
	logins   int    // of http that were reported
	raw      [2]raw // by direction
}

// raw follows a direction whose order the flow table gave up: segments are
// taken as they come, as tshark does with default preferences.
type raw struct {
	on    bool
	known bool // next is valid
	next  uint32
	taken int // bytes read in order until then
}

// ordered is how many bytes of each direction are read in the order that the
// flow table makes. Behind that, with the connection well under way, the few
// segments that come out of order are left out.
const ordered = 32 << 10

// spare is how many states of connections are kept to be used again.
const spare = 1024

// patience is how many segments are looked at for a protocol on a port that
// promises none.
const patience = 32

// tcp reads a segment.
func (d *Dissector) tcp(p *packet.Packet, seg *flow.Segment) {
	c, _ := seg.Conn.Attached.(*conn)
	if c == nil {
		if p.SegmentLength == 0 || p.Flags&packet.RST != 0 {
			return
		}
		c = d.open(seg.Conn)
	}
	side := stream.Client
	if seg.From != c.client {
		side = stream.Server
	}
	if !c.over {
		d.current, d.client = seg.Conn, c.client
		d.segment(c, side, p, seg)
	}
	if p.Flags&(packet.FIN|packet.RST) != 0 && c.reader != nil {
		c.reader.Close(side, p.Time, p.Number, p.Flags&packet.RST != 0)
	}
	if !c.over && seg.Conn.Closed() {
		d.stop(c, seg.Conn)
	}
}

func (d *Dissector) open(fc *flow.Conn) *conn {
	var c *conn
	if n := len(d.free); n > 0 {
		c, d.free = d.free[n-1], d.free[:n-1]
	} else {
		c = new(conn)
	}
	*c = conn{client: fc.ClientSide}
	fc.Attached = c
	return c
}

// segment passes on what a segment adds to its direction.
func (d *Dissector) segment(c *conn, side stream.Side, p *packet.Packet, seg *flow.Segment) {
	if p.SegmentLength == 0 || p.Flags&packet.RST != 0 {
		return
	}
	// tshark does not dissect what was sent before, nor what comes late; what
	// is resent fast it takes for new.
	late := seg.Analysis.Has(flow.Retransmission | flow.OutOfOrder | flow.SpuriousRetransmission)
	chunk := stream.Chunk{From: side, Time: p.Time, Frame: p.Number}
	if seg.Gap {
		d.gap(c, side, 0)
		c.raw[seg.From] = raw{on: true}
	}
	if w := &c.raw[seg.From]; w.on {
		d.rawSegment(c, w, chunk, p, seg)
	} else {
		for i, data := range seg.Stream {
			chunk.Data, chunk.Late = data, late && i == 0
			w.taken += len(data)
			d.feed(c, chunk, seg.Conn)
		}
		if w.taken > ordered && len(seg.Stream) == 1 && !c.over {
			*w = raw{on: true, known: true, next: p.Seq + uint32(p.SegmentLength)}
			d.table.Stop(seg.Conn, seg.From)
		}
	}
	if !c.over && len(seg.Stream) == 0 && seg.Analysis.Has(flow.FastRetransmission) && c.reader != nil {
		chunk.Data, chunk.Late = p.Payload, false
		c.reader.Again(chunk)
	}
	if c.over {
		return
	}
	if len(p.Payload) < p.SegmentLength && c.reader != nil {
		c.reader.Cut(side, p.Number)
	}
	if !c.raw[seg.From].on {
		d.table.Extend(seg.Conn, seg.From)
	}
}

// rawSegment passes on a segment of a direction that is out of order.
func (d *Dissector) rawSegment(c *conn, w *raw, chunk stream.Chunk, p *packet.Packet, seg *flow.Segment) {
	if seg.Analysis.Has(flow.Retransmission | flow.OutOfOrder | flow.SpuriousRetransmission | flow.KeepAlive | flow.ZeroWindowProbe) {
		return
	}
	data, start := p.Payload, p.Seq
	if p.Flags&packet.SYN != 0 {
		start++
	}
	if w.known {
		switch ahead := int32(start - w.next); {
		case ahead > 0:
			d.gap(c, chunk.From, int64(ahead))
		case ahead < 0:
			data = data[min(int(-ahead), len(data)):]
		}
	}
	end := start + uint32(p.SegmentLength)
	if !w.known || int32(end-w.next) > 0 {
		w.known, w.next = true, end
	}
	if len(data) > 0 {
		chunk.Data = data
		d.feed(c, chunk, seg.Conn)
	}
}

func (d *Dissector) gap(c *conn, side stream.Side, n int64) {
	if c.reader != nil {
		c.reader.Gap(side, n)
	}
}

// feed passes on a chunk that is next in order.
func (d *Dissector) feed(c *conn, chunk stream.Chunk, fc *flow.Conn) {
	if c.over {
		return
	}
	if c.reader == nil {
		d.sniff(c, &chunk)
		if c.reader == nil {
			if c.over {
				d.stop(c, fc)
			}
			return
		}
	}
	c.reader.Feed(chunk)
	switch {
	case c.tls != nil:
		d.tellHandshake(c, fc)
	case c.http != nil:
		d.basicLogins(c, &chunk)
		if c.http.Tunnel() {
			c.http.End()
			c.http.Release()
			c.http, c.reader, c.tunnel, c.looked, c.service = nil, nil, true, 0, "http"
			return
		}
	case c.text != nil && c.text.Upgraded():
		c.text = nil
		c.tls = d.tls.NewReader(true, true)
		c.tls.Session().StartTLS = true
		c.service = "tls"
		c.reader, c.tunnel = c.tls, true
	}
	if c.reader.Done() {
		d.stop(c, fc)
	}
}

// tellHandshake tells the flow which TLS messages tshark would have shown: the
// phase of a RST is counted by them.
func (d *Dissector) tellHandshake(c *conn, fc *flow.Conn) {
	s := c.tls.Session()
	for ; c.messages < len(s.Messages); c.messages++ {
		m := &s.Messages[c.messages]
		from := c.client
		if m.From == stream.Server {
			from = from.Other()
		}
		t := m.Type
		if t == tls.HelloRetryRequest {
			t = tls.ServerHelloType
		}
		if m.Shown {
			fc.SawHandshake(from, uint8(t))
		}
	}
}

// basicLogins reports requests with credentials.
func (d *Dissector) basicLogins(c *conn, chunk *stream.Chunk) {
	for ; c.logins < c.http.Logins(); c.logins++ {
		if d.events.Login != nil {
			d.events.Login(d.endpoints(), cleartext.Login{Kind: cleartext.HTTPBasic, From: chunk.From, Time: chunk.Time, Frame: chunk.Frame, Secret: true})
		}
	}
}

// stop ends the reading of a connection. What was read of TLS stays.
func (d *Dissector) stop(c *conn, fc *flow.Conn) {
	c.over = true
	d.table.Stop(fc, 0)
	d.table.Stop(fc, 1)
	d.release(c, fc)
}

func (d *Dissector) release(c *conn, fc *flow.Conn) {
	if c.http != nil {
		d.current, d.client = fc, c.client
		c.http.End()
	}
	if c.reader != nil {
		c.reader.Release()
	}
	if c.tls == nil {
		c.reader, c.http, c.text = nil, nil, nil
	}
}

// End says that a connection is over, and returns what it carried if that was
// TLS; nil otherwise. The table's End calls it. The session is the caller's.
func (d *Dissector) End(fc *flow.Conn) *tls.Session {
	c, _ := fc.Attached.(*conn)
	if c == nil {
		return nil
	}
	if !c.over {
		d.release(c, fc)
	}
	var s *tls.Session
	if c.tls != nil && c.tls.Session().Any() {
		s = c.tls.Session()
	}
	fc.Attached = nil
	*c = conn{}
	if len(d.free) < spare {
		d.free = append(d.free, c)
	}
	return s
}

// endpoints names the connection that is being fed.
func (d *Dissector) endpoints() Endpoints {
	return Endpoints{Client: d.current.Endpoint(d.client), Server: d.current.Endpoint(d.client.Other())}
}
