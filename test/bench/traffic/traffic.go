// Package traffic makes up captures to measure with: of any size, the same
// every time, in the shape of what machines in a cloud exchange. No byte of
// them was ever on a wire.
package traffic

import (
	"bufio"
	"container/heap"
	"io"
	"math/rand/v2"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// start is when captures begin.
var start = pcap.Timestamp(time.Date(2026, 3, 17, 2, 0, 0, 0, time.UTC).UnixNano())

// A maker makes the sessions of one capture up.
type maker struct {
	*rand.Rand
	noise    []byte // encrypted content; what is said are slices of it
	services []service
	names    []string
	now      pcap.Timestamp // of the next session
	port     uint16
}

func newMaker(seed uint64) *maker {
	m := &maker{Rand: rand.New(rand.NewPCG(seed, 1)), noise: make([]byte, 1<<20), now: start}
	noise := rand.NewChaCha8([32]byte{byte(seed)})
	noise.Read(m.noise)
	m.makeServices()
	return m
}

// bytes returns n bytes of noise, at most half of all.
func (m *maker) bytes(n int) []byte {
	at := m.IntN(len(m.noise) / 2)
	return m.noise[at : at+n]
}

// between returns a duration, evenly distributed.
func (m *maker) between(low, high time.Duration) time.Duration {
	return low + time.Duration(m.Int64N(int64(high-low)))
}

// wait moves on to the next session, at a mean distance.
func (m *maker) wait(mean time.Duration) { m.now += pcap.Timestamp(m.ExpFloat64() * float64(mean)) }

// one is true n times of a hundred.
func (m *maker) one(percent float64) bool { return m.Float64()*100 < percent }

// play writes the packets of sessions in the order of time. Sessions come in
// the order of their first packet; next returns nil after the last. It stops
// after limit bytes of frames; 0: never.
func play(w io.Writer, next func() *session, limit int64) error {
	buffered := bufio.NewWriterSize(w, 1<<20)
	out, err := pcap.NewWriter(buffered, pcap.LinkTypeEthernet, 0)
	if err != nil {
		return err
	}
	var active sessions
	var frame []byte
	coming := next()
	for written := int64(0); limit == 0 || written < limit; {
		for coming != nil && (len(active) == 0 || coming.plan[0].at <= active[0].at()) {
			heap.Push(&active, coming)
			coming = next()
		}
		if len(active) == 0 {
			break
		}
		s := active[0]
		p := &s.plan[s.played]
		if s.played++; s.played == len(s.plan) {
			heap.Pop(&active)
		} else {
			heap.Fix(&active, 0)
		}
		frame = s.frame(frame[:0], p)
		if p.lost {
			continue
		}
		if err := out.WritePacket(p.at, len(frame), frame); err != nil {
			return err
		}
		written += int64(len(frame))
	}
	return buffered.Flush()
}

// sessions are those under way, the one with the next packet first.
type sessions []*session

func (s sessions) Len() int           { return len(s) }
func (s sessions) Less(i, j int) bool { return s[i].at() < s[j].at() }
func (s sessions) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *sessions) Push(x any)        { *s = append(*s, x.(*session)) }

// Pop implements [heap.Interface].
func (s *sessions) Pop() any {
	last := (*s)[len(*s)-1]
	*s = (*s)[:len(*s)-1]
	return last
}
