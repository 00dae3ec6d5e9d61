package dns

import (
	"net/netip"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// searchWindow is how soon a client asks again when a search list makes it.
const searchWindow = 2 * time.Second

// maxMissing bounds the names that are remembered for not existing.
const maxMissing = 4096

// lookupKey appends what tells lookups apart: address, type and name, which
// is all that is behind keyHead.
func lookupKey(dst []byte, client netip.Addr, typ Type, name []byte) []byte {
	a := client.As16()
	dst = append(append(dst, a[:]...), byte(client.BitLen()), byte(typ>>8), byte(typ))
	return append(dst, name...)
}

const keyHead = 19

// lookup is a Lookup that is still open, in a list ordered by its last query.
type lookup struct {
	Lookup
	key        string // of lookupKey; Name is its end
	last       pcap.Timestamp
	generation uint32
	prev, next *lookup
}

// lookups are the open ones. Closed ones are used again.
type lookups struct {
	open        map[string]*lookup // by lookupKey
	front, back *lookup            // the front has been quiet the longest
	free        *lookup
	missing     map[string]int // by lookupKey, how often a name was asked for and did not exist
}

// lookupFor returns the open lookup that a new query belongs to, or a new
// one.
func (t *Table) lookupFor(client netip.Addr, name []byte, typ Type, at pcap.Timestamp) *lookup {
	ls := &t.lookups
	var room [keyHead + 256]byte
	key := lookupKey(room[:0], client, typ, name)
	if l, ok := ls.open[string(key)]; ok {
		if !l.settled(at) {
			ls.touch(l, at)
			return l
		}
		t.closeLookup(l, at)
	}
	if len(ls.open) >= t.limits.Lookups {
		if _, answered := ls.front.Answered(); !answered {
			t.dropped.Lookups++
		}
		t.closeLookup(ls.front, at)
	}
	l := ls.free
	if l == nil {
		l = new(lookup)
	} else {
		ls.free = l.next
	}
	*l = lookup{generation: l.generation, last: at, key: string(key), Lookup: Lookup{Client: client, Type: typ, Tries: l.Tries[:0]}}
	l.Name = l.key[keyHead:]
	ls.markSearchSuffix(l)
	ls.open[l.key] = l
	ls.append(l)
	return l
}

// settled reports whether the question was answered before at, so that
// asking again is a new question and not a retry.
func (l *lookup) settled(at pcap.Timestamp) bool {
	try, ok := l.Answered()
	return ok && !try.Truncated && try.Answer <= at
}

// markSearchSuffix looks whether the client, before it asked for l, was told
// that a longer name or one with another suffix does not exist: "db" is asked
// for as "db.corp.example.", "db.example." and "db.".
func (ls *lookups) markSearchSuffix(l *lookup) {
	const near = 32 // lookups to go through: a flood must not make this quadratic
	host, suffix, _ := strings.Cut(l.Name, ".")
	q := ls.back
	for range near {
		if q == nil || l.last.Sub(q.last) > searchWindow {
			return
		}
		if q.Client == l.Client && q.Type == l.Type && q.missing() {
			longer := strings.HasPrefix(q.Name, l.Name) && len(q.Name) > len(l.Name) && q.Name[len(l.Name)] == '.'
			qHost, qSuffix, _ := strings.Cut(q.Name, ".")
			sibling := qHost == host && qSuffix != suffix && suffix != "" && strings.HasSuffix(qSuffix, suffix)
			if longer || sibling {
				q.SearchSuffix = true
			}
		}
		q = q.prev
	}
}

func (l *lookup) missing() bool {
	try, ok := l.Answered()
	return ok && try.RCode == NameError
}

// expireLookups ends those that no query can belong to any more.
func (t *Table) expireLookups(now pcap.Timestamp) {
	for l := t.lookups.front; l != nil && now.Sub(l.last) > RetryWindow; l = t.lookups.front {
		t.closeLookup(l, now)
	}
}

func (t *Table) closeLookups(end pcap.Timestamp) {
	for t.lookups.front != nil {
		t.closeLookup(t.lookups.front, end)
	}
}

func (t *Table) closeLookup(l *lookup, now pcap.Timestamp) {
	ls := &t.lookups
	for i := range l.Tries {
		try := &l.Tries[i]
		try.Undecided = !try.Answered && now.Sub(try.Asked) < retransmission
	}
	delete(ls.open, l.key)
	ls.remove(l)
	if l.missing() && !l.SearchSuffix {
		if n, ok := ls.missing[l.key]; ok || len(ls.missing) < maxMissing {
			ls.missing[l.key] = n + 1
			l.Missing = n + 1
		}
	}
	if t.Lookup != nil {
		t.Lookup(&l.Lookup)
	}
	l.generation++
	l.next, ls.free = ls.free, l
}

// touch moves l to the back.
func (ls *lookups) touch(l *lookup, at pcap.Timestamp) {
	l.last = at
	if ls.back == l {
		return
	}
	ls.remove(l)
	ls.append(l)
}

func (ls *lookups) append(l *lookup) {
	l.prev, l.next = ls.back, nil
	if ls.back != nil {
		ls.back.next = l
	} else {
		ls.front = l
	}
	ls.back = l
}

func (ls *lookups) remove(l *lookup) {
	if l.prev != nil {
		l.prev.next = l.next
	} else {
		ls.front = l.next
	}
	if l.next != nil {
		l.next.prev = l.prev
	} else {
		ls.back = l.prev
	}
	l.prev, l.next = nil, nil
}
