package dns

import (
	"net/netip"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// RetryWindow is how long after its last query a Lookup still takes in
// another one: stub resolvers try again with a new id, from a new port, at
// the next server.
const RetryWindow = 15 * time.Second

// MaxTries is how many tries a Lookup names; more are only counted.
const MaxTries = 8

// A Lookup is what a client wanted to know: the transactions of one client
// address for the same name and type, each at most RetryWindow after the one
// before, whatever their ids, ports and servers.
type Lookup struct {
	Client netip.Addr
	Name   string
	Type   Type

	Tries        []Try // in the order of their first queries, the first MaxTries
	Transactions int   // all of them

	// SearchSuffix: the resolver library appended a search suffix to the name
	// that was meant, as the client's next question shows. Its NXDOMAIN says
	// nothing.
	SearchSuffix bool

	// Missing: the name does not exist, and this is the how manieth Lookup in
	// the capture to be told so; 0: it exists, or SearchSuffix.
	Missing int
}

// A Try is one transaction of a Lookup.
type Try struct {
	Server    netip.AddrPort
	TCP       bool
	Asked     pcap.Timestamp // first query
	Frame     int64          // of the first query
	Queries   int
	Answered  bool
	Answer    pcap.Timestamp // time of the response
	Reply     int64          // frame of the response
	RCode     RCode
	Truncated bool
	// Undecided: no response before the capture ended, too early to say.
	Undecided bool
	// Unreachable is the frame of an ICMP error that quoted a query; 0: none.
	Unreachable int64
}

// Failed is [Transaction.Failed].
func (t *Try) Failed() bool {
	if !t.Answered {
		return !t.Undecided
	}
	return t.RCode == ServerFailure || t.RCode == Refused
}

// Start is when the client first asked.
func (l *Lookup) Start() pcap.Timestamp { return l.Tries[0].Asked }

// Answered returns the first try with a usable answer (NXDOMAIN is one).
func (l *Lookup) Answered() (*Try, bool) {
	for i := range l.Tries {
		if t := &l.Tries[i]; t.Answered && !t.Failed() {
			return t, true
		}
	}
	return nil, false
}

// Fallback reports that a server failed and another one then answered. The
// client was kept waiting for answered.Answer - failed.Asked.
func (l *Lookup) Fallback() (failed, answered *Try, ok bool) {
	good, ok := l.Answered()
	if !ok {
		return nil, nil, false
	}
	for i := range l.Tries {
		t := &l.Tries[i]
		if t.Asked < good.Answer && t.Failed() && t.Server.Addr() != good.Server.Addr() {
			return t, good, true
		}
	}
	return nil, nil, false
}

// TruncatedOnly reports that an answer was cut (TC) and the client never came
// back over TCP: TCP 53 is blocked, or the client cannot.
func (l *Lookup) TruncatedOnly() (*Try, bool) {
	var cut *Try
	for i := range l.Tries {
		t := &l.Tries[i]
		if t.TCP {
			return nil, false
		}
		if t.Truncated && cut == nil {
			cut = t
		}
	}
	return cut, cut != nil
}
