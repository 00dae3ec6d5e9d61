package blob

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// numbered is content whose every byte tells its place.
func numbered(offset int64, into []byte) {
	for i := range into {
		at := uint64(offset) + uint64(i)
		into[i] = binary.BigEndian.AppendUint64(nil, at/8)[at%8]
	}
}

// Ranges come back in any order; the reader has them in the right one, and
// never more than allowed are under way or kept.
func TestStreamOrder(t *testing.T) {
	for _, size := range []int64{0, 1, 99, 100, 101, 1000, 1037} {
		synctest.Test(t, func(t *testing.T) {
			var running, most atomic.Int32
			s := newStream(t.Context(), size, 100, 4, func(_ context.Context, offset int64, into []byte) error {
				n := running.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				time.Sleep(time.Duration(rand.IntN(1000)) * time.Millisecond)
				numbered(offset, into)
				running.Add(-1)
				return nil
			})
			got, err := io.ReadAll(s)
			want := make([]byte, size)
			numbered(0, want)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("size %d: read %d bytes, %v", size, len(got), err)
			}
			if most.Load() > 4 {
				t.Errorf("size %d: %d ranges at once, want at most 4", size, most.Load())
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if _, err := s.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
				t.Errorf("Read after Close = %v, want an error", err)
			}
		})
	}
}

// However a stream ends, nothing stays behind: synctest fails for a goroutine
// that does.
func TestStreamEnds(t *testing.T) {
	why := errors.New("why")
	hang := func(ctx context.Context, _ int64, _ []byte) error { <-ctx.Done(); return context.Cause(ctx) }
	t.Run("closed_early", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newStream(t.Context(), 1000, 100, 4, hang)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("cancelled_while_reading", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			s := newStream(ctx, 1000, 100, 4, hang)
			go func() { time.Sleep(time.Second); cancel(why) }()
			if _, err := io.ReadAll(s); !errors.Is(err, why) {
				t.Errorf("Read = %v, want the cause", err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("range_fails", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newStream(t.Context(), 1000, 100, 4, func(ctx context.Context, offset int64, into []byte) error {
				if offset == 300 {
					return why
				}
				numbered(offset, into)
				return nil
			})
			got, err := io.ReadAll(s)
			if !errors.Is(err, why) || len(got) != 300 {
				t.Errorf("read %d bytes, %v, want the 300 before the one that failed", len(got), err)
			}
			if _, err := s.Read(make([]byte, 1)); !errors.Is(err, why) {
				t.Errorf("reading once more = %v, want the same error", err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	})
}
