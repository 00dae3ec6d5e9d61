package evidence

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
)

// hashBuffers of hashBuffer bytes let reading run ahead of hashing by 1 MiB.
const (
	hashBuffers = 4
	hashBuffer  = 256 << 10
)

// A HashReader passes a stream on and hashes it on another core meanwhile, so
// that the hash costs whoever analyses the stream no more than a copy. It must
// be closed.
type HashReader struct {
	r      io.Reader
	n      int64
	buffer []byte      // being filled
	full   chan []byte // to be hashed
	free   chan []byte
	hashed chan struct{} // closed when everything is
	hash   hash.Hash
	closed bool
}

// NewHashReader returns a reader of what r reads.
func NewHashReader(r io.Reader) *HashReader {
	h := &HashReader{
		r:      r,
		full:   make(chan []byte, hashBuffers),
		free:   make(chan []byte, hashBuffers),
		hashed: make(chan struct{}),
		hash:   sha256.New(),
	}
	for range hashBuffers {
		h.free <- nil // made when it is needed: most captures are small
	}
	go func() {
		defer close(h.hashed)
		for b := range h.full {
			h.hash.Write(b)
			h.free <- b[:0] // never waits: there are as many places as buffers
		}
	}()
	return h
}

// Read implements [io.Reader].
func (h *HashReader) Read(p []byte) (int, error) {
	if h.closed {
		return 0, errors.New("read after the hash was taken")
	}
	n, err := h.r.Read(p)
	h.n += int64(n)
	for rest := p[:n]; len(rest) > 0; {
		if h.buffer == nil {
			if h.buffer = <-h.free; h.buffer == nil {
				h.buffer = make([]byte, 0, hashBuffer)
			}
		}
		fits := min(len(rest), cap(h.buffer)-len(h.buffer))
		h.buffer = append(h.buffer, rest[:fits]...)
		rest = rest[fits:]
		if len(h.buffer) == cap(h.buffer) {
			h.full <- h.buffer // never waits, either
			h.buffer = nil
		}
	}
	return n, err
}

// Bytes is how much was read.
func (h *HashReader) Bytes() int64 { return h.n }

// Sum is the SHA-256 of what was read, in lower-case hex. It is the file's
// only after Read said [io.EOF]. Nothing can be read after it.
func (h *HashReader) Sum() string {
	h.finish()
	return hex.EncodeToString(h.hash.Sum(nil))
}

// Close ends the hashing. It leaves the reader underneath open.
func (h *HashReader) Close() error {
	h.finish()
	return nil
}

func (h *HashReader) finish() {
	if !h.closed {
		h.closed = true
		if len(h.buffer) > 0 {
			h.full <- h.buffer
		}
		close(h.full)
	}
	<-h.hashed
}
