package excerpt

// A table remembers the handshakes of connections that may turn out to be
// wanted. It has two generations: when the young one is full, the old one is
// forgotten, but for those of which something was seen since.
type table struct {
	young, old map[pair]*handshake
	bytes      int // that were put into the young one
}

// How much a generation remembers: a flood of SYNs has millions.
const (
	maxRemembered      = 16384 // connections
	maxRememberedBytes = 8 << 20
)

func newTable() table {
	return table{young: map[pair]*handshake{}, old: map[pair]*handshake{}}
}

// pin remembers a connection from the start to the end.
func (t *table) pin(id pair) { t.young[id] = &handshake{pinned: true} }

// find returns a handshake that is remembered, or nil.
func (t *table) find(id pair) *handshake {
	if h := t.young[id]; h != nil {
		return h
	}
	return t.old[id]
}

// add remembers a connection that begins.
func (t *table) add(id pair) *handshake {
	h := &handshake{}
	t.young[id] = h
	t.age()
	return h
}

// keep adds a packet to a handshake.
func (t *table) keep(id pair, h *handshake, k *kept) {
	h.packets = append(h.packets, k)
	t.bytes += k.head
	if t.old[id] == h {
		delete(t.old, id)
		t.young[id] = h
	}
	t.age()
}

// age forgets the old generation once the young one is full.
func (t *table) age() {
	if len(t.young) < maxRemembered && t.bytes < maxRememberedBytes {
		return
	}
	old := t.old
	t.old, t.bytes = t.young, 0
	t.young = map[pair]*handshake{}
	for id, h := range old {
		if h.pinned {
			t.young[id] = h
		}
	}
}
