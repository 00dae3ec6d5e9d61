package dns

import (
	"net/netip"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/dissect/stream"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// retransmission is how long after the first query another one with the same
// id still belongs to it (tshark's retransmission_timer).
const retransmission = 5 * time.Second

// Limits bound a Table. Zero values take the default.
type Limits struct {
	Transactions int // kept at a time, 65,536: about 200 bytes each, 100 once answered
	Lookups      int // open at a time, 8,192: about 1 KB each
	Resolvers    int // 256; queries to others are counted, but not by server
}

func (l Limits) withDefaults() Limits {
	if l.Transactions <= 0 {
		l.Transactions = 1 << 16
	}
	if l.Lookups <= 0 {
		l.Lookups = 1 << 13
	}
	if l.Resolvers <= 0 {
		l.Resolvers = 1 << 8
	}
	return l
}

// Table pairs queries with responses.
//
// Its two callbacks get values that are only valid during the call.
type Table struct {
	// Transaction is called when a question is answered, and for those that
	// were not when that is settled, at the latest by Finish.
	Transaction func(*Transaction)
	// Lookup is called when nothing more can come of a question.
	Lookup func(*Lookup)
	// Budget bounds the unfinished messages of all streams; nil: no bound.
	Budget *stream.Budget

	limits   Limits
	parser   parser
	counts   counts
	index    map[key]int32
	entries  []*[block]entry // blocks, so that growing copies nothing
	used     int             // of entries
	spare    []*pending      // to be used again
	oldest   int             // once entries is full: the one to go next
	lookups  lookups
	resolver map[netip.Addr]*resolver
	dropped  Dropped
	emitted  Transaction
	finished bool
}

// Dropped is what the limits of a Table left out.
type Dropped struct {
	Transactions int `json:"transactions"` // forgotten before they had an answer: one that came later found no question
	Lookups      int `json:"lookups"`      // ended before they had an answer
	Resolvers    int `json:"resolvers"`    // queries to servers that are not among the Resolvers
}

// NewTable returns an empty table.
func NewTable(limits Limits) *Table {
	t := &Table{
		limits:   limits.withDefaults(),
		index:    make(map[key]int32),
		resolver: make(map[netip.Addr]*resolver),
	}
	t.lookups.open = make(map[string]*lookup)
	t.lookups.missing = make(map[string]int)
	return t
}

// key is a transaction as tshark and truth tables tell them apart. Addresses
// are flat so that the garbage collector has nothing to look at.
type key struct {
	client, server         [16]byte
	clientPort, serverPort uint16
	id                     uint16
	tcp                    bool
}

func (k *key) endpoints() (client, server netip.AddrPort) {
	return netip.AddrPortFrom(netip.AddrFrom16(k.client).Unmap(), k.clientPort),
		netip.AddrPortFrom(netip.AddrFrom16(k.server).Unmap(), k.serverPort)
}

// entry is a key with its latest transaction.
type entry struct {
	key                key
	queries, responses uint32 // of the key, over all its transactions

	asked       uint32 // queries of the transaction; 0: only responses were seen
	answered    bool
	first       pcap.Timestamp
	unreachable int64
	server      *resolver // nil: beyond the bound
	lookup      *lookup
	generation  uint32 // of lookup, which is reused
	try         int32

	open *pending // until there is an answer
}

// pending is what is needed of a transaction as long as it is not answered.
type pending struct {
	name   string
	typ    Type
	frameN uint8
	last   pcap.Timestamp
	frames [MaxFrames]int64
}

// Message takes one DNS message that was sent over port 53. whole says that
// the packet was captured to its end. Anything that is not DNS is counted as
// far as tshark counts it and otherwise ignored.
func (t *Table) Message(from, to netip.AddrPort, tcp bool, at pcap.Timestamp, frame int64, msg []byte, whole bool) {
	if !t.parser.parse(msg) {
		return
	}
	t.expireLookups(at)
	m := &t.parser.message
	m.whole = m.whole && whole
	if m.response {
		t.response(t.key(to, from, m.id, tcp), at, frame, m)
	} else {
		t.query(t.key(from, to, m.id, tcp), at, frame, m)
	}
}

func (t *Table) key(client, server netip.AddrPort, id uint16, tcp bool) key {
	return key{client: client.Addr().As16(), server: server.Addr().As16(), clientPort: client.Port(), serverPort: server.Port(), id: id, tcp: tcp}
}

func (t *Table) query(k key, at pcap.Timestamp, frame int64, m *message) {
	t.counts.queries++
	e := t.entry(k)
	e.queries++
	if e.asked > 0 && !e.answered && at.Sub(e.first) < retransmission {
		e.asked++
		if m.whole {
			t.counts.retransmittedQueries++
		}
		q := e.open
		q.last = at
		if q.frameN < MaxFrames {
			q.frames[q.frameN] = frame
			q.frameN++
		}
		t.retried(e, at)
		return
	}
	if e.asked > 0 && !e.answered {
		t.unanswered(e, false)
	}
	t.close(e)
	*e = entry{key: k, queries: e.queries, responses: e.responses, asked: 1, first: at, open: t.pending()}
	*e.open = pending{typ: m.typ, last: at, frameN: 1}
	e.open.frames[0] = frame
	t.asked(e, frame, m)
}

func (t *Table) response(k key, at pcap.Timestamp, frame int64, m *message) {
	t.counts.response(m)
	e := t.entry(k)
	e.responses++
	switch {
	case e.asked == 0:
	case e.answered:
		if m.whole {
			t.counts.retransmittedResponses++
		}
	default:
		e.answered = true
		latency := at.Sub(e.first)
		if m.whole {
			t.counts.latency(latency)
		}
		t.answered(e, at, frame, m)
		t.close(e)
	}
}

// pending returns one to be filled in.
func (t *Table) pending() *pending {
	if len(t.spare) == 0 {
		more := new([block]pending)
		for i := range more {
			t.spare = append(t.spare, &more[i])
		}
	}
	last := len(t.spare) - 1
	q := t.spare[last]
	t.spare = t.spare[:last]
	return q
}

// close takes what is pending of e back, if it is open.
func (t *Table) close(e *entry) {
	if e.open != nil {
		*e.open = pending{}
		t.spare = append(t.spare, e.open)
		e.open = nil
	}
}

const block = 64

func (t *Table) at(i int) *entry { return &t.entries[i/block][i%block] }

// entry finds the entry of k, or makes one, at the cost of the oldest.
func (t *Table) entry(k key) *entry {
	if i, ok := t.index[k]; ok {
		return t.at(int(i))
	}
	if t.used < t.limits.Transactions {
		if t.used%block == 0 {
			t.entries = append(t.entries, new([block]entry))
		}
		t.index[k] = int32(t.used)
		t.used++
		e := t.at(t.used - 1)
		e.key = k
		return e
	}
	e := t.at(t.oldest)
	t.settle(e, false)
	if e.asked > 0 && !e.answered {
		t.dropped.Transactions++
	}
	delete(t.index, e.key)
	t.close(e)
	*e = entry{key: k}
	t.index[k] = int32(t.oldest)
	t.oldest = (t.oldest + 1) % t.used
	return e
}

// settle counts a key about which nothing more will be known.
func (t *Table) settle(e *entry, undecided bool) {
	if e.queries > 0 && e.responses == 0 {
		t.counts.unansweredTransactions++
		t.counts.unansweredQueries += int(e.queries)
	}
	if e.asked > 0 && !e.answered {
		t.unanswered(e, undecided)
	}
}

// Unreachable takes an ICMP error that quotes a datagram from client to
// server.
func (t *Table) Unreachable(client, server netip.AddrPort, frame int64) {
	want := t.key(client, server, 0, false)
	const recent = 256 // an ICMP error follows its query closely; looking further would let a flood of them burn time
	for i := range min(recent, t.used) {
		e := t.at((t.oldest + 2*t.used - 1 - i) % t.used)
		have := e.key
		have.id = 0
		if have != want || e.asked == 0 {
			continue
		}
		if e.unreachable == 0 {
			e.unreachable = frame
			if r := t.resolverOf(server.Addr()); r != nil {
				r.Unreachable++
			}
			if l := e.tryOf(); l != nil {
				l.Unreachable = frame
			}
		}
		return
	}
}

// Finish ends the capture at end: what is still open has no answer.
func (t *Table) Finish(end pcap.Timestamp) {
	if t.finished {
		return
	}
	t.finished = true
	for i := range t.used {
		e := t.at((t.oldest + i) % t.used)
		t.settle(e, end.Sub(e.first) < retransmission)
	}
	t.closeLookups(end)
}

// Dropped says what the limits left out.
func (t *Table) Dropped() Dropped { return t.dropped }

// emit hands the transaction of e to whoever asked for it.
func (t *Table) emit(e *entry, fill func(*Transaction)) {
	if t.Transaction == nil {
		return
	}
	x, q := &t.emitted, e.open
	*x = Transaction{
		TCP: e.key.tcp, ID: e.key.id, Name: q.name, Type: q.typ,
		First: e.first, Last: q.last, Queries: int(e.asked), QueryFrames: q.frames[:q.frameN],
		Unreachable: e.unreachable,
	}
	x.Client, x.Server = e.key.endpoints()
	fill(x)
	t.Transaction(x)
}
