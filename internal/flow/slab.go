package flow

// A slab is a table of up to limit values that stay where they are and are
// used again: at the limit nothing is allocated any more.
type slab[T any] struct {
	limit  uint32
	chunks []*[chunkSize]T
	free   []uint32 // slots that were given back
	next   uint32   // the first slot that was never used
}

const chunkSize = 32

// take returns a slot; false if the slab is full. The value is as it was left.
func (s *slab[T]) take() (uint32, bool) {
	if n := len(s.free); n > 0 {
		slot := s.free[n-1]
		s.free = s.free[:n-1]
		return slot, true
	}
	if s.next >= s.limit {
		return 0, false
	}
	slot := s.next
	s.next++
	if slot%chunkSize == 0 {
		s.chunks = append(s.chunks, new([chunkSize]T))
	}
	return slot, true
}

func (s *slab[T]) at(slot uint32) *T { return &s.chunks[slot/chunkSize][slot%chunkSize] }

func (s *slab[T]) give(slot uint32) { s.free = append(s.free, slot) }
