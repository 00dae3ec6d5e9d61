package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

func TestHashReader(t *testing.T) {
	for _, size := range []int64{0, 1, hashBuffer - 1, hashBuffer, hashBuffer + 1, hashBuffers*hashBuffer + 1, 5 << 20} {
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "halves": iotest.HalfReader, "data_with_eof": iotest.DataErrReader,
		} {
			// In a bubble, so that a goroutine that stays is a failure.
			synctest.Test(t, func(t *testing.T) {
				stream := func() io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{1}), size) }
				h := NewHashReader(wrap(stream()))
				defer h.Close()
				got := sha256.New()
				if _, err := io.Copy(got, h); err != nil {
					t.Fatal(err)
				}
				want := sha256.New()
				if _, err := io.Copy(want, stream()); err != nil {
					t.Fatal(err)
				}
				sum := hex.EncodeToString(want.Sum(nil))
				for range 2 {
					if got := h.Sum(); got != sum {
						t.Errorf("%d bytes, %s: Sum = %s, want %s", size, name, got, sum)
					}
				}
				if passed := hex.EncodeToString(got.Sum(nil)); passed != sum {
					t.Errorf("%d bytes, %s: the stream was changed", size, name)
				}
				if h.Bytes() != size {
					t.Errorf("Bytes = %d, want %d", h.Bytes(), size)
				}
				if _, err := h.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
					t.Errorf("Read after Sum = %v, want an error", err)
				}
			})
		}
	}
}

// TestDigest compares block digests and their tree with a plain reckoning.
func TestDigest(t *testing.T) {
	for _, size := range []int64{0, 1, BlockSize - 1, BlockSize, BlockSize + 1, 3 * BlockSize, 5*BlockSize + 7} {
		content, err := io.ReadAll(io.LimitReader(rand.NewChaCha8([32]byte{2}), size))
		if err != nil {
			t.Fatal(err)
		}
		h := NewDigestReader(bytes.NewReader(content))
		if _, err := io.Copy(io.Discard, h); err != nil {
			t.Fatal(err)
		}
		got := h.Digest()
		want := Digest{Bytes: size, SHA256: hashOf(content), Blocks: []string{}}
		var leaves [][]byte
		for block := range slices.Chunk(content, BlockSize) {
			sum := sha256.Sum256(block)
			want.Blocks = append(want.Blocks, hex.EncodeToString(sum[:]))
			leaf := sha256.Sum256(append([]byte{0}, sum[:]...))
			leaves = append(leaves, leaf[:])
		}
		// From the bottom up, an odd one going up as it is: the same tree.
		for len(leaves) > 1 {
			var up [][]byte
			for pair := range slices.Chunk(leaves, 2) {
				if len(pair) == 1 {
					up = append(up, pair[0])
					continue
				}
				node := sha256.Sum256(slices.Concat([]byte{1}, pair[0], pair[1]))
				up = append(up, node[:])
			}
			leaves = up
		}
		want.Merkle = hashOf(nil)
		if len(leaves) == 1 {
			want.Merkle = hex.EncodeToString(leaves[0])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d bytes (-want +got):\n%s", size, diff)
		}
	}
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// A stream that breaks is the reader's to judge; nothing hangs, nothing stays.
func TestHashReaderBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHashReader(io.MultiReader(io.LimitReader(rand.NewChaCha8([32]byte{1}), 3<<20), iotest.ErrReader(ErrChanged)))
		if _, err := io.Copy(io.Discard, h); !errors.Is(err, ErrChanged) {
			t.Errorf("Read = %v, want ErrChanged", err)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkHashReader(b *testing.B) {
	const size = 64 << 20
	b.SetBytes(size)
	p := make([]byte, 1<<20)
	for b.Loop() {
		h := NewHashReader(io.LimitReader(zeros{}, size))
		if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, h, p); err != nil {
			b.Fatal(err)
		}
		h.Sum()
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
