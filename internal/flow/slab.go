package flow

import "hash/maphash"

// A slab holds up to limit values by key. Values stay where they are and are
// used again, so that at the limit nothing is allocated any more. A Go map
// does the same three times slower when every packet removes one key and adds
// another, as under a flood of SYNs. The hash is seeded, so that nobody can
// choose packets that collide.
type slab[T any] struct {
	limit  uint32
	seed   maphash.Seed
	heads  []uint32 // first of the chain of each hash value: slot+1, 0 for none
	chunks []*chunk[T]
	used   int
	fresh  uint32 // the first slot that was never used
	free   uint32 // chain of slots that were given back: slot+1
}

const chunkSize = 32

type chunk[T any] struct {
	keys   [chunkSize]key
	next   [chunkSize]uint32 // in the chain: slot+1
	values [chunkSize]T
}

func newSlab[T any](limit int) slab[T] {
	return slab[T]{limit: uint32(limit), seed: maphash.MakeSeed(), heads: make([]uint32, 256)}
}

func (s *slab[T]) at(slot uint32) *T { return &s.chunks[slot/chunkSize].values[slot%chunkSize] }

func (s *slab[T]) place(slot uint32) (k *key, next *uint32) {
	c := s.chunks[slot/chunkSize]
	return &c.keys[slot%chunkSize], &c.next[slot%chunkSize]
}

// head returns the beginning of k's chain.
func (s *slab[T]) head(k *key) *uint32 {
	return &s.heads[maphash.Comparable(s.seed, *k)&uint64(len(s.heads)-1)]
}

// find returns the value of k, or nil.
func (s *slab[T]) find(k *key) *T {
	for link := *s.head(k); link != 0; {
		at, next := s.place(link - 1)
		if at.equal(k) {
			return s.at(link - 1)
		}
		link = *next
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
		_, next := s.place(slot)
		s.free = *next
	} else {
		slot = s.fresh
		s.fresh++
		if slot%chunkSize == 0 {
			s.chunks = append(s.chunks, new(chunk[T]))
		}
	}
	s.link(k, slot)
	return s.at(slot), slot
}

func (s *slab[T]) link(k *key, slot uint32) {
	head := s.head(k)
	at, next := s.place(slot)
	*at, *next = *k, *head
	*head = slot + 1
}

// grow doubles the number of chains.
func (s *slab[T]) grow() {
	old := s.heads
	s.heads = make([]uint32, 2*len(old))
	for _, link := range old {
		for link != 0 {
			slot := link - 1
			at, next := s.place(slot)
			link = *next
			k := *at
			s.link(&k, slot)
		}
	}
}

// remove takes the value in slot out.
func (s *slab[T]) remove(slot uint32) {
	at, next := s.place(slot)
	link := s.head(at)
	for *link != slot+1 {
		_, link = s.place(*link - 1)
	}
	*link = *next
	*next, s.free = s.free, slot+1
	s.used--
}

// all returns the values in no order.
func (s *slab[T]) all() []*T {
	values := make([]*T, 0, s.used)
	for _, link := range s.heads {
		for link != 0 {
			values = append(values, s.at(link-1))
			_, next := s.place(link - 1)
			link = *next
		}
	}
	return values
}
