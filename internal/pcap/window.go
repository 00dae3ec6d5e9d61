package pcap

import "io"

// A window is the part of a stream that lies in memory. It does what a
// bufio.Reader does, for the caller that asks for a few bytes a million times:
// what is there already costs no call.
type window struct {
	src      io.Reader
	buf      []byte
	from, to int   // buf[from:to] was read and not consumed
	err      error // why there is no more
}

func newWindow(src io.Reader) *window { return &window{src: src, buf: make([]byte, bufferSize)} }

// ahead returns what was read and not consumed, which may be nothing. It is
// valid until the next call of peek, discard or Read.
func (w *window) ahead() []byte { return w.buf[w.from:w.to] }

// peek returns the next n bytes, at most bufferSize, without consuming them;
// fewer come with an error. They are valid as long as ahead's.
func (w *window) peek(n int) ([]byte, error) {
	if w.to-w.from < n {
		return w.fill(n)
	}
	return w.buf[w.from : w.from+n], nil
}

// fill reads until there are n bytes.
func (w *window) fill(n int) ([]byte, error) {
	copy(w.buf, w.ahead())
	w.from, w.to = 0, w.to-w.from
	const idle = 100 // reads in a row that give nothing: a source that is broken
	for tries := 0; w.to < n && w.err == nil; tries++ {
		m, err := w.src.Read(w.buf[w.to:])
		w.to, w.err = w.to+m, err
		if m > 0 {
			tries = 0
		} else if tries == idle && err == nil {
			w.err = io.ErrNoProgress
		}
	}
	if w.to < n {
		return w.ahead(), w.err
	}
	return w.buf[:n], nil
}

// consume passes over n bytes of ahead.
func (w *window) consume(n int) { w.from += n }

// discard passes over n bytes, however many.
func (w *window) discard(n int) error {
	for n > w.to-w.from {
		n -= w.to - w.from
		w.from, w.to = 0, 0
		if _, err := w.fill(1); err != nil {
			return err
		}
	}
	w.consume(n)
	return nil
}

// Read is for what unpacks the stream.
func (w *window) Read(p []byte) (int, error) {
	if _, err := w.peek(1); err != nil {
		return 0, err
	}
	n := copy(p, w.ahead())
	w.consume(n)
	return n, nil
}
