package evidence

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
	"testing/synctest"
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
