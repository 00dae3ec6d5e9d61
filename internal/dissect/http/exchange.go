package http

import "github.com/pcapwarden/pcapwarden/internal/dissect/stream"

// ask takes the head of a request.
func (r *Reader) ask(h *half, c *stream.Chunk) {
	m := &h.head
	if m.basic {
		r.logins++
	}
	if len(r.pending) >= MaxPending {
		r.dropped = true
		return
	}
	r.pending = append(r.pending, Exchange{
		Method: m.method, Host: m.host, PathLength: m.target, BasicAuth: m.basic,
		Start: h.began, RequestFrame: c.Frame, RequestBytes: h.bytes,
	})
}

// asked takes the last byte of a request.
func (r *Reader) asked(h *half, c *stream.Chunk) {
	for i := len(r.pending) - 1; i >= 0; i-- {
		if e := &r.pending[i]; e.Start == h.began && e.RequestEnd == 0 {
			e.RequestEnd, e.RequestBytes = c.Time, h.bytes
			return
		}
	}
	if e := &r.current; e.Method != "" && e.Start == h.began && e.RequestEnd == 0 {
		e.RequestBytes = h.bytes // it was answered before it ended
	}
}

// answer takes the first line of a response.
func (r *Reader) answer(h *half) {
	if r.current.Status != 0 { // the end of the one before was not captured
		r.emit()
	}
	if h.head.status >= 100 && h.head.status < 200 {
		r.current = Exchange{}
		if len(r.pending) > 0 { // only to know the method
			r.current.Method = r.pending[0].Method
		}
		return
	}
	r.current = Exchange{}
	if len(r.pending) > 0 {
		r.current = r.pending[0]
		r.pending = append(r.pending[:0], r.pending[1:]...)
	}
	r.current.Status, r.current.Answer, r.current.AnswerFrame = h.head.status, h.began, h.start
}

// answered takes the last byte of a response.
func (r *Reader) answered(h *half, c *stream.Chunk) {
	if h.head.status == 101 {
		r.mode = other
	}
	if h.head.status >= 100 && h.head.status < 200 && h.head.status != 101 {
		return
	}
	r.current.AnswerEnd, r.current.ResponseBytes = c.Time, h.bytes
	r.emit()
}

func (r *Reader) emit() {
	e := r.current
	r.current = Exchange{}
	if r.dropped {
		e = Exchange{Status: e.Status, Answer: e.Answer, AnswerFrame: e.AnswerFrame, AnswerEnd: e.AnswerEnd, ResponseBytes: e.ResponseBytes}
	}
	if r.d.Exchange != nil {
		r.d.Exchange(&e)
	}
}

// End says that the connection is over: what is under way or was never
// answered is an exchange as it is.
func (r *Reader) End() {
	if r.current.Status != 0 {
		for side := range r.half {
			if h := &r.half[side]; !h.head.request {
				r.current.ResponseBytes = h.bytes
			}
		}
		r.emit()
	}
	for _, e := range r.pending {
		r.current = e
		r.emit()
	}
	r.pending = nil
}

// Release lets go of what is held of unfinished lines: nothing more will be fed.
func (r *Reader) Release() {
	for i := range r.half {
		h := &r.half[i]
		if h.line != nil {
			h.line.reset()
			r.d.free = append(r.d.free, h.line)
			h.line = nil
		}
		h.state = lost
	}
	r.mode = other
}
