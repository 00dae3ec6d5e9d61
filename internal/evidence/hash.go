package evidence

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"math/bits"
	"slices"
)

// hashBuffers of hashBuffer bytes let reading run ahead of hashing by 1 MiB.
const (
	hashBuffers = 4
	hashBuffer  = 256 << 10
)

// BlockSize is how many bytes of a file have a digest of their own, so that a
// file that was damaged says where.
const BlockSize = 8 << 20

// A Digest is what the bytes of a file are known by, in lower-case hex.
type Digest struct {
	Bytes  int64
	SHA256 string
	Blocks []string // SHA-256 of each [BlockSize]; the last may be shorter
	Merkle string   // root of the tree over the blocks, as RFC 9162 (2.1.1) builds it
}

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

	inBlocks bool
	block    hash.Hash
	inBlock  int64
	blocks   [][]byte
}

// NewHashReader returns a reader of what r reads, for its Sum.
func NewHashReader(r io.Reader) *HashReader { return newHashReader(r, false) }

// NewDigestReader returns a reader of what r reads, for its Digest.
func NewDigestReader(r io.Reader) *HashReader { return newHashReader(r, true) }

func newHashReader(r io.Reader, inBlocks bool) *HashReader {
	h := &HashReader{
		r:      r,
		full:   make(chan []byte, hashBuffers),
		free:   make(chan []byte, hashBuffers),
		hashed: make(chan struct{}),
		hash:   sha256.New(), inBlocks: inBlocks, block: sha256.New(),
	}
	for range hashBuffers {
		h.free <- nil // made when it is needed: most captures are small
	}
	go func() {
		defer close(h.hashed)
		for b := range h.full {
			h.hash.Write(b)
			h.writeBlocks(b)
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

// Digest is what the bytes that were read are known by, of a reader that
// [NewDigestReader] made. As with Sum, it is the file's only after [io.EOF].
func (h *HashReader) Digest() Digest {
	sum := h.Sum()
	if h.inBlock > 0 {
		h.blocks, h.inBlock = append(h.blocks, h.block.Sum(nil)), 0
	}
	d := Digest{Bytes: h.n, SHA256: sum, Blocks: make([]string, len(h.blocks)), Merkle: hex.EncodeToString(merkle(h.blocks))}
	for i, b := range h.blocks {
		d.Blocks[i] = hex.EncodeToString(b)
	}
	return d
}

func (h *HashReader) writeBlocks(b []byte) {
	for h.inBlocks && len(b) > 0 {
		n := min(int64(len(b)), BlockSize-h.inBlock)
		h.block.Write(b[:n])
		if h.inBlock += n; h.inBlock == BlockSize {
			h.blocks, h.inBlock = append(h.blocks, h.block.Sum(nil)), 0
			h.block.Reset()
		}
		b = b[n:]
	}
}

// merkle is the root of a tree whose leaves are the blocks' digests. Leaves
// and nodes are told apart by their first byte, so that no file passes for
// the tree of another.
func merkle(blocks [][]byte) []byte {
	switch len(blocks) {
	case 0:
		sum := sha256.Sum256(nil)
		return sum[:]
	case 1:
		sum := sha256.Sum256(append([]byte{0}, blocks[0]...))
		return sum[:]
	}
	split := 1 << (bits.Len(uint(len(blocks)-1)) - 1) // the largest power of two below
	sum := sha256.Sum256(slices.Concat([]byte{1}, merkle(blocks[:split]), merkle(blocks[split:])))
	return sum[:]
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
