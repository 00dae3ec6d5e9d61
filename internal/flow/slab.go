package flow

import (
	"math/bits"
	"math/rand/v2"
)

// A slab holds up to limit values by key. Values stay where they are and are
// used again, so that at the limit nothing is allocated any more. A Go map
// does the same three times slower when every packet removes one key and adds
// another, as under a flood of SYNs.
type slab[T any] struct {
	limit  uint32
	seed   [5]uint64
	heads  []uint32 // first of the chain of each hash value: slot+1, 0 for none
	links  []link   // by slot
	chunks []*chunk[T]
	used   int
	free   uint32 // chain of slots that were given back: slot+1
}

// A link is a place in a chain. Chains are walked without a look at keys and
// values, which a flood has pushed out of the processor's cache.
type link struct {
	next uint32 // slot+1, 0 for none
	hash uint32
}

const chunkSize = 32

type chunk[T any] struct {
	keys   [chunkSize]key
	values [chunkSize]T
}

func newSlab[T any](limit int) slab[T] {
	s := slab[T]{limit: uint32(limit), heads: make([]uint32, 256)}
	for i := range s.seed {
		s.seed[i] = rand.Uint64()
	}
	return s
}

func (s *slab[T]) at(slot uint32) *T { return &s.chunks[slot/chunkSize].values[slot%chunkSize] }

func (s *slab[T]) keyAt(slot uint32) *key { return &s.chunks[slot/chunkSize].keys[slot%chunkSize] }

// hash multiplies as wyhash does. The seed is random: nobody can choose
// packets that collide.
func (s *slab[T]) hash(k *key) uint32 {
	low := fold(k.low[0]^s.seed[0], k.low[1]^s.seed[1])
	high := fold(k.high[0]^s.seed[2], k.high[1]^s.seed[3])
	return uint32(fold(low^high, uint64(k.ports)<<32^uint64(k.kind)^s.seed[4]))
}

func fold(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	return high ^ low
}

// head returns the beginning of the chain of a hash value.
func (s *slab[T]) head(hash uint32) *uint32 { return &s.heads[hash&uint32(len(s.heads)-1)] }

// find returns the value of k, or nil.
func (s *slab[T]) find(k *key) *T {
	hash := s.hash(k)
	for at := *s.head(hash); at != 0; {
		l := s.links[at-1]
		if l.hash == hash && s.keyAt(at-1).equal(k) {
			return s.at(at - 1)
		}
		at = l.next
	}
	return nil
}

func (s *slab[T]) full() bool { return s.used >= int(s.limit) }

// add makes room for k, which is not there yet, in a slab that is not full.
// The value is as it was left.
func (s *slab[T]) add(k *key) (value *T, slot uint32) {
	if s.used++; s.used > len(s.heads) {
		s.grow()
	}
	if s.free != 0 {
		slot = s.free - 1
		s.free = s.links[slot].next
	} else {
		slot = uint32(len(s.links))
		s.links = append(s.links, link{})
		if slot%chunkSize == 0 {
			s.chunks = append(s.chunks, new(chunk[T]))
		}
	}
	*s.keyAt(slot) = *k
	s.chain(slot, s.hash(k))
	return s.at(slot), slot
}

func (s *slab[T]) chain(slot, hash uint32) {
	head := s.head(hash)
	s.links[slot] = link{*head, hash}
	*head = slot + 1
}

// grow doubles the number of chains.
func (s *slab[T]) grow() {
	old := s.heads
	s.heads = make([]uint32, 2*len(old))
	for _, at := range old {
		for at != 0 {
			slot := at - 1
			at = s.links[slot].next
			s.chain(slot, s.links[slot].hash)
		}
	}
}

// remove takes the value in slot out.
func (s *slab[T]) remove(slot uint32) {
	at := s.head(s.links[slot].hash)
	for *at != slot+1 {
		at = &s.links[*at-1].next
	}
	*at = s.links[slot].next
	s.links[slot].next, s.free = s.free, slot+1
	s.used--
}

// all returns the values in the order of their slots, which mostly is that of
// their beginning.
func (s *slab[T]) all() []*T {
	free := make([]bool, len(s.links))
	for at := s.free; at != 0; at = s.links[at-1].next {
		free[at-1] = true
	}
	values := make([]*T, 0, s.used)
	for slot := range s.links {
		if !free[slot] {
			values = append(values, s.at(uint32(slot)))
		}
	}
	return values
}
