package stream

// A Budget bounds what all readers of a capture hold of unfinished messages,
// so that ten thousand connections that each stop in the middle of one cost
// no more than the limit. A nil Budget is without limit.
type Budget struct {
	Limit   int // bytes
	Refused int // how often a reader had to give up for lack of space
	used    int
}

func (b *Budget) take(n int) bool {
	if b == nil {
		return true
	}
	if b.used+n > b.Limit {
		b.Refused++
		return false
	}
	b.used += n
	return true
}

func (b *Budget) give(n int) {
	if b != nil {
		b.used -= n
	}
}

// A Buffer holds the beginning of a message until the rest arrives.
type Buffer struct {
	bytes []byte
}

// kept is how much capacity an empty Buffer may keep.
const kept = 256

// Append adds data, if the budget allows it.
func (b *Buffer) Append(budget *Budget, data []byte) bool {
	if !budget.take(len(data)) {
		return false
	}
	b.bytes = append(b.bytes, data...)
	return true
}

// Bytes returns what is held. It is valid until the next call.
func (b *Buffer) Bytes() []byte { return b.bytes }

// Len is how many bytes are held.
func (b *Buffer) Len() int { return len(b.bytes) }

// Reset empties the buffer and gives the space back. What Bytes returned may
// still be read, until the next Append.
func (b *Buffer) Reset(budget *Budget) {
	budget.give(len(b.bytes))
	if cap(b.bytes) > kept {
		b.bytes = nil
		return
	}
	b.bytes = b.bytes[:0]
}

// Idle reports whether nothing is held.
func (b *Budget) Idle() bool { return b.used == 0 }
