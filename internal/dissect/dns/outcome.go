package dns

import (
	"net/netip"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// asked takes up a new transaction.
func (t *Table) asked(e *entry, frame int64, m *message) {
	client, server := e.key.endpoints()
	e.server = t.resolverOf(server.Addr())
	if r := e.server; r != nil {
		r.Asked++
		r.Queries++
		r.client(client.Addr())
	} else {
		t.dropped.Resolvers++
	}
	if m.name == nil {
		return
	}
	l := t.lookupFor(client.Addr(), m.name, m.typ, e.first)
	e.open.name = l.Name
	l.Transactions++
	e.try = int32(l.Transactions - 1)
	e.lookup, e.generation = l, l.generation
	if len(l.Tries) < MaxTries {
		l.Tries = append(l.Tries, Try{Server: server, TCP: e.key.tcp, Asked: e.first, Frame: frame, Queries: 1})
	}
}

// retried takes up another query of a transaction.
func (t *Table) retried(e *entry, at pcap.Timestamp) {
	if r := e.server; r != nil {
		r.Queries++
	}
	if try := e.tryOf(); try != nil {
		try.Queries++
	}
	if l := e.lookupOf(); l != nil {
		t.lookups.touch(l, at)
	}
}

// answered takes up the first response of a transaction.
func (t *Table) answered(e *entry, at pcap.Timestamp, frame int64, m *message) {
	if r := e.server; r != nil {
		r.Answered++
		r.RCodes[m.rcode]++
		r.latency(at.Sub(e.first))
	}
	if try := e.tryOf(); try != nil {
		try.Answered, try.Answer, try.Reply, try.RCode, try.Truncated = true, at, frame, m.rcode, m.truncated
	}
	t.emit(e, func(x *Transaction) {
		x.Answered, x.AnswerTime, x.AnswerFrame, x.RCode, x.Truncated = true, at, frame, m.rcode, m.truncated
		x.CNAME = string(m.cname)
		x.Addresses = m.addresses[:m.addressN]
	})
}

// unanswered takes up that a transaction has no response.
func (t *Table) unanswered(e *entry, undecided bool) {
	if r := e.server; r != nil {
		if undecided {
			r.Undecided++
		} else {
			r.Unanswered++
			if len(r.Frames) < MaxFrames {
				r.Frames = append(r.Frames, e.open.frames[0])
			}
		}
	}
	t.emit(e, func(x *Transaction) { x.Undecided = undecided })
}

// lookupOf returns the lookup of e, unless it has ended.
func (e *entry) lookupOf() *lookup {
	if e.lookup == nil || e.lookup.generation != e.generation {
		return nil
	}
	return e.lookup
}

// tryOf returns the try of e in its lookup, unless that has ended or holds
// too many.
func (e *entry) tryOf() *Try {
	l := e.lookupOf()
	if l == nil || int(e.try) >= len(l.Tries) {
		return nil
	}
	return &l.Tries[e.try]
}

// lateness is how late an answer has to be, at least, to be called slow for
// being ten times slower than the server's median.
const lateness = 100 * time.Millisecond

const maxLatencies = 1024

// resolver is a Resolver that is still growing.
type resolver struct {
	Resolver
	latencies []time.Duration
	clients   map[netip.Addr]struct{}
	late      int // over Slow, among the latencies that are not kept
}

func (t *Table) resolverOf(server netip.Addr) *resolver {
	r, ok := t.resolver[server]
	if !ok && len(t.resolver) < t.limits.Resolvers {
		r = &resolver{Resolver: Resolver{Server: server}, clients: make(map[netip.Addr]struct{})}
		t.resolver[server] = r
	}
	return r
}

func (r *resolver) client(a netip.Addr) {
	if len(r.clients) < 64 {
		r.clients[a] = struct{}{}
	}
}

func (r *resolver) latency(d time.Duration) {
	r.Max = max(r.Max, d)
	if len(r.latencies) < maxLatencies {
		r.latencies = append(r.latencies, d)
	} else if d > Slow {
		r.late++
	}
}
