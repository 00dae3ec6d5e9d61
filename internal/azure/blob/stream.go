package blob

import (
	"context"
	"errors"
	"io"
	"sync"
)

// errClosed is what a reader answers after its Close.
var errClosed = errors.New("read file: reader is closed")

// stream reads a file in order while its next ranges are on their way. It
// holds one buffer for each of them, however large the file is.
type stream struct {
	ctx     context.Context
	cancel  context.CancelCauseFunc
	ranges  chan chan fetched // in order
	buffers chan []byte       // those that no range holds
	running sync.WaitGroup

	whole, rest []byte // the buffer that is being read, and what is left of it
	err         error
}

type fetched struct {
	body []byte
	err  error
}

// newStream reads size bytes with fetch, which fills its buffer from the
// offset, or fails.
func newStream(ctx context.Context, size, rangeBytes int64, parallel int, fetch func(ctx context.Context, offset int64, into []byte) error) *stream {
	ctx, cancel := context.WithCancelCause(ctx)
	s := &stream{
		ctx: ctx, cancel: cancel,
		ranges:  make(chan chan fetched, parallel),
		buffers: make(chan []byte, parallel),
	}
	for range parallel {
		s.buffers <- nil // made when it is needed: most captures are small
	}
	s.running.Go(func() {
		defer close(s.ranges)
		for offset := int64(0); offset < size; offset += rangeBytes {
			var buffer []byte
			select {
			case buffer = <-s.buffers:
			case <-ctx.Done():
				return
			}
			n := min(rangeBytes, size-offset)
			if int64(cap(buffer)) < n {
				buffer = make([]byte, n)
			}
			result := make(chan fetched, 1)
			s.ranges <- result // never waits: there are as many places as buffers
			s.running.Go(func() {
				err := fetch(ctx, offset, buffer[:n])
				result <- fetched{buffer[:n], err}
			})
		}
	})
	return s
}

// Read implements [io.Reader].
func (s *stream) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.ctx.Err() != nil {
		return 0, s.fail(context.Cause(s.ctx))
	}
	if len(s.rest) == 0 {
		if s.whole != nil {
			s.buffers <- s.whole // never waits
			s.whole = nil
		}
		select {
		case result, more := <-s.ranges:
			if !more && s.ctx.Err() != nil {
				return 0, s.fail(context.Cause(s.ctx)) // ended early
			}
			if !more {
				return 0, s.fail(io.EOF)
			}
			select {
			case part := <-result:
				if part.err != nil {
					return 0, s.fail(part.err)
				}
				s.whole, s.rest = part.body, part.body
			case <-s.ctx.Done():
				return 0, s.fail(context.Cause(s.ctx))
			}
		case <-s.ctx.Done():
			return 0, s.fail(context.Cause(s.ctx))
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// fail ends the stream: whatever is under way is not wanted any more.
func (s *stream) fail(err error) error {
	s.err = err
	s.cancel(err)
	return err
}

// Close implements [io.Closer]. When it returns, nothing is under way.
func (s *stream) Close() error {
	if s.err == nil || s.err == io.EOF {
		s.err = errClosed
	}
	s.cancel(errClosed)
	s.running.Wait()
	return nil
}
