package detect

import (
	"cmp"
	"slices"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// maxTallies bounds how many groups one detector keeps: what an attacker can
// multiply, he will.
const maxTallies = 4096

// A Tally is how often something happened between the same parties, with the
// packets that prove it.
type Tally struct {
	Count       int
	First, Last pcap.Timestamp
	Packets     []int64 // the first half of finding.MaxPackets, and the latest
}

// Add counts one occurrence.
func (t *Tally) Add(at pcap.Timestamp, packets ...int64) {
	if t.Count == 0 || at < t.First {
		t.First = at
	}
	t.Last = max(t.Last, at)
	t.Count++
	t.keep(packets)
}

func (t *Tally) keep(packets []int64) {
	for _, n := range packets {
		if n == 0 {
			continue
		}
		if len(t.Packets) == finding.MaxPackets {
			t.Packets = append(t.Packets[:finding.MaxPackets/2], t.Packets[finding.MaxPackets/2+1:]...)
		}
		t.Packets = append(t.Packets, n)
	}
}

// Prove adds packets to what was counted.
func (t *Tally) Prove(packets ...int64) { t.keep(packets) }

// Merge adds what o counted.
func (t *Tally) Merge(o *Tally) {
	if o.Count == 0 {
		return
	}
	if t.Count == 0 || o.First < t.First {
		t.First = o.First
	}
	t.Last = max(t.Last, o.Last)
	t.Count += o.Count
	t.keep(o.Packets)
}

// Into fills in the finding's count, time and packets.
func (t *Tally) Into(f finding.Finding) finding.Finding {
	f.Count, f.Packets = t.Count, t.Packets
	if f.Packets == nil {
		f.Packets = []int64{}
	}
	f.First, f.Last = moment(t.First), moment(t.Last)
	return f
}

// moment leaves an unknown time out of the finding.
func moment(t pcap.Timestamp) time.Time {
	if t == 0 {
		return time.Time{}
	}
	return t.Time()
}

// Groups keeps one value for each key, in the order of their first
// appearance, up to a bound: see [Pass.Bound].
type Groups[K comparable, V any] struct {
	Most   int // keys; 0: 4096
	values map[K]*V
	keys   []K
	left   int
}

// Left is how often a key found no place.
func (g *Groups[K, V]) Left() int { return g.left }

// At returns the value of key, or nil when the bound is reached.
func (g *Groups[K, V]) At(key K) *V {
	if v, ok := g.values[key]; ok {
		return v
	}
	if len(g.keys) >= cmp.Or(g.Most, maxTallies) {
		g.left++
		return nil
	}
	if g.values == nil {
		g.values = map[K]*V{}
	}
	v := new(V)
	g.values[key] = v
	g.keys = append(g.keys, key)
	return v
}

// Find returns the value of key if there is one.
func (g *Groups[K, V]) Find(key K) (*V, bool) {
	v, ok := g.values[key]
	return v, ok
}

// All yields the keys and values in the order of their first appearance.
func (g *Groups[K, V]) All(yield func(K, *V) bool) {
	for _, k := range g.keys {
		if !yield(k, g.values[k]) {
			return
		}
	}
}

// Keep forgets the keys that keep does not want.
func (g *Groups[K, V]) Keep(keep func(K, *V) bool) {
	g.keys = slices.DeleteFunc(g.keys, func(k K) bool {
		if keep(k, g.values[k]) {
			return false
		}
		delete(g.values, k)
		return true
	})
}

// Len is how many keys there are.
func (g *Groups[K, V]) Len() int { return len(g.keys) }
