package http

import (
	"github.com/pcapwarden/pcapwarden/internal/dissect/stream"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// Reader reads one connection. It keeps at most one unfinished line of each
// side, cut, and the exchanges that are under way.
type Reader struct {
	d       *Dissector
	counted bool
	half    [2]half
	pending []Exchange // asked and not answered, the oldest first
	current Exchange   // being answered
	dropped bool       // pending was full: answers cannot be told apart any more
	mode    mode
	logins  int
}

type mode uint8

const (
	plain mode = iota
	tunnel
	other // another protocol took over
)

// NewReader returns a reader for one connection. counted says whether tshark
// takes the connection for HTTP.
func (d *Dissector) NewReader(counted bool) *Reader { return &Reader{d: d, counted: counted} }

// half is one direction.
type half struct {
	state  state
	hidden bool // tshark does not see the bytes at hand: see [stream.Chunk]
	start  int64
	line   *line // nil: at the start of a line
	head   head
	left   uint64 // of a body or chunk
	bytes  int64  // of the message
	began  pcap.Timestamp
}

type state uint8

const (
	startLine state = iota
	headers
	fixedBody
	chunkSize
	chunkBody
	chunkEnd
	trailers
	untilClose
	lost // until a packet starts with a message
)

// head is what is kept of a message's head.
type head struct {
	request    bool
	known      bool // tshark knows the method
	method     string
	host       string
	target     int
	status     int
	length     uint64
	hasLength  bool
	chunked    bool
	basic      bool // credentials were there
	basicShown bool // in a way that tshark shows
	endFrame   int64
}

// Done reports whether another protocol took over for good.
func (r *Reader) Done() bool { return r.mode == other }

// Tunnel reports whether a CONNECT was granted: what follows is somebody
// else's protocol, from its first byte.
func (r *Reader) Tunnel() bool { return r.mode == tunnel }

// Logins is how many requests carried credentials in the clear so far.
func (r *Reader) Logins() int { return r.logins }

// Feed takes the next bytes of one side.
func (r *Reader) Feed(c stream.Chunk) {
	h := &r.half[c.From]
	if h.state == lost {
		if !LooksLikeStart(c.Data) {
			return
		}
		h.reset()
	}
	if c.Late {
		h.hidden = true
	} else if h.state == startLine && h.line == nil {
		h.hidden = false
	}
	h.line = r.d.borrow(h.line)
	defer func() {
		l, ok := r.d.settle(h.line)
		if h.line = l; !ok {
			h.state = lost
		}
	}()
	data := c.Data
	for len(data) > 0 && r.mode == plain {
		switch h.state {
		case fixedBody, chunkBody:
			n := min(h.left, uint64(len(data)))
			h.left -= n
			h.bytes += int64(n)
			data = data[n:]
			if h.left > 0 {
				continue
			}
			if h.state == chunkBody {
				h.state = chunkEnd
			} else {
				r.finish(h, &c)
			}
		case untilClose:
			h.bytes += int64(len(data))
			data = nil
		case lost:
			data = nil
		default:
			if h.state == startLine && h.line.n == 0 {
				h.began, h.start, h.bytes = c.Time, c.Frame, 0
			}
			n, whole := h.line.read(data)
			h.bytes += int64(n)
			data = data[n:]
			if h.state == startLine && !h.line.canStart() {
				h.state = lost
			} else if whole {
				r.takeLine(h, &c)
				h.line.reset()
			}
		}
	}
}

// takeLine takes a whole line outside a body.
func (r *Reader) takeLine(h *half, c *stream.Chunk) {
	switch h.state {
	case startLine:
		if h.line.n == 0 {
			return // robust servers ignore empty lines here (RFC 9112, 2.2)
		}
		h.head = head{}
		if !h.head.first(h.line) {
			h.state = lost
			return
		}
		h.state = headers
		if !h.head.request {
			r.answer(h)
		}
	case headers:
		if h.line.n > 0 {
			h.head.header(h.line)
			return
		}
		h.head.endFrame = c.Frame
		r.body(h, c)
	case chunkSize:
		size, ok := h.line.hex()
		switch {
		case !ok:
			h.state = lost
		case size == 0:
			h.state = trailers
		default:
			h.left, h.state = size, chunkBody
		}
	case chunkEnd:
		h.state = chunkSize
	case trailers:
		if h.line.n == 0 {
			r.finish(h, c)
		}
	}
}

// body decides what follows a head (RFC 9112, 6.3).
func (r *Reader) body(h *half, c *stream.Chunk) {
	m := &h.head
	if m.request {
		r.ask(h, c)
	}
	switch {
	case !m.request && (m.status < 200 || m.status == 204 || m.status == 304 || r.current.Method == "HEAD"):
		if m.status == 0 {
			h.state = untilClose
			return
		}
		r.finish(h, c)
	case !m.request && r.current.Method == "CONNECT" && m.status < 300:
		r.finish(h, c)
		r.mode = tunnel
	case m.chunked:
		h.state = chunkSize
	case m.hasLength && m.length > 0:
		h.state, h.left = fixedBody, m.length
	case m.hasLength || m.request:
		r.finish(h, c)
	default:
		h.state = untilClose
	}
}

// finish ends a message with its last byte.
func (r *Reader) finish(h *half, c *stream.Chunk) {
	r.count(h, c.Frame)
	if h.head.request {
		r.asked(h, c)
	} else {
		r.answered(h, c)
	}
	h.restart()
}

// count adds a message to the counters, unless tshark does not see it.
func (r *Reader) count(h *half, frame int64) {
	switch m := &h.head; {
	case !r.counted || h.hidden:
	case !m.request:
		r.d.countResponse(m.status)
	case m.known:
		r.d.countRequest(frame, m.basicShown)
	}
}

// reset forgets the message under way.
func (h *half) reset() {
	h.restart()
	h.hidden = false
}

func (h *half) restart() {
	h.state = startLine
	h.dropLine()
}

// lose gives up until a packet starts with a message.
func (h *half) lose() {
	h.state = lost
	h.dropLine()
}

func (h *half) dropLine() {
	if h.line != nil {
		h.line.reset()
	}
}

// Gap says that bytes of one side are missing: n of them, or an unknown
// number if n is 0.
func (r *Reader) Gap(from stream.Side, n int64) {
	h := &r.half[from]
	switch {
	case n > 0 && h.state == fixedBody && uint64(n) < h.left:
		h.left -= uint64(n)
		h.hidden = true
	case h.state == untilClose:
		h.hidden = true
	default:
		h.lose()
	}
}

// Cut says that the rest of the segment that was just fed lies beyond the
// snap length. tshark shows the message that began in it.
func (r *Reader) Cut(from stream.Side, frame int64) {
	h := &r.half[from]
	if h.start == frame && h.state != lost {
		if h.state == startLine {
			h.head = head{}
			if h.line == nil || !h.head.first(h.line) {
				h.lose()
				return
			}
		}
		r.count(h, frame)
	}
	h.lose()
}

// Again takes a segment that tshark dissects twice: a fast retransmission. A
// message that is wholly in it is counted twice.
func (r *Reader) Again(c stream.Chunk) {
	if !r.counted || r.half[c.From].state == lost || !LooksLikeStart(c.Data) {
		return
	}
	var twin Dissector
	copied := twin.NewReader(true)
	copied.Feed(c)
	if twin.requests > 0 {
		r.d.countRequest(c.Frame, twin.basic > 0)
	}
	for code, n := range twin.codes {
		r.d.codes[code] += n
	}
}

// Close says that one side sent a FIN, or a RST.
func (r *Reader) Close(from stream.Side, at pcap.Timestamp, frame int64, reset bool) {
	h := &r.half[from]
	if h.state == untilClose && !reset {
		r.finish(h, &stream.Chunk{From: from, Time: at, Frame: frame})
	}
}
