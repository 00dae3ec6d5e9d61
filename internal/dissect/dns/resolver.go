package dns

import (
	"net/netip"
	"time"
)

// A Resolver is how one server address behaved in this capture.
type Resolver struct {
	Server     netip.Addr
	Asked      int // transactions
	Queries    int // packets: a transaction may take several
	Answered   int
	Unanswered int // not those undecided at the end of the capture
	Undecided  int
	Slow       int // answered after more than Slow, or more than ten times the median and 100 ms
	RCodes     [16]int
	Clients    int // how many client addresses asked, counted up to 64

	// Unreachable counts ICMP errors that quoted a query to it.
	Unreachable int
	// Frames are the first queries that stayed without an answer, at most MaxFrames.
	Frames []int64

	Median, Max time.Duration // of the latencies; the median over the first 1,024
}

// Dead reports whether the server never answered although it was asked at
// least three times, sent again or not, or an ICMP error says that it cannot
// be reached.
func (r *Resolver) Dead() bool {
	return r.Answered == 0 && (r.Unanswered > 0 && r.Queries >= 3 || r.Unreachable > 0)
}
